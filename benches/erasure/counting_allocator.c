/* counting_allocator: malloc and its kin, wrapped by the linker (--wrap), which remember what was
 * asked for and print at exit how many bytes were freed: by free, and by realloc where a block
 * shrank or moved. Native; no thread may be about.
 *
 * When a realloc moves is an allocator's own business, and what is freed depends on it. This one
 * keeps blocks in the size classes of the guests' allocator (Zig's C library): powers of two of the
 * size, a header of 16 bytes and a word of 4; from 64 KiB on, powers of two of pages of 64 KiB. A
 * block moves when its class changes.
 *
 * Link: cc -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free PROGRAM.c THIS.c */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 16u
#define WORD 4u
#define PAGE 65536u

void *__real_malloc(size_t bytes);
void __real_free(void *block);

static uint64_t freed_bytes;

static size_t power_of_two(size_t least) {
    size_t power = 8;
    while (power < least) power *= 2;
    return power;
}

static size_t class_bytes(size_t bytes) {
    size_t needed = bytes + HEADER + WORD;
    if (power_of_two(needed) < PAGE) return power_of_two(needed);
    return power_of_two((needed + WORD + PAGE - 1) / PAGE * 8) / 8 * PAGE;
}

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

void *__wrap_malloc(size_t bytes) {
    return remember(__real_malloc(class_bytes(bytes)), bytes);
}

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
    if (class_bytes(bytes) == class_bytes(old_bytes)) {
        if (bytes < old_bytes) freed_bytes += old_bytes - bytes;
        return remember((char *)block - HEADER, bytes);
    }
    void *moved = __wrap_malloc(bytes);
    if (moved == NULL) return NULL;
    memcpy(moved, block, bytes < old_bytes ? bytes : old_bytes);
    __wrap_free(block);
    return moved;
}
