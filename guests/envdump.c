/* envdump: prints its environment one variable a line, in the order given, then copies standard
 * input to standard output: checks that nothing of the host leaks in. */
#include <stdio.h>

extern char **environ;

int main(void) {
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        puts(*variable);
    }
    for (int byte = getchar(); byte != EOF; byte = getchar()) putchar(byte);
    return 0;
}
