/* What calls add up to, out of the roll-ups. In a job of the reader. */
#ifndef LEDGER_USAGE_H
#define LEDGER_USAGE_H

#include "ledger/reader.h"
#include "ledger/rollup.h"

enum usage_interval { INTERVAL_NONE, INTERVAL_MINUTE, INTERVAL_HOUR, INTERVAL_DAY, INTERVAL_MONTH };

struct usage_query {
    int64_t from_s, to_s; /* since 1970; `to_s` is not included; see usage_align() */
    int64_t now_s;
    enum usage_interval interval;
    unsigned by;                  /* bits of 1 << enum dimension */
    struct str named[DIMENSIONS]; /* p NULL: any; empty: those without */
    const struct str *teams;      /* what may be seen; NULL: all of it */
    size_t n_teams;
    size_t limit; /* rows */
};

struct usage_line {
    int64_t start_s;             /* with an interval */
    struct str name[DIMENSIONS]; /* of those that are asked for */
    int64_t sum[MEASURES];
};

/* Moves both ends outwards to where a minute, or the interval, begins; where minutes or hours are not kept any more, to
 * where the next longer one does. */
void usage_align(struct usage_query *q);

typedef void usage_take(void *arg, const struct usage_line *row);

/* Rows in the order of time, those of one time by what they cost; `*ret_more`: there are more than the limit. */
__attribute__((warn_unused_result)) int usage_find(struct reader *r, const struct usage_query *q,
                                                   usage_take *take, void *arg, bool *ret_more);

/* The duration that a share of the calls did not exceed, within its bucket as if they were spread evenly; in
 * microseconds. Above the last edge that edge. `bucket`: METRIC_BUCKETS of a line's sums. */
uint64_t usage_quantile_us(const int64_t *bucket, unsigned percent);

void usage_json(struct buf *b, const struct usage_query *q, const struct usage_line *row);
void usage_csv(struct buf *b, const struct usage_query *q, const struct usage_line *row);
void usage_csv_head(struct buf *b, const struct usage_query *q);

#endif
