/* clockreader: reads the monotonic clock in a loop, for the price of a host call and for checking
 * that the clock never goes back. Prints reads, distinct values and resolution.
 *
 * Usage: clockreader [READS]   (default 100000) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    unsigned long reads = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    struct timespec now, resolution;
    uint64_t last = 0, distinct = 0, backwards = 0;
    if (clock_getres(CLOCK_MONOTONIC, &resolution) != 0) {
        perror("clockreader");
        return 1;
    }
    for (unsigned long i = 0; i < reads; i++) {
        if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
            perror("clockreader");
            return 1;
        }
        uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        if (i == 0 || ns != last) distinct++;
        if (i > 0 && ns < last) backwards++;
        last = ns;
    }
    printf("%lu reads, %llu distinct, %llu backwards, resolution %ld ns\n", reads,
           (unsigned long long)distinct, (unsigned long long)backwards, resolution.tv_nsec);
    return backwards == 0 ? 0 : 1;
}
