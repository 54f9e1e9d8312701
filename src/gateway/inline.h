/* Images and documents that a request names by URL, for upstreams that take data only: they are fetched, and the
 * form holds their data in the URLs' place. The call waits meanwhile. */
#ifndef GATEWAY_INLINE_H
#define GATEWAY_INLINE_H

#include "gateway/translate.h"

enum { INLINE_MAX = 20 /* per call */, INLINE_WORKER_MAX = 256 /* at the same time */ };

/* NEXT: nothing in the form needs to be fetched any more. WAIT: call_run() follows, and the form is to be read
 * anew then. DONE: refused. */
enum next inline_urls(struct call *c, struct translation *tr);
bool inline_waits(const struct call *c);
/* What the fetched data takes of a request's body. */
size_t inline_size(const struct call *c);
/* The call ends. */
void inline_cancel(struct call *c);

#endif
