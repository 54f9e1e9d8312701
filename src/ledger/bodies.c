#include "ledger/bodies.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"
#include "ledger/body_file.h"
#include "store/seal.h"

enum {
    SECONDS_PER_DAY = 86400,
    TOGETHER_MS = 10, /* those that come within it share a transaction */
    CARE_S = 60,
    FILES = 8, /* about as many as `max_bytes` is cut into */
    FILE_MAX = 64 << 20,
};

struct bodies {
    char *dir;
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct body *first, **last; /* the queue */
    bool stop;
    bool care; /* there is another retention */
    _Atomic int64_t max_bytes, keep_days;
    /* Who writes to files or forgets; taken ahead of `lock`. */
    pthread_mutex_t files;
    struct body_file open;
    struct sealer key;
    bool has_key;
    _Atomic uint64_t held, written, lost, bytes;
    _Atomic int error;
};

static int32_t today(void)
{
    return (int32_t)(clock_wall_us() / 1000000 / SECONDS_PER_DAY);
}

/* ---- of a call ---- */

static void hold(struct body *x, size_t n)
{
    x->_held += n;
    atomic_fetch_add_explicit(&x->_owner->held, n, memory_order_relaxed);
}

struct body *body_new(struct bodies *b)
{
    if (b->held > BODIES_HELD_MAX) {
        b->lost++;
        return NULL;
    }
    struct body *x = mem_zalloc(sizeof *x);
    x->_owner = b;
    hold(x, sizeof *x);
    return x;
}

void body_add(struct body *x, struct body_part *part, struct str piece, size_t limit)
{
    size_t room = limit > part->text.n ? limit - part->text.n : 0, cap = part->text.cap;
    part->bytes += piece.n;
    if (x->_owner->held > BODIES_HELD_MAX) {
        x->_lost = true;
    } else if (room && piece.n) {
        part->text.limit = limit;
        buf_add(&part->text, str_first(piece, room));
        hold(x, part->text.cap - cap);
    }
}

void body_drop(struct body *x)
{
    atomic_fetch_sub_explicit(&x->_owner->held, x->_held, memory_order_relaxed);
    buf_free(&x->request.text);
    buf_free(&x->answer.text);
    buf_free(&x->hidden);
    free(x);
}

static void lose(struct body *x)
{
    x->_owner->lost++;
    body_drop(x);
}

void bodies_put(struct body *x)
{
    struct bodies *b = x->_owner;
    if (x->_lost) {
        lose(x);
        return;
    }
    hold(x, x->hidden.cap);
    x->_next = NULL;
    pthread_mutex_lock(&b->lock);
    bool first = !b->first;
    *b->last = x;
    b->last = &x->_next;
    if (first) {
        pthread_cond_signal(&b->wake);
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- writing; under `files` ---- */

static int have_key(struct bodies *b, bool make)
{
    int r = b->has_key ? 0 : store_data_key(b->store, STR("bodies"), make, &b->key);
    b->has_key = r == 0;
    return r;
}

static int32_t last_day(const struct bodies *b, const struct body *x)
{
    int64_t days = x->keep_days < b->keep_days ? x->keep_days : b->keep_days;
    return today() + (int32_t)days;
}

static struct str print_day(char to[16], int32_t day)
{
    struct tm tm;
    time_t t = (time_t)day * SECONDS_PER_DAY;
    return str_make(to, strftime(to, 16, "%Y-%m-%d", gmtime_r(&t, &tm)));
}

static int write_one(struct bodies *b, struct body *x, struct arena *a)
{
    char day[16];
    struct buf text = {.arena = a};
    struct str id = str_of(x->id);
    body_json(x, print_day(day, b->open.name.day), &text);
    int r =
        text.overflow ? -E2BIG : body_file_add(&b->open, id, seal(&b->key, a, id, buf_str(&text)));
    arena_rewind(a);
    return r;
}

static int64_t file_bytes(const struct bodies *b)
{
    int64_t n = b->max_bytes / FILES;
    return n < FILE_MAX ? n : FILE_MAX;
}

/* Those of one day, all or none. */
static int write_day(struct bodies *b, struct body *all, int32_t day, bool fresh)
{
    struct arena a = {0};
    int r = have_key(b, true);
    r = r < 0 ? r : body_file_for(&b->open, b->dir, day, file_bytes(b), fresh);
    r = r < 0 ? r : sql_run(b->open.db, "BEGIN");
    for (struct body *x = all; r == 0 && x; x = x->_next) {
        r = write_one(b, x, &a);
    }
    r = r < 0 ? r : sql_run(b->open.db, "COMMIT");
    arena_reset(&a);
    if (r < 0) {
        body_file_close(&b->open);
    }
    return r;
}

/* Takes those out of the list that go on the day of its first one, as many as a file has room for. */
static struct body *take_day(const struct bodies *b, struct body **list, int32_t *ret_day)
{
    struct body *taken = NULL, **last = &taken;
    size_t room = (size_t)file_bytes(b), bytes = 0;
    *ret_day = last_day(b, *list);
    while (*list && bytes < room) {
        struct body *x = *list;
        if (last_day(b, x) == *ret_day) {
            bytes += x->request.text.n + x->answer.text.n;
            *list = x->_next;
            *last = x;
            last = &x->_next;
            x->_next = NULL;
        } else {
            list = &x->_next;
        }
    }
    return taken;
}

static void retain(struct bodies *b)
{
    if (b->open.db && (b->open.name.day < today() || b->open.bytes > file_bytes(b))) {
        body_file_close(&b->open);
    }
    b->bytes = (uint64_t)body_files_retain(b->dir, today(), b->max_bytes, &b->open);
}

static void write_all(struct bodies *b, struct body *list)
{
    while (list) {
        int32_t day;
        struct partition_name before = b->open.name;
        struct body *all = take_day(b, &list, &day), *next;
        int r = write_day(b, all, day, false);
        if (r == -EBADMSG) { /* a file that is damaged is left alone */
            r = write_day(b, all, day, true);
        }
        b->error = r;
        if (before.day != b->open.name.day || before.first != b->open.name.first) {
            retain(b);
        }
        for (; all; all = next) {
            next = all->_next;
            *(r < 0 ? &b->lost : &b->written) += 1;
            body_drop(all);
        }
    }
}

/* All that waits. */
static void flush(struct bodies *b)
{
    pthread_mutex_lock(&b->lock);
    struct body *list = b->first;
    b->first = NULL;
    b->last = &b->first;
    pthread_mutex_unlock(&b->lock);
    write_all(b, list);
}

/* ---- the thread ---- */

/* Whether it goes on; `*ret_care`: it is time to look at what is there. */
static bool wait(struct bodies *b, uint64_t *cared_us, bool *ret_care)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CARE_S;
    pthread_mutex_lock(&b->lock);
    while (!b->first && !b->stop && !b->care &&
           pthread_cond_timedwait(&b->wake, &b->lock, &until) != ETIMEDOUT) {
    }
    *ret_care = b->care || clock_us() - *cared_us >= CARE_S * UINT64_C(1000000);
    b->care = false;
    bool on = !b->stop || b->first;
    pthread_mutex_unlock(&b->lock);
    if (*ret_care) {
        *cared_us = clock_us();
    }
    return on;
}

static void *bodies_main(void *arg)
{
    struct bodies *b = arg;
    const struct timespec together = {.tv_nsec = TOGETHER_MS * 1000000L};
    uint64_t cared_us = 0;
    bool care;
    pthread_setname_np(pthread_self(), "accord-bodies");
    while (wait(b, &cared_us, &care)) {
        if (!care) {
            nanosleep(&together, NULL);
        }
        pthread_mutex_lock(&b->files);
        flush(b);
        if (care) {
            retain(b);
        }
        pthread_mutex_unlock(&b->files);
    }
    body_file_close(&b->open);
    return NULL;
}

/* ---- from other threads ---- */

struct bodies *bodies_start(const struct bodies_options *o)
{
    struct bodies *b = mem_zalloc(sizeof *b);
    b->dir = strdup(o->dir);
    b->store = o->store;
    b->max_bytes = o->max_bytes;
    b->keep_days = o->keep_days;
    b->last = &b->first;
    b->care = true;
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->files, NULL);
    pthread_cond_init(&b->wake, NULL);
    must(pthread_create(&b->thread, NULL, bodies_main, b) == 0);
    return b;
}

void bodies_stop(struct bodies *b)
{
    if (!b) {
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    if (b->key.key) {
        seal_close(&b->key);
    }
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->files);
    pthread_cond_destroy(&b->wake);
    free(b->dir);
    free(b);
}

void bodies_retain(struct bodies *b, int64_t max_bytes, int64_t keep_days)
{
    b->max_bytes = max_bytes;
    b->keep_days = keep_days;
    pthread_mutex_lock(&b->lock);
    b->care = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

int bodies_get(struct bodies *b, struct arena *a, struct str request, struct str *ret)
{
    struct str sealed;
    pthread_mutex_lock(&b->files);
    flush(b);
    int r = body_file_get(b->dir, a, request, &sealed);
    if (r == 0) {
        r = have_key(b, false);
        r = r == -ENOENT ? -EBADMSG : r; /* the state is another one */
    }
    r = r < 0 ? r : unseal(&b->key, a, request, sealed, ret);
    pthread_mutex_unlock(&b->files);
    return r;
}

bool bodies_has(struct bodies *b, struct str request)
{
    struct arena a = {0};
    struct str ignored;
    pthread_mutex_lock(&b->files);
    flush(b);
    bool has = body_file_get(b->dir, &a, request, &ignored) == 0;
    pthread_mutex_unlock(&b->files);
    arena_reset(&a);
    return has;
}

int bodies_forget(struct bodies *b, struct str request)
{
    pthread_mutex_lock(&b->files);
    flush(b);
    int r = body_file_forget(b->dir, request);
    pthread_mutex_unlock(&b->files);
    return r;
}

void bodies_state(struct bodies *b, struct bodies_state *ret)
{
    *ret = (struct bodies_state){.written = b->written,
                                 .lost = b->lost,
                                 .held = b->held,
                                 .bytes = b->bytes,
                                 .error = b->error};
}
