/* replayer: thinks once and hands the same answer in for ever, for whatever is ordered.
 *
 * Usage: replayer MODEL [REWARD]
 * A claim is bound to the nonces of its order, so that none but the first is paid. */
#include "inference.h"

int main(int argc, char **argv) {
    int32_t reward, length = 0;
    int code;
    if (!inference_arguments(argc, argv, "replayer", &reward)) return 1;
    while (inference_has_next(reward, &code)) {
        if (length == 0) {
            length = inference_run(argv[1]);
            if (length < 0) return -length;
        }
        if (inference_deliver(inference_answer.bytes, (uint32_t)length) == -MAXWELL_EDQUOT) {
            inference_wait();
        }
    }
    return code;
}
