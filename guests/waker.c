/* waker: sleeps for a while again and again and measures how late it wakes: from the moment it
 * asked for until its first instruction reads the clock. Prints one latency in ns a line. Plain C,
 * so that the same source compiled for the host measures the host's scheduler.
 *
 * Usage: waker [SLEEP_NS] [SECONDS]   (default 1000000 5) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) abort();
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
    unsigned long sleep_ns = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 5.0;
    if (sleep_ns == 0 || sleep_ns > 999999999 || !(seconds > 0.0 && seconds <= 3600.0)) {
        fprintf(stderr, "usage: waker [SLEEP_NS] [SECONDS]\n");
        return 2;
    }
    struct timespec wait = {.tv_sec = 0, .tv_nsec = (long)sleep_ns};
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    for (uint64_t before = start; before < end;) {
        if (nanosleep(&wait, NULL) != 0) {
            perror("waker");
            return 1;
        }
        uint64_t after = now_ns();
        printf("%llu\n", (unsigned long long)(after - before - sleep_ns));
        fflush(stdout);
        before = now_ns();
    }
    return 0;
}
