/* tidy: puts batches of records into buckets, in buffers that it keeps. The same work as churner,
 * for the same answer, but it frees nothing until it is done: its bill has no tax worth a line.
 *
 * Usage: tidy [ROUNDS [RECORDS]]   (default 200 rounds of 4096 records) */
#include "batches.h"

int main(int argc, char **argv) {
    struct batches_options options = batches_options(argc, argv);
    uint32_t *keys = malloc(options.records * sizeof *keys);
    uint32_t *spare = malloc(options.records * sizeof *spare);
    if (keys == NULL || spare == NULL) return batches_out_of_memory("tidy");
    uint32_t checksum = 0;
    for (uint32_t round = 0; round < options.rounds; round++) {
        checksum = batches_work(keys, spare, options.records, round, checksum);
    }
    free(spare);
    free(keys);
    printf("tidy: %u rounds, checksum %08x\n", (unsigned)options.rounds, (unsigned)checksum);
    return 0;
}
