/* Calls that are no conversation, to an upstream of another dialect: embeddings, reranking, counting tokens. A
 * whole request goes out, a whole answer comes back; texts that are more than the upstream takes at once go in
 * several requests, one after the other. translate.c carries them. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include "gateway/translate.h"

struct exchange; /* in req->input */

/* How a target takes a call whose endpoint has `work`. */
enum plan exchange_plan(const struct call *c, const struct snap_target *t);
/* Reads the request for the present target. What is wrong with it is in the form. 0, or -EINVAL. */
int exchange_read(struct call *c);
/* Whether the present target has a part of it already, and this is the next one. */
bool exchange_goes_on(const struct call *c);
/* Writes what is next into the translation's body and path. DONE: it needs no upstream, and is answered. */
enum next exchange_write(struct call *c, const struct ir_target *t);

enum exchanged { EXCHANGE_WHOLE, EXCHANGE_MORE, EXCHANGE_MALFORMED, EXCHANGE_TOO_LARGE };
/* Takes an answer, checked JSON. WHOLE: the caller's is in the translation's text. MORE: there is something left
 * to ask for. */
enum exchanged exchange_take(struct call *c, struct str body);
/* The upstream answered with an error: true when there is an answer without it, in the translation's text. */
bool exchange_without(struct call *c, unsigned status);

#endif
