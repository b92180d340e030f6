/* sha256: metering kernel for integer arithmetic in registers. Hashes KIB kibibytes of a fixed
 * pattern and prints the digest, which any SHA-256 tool confirms (byte i is i mod 251).
 *
 * Usage: sha256 [KIB]   (default 1024) */
#include <stdio.h>
#include <stdlib.h>

#include "sha256.h"

int main(int argc, char **argv) {
    unsigned long kib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
    if (kib == 0 || kib > 16777216ul) {
        fprintf(stderr, "usage: sha256 [KIB]  with 1 <= KIB <= 16777216\n");
        return 2;
    }
    uint64_t bytes = (uint64_t)kib * 1024;
    uint32_t state[8], pattern = 0;
    for (int i = 0; i < 8; i++) state[i] = sha256_initial[i];
    for (uint64_t done = 0; done < bytes; done += 64) {
        uint32_t block[16];
        for (int t = 0; t < 16; t++) {
            uint32_t word = 0;
            for (int i = 0; i < 4; i++) {
                word = (word << 8) | pattern;
                pattern = pattern == 250 ? 0 : pattern + 1;
            }
            block[t] = word;
        }
        sha256_block(state, block);
    }
    uint32_t last[16] = {0x80000000u};
    last[14] = (uint32_t)(bytes >> 29);
    last[15] = (uint32_t)(bytes << 3);
    sha256_block(state, last);
    for (int i = 0; i < 8; i++) printf("%08x", state[i]);
    printf("  %lu KiB\n", kib);
    return 0;
}
