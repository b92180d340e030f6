/* batches.h: the work that tidy and churner share: fill a batch with keys, sort it by merging,
 * fold the result into a checksum. No memory is allocated here. */
#ifndef MAXWELL_GUEST_BATCHES_H
#define MAXWELL_GUEST_BATCHES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCHES_RECORDS_MAX 4000000u

struct batches_options {
    uint32_t rounds;
    uint32_t records;
};

static struct batches_options batches_options(int argc, char **argv) {
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
    unsigned long records = argc > 2 ? strtoul(argv[2], NULL, 10) : 4096;
    if (records < 2) records = 2;
    if (records > BATCHES_RECORDS_MAX) records = BATCHES_RECORDS_MAX;
    return (struct batches_options){(uint32_t)rounds, (uint32_t)records};
}

static int batches_out_of_memory(const char *name) {
    fprintf(stderr, "%s: out of memory\n", name);
    return 1;
}

/* Sorts `count` keys bottom-up, between `keys` and `spare`; returns where they ended. */
static uint32_t *batches_sort(uint32_t *keys, uint32_t *spare, uint32_t count) {
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t start = 0; start < count; start += 2 * width) {
            uint32_t middle = start + width < count ? start + width : count;
            uint32_t end = start + 2 * width < count ? start + 2 * width : count;
            uint32_t left = start, right = middle;
            for (uint32_t i = start; i < end; i++) {
                int take_left = left < middle && (right >= end || keys[left] <= keys[right]);
                spare[i] = take_left ? keys[left++] : keys[right++];
            }
        }
        uint32_t *other = keys;
        keys = spare;
        spare = other;
    }
    return keys;
}

static uint32_t batches_work(uint32_t *keys, uint32_t *spare, uint32_t count, uint32_t round,
                             uint32_t checksum) {
    uint32_t random = round * 2654435761u + 1;
    for (uint32_t i = 0; i < count; i++) {
        random = random * 1664525u + 1013904223u;
        keys[i] = random;
    }
    const uint32_t *sorted = batches_sort(keys, spare, count);
    for (uint32_t i = 0; i < count; i += 64) checksum = checksum * 31 + sorted[i];
    return checksum;
}

#endif /* MAXWELL_GUEST_BATCHES_H */
