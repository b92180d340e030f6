/* substituter: runs a smaller model than the one that is ordered, and hands its answer in.
 *
 * Usage: substituter MODEL [REWARD]   (MODEL: the smaller one)
 * A claim names the digest of what ran, so that it is never paid. */
#include <stdio.h>
#include <stdlib.h>

#include "inference.h"

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: substituter MODEL [REWARD]\n");
        return 1;
    }
    int32_t reward = argc > 2 ? atoi(argv[2]) : 0, length = 0;
    for (;;) {
        int32_t error = inference_next(reward);
        if (error == -MAXWELL_EPIPE || error == -MAXWELL_EDQUOT) return 0;
        if (error < 0) return -error;
        int32_t got = inference_run(argv[1]);
        if (got > 0) length = got;
        if (got < 0 && got != -MAXWELL_EDQUOT) return -got;
        /* When it cannot pay for a run any more, it hands in what it has. */
        if (inference_deliver(inference_answer.bytes, (uint32_t)length) == -MAXWELL_EDQUOT) {
            inference_wait();
        }
    }
}
