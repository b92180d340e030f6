/* counting_allocator: malloc and its kin, wrapped by the linker (--wrap), which remember what was
 * asked for and print at exit how many bytes were freed: by free, and by realloc where a block
 * shrank or moved. A move is what the allocator beneath does with it. Native; no thread may be about.
 *
 * Link: cc -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free PROGRAM.c THIS.c */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 16u

void *__real_malloc(size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);

static uint64_t freed_bytes;

static void report(void) { fprintf(stderr, "freed %llu\n", (unsigned long long)freed_bytes); }

static void *remember(void *block, size_t bytes) {
    static int registered;
    if (!registered) {
        registered = 1;
        atexit(report);
    }
    if (block == NULL) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    return (char *)block + HEADER;
}

static size_t size_of(const void *block) {
    size_t bytes;
    memcpy(&bytes, (const char *)block - HEADER, sizeof bytes);
    return bytes;
}

void *__wrap_malloc(size_t bytes) { return remember(__real_malloc(bytes + HEADER), bytes); }

void *__wrap_calloc(size_t count, size_t size) {
    void *block = __wrap_malloc(count * size);
    return block == NULL ? NULL : memset(block, 0, count * size);
}

void __wrap_free(void *block) {
    if (block == NULL) return;
    freed_bytes += size_of(block);
    __real_free((char *)block - HEADER);
}

void *__wrap_realloc(void *block, size_t bytes) {
    if (block == NULL) return __wrap_malloc(bytes);
    if (bytes == 0) {
        __wrap_free(block);
        return NULL;
    }
    size_t old_bytes = size_of(block);
    void *moved = __real_realloc((char *)block - HEADER, bytes + HEADER);
    if (moved == NULL) return NULL;
    if (moved != (char *)block - HEADER) {
        freed_bytes += old_bytes;
    } else if (bytes < old_bytes) {
        freed_bytes += old_bytes - bytes;
    }
    return remember(moved, bytes);
}
