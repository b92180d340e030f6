/* looper: a control for questions. Reads the stream over and over in its head, never says what it
 * believes, and burns: no bits, no pay.
 *
 * Usage: looper [QUESTION]. Never ends by itself; exit code 1 when the question cannot be read. */
#include <stdlib.h>

#include "maxwell.h"
#include "beliefs.h"

static uint8_t text[1 << 16];

int main(int argc, char **argv) {
    const int32_t question = argc > 1 ? atoi(argv[1]) : 0;
    uint32_t bytes = 0;
    int32_t ignored = 0;
    for (;;) {
        if (bytes < sizeof text) {
            const int32_t read = believe_and_observe(question, 0, &text[bytes], &ignored);
            if (read < 0) return 1;
            bytes += (uint32_t)read;
        }
        volatile uint32_t sum = 0;
        for (uint32_t i = 0; i < bytes; i++) sum += text[i] * i;
    }
}
