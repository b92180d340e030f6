/* noise: a control for questions. Believes at random and loudly; its bits are negative, and its
 * stakes go to the sponsor until its purse cannot lock another one.
 *
 * Usage: noise [QUESTION]. Exit codes: 0 done or out of stakes, 1 the question cannot be read. */
#include <stdio.h>
#include <stdlib.h>

#include "maxwell.h"
#include "beliefs.h"

static uint32_t probabilities[BELIEF_SYMBOLS];

/* Marsaglia's xorshift, 64 bits. */
static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

int main(int argc, char **argv) {
    const int32_t question = argc > 1 ? atoi(argv[1]) : 0;
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    uint32_t symbols = 0;
    for (;;) {
        /* Half of all probability on one byte, the rest spread evenly. */
        const uint32_t rest = (uint32_t)(BELIEF_ONE / 2 / BELIEF_SYMBOLS);
        for (unsigned s = 0; s < BELIEF_SYMBOLS; s++) probabilities[s] = rest;
        probabilities[next(&state) % BELIEF_SYMBOLS] += UINT32_C(1) << 31;
        uint8_t symbol = 0;
        int32_t fixed = 0;
        const int32_t read = believe_and_observe(question, probabilities, &symbol, &fixed);
        if (read <= 0 || fixed == -MAXWELL_EDQUOT) {
            printf("noise: %u symbols, last answers %d and %d\n", symbols, fixed, read);
            return read < 0 ? 1 : 0;
        }
        symbols++;
    }
}
