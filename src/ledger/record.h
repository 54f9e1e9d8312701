/* What is left of a call: one record of fixed size, pushed by its worker into the worker's ring and
 * taken out by the ledger thread, which writes the access log. No lock, no system call on the
 * worker's side. */
#ifndef LEDGER_RECORD_H
#define LEDGER_RECORD_H

#include <stdatomic.h>

#include "dialect/dialect.h"

enum { RECORD_TEXT = 48, RING_RECORDS = 2048, RING_PAGE = 4096 };

struct record {
    uint64_t ended_us;   /* wall clock */
    char request_id[32]; /* "req_" and 26 characters, NUL behind */
    struct usage usage;
    uint64_t bytes_in, bytes_out;
    uint32_t total_us, ttft_us, own_us; /* whole call; to the first byte of the answer; our share */
    uint16_t status;
    uint8_t attempts, stream;
    uint8_t key_n, model_n, provider_n, outcome_n, route_n, upstream_model_n;
    char key[RECORD_TEXT], model[RECORD_TEXT], provider[RECORD_TEXT];
    char upstream_model[RECORD_TEXT], route[32], outcome[32];
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
enum { RECORD_LINE_MAX = 2560 };
size_t record_print(const struct record *r, char *to);

/* The ledger thread: drains the rings ten times a second, or sooner when one fills up, and appends
 * to the access log. */
/* `log` is "stderr", "off" or a path (opened for appending, mode 0640). 0 or -errno. */
__attribute__((warn_unused_result)) int ledger_start(const char *log, struct record_ring **rings,
                                                     size_t n_rings, struct ledger **ret);
/* Drain now. Any thread; costs a system call only while the ledger sleeps. */
void ledger_wake(struct ledger *l);
/* Reopens the log file (after a rotation). Any thread. */
void ledger_reopen(struct ledger *l);
/* Writes what is left and ends the thread. */
void ledger_stop(struct ledger *l);
/* Lines that could not be written. Any thread. */
uint64_t ledger_lost(const struct ledger *l);

#endif
