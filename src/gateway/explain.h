/* A dry run: where a request would go, and why. It is a call that goes through the stages of real ones up to the choice
 * of its target, and no further: nothing is sent, reserved, counted or recorded. On a worker's thread. */
#ifndef GATEWAY_EXPLAIN_H
#define GATEWAY_EXPLAIN_H

#include "gateway/call.h"
#include "json/tree.h"

/* What a dry run has been refused with. */
struct explanation {
    struct call_error error;        /* status 0: it was not */
    struct str message;             /* in the call's arena */
    const struct snap_limit *limit; /* the one that has no room for it; NULL: none */
};

/* call_fail() of a dry run. */
enum next explain_refusal(struct call *c, const struct call_error *e, struct str message);

struct explain_ask {
    struct str path;   /* with its query; no blank and no control character in it */
    struct str fields; /* header lines, each with its CRLF */
    struct str body;   /* JSON */
    const struct snap_key
        *key; /* of this worker's snapshot; NULL: nobody's, and it may use every model */
};

/* The key of that id that calls of this worker know; NULL: none. */
const struct snap_key *explain_key(const struct worker *w, struct str id);

/* What would become of it, in `a`. Holds no secret: credentials are named by their ids. */
struct json *explain(struct worker *w, const struct explain_ask *ask, struct arena *a);

/* How targets are doing, in `a`: providers with their credentials, and models there. At most `most` targets, of this
 * provider and this upstream model only where one is given (p not NULL). */
struct json *routing_state(struct worker *w, struct str provider, struct str model, size_t most,
                           struct arena *a);

/* What both tell: whether something rests, until when and why; and what a target has to do. */
void routing_add_health(struct arena *a, struct json *to, const struct health *h,
                        const struct worker *w);
void routing_add_load(struct arena *a, struct json *to, const struct load *l,
                      const struct worker *w);

#endif
