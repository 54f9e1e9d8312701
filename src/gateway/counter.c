#include "gateway/counter.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/must.h"

static struct {
    pthread_mutex_t lock; /* of the table; no call takes it */
    struct counter **slot;
    size_t n, mask;
    _Atomic(struct counter *) changed;
    struct counter *taken; /* off the list, not handed out yet; the journal's */
    _Atomic bool asleep;
    void (*_Atomic wake)(void);
    _Atomic unsigned lease_percent;
    bool alone; /* nobody can be told, and nobody needs to be */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t place_of(const uint8_t *digest)
{
    size_t h;
    memcpy(&h, digest, sizeof h);
    return h & all.mask;
}

static void grow(void)
{
    size_t old = all.slot ? all.mask + 1 : 0, size = old ? 2 * old : 64;
    struct counter **from = all.slot;
    all.slot = mem_zalloc(size * sizeof(struct counter *));
    all.mask = size - 1;
    for (size_t i = 0; i < old; i++) {
        while (from[i]) {
            struct counter *c = from[i];
            from[i] = c->_next;
            c->_next = all.slot[place_of(c->digest)];
            all.slot[place_of(c->digest)] = c;
        }
    }
    free(from);
}

static struct counter *find(const uint8_t *digest, enum limit_per per)
{
    if (all.n >= (all.slot ? all.mask + 1 : 0)) {
        grow();
    }
    for (struct counter *c = all.slot[place_of(digest)]; c; c = c->_next) {
        if (memcmp(c->digest, digest, COUNTER_DIGEST) == 0) {
            return c;
        }
    }
    struct counter *c = aligned_alloc(CACHE_LINE, sizeof *c);
    must(c);
    memset(c, 0, sizeof *c);
    c->per = per;
    memcpy(c->digest, digest, COUNTER_DIGEST);
    c->_next = all.slot[place_of(digest)];
    all.slot[place_of(digest)] = c;
    all.n++;
    return c;
}

struct counter *counter_of_digest(const uint8_t *digest, enum limit_per per)
{
    pthread_mutex_lock(&all.lock);
    struct counter *c = find(digest, per);
    pthread_mutex_unlock(&all.lock);
    return c;
}

struct counter *counter_take(struct str name, enum limit_per per, const struct zone *zone)
{
    uint8_t digest[COUNTER_DIGEST];
    crypto_generichash(digest, sizeof digest, (const unsigned char *)name.p, name.n, NULL, 0);
    pthread_mutex_lock(&all.lock);
    struct counter *c = find(digest, per);
    c->zone = zone; /* a part of the name: never another one */
    atomic_fetch_add(&c->_refs, 1);
    pthread_mutex_unlock(&all.lock);
    return c;
}

void counter_by_address(struct counter *c)
{
    pthread_mutex_lock(&all.lock);
    if (!c->addresses) {
        c->addresses = address_table_new();
    }
    pthread_mutex_unlock(&all.lock);
}

void counter_drop(struct counter *c)
{
    atomic_fetch_sub(&c->_refs, 1);
}

/* ---- shared with other processes ---- */

void counters_share(unsigned lease_percent)
{
    all.lease_percent = lease_percent;
}

uint64_t counter_lease(const struct counter *c)
{
    uint64_t lease =
        c->at_most / 100 * all.lease_percent + c->at_most % 100 * all.lease_percent / 100;
    return c->addresses || !all.lease_percent ? 0 : lease ? lease : 1;
}

uint64_t counter_taken(const struct counter *c, const struct limit_now *now)
{
    /* To read it, the counter is not changed; the rule has no other pointer. */
    const struct limit_rule r = {
        .per = c->per, .zone = c->zone, .counter = (struct limit_counter *)(uintptr_t)&c->limit};
    int64_t running = atomic_load(&c->running);
    return c->per != PER_NOTHING ? limit_taken(&r, now) : running > 0 ? (uint64_t)running : 0;
}

void counter_limit(struct counter *c, uint64_t at_most, const struct limit_now *now)
{
    pthread_mutex_lock(&all.lock);
    c->at_most = at_most;
    uint64_t lease = counter_lease(c);
    if (lease && !atomic_load(&c->limit.lease)) { /* what an earlier life has taken was told then */
        atomic_store(&c->limit.known, counter_taken(c, now));
    }
    atomic_store(&c->limit.lease, all.alone ? 0 : lease);
    pthread_mutex_unlock(&all.lock);
}

static void let_go(void *arg, struct counter *c)
{
    (void)arg;
    atomic_store(&c->limit.lease, 0);
}

void counters_alone(bool alone)
{
    pthread_mutex_lock(&all.lock);
    all.alone = alone;
    pthread_mutex_unlock(&all.lock);
    if (alone) {
        counters_each(let_go, NULL);
    }
}

size_t counters_shared(struct counter **to, size_t cap, size_t *at)
{
    size_t n = 0;
    pthread_mutex_lock(&all.lock);
    for (; all.slot && *at <= all.mask; ++*at) {
        size_t was = n;
        for (struct counter *c = all.slot[*at]; c && n < cap; c = c->_next) {
            if (counter_lease(c)) {
                atomic_fetch_add(&c->_refs, 1);
                to[n++] = c;
            }
        }
        if (n == cap) { /* the place is looked at again: it may not have been all of it */
            while (n > was) {
                atomic_fetch_sub(&to[--n]->_refs, 1);
            }
            break;
        }
    }
    pthread_mutex_unlock(&all.lock);
    return n;
}

/* ---- the list of those that have changed ---- */

void counter_changed(struct counter *c)
{
    if (atomic_load(&c->changed) || atomic_exchange(&c->changed, true)) {
        return; /* nearly always while there is traffic */
    }
    struct counter *head = atomic_load(&all.changed);
    do {
        c->_next_changed = head;
    } while (!atomic_compare_exchange_weak(&all.changed, &head, c));
    if (atomic_load(&all.asleep) && atomic_exchange(&all.asleep, false)) {
        void (*wake)(void) = all.wake;
        if (wake) {
            wake();
        }
    }
}

struct counter *counters_next_changed(void)
{
    if (!all.taken) {
        all.taken = atomic_exchange(&all.changed, NULL);
    }
    struct counter *c = all.taken;
    if (c) {
        all.taken = c->_next_changed; /* read before it may be put on the list again */
        atomic_store(&c->changed, false);
    }
    return c;
}

void counters_wake(void (*wake)(void))
{
    all.wake = wake;
}

bool counters_sleep(void)
{
    atomic_store(&all.asleep, true);
    if (atomic_load(&all.changed)) {
        atomic_store(&all.asleep, false);
        return false;
    }
    return true;
}

/* ---- all ---- */

void counters_each(void (*fn)(void *arg, struct counter *c), void *arg)
{
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; all.slot && i <= all.mask; i++) {
        for (struct counter *c = all.slot[i]; c; c = c->_next) {
            fn(arg, c);
        }
    }
    pthread_mutex_unlock(&all.lock);
}

void counters_sweep(const struct limit_now *now)
{
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; all.slot && i <= all.mask; i++) {
        struct counter **at = &all.slot[i];
        while (*at) {
            struct counter *c = *at;
            bool any = c->per != PER_NOTHING && limit_sweep(&c->limit, c->per, c->zone, now);
            any = (c->addresses && address_table_sweep(c->addresses, c->per, c->zone, now)) || any;
            if (any || atomic_load(&c->_refs) || atomic_load(&c->running) ||
                atomic_load(&c->changed)) {
                at = &c->_next;
                continue;
            }
            *at = c->_next;
            all.n--;
            address_table_free(c->addresses);
            free(c);
        }
    }
    pthread_mutex_unlock(&all.lock);
}

size_t counters_count(void)
{
    pthread_mutex_lock(&all.lock);
    size_t n = all.n;
    pthread_mutex_unlock(&all.lock);
    return n;
}
