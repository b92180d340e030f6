/* scientist: earns its keep. Finds the primes of a sponsor's range by trial division and hands in
 * each through maxwell.report as decimal text; the host verifies it and pays.
 *
 * Usage: scientist FROM TO [COUNT_MAX]
 *   Searches FROM <= n < TO in increasing order and stops at TO, after COUNT_MAX primes, or when
 *   the sponsor's escrow is empty (work nobody pays for is not worth its joules).
 *
 * Trial division is chosen on purpose: every prime costs about sqrt(n) / 3 divisions, so that a
 * result has a real and steady price (n near 2e12: about 1 ms of CPU, a few millijoules), while
 * the host verifies it by Miller-Rabin in microseconds. Exit codes: 0 done, 1 nothing found, 2 usage. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maxwell.h"

/* n above this would let d * d leave 64 bits. */
#define N_MAX UINT64_C(0xFFFFFFFE00000001)

static int is_prime(uint64_t n) {
    if (n < 4) return n >= 2;
    if (n % 2 == 0 || n % 3 == 0) return 0;
    /* Divisors of the form 6k - 1 and 6k + 1. */
    for (uint64_t d = 5; d * d <= n; d += 6) {
        if (n % d == 0 || n % (d + 2) == 0) return 0;
    }
    return 1;
}

static int parse(const char *text, uint64_t *value) {
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') return 0;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && *value < N_MAX;
}

int main(int argc, char **argv) {
    uint64_t from = 0, to = 0, count_max = UINT64_MAX;
    if (argc < 3 || argc > 4 || !parse(argv[1], &from) || !parse(argv[2], &to) ||
        (argc == 4 && !parse(argv[3], &count_max))) {
        fprintf(stderr, "usage: scientist FROM TO [COUNT_MAX]\n");
        return 2;
    }
    uint64_t found = 0, refused = 0;
    const char *reason = "range finished";
    for (uint64_t n = from; n < to && found < count_max; n++) {
        if (!is_prime(n)) continue;
        found++;
        char line[24];
        int bytes = snprintf(line, sizeof line, "%" PRIu64, n);
        int32_t result = maxwell_report(line, (uint32_t)bytes);
        while (result == -MAXWELL_EAGAIN) {
            maxwell_sleep(1000000);
            result = maxwell_report(line, (uint32_t)bytes);
        }
        if (result == -MAXWELL_EDQUOT) {
            reason = "escrow empty";
            break;
        }
        if (result < 0) {
            /* No sponsor listens: still useful to whoever reads standard output. */
            refused++;
            puts(line);
        }
    }
    printf("scientist: %" PRIu64 " primes, %" PRIu64 " not taken, %s\n", found, refused, reason);
    return found > 0 ? 0 : 1;
}
