/* Copies of what a call asks and is answered, where a policy keeps bodies (ledger/bodies.h).
 *
 *   first byte of the answer ── copy_begin ── is it to be kept, perhaps? The request as it is passed on; from here on what
 *                               the client is sent is copied, too (http_req.tee)
 *   end of the call ─────────── copy_end ──── it is handed over, or dropped
 *
 * A call that no policy asks it of passes by two tests. */
#ifndef GATEWAY_COPY_H
#define GATEWAY_COPY_H

#include "gateway/call.h"
#include "ledger/bodies.h"

void copy_begin(struct call *c);
void copy_end(struct call *c);

/* Whether copy_begin() and copy_end() have anything to look at. */
static inline bool copy_concerns(const struct call *c)
{
    return c->hold->snap->keeps_bodies && c->ep.endpoint;
}

#endif
