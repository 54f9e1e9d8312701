#include "ledger/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "ledger/queue.h"
#include "ledger/rollup.h"
#include "ledger/scan.h"
#include "ledger/spool.h"

enum {
    SECONDS_PER_DAY = 86400,
    IDLE_MS = 1000,   /* roll-ups and the day are looked after at least so often */
    RETRY_MS = 1000,  /* after a failed write, or when nothing is known yet */
    ROLLUP_MS = 1000, /* from a call to the roll-ups; */
    ROLLUP_LATE_MS =
        5000, /* when there are many rows of them: it costs less to write each seldom */
    ROLLUP_MANY = 100,
    ROLLUP_ROWS = 8192,
    CATCH_UP = 5000, /* calls per turn */
    CARE_MS = 60000,
};

struct writer {
    struct archive archive;
    struct queue queue;
    struct spool spool;
    pthread_t thread, care_thread;
    /* The writer thread's. */
    struct partition *partition; /* NULL: none is open */
    struct rollup *rollup;       /* NULL: cannot be opened */
    int64_t next_seq, applied;
    uint64_t rolled_ms;
    int32_t forgot_day;
    _Atomic bool ready; /* next_seq is known, and which partition is open */
    /* Of both. */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* of the care thread */
    bool stop, closed;   /* closed: a partition was */
    int64_t keep_days, max_bytes;
    struct writer_watcher *watchers;
    _Atomic uint64_t written, spooled, dropped, commits;
    _Atomic int error;
};

static int32_t today(void)
{
    return (int32_t)(clock_wall_us() / 1000000 / SECONDS_PER_DAY);
}

static uint64_t now_ms(void)
{
    return clock_us() / 1000;
}

/* ---- partitions ---- */

static void close_partition(struct writer *w)
{
    partition_close(w->partition);
    w->partition = NULL;
    archive_closed(&w->archive);
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

/* Up to where one of the last partitions has what the spool held: a spool is far smaller than two of them. */
static int64_t noted_of_spool(struct writer *w, const struct partition_name *all, size_t n)
{
    enum { LAST = 3 };
    int64_t most = 0, noted;
    sqlite3 *db;
    for (size_t i = n > LAST ? n - LAST : 0; i < n; i++) {
        if (scan_open(w->archive.dir, all[i], &db) == 0) {
            if (scan_spool(db, w->spool.id, &noted) == 0 && noted > most) {
                most = noted;
            }
            sql_close(db);
        }
    }
    return most;
}

/* Where the last process ended, and whether its partition goes on. */
static int resume(struct writer *w)
{
    struct arena a = {0};
    size_t n;
    int64_t ignored, next = 1;
    int r = archive_scan(&w->archive);
    const struct partition_name *all = archive_list(&w->archive, &a, &n, &ignored);
    if (r == 0 && n) {
        r = partition_open(w->archive.dir, all[n - 1], &w->partition, &next);
        if (r ==
            -EBADMSG) { /* what cannot be read is left alone, with room for what may be in it */
            next = all[n - 1].first + (1LL << 32);
            r = 0;
        }
    }
    if (r == 0) {
        spool_skip(&w->spool, noted_of_spool(w, all, n));
        w->next_seq = next > w->applied + 1 ? next : w->applied + 1;
        w->ready = true;
        archive_committed(&w->archive, w->next_seq - 1);
    }
    if (w->partition) {
        archive_add(&w->archive, partition_name(w->partition));
    }
    arena_reset(&a);
    return r;
}

/* Knows where to go on; a partition that is full or of another day is closed. */
static int look_after_partition(struct writer *w)
{
    int r = w->ready ? 0 : resume(w);
    if (w->partition &&
        (partition_is_full(w->partition) || partition_name(w->partition).day != today())) {
        close_partition(w);
    }
    return r;
}

/* A partition of today with room. */
static int have_partition(struct writer *w)
{
    int64_t ignored;
    int r = look_after_partition(w);
    if (r == 0 && !w->partition) {
        struct partition_name n = {today(), w->next_seq};
        r = partition_open(w->archive.dir, n, &w->partition, &ignored);
        if (r == 0) {
            archive_add(&w->archive, n);
        } else if (r == -EBADMSG) {
            w->next_seq++; /* under another name */
        }
    }
    return r;
}

static void tell_watchers(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    for (struct writer_watcher *x = w->watchers; x; x = x->_next) {
        if (!atomic_exchange(&x->_posted, true)) {
            loop_post(x->loop, &x->task);
        }
    }
    pthread_mutex_unlock(&w->lock);
}

static int write_calls(struct writer *w, const struct record *all, size_t n, int64_t spool_at)
{
    int r = have_partition(w);
    if (r == 0) {
        r = partition_write(w->partition, w->next_seq, all, n, spool_at ? w->spool.id : 0,
                            spool_at);
    }
    w->error = r;
    if (r < 0) {
        if (w->partition) { /* what was cached of it may not be there */
            partition_close(w->partition);
            w->partition = NULL;
            w->ready = false;
        }
        return r;
    }
    bool live = w->rollup && w->applied + 1 == w->next_seq;
    for (size_t i = 0; live && i < n; i++) {
        rollup_add(w->rollup, w->next_seq + (int64_t)i, &all[i]);
    }
    w->next_seq += (int64_t)n;
    w->applied = live ? w->next_seq - 1 : w->applied;
    w->written += n;
    w->commits++;
    archive_committed(&w->archive, w->next_seq - 1);
    tell_watchers(w);
    return 0;
}

/* ---- roll-ups ---- */

/* They are opened anew, and go on from where their file is. */
static void lose_rollup(struct writer *w)
{
    rollup_close(w->rollup);
    w->rollup = NULL;
}

static void flush_rollup(struct writer *w)
{
    w->rolled_ms = now_ms();
    if (!w->rollup && rollup_open(w->archive.dir, &w->rollup, &w->applied) < 0) {
        return;
    }
    int r = rollup_flush(w->rollup);
    if (r == 0 && w->forgot_day != today()) {
        int64_t day = today();
        r = rollup_forget(w->rollup, (day - ROLLUP_MINUTE_DAYS - 1) * SECONDS_PER_DAY,
                          (day - ROLLUP_HOUR_DAYS - 1) * SECONDS_PER_DAY);
        w->forgot_day = (int32_t)day;
    }
    if (r < 0) {
        lose_rollup(w);
    }
}

static void take_old(void *arg, int64_t seq, const struct record *r)
{
    struct writer *w = arg;
    rollup_add(w->rollup, seq, r);
    w->applied = seq;
}

/* A piece of what is behind `applied` in one partition. -errno: it cannot be read now. */
static int64_t take_piece(struct writer *w, struct partition_name n)
{
    sqlite3 *db;
    int64_t got = scan_open(w->archive.dir, n, &db);
    if (got == 0) {
        got = scan_after(db, w->applied, CATCH_UP, take_old, w);
        sql_close(db);
    }
    return got == -EBADMSG || got == -ENOENT ? 0 : got; /* what is broken cannot be added up */
}

/* Some of the calls that are in partitions and not in the roll-ups. Whether there are more. */
static bool catch_up(struct writer *w)
{
    struct arena a = {0};
    int64_t last, got = 0;
    size_t n, i = 0;
    if (!w->ready || !w->rollup || w->applied + 1 >= w->next_seq) {
        return false;
    }
    const struct partition_name *all = archive_list(&w->archive, &a, &n, &last);
    while (i + 1 < n && all[i + 1].first <= w->applied + 1) {
        i++;
    }
    for (; i < n && got == 0; i++) {
        got = take_piece(w, all[i]);
    }
    if (got == 0) { /* numbers that no call has any more */
        w->applied = w->next_seq - 1;
    }
    arena_reset(&a);
    return got > 0;
}

static void look_after_rollup(struct writer *w)
{
    size_t waiting = w->rollup ? rollup_waiting(w->rollup) : 0;
    uint64_t after = waiting > ROLLUP_MANY ? ROLLUP_LATE_MS : ROLLUP_MS;
    if (now_ms() - w->rolled_ms >= after || waiting >= ROLLUP_ROWS) {
        flush_rollup(w);
    }
}

/* ---- the writer thread ---- */

static bool write_spooled(struct writer *w)
{
    int64_t at;
    size_t n = 0;
    if (spool_is_empty(&w->spool)) {
        return false;
    }
    struct record *all = mem_realloc(NULL, CHUNK_RECORDS * sizeof *all);
    if (look_after_partition(w) == 0) { /* before, it is not known what was read of it */
        n = spool_take(&w->spool, all, CHUNK_RECORDS, &at);
    }
    bool done = n && write_calls(w, all, n, at) == 0;
    if (done) {
        spool_done(&w->spool, at);
    }
    free(all);
    return done;
}

static bool is_stopping(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void pause_ms(struct writer *w, long ms)
{
    struct timespec t = {.tv_nsec = 10000000};
    for (long waited = 0; waited < ms && !is_stopping(w); waited += 10) {
        nanosleep(&t, NULL);
    }
}

static void spool_chunk(struct writer *w, const struct chunk *c)
{
    size_t kept = spool_add(&w->spool, c->all, c->n);
    w->spooled += kept;
    w->dropped += c->n - kept;
}

static void work(struct writer *w, const struct chunk *c)
{
    if (c) {
        if (write_calls(w, c->all, c->n, 0) == 0) {
            queue_pop(&w->queue);
        } else if (is_stopping(w)) {
            spool_chunk(w, c);
            queue_pop(&w->queue);
        } else {
            pause_ms(w, RETRY_MS);
        }
    } else {
        w->error = look_after_partition(w);
    }
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    pthread_setname_np(pthread_self(), "accord-writer");
    flush_rollup(w);
    w->error = look_after_partition(w);
    for (;;) {
        bool more = catch_up(w) || !spool_is_empty(&w->spool);
        const struct chunk *c = queue_peek(&w->queue, more ? 0 : IDLE_MS);
        if (!c && is_stopping(w)) {
            break;
        }
        work(w, c);
        if (!c && !write_spooled(w) && !spool_is_empty(&w->spool)) {
            pause_ms(w, RETRY_MS);
        }
        look_after_rollup(w);
    }
    flush_rollup(w);
    partition_close(w->partition);
    rollup_close(w->rollup);
    return NULL;
}

/* ---- the care thread ---- */

static void index_closed(struct writer *w, int64_t *indexed)
{
    struct arena a = {0};
    int64_t last;
    size_t n;
    const struct partition_name *all = archive_list(&w->archive, &a, &n, &last);
    pthread_mutex_lock(&w->archive.lock);
    n -= n && w->archive.open;
    pthread_mutex_unlock(&w->archive.lock);
    for (size_t i = 0; i < n && !is_stopping(w); i++) {
        if (all[i].first > *indexed && partition_index(w->archive.dir, all[i]) == 0) {
            *indexed = all[i].first;
        }
    }
    arena_reset(&a);
}

static void wait_care(struct writer *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CARE_MS / 1000;
    pthread_mutex_lock(&w->lock);
    while (!w->stop && !w->closed &&
           pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT) {
    }
    w->closed = false;
    pthread_mutex_unlock(&w->lock);
}

static void *care_main(void *arg)
{
    struct writer *w = arg;
    int64_t indexed = 0, days, bytes;
    pthread_setname_np(pthread_self(), "accord-care");
    while (!is_stopping(w)) {
        if (!w->ready) { /* the last one may go on */
            pause_ms(w, RETRY_MS);
            continue;
        }
        pthread_mutex_lock(&w->lock);
        days = w->keep_days;
        bytes = w->max_bytes;
        pthread_mutex_unlock(&w->lock);
        archive_retain(&w->archive, days ? today() - (int32_t)days : 0, bytes);
        index_closed(w, &indexed);
        wait_care(w);
    }
    return NULL;
}

/* ---- from other threads ---- */

struct writer *writer_start(const struct writer_options *o)
{
    struct writer *w = mem_zalloc(sizeof *w);
    w->archive.dir = strdup(o->dir);
    w->keep_days = o->keep_days;
    w->max_bytes = o->max_bytes;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_mutex_init(&w->archive.lock, NULL);
    pthread_mutex_init(&w->spool.lock, NULL);
    queue_init(&w->queue);
    w->spool.fd = -1;
    (void)!archive_scan(&w->archive); /* makes the directory; tried again at each write */
    if (o->spool_bytes) {
        (void)!spool_open(&w->spool, o->dir, o->spool_bytes);
    }
    must(pthread_create(&w->thread, NULL, writer_main, w) == 0);
    must(pthread_create(&w->care_thread, NULL, care_main, w) == 0);
    return w;
}

void writer_stop(struct writer *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    queue_stop(&w->queue);
    pthread_join(w->thread, NULL);
    pthread_join(w->care_thread, NULL);
    spool_close(&w->spool);
    queue_free(&w->queue);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->archive.lock);
    pthread_mutex_destroy(&w->spool.lock);
    pthread_cond_destroy(&w->wake);
    free(w->archive.all);
    free(w->archive.dir);
    free(w);
}

void writer_put(struct writer *w, const struct record *all, size_t n)
{
    size_t done = queue_put(&w->queue, all, n);
    if (done < n) {
        size_t kept = spool_add(&w->spool, all + done, n - done);
        w->spooled += kept;
        w->dropped += n - done - kept;
    }
}

void writer_retain(struct writer *w, int64_t keep_days, int64_t max_bytes)
{
    pthread_mutex_lock(&w->lock);
    w->keep_days = keep_days;
    w->max_bytes = max_bytes;
    w->closed = true; /* now */
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

struct archive *writer_archive(struct writer *w)
{
    return &w->archive;
}

void writer_state(struct writer *w, struct writer_state *ret)
{
    pthread_mutex_lock(&w->queue.lock);
    uint64_t waiting = w->queue.n;
    pthread_mutex_unlock(&w->queue.lock);
    *ret = (struct writer_state){.written = w->written,
                                 .spooled = w->spooled,
                                 .dropped = w->dropped,
                                 .commits = w->commits,
                                 .waiting = waiting,
                                 .error = w->error};
}

void writer_watch(struct writer *w, struct writer_watcher *x)
{
    pthread_mutex_lock(&w->lock);
    x->_posted = false;
    x->_next = w->watchers;
    w->watchers = x;
    pthread_mutex_unlock(&w->lock);
}

void writer_unwatch(struct writer *w, struct writer_watcher *x)
{
    pthread_mutex_lock(&w->lock);
    for (struct writer_watcher **at = &w->watchers; *at; at = &(*at)->_next) {
        if (*at == x) {
            *at = x->_next;
            break;
        }
    }
    pthread_mutex_unlock(&w->lock);
}

void writer_seen(struct writer_watcher *x)
{
    atomic_store(&x->_posted, false);
}
