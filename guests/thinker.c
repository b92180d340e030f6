/* thinker: thinks for money. Takes orders of a reward, has the model run on the buyer's input, and
 * hands the claim in with its proof.
 *
 * Usage: thinker MODEL [REWARD]   (the reward's place in the process's rewards, from 0)
 * Waits while its purse cannot cover a run, and stops when nothing is left to earn. Exit codes: 0, the errno of what failed, 1 usage. */
#include <stdio.h>

#include "inference.h"

int main(int argc, char **argv) {
    int32_t reward;
    int code;
    if (!inference_arguments(argc, argv, "thinker", &reward)) return 1;
    while (inference_has_next(reward, &code)) {
        int32_t length = inference_run(argv[1]);
        if (length == -MAXWELL_EDQUOT) {
            inference_wait();
            continue;
        }
        if (length < 0) {
            fprintf(stderr, "thinker: infer: errno %d\n", -length);
            return -length;
        }
        int64_t paid = inference_deliver(inference_answer.bytes, (uint32_t)length);
        if (paid == -MAXWELL_EDQUOT) {
            inference_wait();
            continue;
        }
        if (paid < 0) {
            fprintf(stderr, "thinker: deliver: errno %d\n", (int)-paid);
            return (int)-paid;
        }
    }
    return code;
}
