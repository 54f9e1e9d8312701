#include "gateway/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "gateway/carrier.h"
#include "model/config.h"
#include "model/rule.h"
#include "net/loop.h"

enum {
    PASS_MS = 5,
    SHARE_OF_TIME = 20, /* a pass takes at most one part of so many */
    LOOK_MS = 250,      /* what others have is asked for so often while somebody has something */
    IDLE_LOOK_MS = 5000,
    RECONNECT_MS = 200,
};

struct shared {
    struct carrier *carrier;
    bool connected;
    enum unreachable when_unreachable;
    uint64_t sequence;
    uint64_t tried_ms;
    shared_tell tell;
    bool told_down;
    struct counter *counters[SHARE_BATCH]; /* whose numbers are in `batch` */
    struct share batch[SHARE_BATCH];
    size_t n;
    pthread_t thread;
    bool runs;
};

static _Atomic bool on, reachable, stop;
static _Atomic uint64_t told, failures;

bool shared_reachable(void)
{
    return !on || reachable;
}

struct shared_stats shared_stats(void)
{
    return (struct shared_stats){
        .on = on, .reachable = reachable, .told = told, .failures = failures};
}

/* ---- the connection ---- */

void carrier_why(struct carrier *c, const char *why)
{
    if (!c->why[0]) {
        snprintf(c->why, sizeof c->why, "%s", why);
    }
}

static void disconnect(struct shared *s)
{
    struct carrier *c = s->carrier;
    c->ops->disconnect(c);
    s->connected = false;
    failures++;
    if (s->when_unreachable == UNREACHABLE_ALLOW) {
        /* First: a call that sees it unreachable is not refused for a lease. */
        counters_alone(true);
    }
    reachable = false;
    if (!s->told_down) {
        s->tell(c->ops->name, false, c->why);
    }
    s->told_down = true;
    c->why[0] = 0;
}

static bool connected(struct shared *s, uint64_t now_ms)
{
    if (s->connected || now_ms - s->tried_ms < RECONNECT_MS) {
        return s->connected;
    }
    s->tried_ms = now_ms;
    if (!s->carrier->ops->connect(s->carrier)) {
        disconnect(s);
        return false;
    }
    s->connected = true;
    counters_alone(false);
    reachable = true;
    s->told_down = false;
    s->tell(s->carrier->ops->name, true, NULL);
    return true;
}

/* ---- telling ---- */

/* For so long the present window counts, as it slides; 0: a day, a month, or calls under way. */
static uint64_t window_ms(enum limit_per per)
{
    static const uint64_t ms[PER_NOTHING + 1] = {
        [PER_SECOND] = 1000, [PER_MINUTE] = 60000, [PER_HOUR] = 3600000};
    return ms[per] * 16 / 15;
}

static uint64_t keep_ms(enum limit_per per)
{
    static const uint64_t day = 86400000, days[PER_NOTHING + 1] = {[PER_DAY] = 2, [PER_MONTH] = 33};
    return days[per] * day + 2 * (window_ms(per) + SHARE_SILENT_MS);
}

static struct share share_of(const struct counter *c, uint64_t tick, uint64_t taken,
                             uint64_t settled)
{
    return (struct share){.digest = c->digest,
                          .tick = tick,
                          .taken = taken,
                          .settled = settled,
                          .window_ms = window_ms(c->per),
                          .keep_ms = keep_ms(c->per)};
}

/* They know now; and so do we. */
static void note(struct counter *c, const struct share *t, uint64_t now_ms)
{
    atomic_store(&c->limit.others, t->others);
    atomic_store(&c->limit.others_settled, t->others_settled);
    atomic_store(&c->limit.known, t->taken);
    atomic_store(&c->limit.lease, counter_lease(c));
    c->shared.told = t->taken;
    c->shared.told_settled = t->settled;
    c->shared.told_ms = now_ms;
    told++;
}

static void send_batch(struct shared *s, uint64_t now_ms)
{
    bool ok = s->connected && s->carrier->ops->tell(s->carrier, s->batch, s->n);
    for (size_t i = 0; ok && i < s->n; i++) {
        note(s->counters[i], &s->batch[i], now_ms);
    }
    if (!ok) {
        disconnect(s);
    }
    s->n = 0;
}

/* ---- what there is to tell ---- */

/* Another day: what was known is of the one before. What counts no more here is known to nobody. */
static void keep_up(struct counter *c, uint64_t tick, uint64_t taken, uint64_t now_ms)
{
    /* Of calls under way, what nobody has confirmed for long is over for all that is known. */
    uint64_t lasts_ms = c->per == PER_NOTHING ? SHARE_SILENT_MS : window_ms(c->per);
    if (c->shared.tick != tick) {
        atomic_store(&c->limit.others, 0);
        atomic_store(&c->limit.others_settled, 0);
        c->shared.told = c->shared.told_settled = 0;
        c->shared.tick = tick;
        c->shared.asked = true;
    }
    if (atomic_load(&c->limit.known) > taken) {
        atomic_store(&c->limit.known, taken);
    }
    if (lasts_ms && now_ms - c->shared.told_ms > lasts_ms) {
        atomic_store(&c->limit.others, 0);
    }
}

static bool is_due(const struct counter *c, const struct share *t, uint64_t now_ms)
{
    bool any = t->taken || atomic_load(&c->limit.others);
    uint64_t wait_ms = any ? LOOK_MS : IDLE_LOOK_MS;
    return c->shared.asked || t->taken != c->shared.told || t->settled != c->shared.told_settled ||
           now_ms - c->shared.told_ms >= wait_ms;
}

static void look(struct shared *s, struct counter *c, const struct limit_now *now, bool send)
{
    const struct limit_rule r = {.per = c->per, .zone = c->zone, .counter = &c->limit};
    const uint64_t now_ms = now->mono_us / 1000;
    const uint64_t tick = limit_is_calendar(c->per) ? limit_tick(c->per, c->zone, now) : 0;
    /* First what is settled: so it is never more than what is taken. */
    const uint64_t settled = c->per == PER_NOTHING ? 0 : limit_settled(&r, now);
    keep_up(c, tick, counter_taken(c, now), now_ms);
    /* Looked at again: who has taken more meanwhile may have seen the `known` of before. */
    const struct share t = share_of(c, tick, counter_taken(c, now), settled);
    if (send && is_due(c, &t, now_ms)) {
        c->shared.asked = false;
        s->counters[s->n] = c;
        s->batch[s->n] = t;
        s->batch[s->n++].sequence = ++s->sequence;
    }
}

static void pass(struct shared *s)
{
    struct counter *page[SHARE_BATCH];
    const struct limit_now now = counter_now(clock_us(), clock_wall_us());
    const uint64_t now_ms = now.mono_us / 1000;
    bool send = connected(s, now_ms);
    size_t at = 0, n;
    while ((n = counters_shared(page, SHARE_BATCH, &at)) > 0) {
        for (size_t i = 0; i < n; i++) {
            look(s, page[i], &now, send && s->connected);
        }
        if (s->n) {
            send_batch(s, now_ms);
        }
        for (size_t i = 0; i < n; i++) {
            counter_drop(page[i]);
        }
    }
}

static void *shared_main(void *arg)
{
    struct shared *s = arg;
    pthread_setname_np(pthread_self(), "accord-shared");
    while (!stop) {
        uint64_t began = clock_us();
        pass(s);
        uint64_t took_us = clock_us() - began, rest_us = PASS_MS * 1000;
        rest_us =
            s->connected && took_us * SHARE_OF_TIME > rest_us ? took_us * SHARE_OF_TIME : rest_us;
        rest_us = rest_us < 100000 ? rest_us : 100000;
        nanosleep(&(struct timespec){.tv_nsec = (long)rest_us * 1000}, NULL);
    }
    pass(s); /* what was settled last */
    return NULL;
}

/* ---- life ---- */

/* The process's name among the others, made at its first start. */
static int read_id(struct carrier *c, const char *dir)
{
    unsigned char bytes[SHARE_ID_BYTES];
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    int fd = at < 0 ? -1 : openat(at, "limits.id", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        r = -errno;
    } else if (read(fd, c->id, sizeof c->id - 1) != (ssize_t)sizeof c->id - 1) {
        randombytes_buf(bytes, sizeof bytes);
        sodium_bin2hex(c->id, sizeof c->id, bytes, sizeof bytes);
        r = pwrite(fd, c->id, sizeof c->id - 1, 0) < 0 || fsync(fd) < 0 ? -errno : 0;
    }
    for (size_t i = 0; r == 0 && i < sizeof c->id - 1; i++) {
        r = strchr("0123456789abcdef", c->id[i]) && c->id[i] ? 0 : -EINVAL;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (at >= 0) {
        close(at);
    }
    return r;
}

static void shared_free(struct shared *s)
{
    s->carrier->ops->free(s->carrier);
    free(s);
}

/* NULL: there is none, and `errors` says why. */
static struct carrier *carrier_of(const struct config_shared *c, struct str database,
                                  struct buf *errors)
{
    struct carrier *r = NULL;
    if (c->postgres && !database.n) {
        buf_addz(errors, "shared.postgres: the state is not in PostgreSQL; name it in database.url "
                         "or in ACCORD_DATABASE_URL, or a Redis in shared.redis\n");
    } else if (c->postgres) {
        r = carrier_postgres(database, errors);
    } else if (!(r = carrier_redis(secret_reveal(c->redis)))) {
        buf_printf(errors, "shared.redis: the URL cannot be taken apart; allowed: %s\n",
                   rule_redis_url.allowed);
    }
    return r;
}

int shared_open(const struct config_shared *c, struct str database, const char *dir,
                shared_tell tell, struct shared **ret, struct buf *errors)
{
    if (secret_empty(c->redis) && !c->postgres) {
        *ret = NULL;
        return 0;
    }
    struct carrier *carrier = carrier_of(c, database, errors);
    int r = carrier ? read_id(carrier, dir) : -EINVAL;
    if (r < 0 && carrier) {
        buf_printf(errors, "shared: %s/limits.id cannot be used: %s\n", dir, strerror(-r));
        carrier->ops->free(carrier);
    }
    if (r < 0) {
        return r;
    }
    struct shared *s = mem_zalloc(sizeof *s);
    s->carrier = carrier;
    s->when_unreachable = c->when_unreachable;
    s->tell = tell;
    s->sequence = clock_wall_us(); /* after those of an earlier life */
    counters_share((unsigned)c->lease_percent);
    on = true;
    *ret = s;
    return 0;
}

void shared_start(struct shared *s)
{
    if (s) {
        s->runs = true;
        must(pthread_create(&s->thread, NULL, shared_main, s) == 0);
    }
}

void shared_stop(struct shared *s)
{
    if (s) {
        stop = true;
        if (s->runs) {
            pthread_join(s->thread, NULL);
        }
        shared_free(s);
    }
}
