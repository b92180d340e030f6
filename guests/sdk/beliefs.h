/* beliefs.h: the arithmetic of maxwell_believe over bytes: the public belief, and a few helpers.
 *
 * The public belief of a stream is an adaptive model of order 0: after N symbols, symbol s of n has
 *     2^16 + floor((2^32 - n * 2^16) * (2 * count(s) + 1) / (2 * N + n))    in units of 1/2^32.
 * A process that publishes exactly this wins and loses nothing; each symbol pays
 * log2(own probability / public probability) bits.
 */
#ifndef MAXWELL_BELIEFS_H
#define MAXWELL_BELIEFS_H

#include <stdint.h>

#define BELIEF_SYMBOLS 256u
#define BELIEF_FLOOR (UINT64_C(1) << 16)
#define BELIEF_ONE (UINT64_C(1) << 32)

/* What the public has seen of the stream. */
struct public_belief {
    uint32_t counts[BELIEF_SYMBOLS];
    uint32_t total;
};

/* Writes the public probabilities of the next byte. */
static inline void public_probabilities(const struct public_belief *public,
                                        uint32_t probabilities[BELIEF_SYMBOLS]) {
    const uint64_t room = BELIEF_ONE - BELIEF_SYMBOLS * BELIEF_FLOOR;
    const uint64_t weights = 2 * (uint64_t)public->total + BELIEF_SYMBOLS;
    for (unsigned s = 0; s < BELIEF_SYMBOLS; s++) {
        /* room * weight may pass 2^64: divide in two steps, exactly. */
        const uint64_t weight = 2 * (uint64_t)public->counts[s] + 1;
        const uint64_t whole = room / weights * weight;
        const uint64_t rest = room % weights * weight / weights;
        probabilities[s] = (uint32_t)(BELIEF_FLOOR + whole + rest);
    }
}

/* Counts a byte that was revealed. */
static inline void public_see(struct public_belief *public, uint8_t symbol) {
    public->counts[symbol]++;
    public->total++;
}

/* Publishes a belief over the next byte and reveals it. Waits while the node is busy settling.
 * Returns 1 with the byte in *symbol, 0 at the end of the stream, or minus an errno. A belief that
 * is refused for want of money or time is given up: the byte is read all the same, for 0 bits. */
static inline int32_t believe_and_observe(int32_t question, const uint32_t *probabilities,
                                          uint8_t *symbol, int32_t *belief_result) {
    if (probabilities != 0) {
        *belief_result = maxwell_believe(question, probabilities, 4 * BELIEF_SYMBOLS);
    }
    int32_t read = maxwell_observe(question, symbol, 1);
    while (read == -MAXWELL_EAGAIN) {
        maxwell_sleep(5000000);
        read = maxwell_observe(question, symbol, 1);
    }
    return read;
}

#endif /* MAXWELL_BELIEFS_H */
