#include "gateway/counter_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "net/loop.h"

enum {
    FLUSH_MS = 5,
    SYNC_MS = 1000,
    SWEEP_MS = LIMIT_SWEEP_S * 1000,
    BATCH = 512, /* records per write */
    SIZE_MIN = 1 << 20,
    GROWTH = 4,
};

#define NAME "limits.journal"

static const char head[16] = "accord limits 1\n";

struct record {
    uint8_t digest[COUNTER_DIGEST];
    uint64_t when, amount;
    uint32_t per, last;
    uint64_t check;
};
_Static_assert(sizeof(struct record) == 48, "a record of the file");

enum { SYNC_NONE, SYNC_ASKED, SYNC_DONE, SYNC_FAILED };

struct counter_journal {
    int fd, dir_fd;
    int next_fd; /* of the file that is to take its place; -1: none */
    uint64_t size, compact_size;
    uint64_t
        base_us; /* wall clock of the counters' monotonic 0: fixed, so that a slot keeps its name */
    bool behind; /* something could not be written: all is to be written anew */
    bool unsynced;
    struct record batch[BATCH];
    size_t n;
    pthread_t thread, sync_thread;
    bool runs;
    _Atomic bool stop;
    int sync_fd;      /* what the other thread is asked to bring onto the disk */
    _Atomic int sync; /* SYNC_... */
};

static sem_t wake, sync_wake; /* one journal per process */
static _Atomic uint64_t failures;

uint64_t counter_journal_failures(void)
{
    return failures;
}

static uint64_t check_of(const struct record *r)
{
    uint64_t words[5], h = 0x6C696D6974733031U;
    memcpy(words, r, sizeof words);
    for (unsigned i = 0; i < 5; i++) {
        h = (h ^ words[i]) * 0x9E3779B97F4A7C15U;
        h ^= h >> 32;
    }
    return h;
}

/* ---- writing ---- */

static int write_all(int fd, const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) {
            continue;
        }
        if (w < 0) {
            return -errno;
        }
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

static void failed(struct counter_journal *j)
{
    failures++;
    j->behind = true;
}

static void write_batch(struct counter_journal *j)
{
    size_t n = j->n * sizeof j->batch[0];
    j->n = 0;
    if (n && ((j->fd >= 0 && write_all(j->fd, j->batch, n) < 0) ||
              (j->next_fd >= 0 && write_all(j->next_fd, j->batch, n) < 0))) {
        failed(j);
    }
    j->size += n;
    j->unsynced = true;
}

/* The slots of one counter that are not in the file as they are; `anew`: all of them. */
static void write_counter(struct counter_journal *j, struct counter *c, const struct limit_now *now,
                          bool anew)
{
    if (c->per == PER_NOTHING) {
        return;
    }
    uint64_t present = limit_tick(c->per, c->zone, now), tick_us = limit_tick_us(c->per);
    uint64_t tick, amount;
    for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
        if (!limit_settled_slot(&c->limit, c->per, i, present, &tick, &amount) ||
            (!anew && c->written[i] == amount && c->written_at[i] == tick)) {
            continue;
        }
        uint32_t last = tick_us ? (uint32_t)(tick % LIMIT_SLOT_TICKS) : 0;
        struct record *r = &j->batch[j->n++];
        *r = (struct record){.when = tick_us ? j->base_us + (tick - last) * tick_us : tick,
                             .amount = amount,
                             .per = c->per,
                             .last = last};
        memcpy(r->digest, c->digest, sizeof r->digest);
        r->check = check_of(r);
        c->written[i] = amount;
        c->written_at[i] = tick;
        if (j->n == BATCH) {
            write_batch(j);
        }
    }
}

/* ---- onto the disk ---- */

static void sync_now(struct counter_journal *j)
{
    j->sync = fdatasync(j->sync_fd) < 0 || fsync(j->dir_fd) < 0 ? SYNC_FAILED : SYNC_DONE;
}

static void *sync_main(void *arg)
{
    struct counter_journal *j = arg;
    pthread_setname_np(pthread_self(), "accord-limits-s");
    while (!j->stop) {
        while (sem_wait(&sync_wake) < 0) {
        }
        if (j->sync == SYNC_ASKED) {
            sync_now(j);
        }
    }
    return NULL;
}

static void ask_sync(struct counter_journal *j, int fd)
{
    j->sync_fd = fd;
    j->sync = SYNC_ASKED;
    if (j->runs) {
        sem_post(&sync_wake);
    } else {
        sync_now(j);
    }
}

static void drop_next(struct counter_journal *j)
{
    if (j->next_fd >= 0) {
        close(j->next_fd);
        j->next_fd = -1;
    }
}

/* What was asked has been done: the new file, if that was it, takes its place. */
static void after_sync(struct counter_journal *j)
{
    int sync = j->sync;
    if (sync != SYNC_DONE && sync != SYNC_FAILED) {
        return;
    }
    j->sync = SYNC_NONE;
    if (sync == SYNC_FAILED) {
        failed(j);
        drop_next(j);
    } else if (j->next_fd >= 0 && j->sync_fd == j->next_fd) {
        if (renameat(j->dir_fd, NAME ".new", j->dir_fd, NAME) < 0) {
            failed(j);
            drop_next(j);
            return;
        }
        if (j->fd >= 0) {
            close(j->fd);
        }
        j->fd = j->next_fd;
        j->next_fd = -1;
        j->unsynced = true; /* its name, and what came meanwhile */
    }
}

struct pass {
    struct counter_journal *j;
    const struct limit_now *now;
};

static void compact_one(void *arg, struct counter *c)
{
    struct pass *x = arg;
    write_counter(x->j, c, x->now, true);
}

/* All that counts into a new file; the old one gets it too, once more, so that both have the same from here on. */
static void begin_compaction(struct counter_journal *j, const struct limit_now *now)
{
    struct pass x = {.j = j, .now = now};
    j->next_fd = openat(j->dir_fd, NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (j->next_fd < 0) {
        failed(j);
        return;
    }
    if (j->behind && j->fd >= 0) { /* it may end in half a record */
        close(j->fd);
        j->fd = -1;
    }
    j->behind = false;
    j->size = sizeof head;
    if (write_all(j->next_fd, head, sizeof head) < 0) {
        failed(j);
    }
    counters_each(compact_one, &x);
    write_batch(j);
    j->compact_size = j->size;
    if (j->behind) {
        drop_next(j);
    } else {
        ask_sync(j, j->next_fd);
    }
}

void counter_journal_flush(struct counter_journal *j, const struct limit_now *now, bool sync)
{
    struct counter *c;
    after_sync(j);
    while ((c = counters_next_changed())) {
        if (!j->behind) { /* else all is written anew soon */
            write_counter(j, c, now, false);
        }
    }
    if (j->n) {
        write_batch(j);
    }
    if (j->sync == SYNC_ASKED) {
        return; /* under way */
    }
    if (j->behind ? sync : j->size > SIZE_MIN + GROWTH * j->compact_size) {
        begin_compaction(j, now);
    } else if (sync && j->unsynced && j->fd >= 0) {
        j->unsynced = false;
        ask_sync(j, j->fd);
    }
    after_sync(j);
}

/* ---- reading ---- */

/* While the file is read: the last word about each slot. The counters' own fields for what is written serve. */
static void note(struct counter *c, const struct record *r)
{
    uint64_t slot_us = limit_tick_us(c->per) * LIMIT_SLOT_TICKS;
    unsigned i = (unsigned)((slot_us ? r->when / slot_us : r->when) % LIMIT_SLOTS);
    uint64_t at = r->when + r->last * limit_tick_us(c->per);
    if (at >= c->written_at[i]) { /* an earlier one is past by now */
        c->written_at[i] = at;
        c->written[i] = r->amount;
    }
}

/* A tick becomes the next one of this process, never one before: what was counted is not forgotten before its time. */
static void restore_one(void *arg, struct counter *c)
{
    struct pass *x = arg;
    for (unsigned i = 0; c->per != PER_NOTHING && i < LIMIT_SLOTS; i++) {
        uint64_t at = c->written_at[i], tick_us = limit_tick_us(c->per), present, tick;
        if (c->written[i] && !tick_us) {
            limit_restore(&c->limit, c->per, at, at, c->written[i]);
        } else if (c->written[i]) {
            present = limit_tick(c->per, c->zone, x->now);
            tick = at > x->j->base_us ? (at - x->j->base_us + tick_us - 1) / tick_us : 0;
            limit_restore(&c->limit, c->per, tick < present ? tick : present, present,
                          c->written[i]);
        }
        c->written[i] = c->written_at[i] = 0;
    }
}

static int read_file(struct counter_journal *j, const struct limit_now *now)
{
    struct pass x = {.j = j, .now = now};
    struct record r;
    char first[sizeof head];
    int fd = openat(j->dir_fd, NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    FILE *f = fdopen(fd, "r");
    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    /* Each record says itself whether it is one: damage, of the first line too, costs what it has hit and no more. */
    bool good = fread(first, sizeof first, 1, f) == 1 && memcmp(first, head, sizeof head) == 0;
    while (fread(&r, sizeof r, 1, f) == 1) {
        if (r.check == check_of(&r) && r.per < PER_NOTHING && r.last < LIMIT_SLOT_TICKS) {
            note(counter_of_digest(r.digest, (enum limit_per)r.per), &r);
        } else {
            good = false;
        }
    }
    failures += !good;
    int e = ferror(f) ? -EIO : 0;
    fclose(f);
    counters_each(restore_one, &x);
    return e;
}

int counter_journal_open(const char *dir, const struct limit_now *now, struct counter_journal **ret)
{
    struct counter_journal *j = mem_zalloc(sizeof *j);
    j->fd = j->next_fd = -1;
    j->base_us = now->wall_us - now->mono_us;
    j->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = j->dir_fd < 0 ? -errno : read_file(j, now);
    if (r == 0) {
        begin_compaction(j, now);
        after_sync(j);
        r = j->fd < 0 ? -EIO : 0;
    }
    if (r < 0) {
        if (j->dir_fd >= 0) {
            close(j->dir_fd);
        }
        free(j);
        return r;
    }
    *ret = j;
    return 0;
}

/* ---- the thread ---- */

static void wake_up(void)
{
    sem_post(&wake);
}

static void wait_for_wake(uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(&wake, &until) < 0 && errno == EINTR) {
    }
}

static struct limit_now read_clock(void)
{
    return counter_now(clock_us(), clock_wall_us());
}

static void *journal_main(void *arg)
{
    struct counter_journal *j = arg;
    uint64_t synced = 0, swept = 0;
    pthread_setname_np(pthread_self(), "accord-limits");
    while (!j->stop) {
        struct limit_now now = read_clock();
        uint64_t ms = now.mono_us / 1000;
        bool sync = ms - synced >= SYNC_MS;
        counter_journal_flush(j, &now, sync);
        synced = sync ? ms : synced;
        if (ms - swept >= SWEEP_MS) {
            counters_sweep(&now);
            swept = ms;
        }
        if (!j->unsynced && !j->behind && j->sync == SYNC_NONE && counters_sleep()) {
            wait_for_wake(SWEEP_MS);
        }
        if (!j->stop) {
            nanosleep(&(struct timespec){.tv_nsec = FLUSH_MS * 1000000}, NULL);
        }
    }
    return NULL;
}

void counter_journal_start(struct counter_journal *j)
{
    must(sem_init(&wake, 0, 0) == 0 && sem_init(&sync_wake, 0, 0) == 0);
    counters_wake(wake_up);
    j->runs = true;
    must(pthread_create(&j->thread, NULL, journal_main, j) == 0);
    must(pthread_create(&j->sync_thread, NULL, sync_main, j) == 0);
}

void counter_journal_stop(struct counter_journal *j)
{
    if (!j) {
        return;
    }
    if (j->runs) {
        j->stop = true;
        sem_post(&wake);
        sem_post(&sync_wake);
        pthread_join(j->thread, NULL);
        pthread_join(j->sync_thread, NULL);
        counters_wake(NULL);
        sem_destroy(&wake);
        sem_destroy(&sync_wake);
        j->runs = false;
        struct limit_now now = read_clock();
        j->sync = j->sync == SYNC_ASKED ? SYNC_NONE : j->sync;
        drop_next(j);
        counter_journal_flush(j, &now, true);
        counter_journal_flush(j, &now, true);
    }
    drop_next(j);
    if (j->fd >= 0) {
        close(j->fd);
    }
    close(j->dir_fd);
    free(j);
}
