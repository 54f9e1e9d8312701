/* Bodies of calls, kept where a policy says so: collected by the worker that has the call (body.h), handed to a thread
 * of their own that seals and writes them (body_file.h), and read or forgotten by the ledger's reader.
 *
 *   worker: body_new ── body_add ... ──┬─ bodies_put() ──▶ queue ──▶ thread: hide, seal, write
 *                                      └─ body_drop()
 *
 * Nobody waits: what all bodies take that are being collected or wait is bounded (BODIES_HELD_MAX), and one that finds
 * it used up is lost and counted; so is what cannot be written. They are sealed under a key of their own, which the store
 * keeps sealed under the master key, made when the first body is written. */
#ifndef LEDGER_BODIES_H
#define LEDGER_BODIES_H

#include "ledger/body.h"
#include "store/store.h"

enum { BODIES_HELD_MAX = 64 << 20 };

struct bodies_options {
    const char *dir; /* DATA/ledger/bodies; made with the first body */
    struct store *store;
    int64_t max_bytes, keep_days; /* of all; at most, whatever a policy says */
};

struct bodies *bodies_start(const struct bodies_options *o);
/* Writes what waits; ends the thread. NULL is allowed. */
void bodies_stop(struct bodies *b);
/* Another retention. Any thread. */
void bodies_retain(struct bodies *b, int64_t max_bytes, int64_t keep_days);

/* ---- of a call; any thread ---- */

/* NULL: there is no room, and it is counted. */
struct body *body_new(struct bodies *b);
/* The next piece of one of its texts, of which the first `limit` bytes are kept. */
void body_add(struct body *x, struct body_part *part, struct str piece, size_t limit);
void body_drop(struct body *x); /* it is not to be kept */
void bodies_put(struct body *x);

/* ---- on the reader's thread ---- */

/* What is kept of the call, in `a`: body_json(). -ENOENT: nothing; -EBADMSG: it is sealed under another key. */
__attribute__((warn_unused_result)) int bodies_get(struct bodies *b, struct arena *a,
                                                   struct str request, struct str *ret);
bool bodies_has(struct bodies *b, struct str request);
/* -ENOENT. */
__attribute__((warn_unused_result)) int bodies_forget(struct bodies *b, struct str request);

struct bodies_state {
    uint64_t written, lost, held,
        bytes; /* held: in memory; bytes: on the disk, when it was looked at last */
    int error; /* why the last ones could not be written; 0 */
};
/* Any thread. */
void bodies_state(struct bodies *b, struct bodies_state *ret);

#endif
