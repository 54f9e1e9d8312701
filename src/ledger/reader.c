#include "ledger/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "ledger/scan.h"

enum { CONNECTIONS = 64, IDLE_S = 30 };

struct connection {
    struct partition_name of;
    sqlite3 *db; /* NULL: free */
    uint64_t used;
};

struct reader {
    struct archive *archive;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct reader_job *first, *last;
    bool started, stop;
    /* The thread's. */
    struct connection open[CONNECTIONS];
    sqlite3 *usage;
    uint64_t clock;
};

/* ---- connections ---- */

static void close_all(struct reader *r)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        sql_close(r->open[i].db);
        r->open[i] = (struct connection){0};
    }
    sql_close(r->usage);
    r->usage = NULL;
}

/* That of the partition, else the one that was not used for the longest time. */
static struct connection *place_of(struct reader *r, struct partition_name n)
{
    struct connection *oldest = &r->open[0];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &r->open[i];
        if (c->db && c->of.first == n.first && c->of.day == n.day) {
            return c;
        }
        oldest = c->used < oldest->used ? c : oldest;
    }
    sql_close(oldest->db);
    *oldest = (struct connection){0};
    return oldest;
}

int reader_partition(struct reader *r, struct partition_name n, sqlite3 **ret)
{
    struct connection *c = place_of(r, n);
    int e = c->db ? 0 : scan_open(r->archive->dir, n, &c->db);
    if (e < 0) {
        return e;
    }
    c->of = n;
    c->used = ++r->clock;
    *ret = c->db;
    return 0;
}

void reader_forget(struct reader *r, sqlite3 *db)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (r->open[i].db == db) {
            r->open[i] = (struct connection){0};
        }
    }
    r->usage = r->usage == db ? NULL : r->usage;
    sql_close(db);
}

int reader_usage(struct reader *r, sqlite3 **ret)
{
    char path[PARTITION_PATH];
    snprintf(path, sizeof path, "%s/usage.db", r->archive->dir);
    if (!r->usage && access(path, F_OK) < 0) {
        return -errno;
    }
    int e = r->usage ? 0 : sql_open(path, &r->usage);
    *ret = r->usage;
    return e;
}

struct archive *reader_archive(struct reader *r)
{
    return r->archive;
}

/* ---- the thread ---- */

static struct reader_job *next_job(struct reader *r)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_S;
    while (!r->first && !r->stop) {
        if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT) {
            close_all(r); /* partitions that are gone, too, give their room back */
            until.tv_sec += IDLE_S;
        }
    }
    struct reader_job *j = r->first;
    if (j) {
        r->first = j->_next;
        r->last = r->first ? r->last : NULL;
    }
    return j;
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    struct reader_job *j;
    pthread_setname_np(pthread_self(), "accord-reader");
    pthread_mutex_lock(&r->lock);
    while ((j = next_job(r))) {
        pthread_mutex_unlock(&r->lock);
        j->run(j, r);
        if (j->loop) {
            loop_post(j->loop, &j->done);
        } else {
            j->done.run(&j->done);
        }
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    close_all(r);
    return NULL;
}

struct reader *reader_new(struct archive *a)
{
    struct reader *r = mem_zalloc(sizeof *r);
    r->archive = a;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    return r;
}

void reader_free(struct reader *r)
{
    if (!r) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    bool started = r->started;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (started) {
        pthread_join(r->thread, NULL);
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    free(r);
}

void reader_submit(struct reader *r, struct reader_job *j)
{
    j->_next = NULL;
    pthread_mutex_lock(&r->lock);
    if (!r->started) {
        r->started = true;
        must(pthread_create(&r->thread, NULL, reader_main, r) == 0);
    }
    if (r->last) {
        r->last->_next = j;
    } else {
        r->first = j;
    }
    r->last = j;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}
