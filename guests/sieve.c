/* sieve: metering kernel for strided memory writes. Sieve of Eratosthenes over odd numbers,
 * repeated; prints the number of primes, the last one and a checksum.
 *
 * Usage: sieve [LIMIT [ROUNDS]]   (default 1000000 1; primes p <= LIMIT) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    unsigned long limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    if (limit < 3 || limit > 1000000000ul || rounds == 0) {
        fprintf(stderr, "usage: sieve [LIMIT [ROUNDS]]  with 3 <= LIMIT <= 1000000000\n");
        return 2;
    }
    size_t odds = (limit + 1) / 2; /* composite[i] stands for 2 i + 1. */
    uint8_t *composite = malloc(odds);
    if (composite == NULL) {
        fprintf(stderr, "sieve: out of memory: %zu bytes\n", odds);
        return 1;
    }
    unsigned long count = 0, last = 0;
    uint64_t checksum = 0;
    for (unsigned long round = 0; round < rounds; round++) {
        memset(composite, 0, odds);
        for (size_t i = 1; (2 * i + 1) * (2 * i + 1) <= limit; i++) {
            if (composite[i]) continue;
            size_t step = 2 * i + 1;
            for (size_t j = step * step / 2; j < odds; j += step) composite[j] = 1;
        }
        count = 1;
        last = 2;
        for (size_t i = 1; i < odds; i++) {
            if (composite[i]) continue;
            count++;
            last = 2 * i + 1;
            checksum = checksum * UINT64_C(6364136223846793005) + last;
        }
    }
    printf("%lu primes up to %lu, last %lu, checksum %016llx\n", count, limit, last,
           (unsigned long long)checksum);
    free(composite);
    return 0;
}
