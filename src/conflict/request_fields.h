/* Two small fields of requests, read: Idempotency-Key and Prefer. Pure. */
#ifndef CONFLICT_REQUEST_FIELDS_H
#define CONFLICT_REQUEST_FIELDS_H

#include <stdint.h>

#include "base/arena.h"

/* The key of one field value: a quoted string (RFC 9651, 3.3.3) or a bare token of 1 to 255 visible
 * characters, so that "uuid" and uuid are one key. -EBADMSG: empty, too long, a list, parameters.
 * The caller refuses repeated lines. */
__attribute__((warn_unused_result)) int idempotency_key(struct arena *a, struct str value,
                                                        struct str *ret);

/* What Prefer (RFC 7240) asks for, over all its lines; what is not known is ignored. */
struct prefer {
    bool merge;      /* conflict=merge */
    struct str base; /* base="41-9f2c01aa", without quotes */
    bool minimal;    /* return=minimal */
    int64_t wait_s;  /* wait=N; -1: not there */
};

void prefer_line(struct prefer *p, struct str line);
#define PREFER_NONE ((struct prefer){.wait_s = -1})

#endif
