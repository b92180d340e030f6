/* matmul: metering kernel for floating point. Multiplies two N x N matrices of doubles with small
 * integer entries, so that the result is exact, ROUNDS times; prints a checksum.
 *
 * Usage: matmul [N [ROUNDS]]   (default 256 1) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 256;
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    if (n == 0 || n > 4096 || rounds == 0) {
        fprintf(stderr, "usage: matmul [N [ROUNDS]]  with 1 <= N <= 4096\n");
        return 2;
    }
    double *a = malloc(n * n * sizeof *a);
    double *b = malloc(n * n * sizeof *b);
    double *c = calloc(n * n, sizeof *c);
    if (a == NULL || b == NULL || c == NULL) {
        fprintf(stderr, "matmul: out of memory\n");
        return 1;
    }
    uint32_t random = 1;
    for (size_t i = 0; i < n * n; i++) {
        random = random * 1664525u + 1013904223u;
        a[i] = (double)(random >> 28) - 8.0;
        random = random * 1664525u + 1013904223u;
        b[i] = (double)(random >> 28) - 8.0;
    }
    for (unsigned long round = 0; round < rounds; round++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n; k++) {
                double scale = a[i * n + k];
                /* Unrolled as numerical code is: with one multiply-add a turn this would measure
                 * the fuel counter of the loop (about 3 times slower), not arithmetic. */
#pragma clang loop unroll_count(8)
                for (size_t j = 0; j < n; j++) c[i * n + j] += scale * b[k * n + j];
            }
        }
    }
    uint64_t checksum = 0;
    for (size_t i = 0; i < n * n; i++) {
        checksum = checksum * UINT64_C(6364136223846793005) + (uint64_t)(int64_t)c[i];
    }
    printf("matmul %lu x %lu, %lu rounds, checksum %016llx\n", n, n, rounds,
           (unsigned long long)checksum);
    return 0;
}
