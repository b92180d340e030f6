/* batches.h: the work that tidy and churner share: fill a batch with keys, put them into
 * buckets, fold the result into a checksum. No memory is allocated here. */
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

/* Moves `count` keys from `keys` to `spare`, in the order of their upper bytes. */
static void batches_bucket(const uint32_t *keys, uint32_t *spare, uint32_t count) {
    uint32_t next[257] = {0};
    for (uint32_t i = 0; i < count; i++) next[(keys[i] >> 24) + 1]++;
    for (uint32_t bucket = 1; bucket < 257; bucket++) next[bucket] += next[bucket - 1];
    for (uint32_t i = 0; i < count; i++) spare[next[keys[i] >> 24]++] = keys[i];
}

static uint32_t batches_work(uint32_t *keys, uint32_t *spare, uint32_t count, uint32_t round,
                             uint32_t checksum) {
    uint32_t random = round * 2654435761u + 1;
    for (uint32_t i = 0; i < count; i++) {
        random = random * 1664525u + 1013904223u;
        keys[i] = random;
    }
    batches_bucket(keys, spare, count);
    for (uint32_t i = 0; i < count; i += 64) checksum = checksum * 31 + spare[i];
    return checksum;
}

#endif /* MAXWELL_GUEST_BATCHES_H */
