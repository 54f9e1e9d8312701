/* Roll-ups: what calls add up to, by minute, hour and day and by key, application, team, provider and model. In a file
 * of their own, DATA/ledger/usage.db, which stays when partitions go.
 *
 * They follow the partitions: `applied` is the number of the last call that is in them, written in the same
 * transaction, so that after any end of the process the calls behind it are added again from the partitions, none
 * twice. The writer thread's. */
#ifndef LEDGER_ROLLUP_H
#define LEDGER_ROLLUP_H

#include "ledger/metrics.h"
#include "ledger/record.h"

/* What is added up; `duration_` and `first_` are histograms, their buckets those of metrics.h. */
#define MEASURE_LIST(X)                                                                            \
    X(calls)                                                                                       \
    X(errors)  /* of any side: the status was no success, or the answer not whole */               \
    X(refused) /* of those: by us */                                                               \
    X(streams)                                                                                     \
    X(input_tokens)                                                                                \
    X(output_tokens)                                                                               \
    X(cache_read_tokens)                                                                           \
    X(cache_write_tokens)                                                                          \
    X(reasoning_tokens)                                                                            \
    X(cost_nusd)                                                                                   \
    X(cost_unknown) /* calls whose cost is not known */                                            \
    X(bytes_in)                                                                                    \
    X(bytes_out)                                                                                   \
    X(total_us)                                                                                    \
    X(own_us)                                                                                      \
    X(first_us)                                                                                    \
    X(first_n) /* answers that began */

enum measure {
#define MEASURE_NAME(name) MEASURE_##name,
    MEASURE_LIST(MEASURE_NAME)
#undef MEASURE_NAME
        MEASURE_duration, /* METRIC_BUCKETS of them */
    MEASURE_first = MEASURE_duration + METRIC_BUCKETS,
    MEASURES = MEASURE_first + METRIC_BUCKETS
};

enum dimension {
    DIMENSION_KEY,
    DIMENSION_APPLICATION,
    DIMENSION_TEAM,
    DIMENSION_PROVIDER,
    DIMENSION_MODEL,
    DIMENSIONS
};
extern const char *const dimension_name[DIMENSIONS];

/* The name of the column of a measure, in `to` (at least 24 bytes). */
const char *measure_name(unsigned measure, char *to);

enum rollup_level { ROLLUP_MINUTE, ROLLUP_HOUR, ROLLUP_DAY, ROLLUP_LEVELS };
extern const int64_t rollup_seconds[ROLLUP_LEVELS];
/* How long minutes and hours are kept. */
enum { ROLLUP_MINUTE_DAYS = 8, ROLLUP_HOUR_DAYS = 400 };

struct rollup;

/* `*ret_applied`: the number of the last call that is in it. */
__attribute__((warn_unused_result)) int rollup_open(const char *dir, struct rollup **ret,
                                                    int64_t *ret_applied);
/* Adds a call, for now in memory. Calls come in the order of their numbers. */
void rollup_add(struct rollup *r, int64_t seq, const struct record *call);
/* How many rows wait in memory. */
size_t rollup_waiting(const struct rollup *r);
/* Writes what waits. After an error nothing is written, and it must be closed. */
__attribute__((warn_unused_result)) int rollup_flush(struct rollup *r);
/* Forgets minutes and hours that began before these times, in seconds since 1970. */
__attribute__((warn_unused_result)) int rollup_forget(struct rollup *r, int64_t minutes_before,
                                                      int64_t hours_before);
void rollup_close(struct rollup *r); /* NULL is allowed; what waits is lost */

#endif
