/* fetch: makes one outbound request and prints the answer, as an agent asks a model's interface.
 *
 * Usage: fetch URL [BODY]   (a POST of BODY as JSON; without one a GET)
 * Exit code: 0, or the errno of the request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maxwell.h"

enum { REQUEST_BYTES = 65536, ANSWER_BYTES = 262144 };

static char request[REQUEST_BYTES];
static char answer[ANSWER_BYTES];

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: fetch URL [BODY]\n");
        return 1;
    }
    int length = argc > 2 ? snprintf(request, sizeof request,
                                     "POST %s\ncontent-type: application/json\n\n%s", argv[1],
                                     argv[2])
                          : snprintf(request, sizeof request, "GET %s\n\n", argv[1]);
    if (length < 0 || (size_t)length >= sizeof request) {
        fprintf(stderr, "fetch: the request is longer than %d bytes\n", REQUEST_BYTES);
        return 1;
    }
    int32_t got = maxwell_request(request, (uint32_t)length, answer, sizeof answer);
    if (got < 0) {
        fprintf(stderr, "fetch: errno %d\n", -got);
        return -got;
    }
    size_t written = (size_t)got < sizeof answer ? (size_t)got : sizeof answer;
    fwrite(answer, 1, written, stdout);
    return 0;
}
