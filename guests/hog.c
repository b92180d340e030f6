/* hog: takes memory and sits on it. Grows linear memory to a target or as far as the host allows,
 * dirties every 4-KiB page, then sleeps for ever: it uses no CPU and is killed by rent alone.
 *
 * Usage: hog [MIB]   (default 1024) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "maxwell.h"

#define WASM_PAGE_BYTES 65536u
#define HOST_PAGE_BYTES 4096u
#define STEP_PAGES_MAX 256u /* 16 MiB at a time, so that the touching is spread over slices. */

static void dirty(uint32_t first_page, uint32_t pages) {
    volatile uint8_t *byte = (volatile uint8_t *)((uintptr_t)first_page * WASM_PAGE_BYTES);
    for (uint64_t i = 0; i < (uint64_t)pages * WASM_PAGE_BYTES; i += HOST_PAGE_BYTES) {
        byte[i] = 0xa5;
    }
}

int main(int argc, char **argv) {
    unsigned long mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
    if (mib == 0 || mib > 4095) {
        fprintf(stderr, "usage: hog [MIB]  with 1 <= MIB <= 4095\n");
        return 2;
    }
    uint32_t target_pages = (uint32_t)(mib * (1048576u / WASM_PAGE_BYTES));
    uint32_t step_pages = STEP_PAGES_MAX;
    for (;;) {
        uint32_t pages = (uint32_t)__builtin_wasm_memory_size(0);
        if (pages >= target_pages) break;
        uint32_t want = target_pages - pages;
        if (want > step_pages) want = step_pages;
        if (__builtin_wasm_memory_grow(0, want) == (size_t)-1) {
            /* Refused: by the limit, or because bond and rent are not affordable. */
            step_pages = want / 2;
            if (step_pages == 0) break;
            continue;
        }
        dirty(pages, want);
    }
    printf("hog: holding %u MiB\n",
           (unsigned)(__builtin_wasm_memory_size(0) / (1048576u / WASM_PAGE_BYTES)));
    fflush(stdout);
    for (;;) maxwell_sleep(INT64_C(3600) * 1000000000);
}
