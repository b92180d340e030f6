/* churn: metering kernel for the allocator. Keeps 1,024 blocks of 16 bytes to 16 KiB alive and
 * replaces a random one at each step; prints a checksum.
 *
 * Usage: churn [STEPS]   (default 1000000) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCKS 1024u

int main(int argc, char **argv) {
    unsigned long steps = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    static uint32_t *blocks[BLOCKS];
    uint32_t random = 1, checksum = 0;
    for (unsigned long step = 0; step < steps; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t slot = (random >> 8) % BLOCKS;
        size_t bytes = (size_t)16 << ((random >> 18) % 11);
        if (blocks[slot] != NULL) checksum = checksum * 31 + blocks[slot][0];
        free(blocks[slot]);
        blocks[slot] = malloc(bytes);
        if (blocks[slot] == NULL) {
            fprintf(stderr, "churn: out of memory at step %lu\n", step);
            return 1;
        }
        blocks[slot][0] = random;
        blocks[slot][bytes / 4 - 1] = (uint32_t)step;
    }
    printf("churn: %lu steps, checksum %08x\n", steps, checksum);
    return 0;
}
