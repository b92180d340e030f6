/* spin: while (true). No libc, no imports, no output, never yields: the purest consumer of time,
 * and the measure of how soon the kernel can stop a guest that never calls out. */
static volatile unsigned spins;

__attribute__((export_name("_start"))) void _start(void) {
    for (;;) spins = spins + 1;
}
