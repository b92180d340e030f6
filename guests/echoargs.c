/* echoargs: prints its arguments one a line, each in brackets, and exits with their number
 * (argv[0] not counted): checks argument passing and exit codes. */
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) printf("[%s]\n", argv[i]);
    return argc - 1;
}
