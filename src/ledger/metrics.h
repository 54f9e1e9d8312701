/* Counters of one worker. Nobody else touches them; whoever wants the sum sends a message around
 * the workers (gateway/metrics_page.c) and merges. */
#ifndef LEDGER_METRICS_H
#define LEDGER_METRICS_H

#include "base/buf.h"
#include "dialect/dialect.h"
#include "model/config.h"
#include "policy/mask.h"

enum { METRIC_BUCKETS = 16, METRIC_SERIES_MAX = 1000, METRIC_LABEL = 64 };

struct histogram {
    uint64_t bucket[METRIC_BUCKETS]; /* the last one is +Inf; not cumulative */
    uint64_t sum_us;
};

/* One combination of route, provider and model. */
struct series {
    struct series *next;
    uint64_t hash;
    char route[METRIC_LABEL], provider[METRIC_LABEL], model[METRIC_LABEL];
    uint8_t route_n, provider_n, model_n;
    uint64_t by_class[6]; /* [1] 1xx ... [5] 5xx, [0] the client left before an answer */
    struct histogram duration, overhead, ttft;
    uint64_t tokens[5];          /* input, output, cache_read, cache_write, reasoning */
    uint64_t no_usage;           /* calls that ended well but told no tokens */
    uint64_t cost_nusd, no_cost; /* what is known; calls of which it is not */
};

/* Why a response was not kept that was to be. */
enum response_lost {
    RESPONSE_LOST_SIZE,
    RESPONSE_LOST_BACKLOG,
    RESPONSE_LOST_STORE,
    RESPONSE_LOST
};

enum retry_reason { RETRY_STALE, RETRY_CONNECT, RETRY_ANSWER, RETRY_REASONS };

/* Calls and answers in memory. */
enum memory_event {
    MEMORY_HIT,       /* the cache had it */
    MEMORY_COALESCED, /* another call was under way to the same answer */
    MEMORY_REPLAY,    /* under an Idempotency-Key */
    MEMORY_MISS,      /* a policy has a cache, and it was asked of an upstream */
    MEMORY_EVENTS
};

struct metrics {
    struct series *slot[256], *last; /* `last`: found last */
    size_t n_series;
    uint64_t retries[RETRY_REASONS], fallbacks;
    uint64_t hedges, hedges_won; /* second attempts; those that were the answer */
    uint64_t checks[2];          /* of providers' health: failed, well */
    uint64_t unpriced;           /* calls under limits whose cost is not known */
    uint64_t refused_by_limit, unauthenticated, client_gone, upstream_cut;
    uint64_t shed[PRIORITIES]; /* calls refused because there was too much to do */
    int64_t inflight;
    uint64_t records_dropped;
    uint64_t translated_lossy;         /* calls whose translation left something out */
    uint64_t inlined, inline_failures; /* what requests name by URL, fetched */
    uint64_t masked[MASK_KINDS][MASK_ACTIONS];
    uint64_t masking_failures[2]; /* refused; passed */
    uint64_t memory[MEMORY_EVENTS];
    uint64_t notes_lost; /* of calls under a key: not written, in their begin or end */
    uint64_t responses_kept, responses_lost[RESPONSE_LOST];
};

/* The series of these labels, made when it is new; beyond METRIC_SERIES_MAX all share "other". */
struct series *metrics_series(struct metrics *m, struct str route, struct str provider,
                              struct str model);
void histogram_add(struct histogram *h, uint64_t us);
/* The bucket that a duration belongs to; and its upper edge, 0 for the last one, which has none. */
unsigned histogram_bucket(uint64_t us);
uint64_t histogram_edge_us(unsigned bucket);
void metrics_merge(struct metrics *into, const struct metrics *from);
void metrics_free(struct metrics *m);

/* Prometheus text format 0.0.4. */
void metrics_print(struct buf *b, const struct metrics *m);

#endif
