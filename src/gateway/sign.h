/* The field lines by which Amazon knows who asks. */
#ifndef GATEWAY_SIGN_H
#define GATEWAY_SIGN_H

#include <sys/uio.h>

#include "gateway/call.h"

/* Signs a POST to the present target, whose provider has keys of Amazon's: `target` is the path, and the query
 * behind '?', as they go over the wire. Lives in req->input. */
struct str sign_request(struct call *c, struct str target, const struct iovec *body, int n);

#endif
