/* learner: earns its keep by knowing what comes next. Predicts each byte of a stream by logistic
 * mixing of five models (contexts of 0 to 4 bytes) and publishes the distribution before it reads.
 *
 * A byte is eight binary decisions, the nodes of a binary tree; each model holds a probability for
 * every node in its context. A node's probability is squash(sum of weight * stretch(p)) over the
 * models, with weights learnt on line: the method of M. Mahoney's PAQ ("Adaptive weighing of
 * context models for lossless data compression", 2005), here evaluated at all 255 nodes, because
 * the sponsor asks for a whole distribution and not for the code of one byte.
 *
 * Usage: learner [QUESTION]
 * Exit codes: 0 the stream ended, or nobody pays any longer; 1 the question cannot be read;
 * 3 no memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "maxwell.h"
#include "beliefs.h"

#define MODELS 5
#define NODES 256
/* Contexts that a longer model tells apart, by a hash: 4,096 are 4 MiB. */
#define CONTEXTS_LOG2 12
#define CONTEXTS (1 << CONTEXTS_LOG2)
#define STRETCHES 4096
#define RATE 0.015f
#define CLAMP 8.0f
/* Steps of the table of squash per unit. */
#define SQUASH_STEPS 256
#define SQUASHES (2 * 8 * SQUASH_STEPS)

/* Fresh memory is a model that knows nothing, and costs no erasure tax while it stays zero. */
struct node {
    int16_t lean; /* Probability of a 1 less one half, in 1/2^16. */
    uint16_t seen;
};

static struct node *models[MODELS];
static float stretch_table[STRETCHES];
static float squash_table[SQUASHES];
static float weights[NODES][MODELS];
static float mixed[NODES];
static struct node *context[MODELS];
static uint32_t probabilities[BELIEF_SYMBOLS];

/* Returns 0 when there is no memory for the models: 12 MiB. */
static int prepare(void) {
    for (int i = 0; i < STRETCHES; i++) {
        const float p = ((float)i + 0.5f) / STRETCHES;
        stretch_table[i] = logf(p / (1.0f - p));
    }
    for (int i = 0; i < SQUASHES; i++) {
        squash_table[i] = 1.0f / (1.0f + expf(CLAMP - ((float)i + 0.5f) / SQUASH_STEPS));
    }
    for (int m = 0; m < MODELS; m++) {
        const size_t contexts = m == 0 ? 1 : m == 1 ? 256 : CONTEXTS;
        models[m] = calloc(contexts * NODES, sizeof(struct node));
        if (models[m] == 0) return 0;
    }
    for (int n = 0; n < NODES; n++) {
        for (int m = 0; m < MODELS; m++) weights[n][m] = 0.3f;
    }
    return 1;
}

static uint32_t hash(uint32_t bytes, uint32_t order) {
    return (bytes * UINT32_C(2654435761) + order * UINT32_C(0x9E3779B1)) >> (32 - CONTEXTS_LOG2);
}

/* A model that has not been in this context knows nothing: its stretch counts as 0. */
static float opinion(const struct node *node) {
    return node->seen == 0 ? 0.0f : stretch_table[(node->lean + 32768) >> 4];
}

static float mix(int n) {
    float sum = 0.0f;
    for (int m = 0; m < MODELS; m++) sum += weights[n][m] * opinion(&context[m][n]);
    const int step = (int)((sum + CLAMP) * SQUASH_STEPS);
    return squash_table[step < 0 ? 0 : step >= SQUASHES ? SQUASHES - 1 : step];
}

/* Fills the probabilities of the next byte, given the last four. */
static void predict(uint32_t last) {
    context[0] = models[0];
    context[1] = models[1] + (last & 0xFF) * NODES;
    for (uint32_t m = 2; m < MODELS; m++) {
        context[m] = models[m] + hash(last & (UINT32_MAX >> (32 - 8 * m)), m) * NODES;
    }
    static uint64_t mass[2 * NODES];
    mass[1] = BELIEF_ONE;
    for (int n = 1; n < NODES; n++) {
        const uint64_t whole = mass[n];
        /* Nothing below a byte that text never has is worth its joules. */
        mixed[n] = whole >> 12 ? mix(n) : 0.5f;
        const uint64_t ones = (whole * (uint64_t)(mixed[n] * 65536.0f)) >> 16;
        mass[2 * n + 1] = ones;
        mass[2 * n] = whole - ones;
    }
    for (unsigned s = 0; s < BELIEF_SYMBOLS; s++) {
        probabilities[s] = mass[NODES + s] > UINT32_MAX ? UINT32_MAX : (uint32_t)mass[NODES + s];
    }
}

static void learn(uint8_t symbol) {
    int n = 1;
    for (int bit = 7; bit >= 0; bit--) {
        const int one = symbol >> bit & 1;
        const float error = (float)one - mix(n);
        for (int m = 0; m < MODELS; m++) {
            struct node *node = &context[m][n];
            weights[n][m] += RATE * error * opinion(node);
            /* The first symbols in a context move it most: a step of 1/(seen + 1.5). */
            const int target = one ? 32767 : -32768;
            node->lean = (int16_t)(node->lean + (target - node->lean) * 2 / (2 * node->seen + 3));
            if (node->seen < 127) node->seen++;
        }
        n = 2 * n + one;
    }
}

int main(int argc, char **argv) {
    const int32_t question = argc > 1 ? atoi(argv[1]) : 0;
    if (!prepare()) return 3;
    uint32_t last = 0, symbols = 0;
    for (;;) {
        uint8_t symbol = 0;
        int32_t fixed = 0;
        predict(last);
        const int32_t read = believe_and_observe(question, probabilities, &symbol, &fixed);
        if (read <= 0 || fixed == -MAXWELL_EDQUOT) {
            printf("learner: %u symbols, last answers %d and %d\n", symbols, fixed, read);
            return read < 0 ? 1 : 0;
        }
        learn(symbol);
        last = last << 8 | symbol;
        symbols++;
    }
}
