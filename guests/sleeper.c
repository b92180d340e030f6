/* sleeper: lives on almost nothing. Sleeps through the ordinary WASI clock (nanosleep, so
 * poll_oneoff: no Maxwell call) and exits 0: shows that blocking is free apart from rent.
 *
 * Usage: sleeper [SECONDS]   (default 20; fractions allowed) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 20.0;
    if (!(seconds >= 0.0 && seconds <= 1e9)) {
        fprintf(stderr, "usage: sleeper [SECONDS]\n");
        return 2;
    }
    struct timespec wait = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&wait, &wait) != 0) {
        if (errno != EINTR) {
            perror("sleeper");
            return 1;
        }
    }
    puts("sleeper: awake");
    return 0;
}
