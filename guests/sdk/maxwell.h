/* maxwell.h: what a WebAssembly guest may ask of the Maxwell hypervisor.
 *
 * A guest is an ordinary WASI preview 1 program (or a module with no libc at
 * all) and needs nothing from this file: it then bids by the node's default
 * rule. Include this file to read your purse, to choose your bid, to hand in
 * results that a sponsor pays for, and to sleep without burning joules.
 *
 * UNITS
 *   credit      the right to draw one microjoule (1 uJ); 1 J = 1,000,000 credits.
 *   price, bid  credits per microjoule in parts per million: 1,000,000 is cost
 *               price, one credit for each microjoule.
 *   time        nanoseconds of the guest's monotonic clock.
 *   pointers    offsets into this guest's own linear memory, 32 bits, any alignment;
 *               integers in memory are little-endian.
 *
 * ERRORS
 *   A result of type int32_t is >= 0 on success, or minus a WASI errno (the
 *   MAXWELL_E* constants below). No call traps on bad arguments: a range that
 *   does not lie inside linear memory is -MAXWELL_EFAULT, so check results.
 *   No call blocks except maxwell_sleep, maxwell_request, maxwell_order, maxwell_infer and
 *   maxwell_deliver.
 *
 * PRICE
 *   Each call is metered like computation: a fixed fuel for crossing the
 *   boundary, and fuel for every byte that the host reads or writes. The energy
 *   this stands for is charged at the price of the current slice. "Fixed" and
 *   "by the byte" below say which calls pay which.
 *
 * EXAMPLE (build: python -m ziglang cc --target=wasm32-wasi -O2 -s -I guests/sdk x.c -o x.wasm)
 *   #include "maxwell.h"
 *   #include <string.h>
 *   int main(void) {
 *       const char *line = "1000000007";
 *       int32_t result = maxwell_report(line, (uint32_t)strlen(line));
 *       return result == -MAXWELL_EDQUOT ? 1 : 0;
 *   }
 */
#ifndef MAXWELL_H
#define MAXWELL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAXWELL_IMPORT(name) __attribute__((import_module("maxwell"), import_name(name)))

/* WASI errno values that these calls return, negated. */
#define MAXWELL_EACCES 2     /* No rule of the operator allows the request. */
#define MAXWELL_EAGAIN 6    /* A bounded queue is full; do other work and try again. */
#define MAXWELL_EALREADY 7   /* This inference was paid for already. */
#define MAXWELL_EBADMSG 9    /* The proof, or the sums, do not hold. */
#define MAXWELL_EDOM 18     /* Probabilities that do not sum to one. */
#define MAXWELL_EDQUOT 19   /* The sponsor's escrow is empty, or the purse cannot cover it. */
#define MAXWELL_ECONNREFUSED 14 /* The server refused the connection. */
#define MAXWELL_EFAULT 21   /* A pointer or length reaches outside linear memory. */
#define MAXWELL_EFBIG 22     /* The request or its answer is longer than the rule allows. */
#define MAXWELL_EHOSTUNREACH 23 /* No address, or no way to it. */
#define MAXWELL_EINVAL 28   /* An argument is outside its documented range. */
#define MAXWELL_EIO 29       /* The host could not do it; what was metered is charged. */
#define MAXWELL_EMSGSIZE 35 /* The message is longer than its documented maximum. */
#define MAXWELL_ENOENT 44   /* No such question or process, or no reward listens to this process. */
#define MAXWELL_ENOSYS 52   /* This node does not offer the call. */
#define MAXWELL_EPROTO 65    /* The server spoke no HTTP, or its certificate is not its own. */
#define MAXWELL_ETIMEDOUT 73 /* No whole answer in time. */
#define MAXWELL_EPERM 63    /* The account of this process may not do that. */
#define MAXWELL_EPIPE 64    /* The stream has ended. */
#define MAXWELL_ETIMEDOUT 73 /* The question's deadline has passed. */

/* The longest result line that maxwell_report accepts, in bytes. */
#define MAXWELL_REPORT_BYTES_MAX 4096u

/* One in the fixed point of prices and bids: cost price. */
#define MAXWELL_PPM 1000000

/* Returns the credits in this process's purse, runway included (see rent in
 * docs): what it could still spend if it were killed for nothing else. Never negative.
 * Price: fixed. */
MAXWELL_IMPORT("balance") int64_t maxwell_balance(void);

/* Returns the mean price of this cell in the last epoch (100 ms), in ppm.
 * At least the node's reserve. Price: fixed. */
MAXWELL_IMPORT("price") int64_t maxwell_price(void);

/* Bids bid_ppm explicitly from the next auction on; 0 gives the bid back to the
 * node's proxy. A bid below the node's floor is legal: the process then waits until the
 * floor falls. Bids are clamped to 256 times the reserve and rounded down to the rate
 * grid, so that the price paid never exceeds the bid.
 * Errors: -EINVAL for a negative bid. Price: fixed. */
MAXWELL_IMPORT("bid") int32_t maxwell_bid(int64_t bid_ppm);

/* Sets the urgency with which the proxy spends the purse, in thousandths: 0 (only at the
 * floor) to 1000 (the whole balance over the horizon). No effect while an explicit bid stands.
 * Errors: -EINVAL outside 0..1000. Price: fixed. */
MAXWELL_IMPORT("urgency") int32_t maxwell_urgency(int32_t urgency_millis);

/* Hands one result line (no newline needed) to the resolvers of this process's rewards. The
 * host verifies it, and the reward is paid into this process's purse once for each distinct
 * result. A result >= 0 means "taken"; whether it is paid shows in maxwell_balance later,
 * because verification runs outside the slice.
 * Errors: -EDQUOT the sponsor's escrow is empty: further results earn nothing; -EMSGSIZE
 * longer than MAXWELL_REPORT_BYTES_MAX; -EFAULT; -EAGAIN too many lines wait for
 * verification; -ENOENT no reward listens. Price: by the byte. */
MAXWELL_IMPORT("report") int32_t maxwell_report(const void *line, uint32_t line_bytes);

/* Publishes a belief about the next chunk of a question's stream: one uint32_t probability for each
 * outcome, in units of 1/2^32, summing to 2^32 within plus or minus the number of outcomes. bytes is
 * 4 times the number of outcomes. The last belief before the chunk is observed counts, for each of
 * its symbols, and 16 times the pay of a bit is locked for each of them until then. A question's
 * number is its place in the process's rewards, from 0. beliefs.h has the public belief.
 * Errors: -ENOENT, -EMSGSIZE (wrong number of bytes), -EDOM (wrong sum), -EDQUOT (escrow empty, or
 * the purse cannot lock the stake), -ETIMEDOUT (after the deadline), -EPIPE (the stream has ended),
 * -EFAULT. A refused belief costs nothing but the call. Price: by the byte. */
MAXWELL_IMPORT("believe")
int32_t maxwell_believe(int32_t question, const void *probabilities, uint32_t bytes);

/* Copies the next chunk of the stream that feeds a question into buffer and resolves the belief
 * about it; returns the bytes written, 0 at the end of the stream.
 * Errors: -ENOENT, -EMSGSIZE (the buffer is smaller than a chunk), -EFAULT, -EAGAIN (too much waits
 * to be settled: sleep and try again). Nothing is revealed then. Price: by the byte. */
MAXWELL_IMPORT("observe")
int32_t maxwell_observe(int32_t question, void *buffer, uint32_t buffer_bytes);

/* Sleeps for at least ns nanoseconds; 0 only gives up the rest of the slice. A sleeping process
 * burns nothing and still pays rent for its memory.
 * Errors: -EINVAL for a negative ns. Price: fixed. */
MAXWELL_IMPORT("sleep") int32_t maxwell_sleep(int64_t ns);

/* Zeroes the whole 4-KiB pages inside [start, start + bytes), at most 1 MiB, and gives them back:
 * pages that held something are taxed, and none of them pays rent until it holds something again.
 * Errors: -EFAULT, -EINVAL above 1 MiB. Price: by the byte. */
MAXWELL_IMPORT("discard") int32_t maxwell_discard(void *start, uint32_t bytes);

/* Moves credits from this purse to the purse of another process. The runway stays.
 * Errors: -ENOENT, -EDQUOT, -EINVAL (credits < 0), -EPERM. Price: fixed. */
MAXWELL_IMPORT("transfer") int32_t maxwell_transfer(int32_t process, int64_t credits);

/* Asks the operator's broker to make an outbound request, and waits for its answer without
 * burning joules. The request is text as in HTTP with the whole URL in its first line:
 *     POST https://api.example.com/v1/chat\ncontent-type: application/json\n\n{...}
 * The answer is written to `answer` the same way round: "200 OK\nname: value\n...\n\nbody".
 * Returns the length of the whole answer, of which at most `answer_room` bytes were written (and
 * no zero byte). The operator's rules say which URLs, how long, and what it costs; the most that it
 * may cost leaves the purse first, and what it did not cost comes back with the answer.
 * Errors: -EACCES (no rule), -EDQUOT (the purse cannot cover it), -EMSGSIZE, -EAGAIN, -EFAULT,
 * -EINVAL (no such request as text), -EHOSTUNREACH, -ECONNREFUSED, -EPROTO, -EFBIG, -ETIMEDOUT.
 * Price: by the byte, and the operator's price. */
MAXWELL_IMPORT("request") int32_t maxwell_request(const void *request, uint32_t request_length,
                                                  void *answer, uint32_t answer_room);

/* Inferences: registered models that the host runs, and orders for them. inference.h has the layout
 * of what is read and written, and docs/how-to/pay-for-inferences.md shows a whole fleet. All three
 * calls wait for the host, at least until the end of the epoch of 100 ms, without burning joules.
 * The most that a call may cost, by the model's shapes, leaves the purse first (-EDQUOT when the
 * purse cannot cover it); what was metered is charged at the price of the moment, as any joule is,
 * and the rest comes back. One call is open at a time; -EAGAIN when the host has too many.
 * They return the length of the whole answer, of which at most `answer_room` bytes were written. */

/* Takes the next order of one of this process's rewards, by its place among them, from 0. An order
 * that it had and did not deliver goes back to the sponsor.
 * Errors: -EACCES (no models here), -ENOENT (no such reward, or not one of inferences), -EAGAIN (all
 * are in others' hands: sleep and try again), -EPIPE (none will come: all were delivered, or this
 * process had its tries), -EDQUOT (the escrow has less than a price), -EMSGSIZE (no room for an order), -EFAULT. Price: by the byte that is written. */
MAXWELL_IMPORT("order") int32_t maxwell_order(int32_t reward, void *answer, uint32_t answer_room);

/* Runs a model, by its name in the fleet file or its digest in hexadecimal, on inputs of int16, the
 * batch first. Tier 0 is a run; tiers 3 and 4 prove it too. `order` binds the claim to an order of
 * this process; -1 to none. The answer holds output, claim and proof.
 * Errors: -EACCES, -ENOENT (no such model for this process, or no such order), -EINVAL (a tier that
 * it cannot be run in, no whole number of inputs, inputs out of the model's range), -EMSGSIZE (more
 * inputs than it takes), -EDQUOT, -EAGAIN, -EFAULT, -EIO. Price: by the byte, and the joules. */
MAXWELL_IMPORT("infer")
int32_t maxwell_infer(const void *model, uint32_t model_length, int32_t tier, int32_t order,
                      const void *input, uint32_t input_length, void *answer,
                      uint32_t answer_room);

/* Hands in what an order asks for and is paid from the model's shapes, once: at tiers 0, 3 and 4
 * the answer of maxwell_infer as it is, at tier 1 the sums that the guest computed itself, as
 * int64. The answer is uint64_t credits paid, then at tier 1 the output that the host derived.
 * Errors: -EACCES, -ENOENT (it has no such order), -EINVAL (no claim), -EPERM (a claim about another
 * model, input, nonce or process), -EBADMSG (proof or sums do not hold), -ETIMEDOUT (the order has
 * expired), -EALREADY (paid already), -EMSGSIZE, -EDQUOT, -EAGAIN, -EFAULT, -EIO.
 * Price: by the byte, and the joules of checking. */
MAXWELL_IMPORT("deliver")
int32_t maxwell_deliver(int32_t order, const void *data, uint32_t length, void *answer,
                        uint32_t answer_room);

#ifdef __cplusplus
}
#endif

#endif /* MAXWELL_H */
