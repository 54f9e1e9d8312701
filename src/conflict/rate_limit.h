/* What somebody is told who comes too often: RateLimit-Policy and RateLimit (the IETF draft
 * ratelimit-headers, structured fields) and Retry-After (RFC 9110, 10.2.3). Pure. */
#ifndef CONFLICT_RATE_LIMIT_H
#define CONFLICT_RATE_LIMIT_H

#include "conflict/structured.h"

struct rate_limit {
    struct str policy;    /* its name, the same in both fields */
    uint64_t quota;       /* at most so many ... */
    uint64_t window_s;    /* ... in so many seconds, more than 0 */
    uint64_t left;        /* how many are left */
    uint64_t reset_ms;    /* until there are more; 0: not told */
    struct str partition; /* bytes that tell whose quota it is; empty: not told */
};

/* Adds both lines with their CRLF. A policy's name that no string may hold (RFC 9651, 3.3.3) adds
 * nothing. */
void rate_limit_fields(struct buf *b, const struct rate_limit *l);

/* How long a client that may come again in `ms` is told to wait: not less, and up to a quarter (at least a
 * second, at most a minute) more, so that those who were sent away together do not come back together.
 * `random` is any number. */
uint64_t retry_after_spread(uint64_t ms, uint64_t random);

/* Adds "retry-after: SECONDS", whole ones, rounded up, and "retry-after-ms: MILLISECONDS". */
void retry_after_fields(struct buf *b, uint64_t ms);

#endif
