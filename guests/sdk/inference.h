/* inference.h: the layout of orders and answers of maxwell.h's inferences, and one round of work.
 * Pointers are into the guest's own memory; all integers are little-endian, as WebAssembly's are. */
#ifndef MAXWELL_GUEST_INFERENCE_H
#define MAXWELL_GUEST_INFERENCE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maxwell.h"

/* What maxwell_order writes; the input of input_bytes, int16_t, follows. */
struct inference_order {
    uint32_t number;
    uint32_t tier;
    uint32_t batch;
    uint32_t input_bytes;
    uint64_t price_credits;
    uint64_t left_ns;
    uint8_t model[32];
    uint8_t buyer_nonce[32];
};

/* What maxwell_infer writes; output, claim and proof follow, in this order. */
struct inference_answer {
    uint32_t output_bytes;
    uint32_t claim_bytes;
    uint32_t proof_bytes;
    uint32_t zero;
};

/* Rent is paid for both: room for orders of 6,000 numbers, and for proofs of 160 kB. */
enum { INFERENCE_ORDER_ROOM = 12288, INFERENCE_ANSWER_ROOM = 163840 };
#define INFERENCE_WAIT_NS INT64_C(50000000)

static union {
    struct inference_order head;
    uint8_t bytes[INFERENCE_ORDER_ROOM];
} inference_order;

static union {
    struct inference_answer head;
    uint8_t bytes[INFERENCE_ANSWER_ROOM];
} inference_answer;

static const void *inference_input(void) { return inference_order.bytes + sizeof inference_order.head; }

/* Takes the next order into inference_order, waiting while others have them all.
 * Returns 0, or minus an errno: -EPIPE and -EDQUOT when there is nothing left to earn. */
static int32_t inference_next(int32_t reward) {
    for (;;) {
        int32_t got = maxwell_order(reward, inference_order.bytes, sizeof inference_order.bytes);
        if (got == -MAXWELL_EAGAIN) {
            maxwell_sleep(INFERENCE_WAIT_NS);
            continue;
        }
        if (got < 0) return got;
        return (size_t)got <= sizeof inference_order.bytes ? 0 : -MAXWELL_EMSGSIZE;
    }
}

/* Reads the arguments of a guest that works for orders, `NAME MODEL [REWARD]`, the reward being its
 * place in the process's rewards, from 0. Returns whether they are such; argv[1] is the model. */
static int inference_arguments(int argc, char **argv, const char *name, int32_t *reward) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s MODEL [REWARD]\n", name);
        return 0;
    }
    *reward = argc > 2 ? atoi(argv[2]) : 0;
    return 1;
}

/* Takes the next order. Returns whether there is one; if not, `code` is what to exit with: 0 when
 * nothing is left to earn, or the errno of what failed. */
static int inference_has_next(int32_t reward, int *code) {
    int32_t error = inference_next(reward);
    *code = error == -MAXWELL_EPIPE || error == -MAXWELL_EDQUOT ? 0 : -error;
    return error == 0;
}

/* Runs `model` on the order's input, bound to the order; returns the answer's length, or minus an
 * errno. */
static int32_t inference_run(const char *model) {
    int32_t got;
    do {
        /* A sponsor of tier 1 wants sums, which no run of the host can give. */
        got = maxwell_infer(model, (uint32_t)strlen(model), (int32_t)inference_order.head.tier,
                            (int32_t)inference_order.head.number, inference_input(),
                            inference_order.head.input_bytes, inference_answer.bytes,
                            sizeof inference_answer.bytes);
        if (got == -MAXWELL_EAGAIN) maxwell_sleep(INFERENCE_WAIT_NS);
    } while (got == -MAXWELL_EAGAIN);
    return got > (int32_t)sizeof inference_answer.bytes ? -MAXWELL_EMSGSIZE : got;
}

/* Waits until the purse can cover what was refused: -EDQUOT is the moment's, since prices fall and
 * rewards come. */
static void inference_wait(void) { maxwell_sleep(INFERENCE_WAIT_NS); }

/* Hands `length` bytes in for the order; returns the credits paid, or minus an errno. */
static int64_t inference_deliver(const void *data, uint32_t length) {
    uint64_t paid = 0;
    int32_t got = maxwell_deliver((int32_t)inference_order.head.number, data, length, &paid,
                                  sizeof paid);
    return got < 0 ? got : (int64_t)paid;
}

#endif /* MAXWELL_GUEST_INFERENCE_H */
