/* leech: burns joules for nothing anyone asked for. Mines hashes for ever: double SHA-256 of an
 * 80-byte header with a growing nonce, printing each new record of leading zero bits. No sponsor
 * pays for it, so it must die of its own bill. The control to the scientist. */
#include <stdio.h>

#include "sha256.h"

static int leading_zero_bits(const uint32_t digest[8]) {
    for (int i = 0; i < 8; i++) {
        if (digest[i] != 0) return i * 32 + __builtin_clz(digest[i]);
    }
    return 256;
}

int main(void) {
    uint32_t best = 0;
    for (uint64_t nonce = 0;; nonce++) {
        uint32_t first[16] = {0x6d617877u, 0x656c6c21u};
        uint32_t state[8], digest[8];
        for (int i = 0; i < 8; i++) state[i] = digest[i] = sha256_initial[i];
        sha256_block(state, first);
        /* Second block of the header: the last 16 bytes, padding, and the length, 640 bits. */
        uint32_t second[16] = {(uint32_t)(nonce >> 32), (uint32_t)nonce, 0, 0, 0x80000000u};
        second[15] = 640;
        sha256_block(state, second);
        uint32_t outer[16] = {0};
        for (int i = 0; i < 8; i++) outer[i] = state[i];
        outer[8] = 0x80000000u;
        outer[15] = 256;
        sha256_block(digest, outer);
        uint32_t zero_bits = (uint32_t)leading_zero_bits(digest);
        if (zero_bits > best) {
            best = zero_bits;
            printf("leech: nonce %llu has %u leading zero bits\n", (unsigned long long)nonce, best);
            fflush(stdout);
        }
    }
}
