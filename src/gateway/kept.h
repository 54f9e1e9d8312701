/* Responses of upstreams that keep none themselves: the store keeps the answer and its conversation, so that a
 * later call can go on from it (previous_response_id), and the answer can be asked for again.
 *
 *   forward ── kept_enter ── WAIT while the store is asked ── the body with the whole conversation in it
 *   the answer's end ── kept_put ── WAIT while it is written ── the last bytes go out
 *
 * The store never makes a call fail or hang that could do without it: what cannot be kept in time is counted,
 * and the answer goes out. All of it is the worker's; only a job is with the store for a while, and it owns
 * what it needs, as the call may end before it. */
#ifndef GATEWAY_KEPT_H
#define GATEWAY_KEPT_H

#include "gateway/call.h"
#include "store/journal.h"
#include "store/store.h"

enum { KEPT_MAX = 4 * 1024 * 1024, KEPT_ID_MAX = 256 };

/* What a call notes for it; in req->arena, slices in the request's body, which stays until the end. */
struct kept {
    bool looked;       /* previous_response_id is dealt with */
    bool wanted;       /* the answer is to be kept */
    struct str before; /* the conversation that was kept: the inside of an array, or empty */
    struct str own;    /* the call's own input: the inside of an array, */
    bool own_is_text;  /* or a string with its quotes */
    struct str id;     /* previous_response_id, plain */
};

/* A response of which the input names an item, and all its items in their order. */
struct kept_ref {
    struct kept_ref *next;
    struct str id;
    struct kept_item {
        struct str id, value; /* the id with its quotes */
    } * items;
    size_t n;
};

/* Something asked of the store. Freed when the store has answered. */
struct kept_job {
    struct store_job job; /* first member */
    struct call *call;    /* NULL: it has ended, or gone on without */
    struct worker *worker;
    struct timer patience;
    struct arena arena; /* what is asked; */
    struct arena found; /* and what was found */
    struct str owner, id, text;
    struct kept_ref *refs; /* responses whose items the call refers to */
    int64_t now_us;
    enum kept_part part;
    struct kept_response put;
    size_t bytes;                                     /* of what is to be kept */
    void (*then)(struct call *c, struct kept_job *j); /* on the worker, unless the call has gone */
    void (*late)(struct call *c);                     /* it took too long */
};

/* A job of the call's key about the response `id`; the call waits for it from kept_ask() on. */
struct kept_job *kept_job_new(struct call *c, struct str id);
void kept_ask(struct call *c, struct kept_job *j);
/* The store could not be asked: 503. */
enum next kept_unavailable(struct call *c);
/* What stands between an array's brackets; empty for one without elements. */
struct str kept_inside(struct str array);
/* Adds `before` and the call's own input as an array, without its closing bracket. */
void kept_add_input(struct buf *b, const struct kept *k, struct str before);
/* Whether there is a place to keep anything in. */
bool kept_is_on(const struct call *c);

#endif
