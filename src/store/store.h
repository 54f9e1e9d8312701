/* The store: where all platform state is. Threads of its own run jobs in transactions; workers and
 * the control thread submit jobs and hear of their end as an event on their loop.
 *
 *   worker ── store_submit(job) ──▶ queue ──▶ store thread: run(job, db) ... commit
 *      ▲                                                             │
 *      └────────────── loop_post(job->loop, &job->done) ◀────────────┘
 *
 * Writes of SQLite: one thread takes all jobs that wait, runs each inside a savepoint of one
 * transaction, and commits once (group commit); a job is told of its end only after that commit.
 * Reads have a thread and a connection of their own, and see every commit that was answered before
 * they were submitted. PostgreSQL: a few threads, each with a connection; any takes any job.
 *
 * A job may be run more than once (a lost race, a lost connection before the commit): run() starts
 * anew each time and leaves nothing outside of its job but through `db`. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "net/loop.h"
#include "store/db.h"

struct store;
struct store_job;

struct store_job {
    struct store_job *_next;
    /* On a store thread. 0: commit. Negative: nothing of this job is kept. */
    int (*run)(struct store_job *j, struct db *db);
    bool write;
    bool aside;            /* a write that adds nothing to the change feed: no watcher is told */
    struct loop *loop;     /* where `done` runs; */
    struct loop_task done; /* NULL loop: done.run is called on the store thread itself */
    /* 0; what run() answered; -EBUSY: too many jobs wait; -EIO, -ENOSPC, -EROFS, -ECONNREFUSED:
     * the store is not able to (503). Set before `done`. After -ECONNRESET of a write nobody knows
     * whether it was committed (the connection broke in the commit). */
    int result;
    uint64_t _queued_us;
};

struct store_options {
    struct str data_dir;   /* SQLite: DATA/state.db; the master key: DATA/master.key */
    struct str url;        /* postgresql://...; empty: SQLite */
    unsigned connections;  /* PostgreSQL: threads with one connection each; 0: 4 */
    size_t max_queued;     /* jobs; beyond it -EBUSY; 0: 10000 */
    struct str master_key; /* ACCORD_MASTER_KEY, 64 hexadecimal digits; empty: the file, made at the
                              first start with mode 0600 */
};

/* Opens, applies migrations under a lock, starts the threads. -EINVAL and a line in `errors` for
 * what the user can mend: a newer data directory, a wrong master key, no permission. */
__attribute__((warn_unused_result)) int store_open(const struct store_options *o,
                                                   struct store **ret, struct buf *errors);
/* Whether other processes may work on the same state: PostgreSQL. */
bool store_is_shared(const struct store *s);
/* Ends the threads after the jobs that wait; closes. NULL is allowed. */
void store_close(struct store *s);

/* Any thread. Never blocks; `done` always comes, from the target loop's next turn on. */
void store_submit(struct store *s, struct store_job *j);

/* Runs a job and waits for it: start-up and commands, never a worker. */
__attribute__((warn_unused_result)) int store_run(struct store *s, struct store_job *j);

/* Whoever wants to know of commits: `task` is posted to `loop` after commits that added to the
 * change feed, at most one posting under way at a time (it reads the feed from where it was, see
 * change.h). `_posted` is cleared by store_seen(), to be called first in the task. On PostgreSQL
 * commits of other processes come too. Any thread may add and remove; removing waits for a posting
 * under way to be harmless (not for the task to run). */
struct store_watcher {
    struct store_watcher *_next;
    struct loop *loop;
    struct loop_task task;
    _Atomic bool _posted;
};
void store_watch(struct store *s, struct store_watcher *w);
void store_unwatch(struct store *s, struct store_watcher *w);
void store_seen(struct store_watcher *w);

struct store_state {
    const char *driver; /* "sqlite", "postgresql" */
    bool writable;      /* the last write transaction could be committed */
    int error;          /* why not: negative errno; 0 */
    uint64_t writes, reads, commits, reruns, refused;
    size_t queued;
    int64_t schema; /* number of the last migration */
};
void store_state(struct store *s, struct store_state *ret);

/* Sealing of secrets under the master key (XChaCha20-Poly1305, libsodium): `context` is
 * authenticated, so that a sealed text cannot be moved to another resource. */
struct str store_seal(struct store *s, struct arena *a, struct str context, struct str plain);
__attribute__((warn_unused_result)) int store_unseal(struct store *s, struct arena *a,
                                                     struct str context, struct str sealed,
                                                     struct str *ret);
/* The key for one purpose, sealed under that one (seal_data_key()). Waits: never on a worker. */
struct sealer;
__attribute__((warn_unused_result)) int store_data_key(struct store *s, struct str purpose,
                                                       bool make, struct sealer *ret);

#endif
