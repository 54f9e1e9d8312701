/* What a request may come to at most, before it is sent: for limits and budgets, which reserve that. */
#ifndef DIALECT_BOUND_H
#define DIALECT_BOUND_H

#include "dialect/endpoint.h"
#include "json/scan.h"

/* The members of a body that say how much the answer may be, to be found by the scan of json_scan_members(): fills
 * in the names in `to` and answers how many, at most BOUND_WANTS. */
enum { BOUND_WANTS = 6 };
size_t bound_wants(const struct endpoint *ep, struct json_want *to);

/* How many tokens they allow the answer to have, all choices together; 0 where none are written (embeddings, counts);
 * -1: it does not say, or not clearly. */
int64_t bound_of(const struct endpoint *ep, const struct json_want *wants);
/* The same of a body that was not scanned for it yet. */
int64_t bound_output(const struct endpoint *ep, struct str body);

/* How many tokens the body may be, roughly: a quarter of its bytes. What looks like data (an image in base64) weighs
 * what an image of the usual size does. Much cheaper than tokens_estimate(), and worse. */
int64_t bound_input(struct str body);

#endif
