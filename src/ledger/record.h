/* What is left of a call: one record of fixed size, pushed by its worker into the worker's ring and
 * taken out by the ledger thread, which writes the access log. No lock, no system call on the
 * worker's side. */
#ifndef LEDGER_RECORD_H
#define LEDGER_RECORD_H

#include <stdatomic.h>

#include "dialect/dialect.h"
#include "policy/mask.h"

enum {
    RECORD_ID = 64,    /* ids of ours: they have no more */
    RECORD_NAME = 96,  /* names of models; longer ones are cut */
    RECORD_WORD = 32,  /* routes, codes of errors */
    RECORD_FAILED = 4, /* attempts that are told one by one */
    RING_RECORDS = 2048,
    RING_PAGE = 4096
};

/* How a call ended. */
#define OUTCOME_LIST(X)                                                                            \
    X(OK, "ok")                                                                                    \
    X(REFUSED, "refused")                 /* by us, before any upstream was asked */               \
    X(UPSTREAM_ERROR, "upstream_error")   /* the upstream's own error was passed on */             \
    X(UPSTREAM_FAILED, "upstream_failed") /* no upstream answered */                               \
    X(CUT, "upstream_cut")                /* the upstream's answer broke off */                    \
    X(CLIENT_GONE, "client_gone")                                                                  \
    X(TIMEOUT, "timeout")

enum outcome {
#define OUTCOME_NAME(upper, name) OUTCOME_##upper,
    OUTCOME_LIST(OUTCOME_NAME)
#undef OUTCOME_NAME
        OUTCOMES
};
extern const char *const outcome_name[OUTCOMES];

/* Whether somebody who looks for trouble looks for such a call. */
static inline bool outcome_is_bad(unsigned outcome, unsigned status)
{
    return outcome != OUTCOME_OK || status < 200 || status >= 400;
}

/* An attempt that was not the last one. */
struct record_attempt {
    uint32_t at_us;  /* from the call's begin to its failure */
    uint16_t status; /* 0: there was no answer */
    uint8_t provider_n, why_n;
    char provider[RECORD_WORD], why[24];
};

struct record {
    uint64_t ended_us;   /* wall clock */
    char request_id[32]; /* "req_" and 26 characters, NUL behind */
    struct usage usage;
    int64_t cost_nusd;         /* -1: not known */
    uint32_t price_version;    /* that it was made with; 0: none */
    uint32_t total_us, own_us; /* whole call; our share */
    uint32_t connect_us,
        ttft_us; /* for connections to upstreams; to the first byte of the answer */
    uint64_t bytes_in, bytes_out;
    uint16_t status;            /* 0: the client left before an answer */
    uint8_t outcome;            /* enum outcome */
    uint8_t attempts, failed_n; /* how many; how many of them are told below */
    uint8_t stream;
    uint8_t dialect_in, dialect_out; /* enum family; FAMILY_COUNT: none */
    uint8_t known_model; /* `model` is a name of ours, and not just any that a client made up */
    uint8_t masked_any;  /* `masked` is set; else it is not to be read */
    uint8_t key_n, application_n, team_n, model_n, provider_n, upstream_model_n, route_n, code_n;
    char key[RECORD_ID], application[RECORD_ID], team[RECORD_ID], provider[RECORD_ID];
    char model[RECORD_NAME], upstream_model[RECORD_NAME];
    char route[RECORD_WORD], code[RECORD_WORD]; /* code: of an error of ours */
    struct record_attempt failed[RECORD_FAILED];
    uint16_t masked[MASK_KINDS]
                   [MASK_ACTIONS]; /* what was found, and what was done; 65535: or more */
};

struct ledger;

/* One producer (a worker), one consumer (the ledger thread). */
struct record_ring {
    _Alignas(64) _Atomic uint32_t head; /* next to write; the producer's */
    uint64_t dropped;                   /* records that found it full; the producer's */
    struct ledger *ledger;              /* woken at each quarter that fills; NULL: nobody drains */
    _Alignas(64) _Atomic uint32_t tail; /* next to read; the consumer's */
    _Alignas(RING_PAGE) struct record slot[RING_RECORDS]; /* pages of their own: see the trim */
};

/* Where the next record goes, or NULL when the ring is full (counted). Then record_push(). */
struct record *record_next(struct record_ring *r);
void record_push(struct record_ring *r);
/* Gives the memory of an empty ring back to the kernel. For the producer, when it has nothing to do. */
void record_ring_trim(struct record_ring *r);

/* Text into a record's field, cut to its size; returns the length kept. */
uint8_t record_text(char *to, size_t cap, struct str from);

/* One line of JSON for the access log, LF included, at `to` (RECORD_LINE_MAX of room); its length.
 * The longest one is all names in escapes and all numbers with twenty digits. */
enum { RECORD_LINE_MAX = 5120 };
size_t record_print(const struct record *r, char *to);

/* The ledger thread: drains the rings fifty times a second while there are calls, ten times when there were none for a
 * second, or sooner when one fills up; appends to the access log, and hands records on to the writer. */
struct writer;
struct reader;
/* `log` is "stderr", "off" or a path (opened for appending, mode 0640). `writer`: taken over; NULL: no record is kept.
 * 0 or -errno. */
__attribute__((warn_unused_result)) int ledger_start(const char *log, struct writer *writer,
                                                     struct record_ring **rings, size_t n_rings,
                                                     struct ledger **ret);
/* NULL: no record is kept. */
struct writer *ledger_writer(const struct ledger *l);
/* For questions about what is kept; NULL: nothing is. */
struct reader *ledger_reader(const struct ledger *l);
/* Drain now. Any thread; costs a system call only while the ledger sleeps. */
void ledger_wake(struct ledger *l);
/* Reopens the log file (after a rotation). Any thread. */
void ledger_reopen(struct ledger *l);
/* Writes what is left and ends the thread. */
void ledger_stop(struct ledger *l);
/* Lines that could not be written. Any thread. */
uint64_t ledger_lost(const struct ledger *l);

#endif
