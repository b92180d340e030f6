/* hello: the smallest useful guest. Greets on standard output and exits 0: what a first run,
 * a smoke test and a cold-start benchmark use. Usage: hello [NAME] */
#include <stdio.h>

int main(int argc, char **argv) {
    printf("hello, %s\n", argc > 1 ? argv[1] : "world");
    return 0;
}
