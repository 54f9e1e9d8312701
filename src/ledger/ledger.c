#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/must.h"
#include "ledger/reader.h"
#include "ledger/record.h"
#include "ledger/writer.h"

enum { OUT_CAP = 64 * 1024, PERIOD_MS = 20, IDLE_PERIODS = 50, IDLE_MS = 100, PIECE = 256 };

struct ledger {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, reopen;
    struct record_ring **rings;
    size_t n_rings;
    char *path;            /* NULL: stderr */
    int fd;                /* -1: off */
    struct writer *writer; /* NULL: no record is kept */
    struct reader *reader; /* likewise */
    _Atomic uint64_t lost;
    char *out;
    size_t out_n, out_lines;
};

static int open_log(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

static void flush(struct ledger *l)
{
    size_t at = 0;
    while (at < l->out_n) {
        ssize_t n = write(l->fd, l->out + at, l->out_n - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            /* A full disk or a closed pipe: calls go on, the loss is counted and shown. */
            atomic_fetch_add_explicit(&l->lost, l->out_lines, memory_order_relaxed);
            break;
        }
        at += (size_t)n;
    }
    l->out_n = l->out_lines = 0;
}

static void print(struct ledger *l, const struct record *r)
{
    if (OUT_CAP - l->out_n < RECORD_LINE_MAX) {
        flush(l);
    }
    l->out_n += record_print(r, l->out + l->out_n);
    l->out_lines++;
}

/* Empties one ring; returns how many records there were. */
static size_t drain(struct ledger *l, struct record_ring *r)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t n = head - tail;
    while (tail != head) {
        size_t left = RING_RECORDS - tail % RING_RECORDS;
        size_t piece = head - tail < left ? head - tail : left;
        piece = piece < PIECE ? piece : PIECE;
        const struct record *all = &r->slot[tail % RING_RECORDS];
        for (size_t i = 0; l->fd >= 0 && i < piece; i++) {
            print(l, &all[i]);
        }
        if (l->writer) {
            writer_put(l->writer, all, piece);
        }
        tail += (uint32_t)piece;
        atomic_store_explicit(&r->tail, tail, memory_order_release);
    }
    return n;
}

static size_t drain_all(struct ledger *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_rings; i++) {
        n += drain(l, l->rings[i]);
    }
    flush(l);
    return n;
}

static void wait_ms(struct ledger *l, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&l->wake, &l->lock, &until);
}

static void *ledger_main(void *arg)
{
    struct ledger *l = arg;
    unsigned quiet = 0;
    pthread_setname_np(pthread_self(), "accord-ledger");
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (l->reopen && l->path) {
            int fd = open_log(l->path);
            if (fd >= 0) {
                close(l->fd);
                l->fd = fd;
            }
        }
        l->reopen = false;
        pthread_mutex_unlock(&l->lock);
        quiet = drain_all(l) ? 0 : quiet + 1;
        pthread_mutex_lock(&l->lock);
        if (!l->stop) {
            wait_ms(l, quiet > IDLE_PERIODS ? IDLE_MS : PERIOD_MS);
        }
    }
    pthread_mutex_unlock(&l->lock);
    drain_all(l);
    return NULL;
}

int ledger_start(const char *log, struct writer *writer, struct record_ring **rings, size_t n_rings,
                 struct ledger **ret)
{
    struct ledger *l = mem_zalloc(sizeof *l);
    l->rings = rings;
    l->n_rings = n_rings;
    l->fd = STDERR_FILENO;
    l->writer = writer;
    l->reader = writer ? reader_new(writer_archive(writer)) : NULL;
    if (strcmp(log, "off") == 0) {
        l->fd = -1;
    } else if (strcmp(log, "stderr") != 0) {
        l->path = strdup(log);
        l->fd = open_log(log);
        if (l->fd < 0) {
            int err = l->fd;
            free(l->path);
            free(l);
            return err;
        }
    }
    l->out = mem_realloc(NULL, OUT_CAP);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->wake, NULL);
    must(pthread_create(&l->thread, NULL, ledger_main, l) == 0);
    for (size_t i = 0; i < n_rings; i++) {
        rings[i]->ledger = l;
    }
    *ret = l;
    return 0;
}

void ledger_wake(struct ledger *l)
{
    /* Without the lock: a wake-up that comes between a drain and the wait is made up for by the
     * period. */
    pthread_cond_signal(&l->wake);
}

void ledger_reopen(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
    l->reopen = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

struct writer *ledger_writer(const struct ledger *l)
{
    return l ? l->writer : NULL;
}

struct reader *ledger_reader(const struct ledger *l)
{
    return l ? l->reader : NULL;
}

uint64_t ledger_lost(const struct ledger *l)
{
    return l ? atomic_load_explicit(&l->lost, memory_order_relaxed) : 0;
}

void ledger_stop(struct ledger *l)
{
    if (!l) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    reader_free(l->reader);
    writer_stop(l->writer);
    if (l->path) {
        close(l->fd);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->wake);
    free(l->path);
    free(l->out);
    free(l);
}
