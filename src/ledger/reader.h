/* Who asks the ledger: jobs run on a thread of their own, which has connections to the partitions, and hear of their
 * end as an event on their loop. The thread begins with the first job. */
#ifndef LEDGER_READER_H
#define LEDGER_READER_H

#include "ledger/archive.h"
#include "ledger/sql.h"
#include "net/loop.h"

struct reader;

struct reader_job {
    struct reader_job *_next;
    void (*run)(struct reader_job *j, struct reader *r); /* on the reader's thread */
    struct loop *loop;                                   /* where `done` runs; */
    struct loop_task done; /* NULL loop: done.run is called on the reader's thread itself */
};

struct reader *reader_new(struct archive *a);
/* Ends the thread after the jobs that wait. NULL is allowed. */
void reader_free(struct reader *r);
/* Any thread. Never waits. */
void reader_submit(struct reader *r, struct reader_job *j);

/* ---- in a job ---- */

struct archive *reader_archive(struct reader *r);
/* A connection to the partition; it is the reader's. */
__attribute__((warn_unused_result)) int reader_partition(struct reader *r, struct partition_name n,
                                                         sqlite3 **ret);
/* A connection to the roll-ups. -ENOENT: there are none yet. */
__attribute__((warn_unused_result)) int reader_usage(struct reader *r, sqlite3 **ret);
/* Closes one of these on which a question has failed, so that the next one begins anew. */
void reader_forget(struct reader *r, sqlite3 *db);

#endif
