/* substituter: runs a smaller model than the one that is ordered, and hands its answer in.
 *
 * Usage: substituter MODEL [REWARD]   (MODEL: the smaller one)
 * A claim names the digest of what ran, so that it is never paid. */
#include "inference.h"

int main(int argc, char **argv) {
    int32_t reward, length = 0;
    int code;
    if (!inference_arguments(argc, argv, "substituter", &reward)) return 1;
    while (inference_has_next(reward, &code)) {
        int32_t got = inference_run(argv[1]);
        if (got > 0) length = got;
        if (got < 0 && got != -MAXWELL_EDQUOT) return -got;
        /* When it cannot pay for a run any more, it hands in what it has. */
        if (inference_deliver(inference_answer.bytes, (uint32_t)length) == -MAXWELL_EDQUOT) {
            inference_wait();
        }
    }
    return code;
}
