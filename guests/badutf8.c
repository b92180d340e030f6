/* badutf8: prints what is not UTF-8: lone continuation bytes, an overlong form, a surrogate, a
 * truncated sequence, NUL, terminal escapes and every byte value; then an ordinary last line. */
#include <stdio.h>

int main(void) {
    static const unsigned char bad[] = {0x80, 0xbf, 0xc0, 0xaf, 0xed, 0xa0, 0x80, 0xf5, 0x00,
                                        0x1b, '[',  '2',  'J',  0x1b, ']',  '0',  ';',  'x',
                                        0x07, '\n', 0xe2, 0x82, '\n'};
    fwrite(bad, 1, sizeof bad, stdout);
    for (int byte = 0; byte < 256; byte++) putchar(byte);
    fwrite(bad, 1, sizeof bad, stderr);
    fputs("\nbadutf8: done\n", stdout);
    return 0;
}
