/* One image or document that a request names by URL, fetched over the worker's client: a GET without anything of
 * the caller in it, on a connection of its own, with bounds on its size, time, type, redirects and on who may be
 * asked. Whom a name leads to is checked on the addresses that are connected to, and for each redirect anew. */
#ifndef GATEWAY_FETCH_H
#define GATEWAY_FETCH_H

#include "dialect/media.h"
#include "gateway/worker.h"
#include "http/url.h"

enum { FETCH_MS = 10000, FETCH_REDIRECTS = 3 };

struct fetch {
    /* Set by who starts it; the rest zero. */
    struct worker *worker;
    const struct snap_hold *hold; /* lasts as long as the fetch */
    struct arena *arena;          /* of small things */
    struct arena *keep;           /* of what comes */
    struct url url;
    enum ir_kind kind;
    struct str wanted; /* the type that the caller has said; empty: none */
    uint64_t *left;    /* bytes that may come, of all fetches of the call together */
    /* Called once, unless cancelled; the last use of `f`. */
    void (*done)(struct fetch *f);
    void *arg;

    /* What became of it. */
    bool over;
    struct str why; /* it failed: half a sentence about it; p NULL: it came */
    struct str media_type;
    struct str data; /* base64, or ... */
    struct str text; /* ... a document's escaped text */

    struct http_up *_up;
    struct timer _timer;
    struct base64 *_coder; /* NULL: a text is collected */
    struct buf _body;      /* base64 or text, so far */
    uint64_t _n;           /* bytes that came */
    struct str _declared;  /* its Content-Type */
    uint8_t _redirects, _front_n;
    char _front[MEDIA_FRONT];
};

/* Never calls done() itself. */
void fetch_start(struct fetch *f);
void fetch_cancel(struct fetch *f); /* also when it is over */

#endif
