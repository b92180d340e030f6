/* chatty: prints without end, to test that output is bounded, charged and lost visibly. Writes
 * BYTES bytes as lines of 64.
 *
 * Usage: chatty [BYTES [CHUNK]]   (default 1000000000 65536; CHUNK bytes a write) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES_MAX 65536u

int main(int argc, char **argv) {
    unsigned long long left = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000000ull;
    unsigned long chunk = argc > 2 ? strtoul(argv[2], NULL, 10) : CHUNK_BYTES_MAX;
    static char text[CHUNK_BYTES_MAX];
    if (chunk == 0 || chunk > CHUNK_BYTES_MAX) {
        fprintf(stderr, "usage: chatty [BYTES [CHUNK]]  with 1 <= CHUNK <= 65536\n");
        return 2;
    }
    memset(text, 'x', sizeof text);
    for (size_t i = 63; i < sizeof text; i += 64) text[i] = '\n';
    while (left > 0) {
        size_t want = left < chunk ? (size_t)left : chunk;
        ssize_t written = write(STDOUT_FILENO, text, want);
        if (written <= 0) return 1; /* The host refused: it may, after its bound. */
        left -= (unsigned long long)written;
    }
    return 0;
}
