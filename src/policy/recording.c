#include "policy/recording.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/must.h"
#include "policy/tenants.h"

enum {
    SLOTS = 4096, /* of the table, chained */
    BLOCK_MIN = 1024,
    BLOCK_MAX = 64 * 1024,
    STALE_SWEEP = 4, /* expired ones that are dropped where one is put */
    EVICT_MAX = 64,  /* that are driven out to make room for one piece */
};

/* A piece of the body. It never moves, and what was written stays. */
struct recording_block {
    struct recording_block *next;
    size_t n, cap; /* `n` under the recording's lock */
    char bytes[];
};

struct recording {
    _Atomic uint32_t refs;
    _Atomic uint8_t state;
    uint8_t key[RECORDING_KEY], payload[RECORDING_KEY];
    bool has_payload;
    /* Under its own lock: */
    pthread_mutex_t lock;
    bool begun, given_up;
    char *fields; /* the type, the lines, the origin */
    size_t type_n, lines_n, origin_n;
    struct recording_block *first, *last;
    size_t length;
    struct recording_watcher *watchers;
    /* Under the table's: */
    struct recording *next, *newer, *older;
    struct tenant *tenant;
    bool found;  /* in the table */
    bool listed; /* among its tenant's ended ones */
    uint64_t ended_s, until_s;
    _Atomic size_t bytes;
};

static struct {
    pthread_mutex_t lock;
    struct recording *slot[SLOTS];
    struct tenants tenants; /* their recordings are the ended ones that are found, by use */
    uint64_t recordings;
    _Atomic size_t bytes, max, one_max;
    _Atomic uint64_t evicted, too_large;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .max = (size_t)64 << 20, .one_max = (size_t)4 << 20};

static void lock_table(void)
{
    pthread_mutex_lock(&table.lock);
}

static void unlock_table(void)
{
    pthread_mutex_unlock(&table.lock);
}

/* ---- tenants; under the table's lock ---- */

static void take_out(struct recording *r)
{
    struct tenant *t = r->tenant;
    if (r->newer) {
        r->newer->older = r->older;
    } else {
        t->newest = r->older;
    }
    if (r->older) {
        r->older->newer = r->newer;
    } else {
        t->oldest = r->newer;
    }
    r->newer = r->older = NULL;
}

static void put_newest(struct recording *r)
{
    struct tenant *t = r->tenant;
    struct recording *before = t->newest;
    r->older = before;
    if (before) {
        before->newer = r;
    } else {
        t->oldest = r;
    }
    t->newest = r;
}

static void unlist(struct recording *r)
{
    if (r->listed) {
        take_out(r);
        r->listed = false;
        tenants_weigh(&table.tenants, r->tenant, r->tenant->bytes - r->bytes);
    }
}

static void list(struct recording *r)
{
    put_newest(r);
    r->listed = true;
    tenants_weigh(&table.tenants, r->tenant, r->tenant->bytes + r->bytes);
}

/* ---- the table; under its lock ---- */

static struct recording **slot_of(const uint8_t *key)
{
    uint16_t h;
    memcpy(&h, key, sizeof h);
    return &table.slot[h % SLOTS];
}

/* No longer found. Returns what the caller has to unref once the lock is free. */
static struct recording *drop(struct recording *r)
{
    struct recording **at = slot_of(r->key);
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    r->next = NULL;
    r->found = false;
    table.recordings--;
    unlist(r);
    return r;
}

static void put(struct recording *r)
{
    struct recording **at = slot_of(r->key);
    r->next = *at;
    *at = r;
    r->found = true;
    table.recordings++;
    recording_ref(r);
}

static struct recording *look_up(const uint8_t *key)
{
    struct recording *r = *slot_of(key);
    while (r && memcmp(r->key, key, RECORDING_KEY) != 0) {
        r = r->next;
    }
    return r;
}

/* Those that were dropped, to be given back without the lock. */
struct dropped {
    struct recording *first;
};

static void drop_later(struct dropped *d, struct recording *r)
{
    drop(r);
    r->next = d->first;
    d->first = r;
}

static void give_dropped(struct dropped *d)
{
    while (d->first) {
        struct recording *r = d->first;
        d->first = r->next;
        r->next = NULL;
        recording_unref(r);
    }
}

/* The one who has the most; he who brings `more` himself when his share is used up. Whoever has ended recordings has
 * bytes, so there is nothing to be had when the heap's first has none. */
static struct tenant *heaviest(struct tenant *own, size_t more)
{
    struct tenant *most = tenants_heaviest(&table.tenants); /* `own` is one of them */
    bool used_up = own->bytes + more > table.max / table.tenants.n;
    return own->oldest && (used_up || own->bytes == most->bytes) ? own : most;
}

/* Makes room for `more` bytes of this tenant. False: there is none, or the bound has been lowered so far that it takes
 * more than this one piece to get there. Memory that readers still have goes when they let
 * go of it: it counts as free here, else one slow reader would empty the table. */
static bool make_room(struct tenant *own, size_t more)
{
    struct dropped d = {0};
    size_t freed = 0;
    if (table.bytes + more <= table.max) {
        return true;
    }
    lock_table();
    for (int i = 0; i < EVICT_MAX && table.bytes + more > table.max + freed; i++) {
        struct tenant *t = heaviest(own, more);
        struct recording *r = t->oldest;
        if (!r) {
            break;
        }
        freed += r->bytes;
        table.evicted++;
        drop_later(&d, r);
    }
    bool enough = table.bytes + more <= table.max + freed;
    unlock_table();
    give_dropped(&d);
    return enough;
}

/* ---- life ---- */

void recordings_limit(size_t max_bytes, size_t one_max_bytes)
{
    table.max = max_bytes;
    table.one_max = one_max_bytes;
}

struct recording_stats recordings_stats(void)
{
    lock_table();
    struct recording_stats s = {.bytes = table.bytes,
                                .recordings = table.recordings,
                                .evicted = table.evicted,
                                .too_large = table.too_large,
                                .steps = table.tenants.steps};
    unlock_table();
    return s;
}

static void count(struct recording *r, size_t n)
{
    r->bytes += n;
    table.bytes += n;
}

/* Under the table's lock. */
static struct recording *create(const struct recording_ask *ask)
{
    struct recording *r = mem_zalloc(sizeof *r);
    r->refs = 1;
    memcpy(r->key, ask->key, RECORDING_KEY);
    if (ask->payload) {
        memcpy(r->payload, ask->payload, RECORDING_KEY);
        r->has_payload = true;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->tenant = tenants_take(&table.tenants, ask->tenant);
    count(r, sizeof *r);
    return r;
}

struct recording *recording_new(const struct recording_ask *ask)
{
    lock_table();
    struct recording *r = create(ask);
    unlock_table();
    return r;
}

/* Whether it may be used now. */
static bool is_good(const struct recording *r, const struct recording_ask *ask)
{
    return r->state == RECORDING_RUNS ? ask->find_running : ask->now_s < r->until_s;
}

struct recording *recording_find(const struct recording_ask *ask, bool *ret_new, bool *ret_other)
{
    struct dropped d = {0};
    *ret_new = *ret_other = false;
    lock_table();
    struct recording *r = look_up(ask->key);
    if (r && !is_good(r, ask)) {
        if (r->state != RECORDING_RUNS) {
            drop_later(&d, r);
        }
        r = NULL;
    }
    if (r && ask->payload && memcmp(r->payload, ask->payload, RECORDING_KEY) != 0) {
        *ret_other = true;
        r = NULL;
    } else if (r) {
        recording_ref(r);
        if (r->listed && r->newer) {
            take_out(r);
            put_newest(r);
        }
    } else if (ask->begin && !look_up(ask->key)) {
        r = create(ask);
        put(r);
        *ret_new = true;
    }
    unlock_table();
    give_dropped(&d);
    return r;
}

struct recording *recording_ref(struct recording *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void recording_unref(struct recording *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    must(!r->found && !r->watchers);
    for (struct recording_block *b = r->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    table.bytes -= r->bytes;
    lock_table();
    tenants_give(&table.tenants, r->tenant);
    unlock_table();
    pthread_mutex_destroy(&r->lock);
    free(r->fields);
    free(r);
}

/* ---- writing ---- */

/* Under the recording's lock. */
static void wake_all(struct recording *r)
{
    struct recording_watcher *w = r->watchers;
    r->watchers = NULL;
    while (w) {
        struct recording_watcher *next = w->_next;
        w->_waits = false;
        w->wake(w);
        w = next;
    }
}

static char *put_text(char *at, struct str s)
{
    if (s.n) {
        memcpy(at, s.p, s.n);
    }
    return at + s.n;
}

void recording_begin(struct recording *r, struct str type, struct str lines, struct str origin)
{
    size_t n = type.n + lines.n + origin.n + 1;
    char *fields = mem_realloc(NULL, n);
    put_text(put_text(put_text(fields, type), lines), origin);
    count(r, n);
    pthread_mutex_lock(&r->lock);
    r->fields = fields;
    r->type_n = type.n;
    r->lines_n = lines.n;
    r->origin_n = origin.n;
    r->begun = true;
    wake_all(r);
    pthread_mutex_unlock(&r->lock);
}

/* Room behind the last byte, in a new block when there must be one. Only the writer changes the list. */
static struct recording_block *room(struct recording *r, size_t n)
{
    struct recording_block *last = r->last;
    if (last && last->n < last->cap) {
        return last;
    }
    size_t cap = r->length < BLOCK_MIN ? BLOCK_MIN : r->length;
    cap = cap > BLOCK_MAX ? BLOCK_MAX : cap;
    cap = cap < n ? n : cap;
    if (!make_room(r->tenant, sizeof *last + cap)) {
        return NULL;
    }
    struct recording_block *b = mem_realloc(NULL, sizeof *b + cap);
    *b = (struct recording_block){.cap = cap};
    count(r, sizeof *b + cap);
    return b;
}

static bool append(struct recording *r, const char *p, size_t n)
{
    while (n) {
        struct recording_block *b = room(r, n);
        if (!b) {
            return false;
        }
        size_t take = b->cap - b->n < n ? b->cap - b->n : n;
        memcpy(b->bytes + b->n, p, take);
        pthread_mutex_lock(&r->lock);
        if (b != r->last) {
            *(r->last ? &r->last->next : &r->first) = b;
            r->last = b;
        }
        b->n += take;
        r->length += take;
        pthread_mutex_unlock(&r->lock);
        p += take;
        n -= take;
    }
    return true;
}

bool recording_add(struct recording *r, const struct iovec *v, int n)
{
    size_t total = 0;
    bool fits = true;
    if (r->given_up) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        total += v[i].iov_len;
    }
    if (total > table.one_max || r->length > table.one_max - total) {
        fits = false;
    }
    for (int i = 0; fits && i < n; i++) {
        fits = append(r, v[i].iov_base, v[i].iov_len);
    }
    if (!fits) {
        r->given_up = true;
        table.too_large++;
        recording_end(r, r->begun && r->length ? RECORDING_CUT : RECORDING_FAILED, 0, 0);
        return false;
    }
    if (total) {
        pthread_mutex_lock(&r->lock);
        wake_all(r);
        pthread_mutex_unlock(&r->lock);
    }
    return true;
}

static void sweep(struct tenant *t, uint64_t now_s, struct dropped *d)
{
    struct recording *r;
    for (int i = 0; i < STALE_SWEEP && (r = t->oldest) && r->until_s <= now_s; i++) {
        drop_later(d, r);
    }
}

void recording_end(struct recording *r, enum recording_state state, uint32_t keep_s, uint64_t now_s)
{
    struct dropped d = {0};
    if (r->state != RECORDING_RUNS) {
        return;
    }
    lock_table();
    r->ended_s = now_s;
    r->until_s = now_s + keep_s;
    r->state = (uint8_t)state;
    sweep(r->tenant, now_s, &d);
    struct recording *old = keep_s && !r->found ? look_up(r->key) : NULL;
    if (old && old->state != RECORDING_RUNS) {
        drop_later(&d, old);
        old = NULL;
    }
    if (!keep_s && r->found) {
        drop_later(&d, r);
    } else if (keep_s && !r->found && !old) {
        put(r);
    }
    if (r->found) {
        list(r);
    }
    unlock_table();
    pthread_mutex_lock(&r->lock);
    wake_all(r);
    pthread_mutex_unlock(&r->lock);
    give_dropped(&d);
}

bool recording_is_shared(struct recording *r)
{
    lock_table();
    bool shared = r->refs > 1U + r->found;
    unlock_table();
    return shared;
}

/* ---- reading ---- */

/* What has ended does not change any more, and needs no lock. */
static bool lock_running(struct recording *r)
{
    bool runs = r->state == RECORDING_RUNS;
    if (runs) {
        pthread_mutex_lock(&r->lock);
    }
    return runs;
}

static void unlock_running(struct recording *r, bool locked)
{
    if (locked) {
        pthread_mutex_unlock(&r->lock);
    }
}

struct recording_head recording_head(struct recording *r)
{
    bool locked = lock_running(r);
    struct recording_head h = {.begun = r->begun, .state = r->state, .length = r->length};
    if (r->begun) {
        h.type = str_make(r->fields, r->type_n);
        h.lines = str_make(r->fields + r->type_n, r->lines_n);
        h.origin = str_make(r->fields + r->type_n + r->lines_n, r->origin_n);
    }
    unlock_running(r, locked);
    return h;
}

int recording_read(struct recording *r, struct recording_place *place, struct iovec *v, int n,
                   struct recording_watcher *w, enum recording_state *ret_state, bool *ret_last)
{
    int k = 0;
    bool locked = lock_running(r);
    *ret_state = r->state;
    const struct recording_block *b = place->block ? place->block : r->first;
    while (b && k < n) {
        if (place->at < b->n) {
            v[k++] = (struct iovec){(char *)(uintptr_t)b->bytes + place->at, b->n - place->at};
            place->at = b->n;
        }
        place->block = b;
        if (!b->next) {
            break;
        }
        if (k < n) {
            b = b->next;
            place->at = 0;
            place->block = b;
        }
    }
    *ret_last = *ret_state != RECORDING_RUNS && place->block == r->last &&
                (!r->last || place->at == r->last->n);
    if (k == 0 && *ret_state == RECORDING_RUNS && !w->_waits) {
        w->_waits = true;
        w->_next = r->watchers;
        r->watchers = w;
    }
    unlock_running(r, locked);
    return k;
}

void recording_unwatch(struct recording *r, struct recording_watcher *w)
{
    pthread_mutex_lock(&r->lock);
    struct recording_watcher **at = &r->watchers;
    while (w->_waits && *at && *at != w) {
        at = &(*at)->_next;
    }
    if (w->_waits && *at) {
        *at = w->_next;
    }
    w->_waits = false;
    pthread_mutex_unlock(&r->lock);
}

uint64_t recording_age_s(struct recording *r, uint64_t now_s)
{
    return now_s > r->ended_s ? now_s - r->ended_s : 0;
}
