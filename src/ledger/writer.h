/* The writer: takes records from the ledger thread, and has a thread of its own that writes them into the partition of
 * the day in groups, and what they add up to into the roll-ups. Another thread of its own gives closed partitions their
 * indexes and drops old ones.
 *
 *   ledger thread ── writer_put() ──▶ queue ──▶ partition ──▶ roll-ups
 *                         └─ the queue is full ──▶ spool ─────┘ when the queue is empty
 *
 * What cannot be written waits: in the queue, then in the spool; what finds both full is dropped and counted. */
#ifndef LEDGER_WRITER_H
#define LEDGER_WRITER_H

#include "ledger/archive.h"
#include "net/loop.h"

struct writer;

struct writer_options {
    const char *dir; /* DATA/ledger */
    int64_t keep_days, max_bytes, spool_bytes;
};

/* Starts the threads; whether the directory can be written shows later. */
struct writer *writer_start(const struct writer_options *o);
/* Writes what waits, or spools it; ends the threads. NULL is allowed. */
void writer_stop(struct writer *w);

/* From one thread. Never waits for the disk, but for that of the spool. */
void writer_put(struct writer *w, const struct record *all, size_t n);

/* Another retention. Any thread. */
void writer_retain(struct writer *w, int64_t keep_days, int64_t max_bytes);
struct archive *writer_archive(struct writer *w);

/* Whoever wants to know of commits; like store_watch(). */
struct writer_watcher {
    struct writer_watcher *_next;
    struct loop *loop;
    struct loop_task task;
    _Atomic bool _posted;
};
void writer_watch(struct writer *w, struct writer_watcher *x);
void writer_unwatch(struct writer *w, struct writer_watcher *x);
/* First in the task. */
void writer_seen(struct writer_watcher *x);

struct writer_state {
    uint64_t written, spooled, dropped, commits;
    uint64_t waiting; /* records in memory */
    int error;        /* why nothing can be written: negative errno; 0 */
};
/* Any thread. */
void writer_state(struct writer *w, struct writer_state *ret);

#endif
