/* imitator: looks like a scientist and does no science. The third parasite beside the miner and the
 * loop, and the only one that knows who pays.
 *
 * Usage: imitator FOLDER FROM TO SEED
 *   FOLDER holds `results`, the list of what the sponsor has paid for, one line each, which grows.
 *   It prints every new line and hands it in as its own (copies), hands old lines in again
 *   (repeats), and hands in odd numbers of FROM <= n < TO drawn from SEED (guesses: one in
 *   ln(n) / 2 is a prime). Before each it hashes for about half a millisecond, so as to look as
 *   busy as a scientist. It never ends and never tries a divisor. A missing list is no error: then it only guesses.
 * Exit codes: 2 usage. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maxwell.h"

#define LINE_BYTES 24u
#define KEPT 64u
/* Rounds of the hash below: it hands in a line or two in the time that a prime takes to find. */
#define BUSY_ROUNDS 400000u

static char kept[KEPT][LINE_BYTES];
static uint64_t kept_count;
static volatile uint64_t busy;

/* xorshift64* (Vigna): enough for guesses. */
static uint64_t draw(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static void hand_in(const char *line) {
    uint64_t hash = busy;
    for (uint32_t i = 0; i < BUSY_ROUNDS; i++) {
        hash = (hash ^ (uint8_t)line[i % LINE_BYTES]) * UINT64_C(1099511628211);
    }
    busy = hash;
    /* Whatever the answer is: it has nothing else to do. */
    (void)maxwell_report(line, (uint32_t)strlen(line));
}

/* Copies the lines that were added since the last call. */
static void copy_news(FILE *list) {
    char line[LINE_BYTES];
    clearerr(list);
    while (fgets(line, sizeof line, list) != NULL) {
        size_t bytes = strcspn(line, "\n");
        line[bytes] = '\0';
        if (bytes == 0) continue;
        memset(kept[kept_count % KEPT], 0, LINE_BYTES);
        memcpy(kept[kept_count % KEPT], line, bytes);
        puts(line);
        hand_in(kept[kept_count++ % KEPT]);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: imitator FOLDER FROM TO SEED\n");
        return 2;
    }
    uint64_t from = strtoull(argv[2], NULL, 10), to = strtoull(argv[3], NULL, 10);
    uint64_t state = strtoull(argv[4], NULL, 10) * 2 + 1;
    if (from >= to) {
        fprintf(stderr, "imitator: not a range: %s to %s\n", argv[2], argv[3]);
        return 2;
    }
    char path[256];
    snprintf(path, sizeof path, "%s/results", argv[1]);
    FILE *list = NULL;
    for (;;) {
        if (list == NULL) list = fopen(path, "r");
        if (list != NULL) copy_news(list);
        char guess[LINE_BYTES] = {0};
        snprintf(guess, sizeof guess, "%" PRIu64, (from + draw(&state) % (to - from)) | 1);
        hand_in(guess);
        if (kept_count > 0) {
            uint64_t known = kept_count < KEPT ? kept_count : KEPT;
            hand_in(kept[draw(&state) % known]);
        }
    }
}
