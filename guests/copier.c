/* copier: a control for questions. Publishes the public belief as its own, which costs joules and
 * tells nobody anything: it wins and loses exactly 0 bits.
 *
 * Usage: copier [QUESTION]. Exit codes: 0 done, 1 the question cannot be read. */
#include <stdio.h>
#include <stdlib.h>

#include "maxwell.h"
#include "beliefs.h"

static struct public_belief public;
static uint32_t probabilities[BELIEF_SYMBOLS];

int main(int argc, char **argv) {
    const int32_t question = argc > 1 ? atoi(argv[1]) : 0;
    uint32_t symbols = 0;
    for (;;) {
        uint8_t symbol = 0;
        int32_t fixed = 0;
        public_probabilities(&public, probabilities);
        const int32_t read = believe_and_observe(question, probabilities, &symbol, &fixed);
        if (read <= 0) {
            printf("copier: %u symbols, last answer %d\n", symbols, read);
            return read == 0 ? 0 : 1;
        }
        public_see(&public, symbol);
        symbols++;
    }
}
