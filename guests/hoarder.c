/* hoarder: a cache that it needs again after each pause. By default it keeps the cache; with
 * `discard` it gives the pages back before each pause and fills them again afterwards. Rent makes
 * keeping the dearer one once a pause is longer than the break-even time (10.24 s by default).
 *
 * Usage: hoarder keep|discard [PAUSES [SECONDS [MIB]]]   (default 3 pauses of 20 s with 4 MiB) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maxwell.h"

#define DISCARD_BYTES_MAX (1u << 20)

static void fill(uint8_t *cache, size_t bytes, unsigned long pause) {
    for (size_t i = 0; i < bytes; i++) cache[i] = (uint8_t)(i * 31 + pause + 1) | 1;
}

static int give_back(uint8_t *cache, size_t bytes) {
    for (size_t done = 0; done < bytes; done += DISCARD_BYTES_MAX) {
        size_t rest = bytes - done;
        uint32_t part = (uint32_t)(rest < DISCARD_BYTES_MAX ? rest : DISCARD_BYTES_MAX);
        int32_t result = maxwell_discard(cache + done, part);
        if (result < 0) return result;
    }
    return 0;
}

int main(int argc, char **argv) {
    int discards = argc > 1 && strcmp(argv[1], "discard") == 0;
    if (argc < 2 || (!discards && strcmp(argv[1], "keep") != 0)) {
        fprintf(stderr, "usage: hoarder keep|discard [PAUSES [SECONDS [MIB]]]\n");
        return 2;
    }
    unsigned long pauses = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
    unsigned long seconds = argc > 3 ? strtoul(argv[3], NULL, 10) : 20;
    unsigned long mib = argc > 4 ? strtoul(argv[4], NULL, 10) : 4;
    size_t bytes = (size_t)(mib < 1 ? 1 : mib > 1024 ? 1024 : mib) << 20;
    uint8_t *cache = malloc(bytes);
    if (cache == NULL) {
        fprintf(stderr, "hoarder: out of memory\n");
        return 1;
    }
    uint32_t checksum = 0;
    for (unsigned long pause = 0; pause < pauses; pause++) {
        if (discards || pause == 0) fill(cache, bytes, discards ? 0 : pause);
        for (size_t i = 0; i < bytes; i += 4096) checksum = checksum * 31 + cache[i];
        if (discards && give_back(cache, bytes) != 0) return 3;
        maxwell_sleep((int64_t)seconds * 1000000000);
    }
    printf("hoarder: %lu pauses, checksum %08x\n", pauses, (unsigned)checksum);
    return 0;
}
