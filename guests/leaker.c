/* leaker: takes a fresh buffer for each job and forgets the old one, so that its memory, and with it
 * its rent, only grows. It pays no tax while it lives; the bond of all it leaked pays at the end.
 *
 * Usage: leaker [JOBS [SECONDS [KIB]]]   (default 20 jobs, 2 s apart, of 512 KiB) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "maxwell.h"

int main(int argc, char **argv) {
    unsigned long jobs = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
    unsigned long seconds = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    unsigned long kib = argc > 3 ? strtoul(argv[3], NULL, 10) : 512;
    size_t bytes = (size_t)(kib < 1 ? 1 : kib > 65536 ? 65536 : kib) << 10;
    uint32_t checksum = 0;
    for (unsigned long job = 0; job < jobs; job++) {
        volatile uint8_t *buffer = malloc(bytes);
        if (buffer == NULL) {
            fprintf(stderr, "leaker: out of memory after %lu jobs\n", job);
            return 1;
        }
        for (size_t i = 0; i < bytes; i += 64) buffer[i] = (uint8_t)(i + job) | 1;
        for (size_t i = 0; i < bytes; i += 4096) checksum = checksum * 31 + buffer[i];
        maxwell_sleep((int64_t)seconds * 1000000000);
    }
    printf("leaker: %lu jobs, checksum %08x\n", jobs, (unsigned)checksum);
    return 0;
}
