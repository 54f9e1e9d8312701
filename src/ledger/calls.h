/* Finding calls. In a job of the reader. */
#ifndef LEDGER_CALLS_H
#define LEDGER_CALLS_H

#include "ledger/reader.h"
#include "ledger/rollup.h"

struct calls_filter {
    int64_t from_us, to_us;       /* of their ends; 0: no bound; `to_us` is not included */
    struct str named[DIMENSIONS]; /* p NULL: any; empty: those without */
    struct str route;             /* likewise */
    const struct str *teams;      /* what may be seen; NULL: all of it */
    size_t n_teams;
    unsigned status_from, status_to; /* 0: any; both are included */
    int outcome;                     /* -1: any */
    bool bad;                        /* only those that a look for trouble would look at */
    int64_t before, after;           /* their numbers; 0: no bound */
    bool oldest_first;
    size_t limit;
};

typedef void calls_take(void *arg, int64_t seq, const struct record *r);

/* `take` is told each. `*ret_next` (0: there is no more) is the number from which on a next page goes on: before it, or
 * after it. A search for what is rare ends after a while with what it has found until then. */
__attribute__((warn_unused_result)) int calls_find(struct reader *r, const struct calls_filter *f,
                                                   calls_take *take, void *arg, int64_t *ret_next);

/* The call of that request id; -ENOENT. */
__attribute__((warn_unused_result)) int calls_get(struct reader *r, struct str request_id,
                                                  int64_t *ret_seq, struct record *ret);

/* One as JSON, and as a line of CSV; and the line above. */
void call_json(struct buf *b, int64_t seq, const struct record *r);
void call_csv(struct buf *b, int64_t seq, const struct record *r);
void call_csv_head(struct buf *b);

/* A text as a field of CSV (RFC 4180); what a spreadsheet would take for a formula gets a quote ahead. */
void csv_text(struct buf *b, struct str s);
/* Nano-dollars as "0.000450000". */
void print_usd(struct buf *b, int64_t nusd);

#endif
