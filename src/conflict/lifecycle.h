/* That something is going to go: Deprecation (RFC 9745), Sunset (RFC 8594), and the links to what takes
 * its place (RFC 8288, RFC 5829). Pure. */
#ifndef CONFLICT_LIFECYCLE_H
#define CONFLICT_LIFECYCLE_H

#include <stdint.h>

#include "base/buf.h"

struct lifecycle {
    int64_t deprecated_s; /* since 1970; 0: not deprecated */
    int64_t sunset_s;     /* not before deprecated_s; 0: it stays */
    struct str about;     /* URL reference of what tells more */
    struct str successor; /* URL reference of what takes its place; empty: nothing */
};

/* Adds the lines with their CRLF; nothing when neither is set. */
void lifecycle_fields(struct buf *b, const struct lifecycle *l);

#endif
