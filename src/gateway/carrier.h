/* What carries shared limits from process to process: a Redis or Valkey (carrier_redis.c), or PostgreSQL
 * (carrier_postgres.c). shared.c knows what there is to tell, a carrier how.
 *
 * It keeps, for a counter in a window and a process, the numbers that the process told last, and answers with the sum of
 * what the others have: in one step, or at least so that of two who tell at the same moment one hears of the other. Of a
 * process that was not heard of for SHARE_SILENT_MS only what is settled counts, of a window that slides nothing that is
 * older than the window; both by the carrier's own clock. What it forgets does no harm.
 *
 * One thread, that of shared.c, once it is made. */
#ifndef GATEWAY_CARRIER_H
#define GATEWAY_CARRIER_H

#include "base/buf.h"
#include "base/str.h"
#include "gateway/counter.h"

enum {
    SHARE_ID_BYTES = 8,
    SHARE_BATCH = 256,
    SHARE_SILENT_MS = 60000, /* a process that was not heard of for so long is gone */
    SHARE_ANSWER_MS = 1000,  /* what has not answered by then is out of reach */
};

/* One counter in its present window. */
struct share {
    const uint8_t *digest; /* COUNTER_DIGEST bytes */
    uint64_t tick;         /* of windows that do not slide; else 0 */
    uint64_t sequence;     /* what was told under a higher one stays */
    uint64_t taken, settled;
    uint64_t window_ms;              /* of those that slide; else 0 */
    uint64_t keep_ms;                /* after that nobody needs it */
    uint64_t others, others_settled; /* the answer */
};

struct carrier {
    const struct carrier_ops *ops;
    char id[2 * SHARE_ID_BYTES + 1]; /* of this process, in hexadecimal digits */
    char why[160];                   /* it cannot be used; the first reason counts */
};

struct carrier_ops {
    const char *name; /* as people know it */
    /* A new connection, after at most two times SHARE_ANSWER_MS; false, and `why`. */
    bool (*connect)(struct carrier *c);
    /* Tells all of them, at most SHARE_BATCH, and fills their answers. False, and `why`: some were told, or none. */
    bool (*tell)(struct carrier *c, struct share *all, size_t n);
    void (*disconnect)(struct carrier *c); /* allowed when there is no connection */
    void (*free)(struct carrier *c);
};

/* Notes why, when nothing is noted yet. */
void carrier_why(struct carrier *c, const char *why);

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER], or rediss:// with TLS. NULL: it cannot be taken apart. */
struct carrier *carrier_redis(struct str url);
/* NULL, and a line in `errors`: there is no client library. */
struct carrier *carrier_postgres(struct str url, struct buf *errors);

#endif
