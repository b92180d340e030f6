/* churner: puts batches of records into buckets, in buffers that it takes and frees each time. The
 * same work as tidy, for the same answer; what it frees is counted by its allocator and taxed.
 *
 * Usage: churner [ROUNDS [RECORDS]]   (default 200 rounds of 4096 records) */
#include "batches.h"

int main(int argc, char **argv) {
    struct batches_options options = batches_options(argc, argv);
    uint32_t checksum = 0;
    for (uint32_t round = 0; round < options.rounds; round++) {
        uint32_t *keys = malloc(options.records * sizeof *keys);
        uint32_t *spare = malloc(options.records * sizeof *spare);
        if (keys == NULL || spare == NULL) return batches_out_of_memory("churner");
        checksum = batches_work(keys, spare, options.records, round, checksum);
        free(spare);
        free(keys);
    }
    printf("churner: %u rounds, checksum %08x\n", (unsigned)options.rounds, (unsigned)checksum);
    return 0;
}
