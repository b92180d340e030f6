/* replayer: thinks once and hands the same answer in for ever, for whatever is ordered.
 *
 * Usage: replayer MODEL [REWARD]
 * A claim is bound to the nonces of its order, so that none but the first is paid. */
#include <stdio.h>
#include <stdlib.h>

#include "inference.h"

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: replayer MODEL [REWARD]\n");
        return 1;
    }
    int32_t reward = argc > 2 ? atoi(argv[2]) : 0, length = 0;
    for (;;) {
        int32_t error = inference_next(reward);
        if (error == -MAXWELL_EPIPE || error == -MAXWELL_EDQUOT) return 0;
        if (error < 0) return -error;
        if (length == 0) {
            length = inference_run(argv[1]);
            if (length < 0) return -length;
        }
        if (inference_deliver(inference_answer.bytes, (uint32_t)length) == -MAXWELL_EDQUOT) {
            inference_wait();
        }
    }
}
