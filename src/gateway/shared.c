#include "gateway/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "dialect/endpoint.h"
#include "model/config.h"
#include "model/rule.h"
#include "net/loop.h"

enum {
    PASS_MS = 5,
    SHARE_OF_TIME = 20, /* a pass takes at most one part of so many */
    LOOK_MS = 250,      /* what others have is asked for so often while somebody has something */
    IDLE_LOOK_MS = 5000,
    RECONNECT_MS = 200,
    ANSWER_MS = 1000,
    SILENT_MS = 60000, /* a process that was not heard of for so long is gone */
    BATCH = 256,
    ID_BYTES = 8,
};

static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local window, silent = tonumber(ARGV[5]), tonumber(ARGV[6])\n"
    "local taken, settled, late = 0, 0, false\n"
    "local all = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #all, 2 do\n"
    "  local s, a, b, at = string.match(all[i + 1], '^(%d+) (%d+) (%d+) (%d+)$')\n"
    "  if all[i] == ARGV[1] then\n"
    "    late = tonumber(s) > tonumber(ARGV[2])\n"
    "  elseif window > 0 and now - at > window then\n"
    "    redis.call('HDEL', KEYS[1], all[i])\n"
    "  else\n"
    "    taken = taken + (now - at > silent and b or a)\n"
    "    settled = settled + b\n"
    "  end\n"
    "end\n"
    "if not late then\n"
    "  redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %s %s %.0f', ARGV[2], ARGV[3], "
    "ARGV[4], now))\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[7])\n"
    "end\n"
    "return {string.format('%.0f', taken), string.format('%.0f', settled)}\n";

struct told {
    struct counter *counter;
    uint64_t tick, taken, settled;
};

struct shared {
    char *host, *user, *password, *number;
    int port;
    enum unreachable when_unreachable;
    char id[2 * ID_BYTES + 1];
    uint64_t sequence;
    redisContext *redis; /* NULL: not connected */
    char sha[41];
    uint64_t tried_ms;
    shared_tell tell;
    bool told_down;
    char why[128]; /* it cannot be used */
    struct told batch[BATCH];
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

static void note_why(struct shared *s, const char *why)
{
    if (!s->why[0]) {
        snprintf(s->why, sizeof s->why, "%s", why);
    }
}

static void disconnect(struct shared *s)
{
    if (s->redis) {
        note_why(s, s->redis->err ? s->redis->errstr : "its answer is not what was asked for");
        redisFree(s->redis);
        s->redis = NULL;
        failures++;
    }
    if (s->when_unreachable == UNREACHABLE_ALLOW) {
        counters_alone(
            true); /* first: a call that sees it unreachable is not refused for a lease */
    }
    reachable = false;
    if (!s->told_down) {
        s->tell(false, s->why);
    }
    s->told_down = true;
    s->why[0] = 0;
}

/* Whether the server has done it. */
static bool done(struct shared *s, int argc, const char **argv, char *ret_text, size_t cap)
{
    redisReply *r = redisCommandArgv(s->redis, argc, argv, NULL);
    bool ok = r && r->type != REDIS_REPLY_ERROR;
    if (ok && ret_text && r->type == REDIS_REPLY_STRING && (size_t)r->len < cap) {
        memcpy(ret_text, r->str, (size_t)r->len + 1);
    }
    if (r && !ok) {
        note_why(s, r->str);
    }
    if (r) {
        freeReplyObject(r);
    }
    return ok;
}

static bool greet(struct shared *s)
{
    const char *auth[3] = {"AUTH"}, *select[2] = {"SELECT", s->number};
    const char *load[3] = {"SCRIPT", "LOAD", script};
    int n = 1;
    if (s->password) {
        if (s->user) {
            auth[n++] = s->user;
        }
        auth[n++] = s->password;
    }
    return (n == 1 || done(s, n, auth, NULL, 0)) && (!s->number || done(s, 2, select, NULL, 0)) &&
           done(s, 3, load, s->sha, sizeof s->sha);
}

static bool connected(struct shared *s, uint64_t now_ms)
{
    const struct timeval patience = {.tv_sec = ANSWER_MS / 1000};
    if (s->redis) {
        return true;
    }
    if (now_ms - s->tried_ms < RECONNECT_MS) {
        return false;
    }
    s->tried_ms = now_ms;
    s->redis = redisConnectWithTimeout(s->host, s->port, patience);
    if (!s->redis || s->redis->err || redisSetTimeout(s->redis, patience) != REDIS_OK ||
        !greet(s)) {
        disconnect(s);
        return false;
    }
    counters_alone(false);
    reachable = true;
    s->told_down = false;
    s->tell(true, NULL);
    return true;
}

/* ---- telling ---- */

static uint64_t window_ms(enum limit_per per)
{
    static const uint64_t ms[] = {[PER_SECOND] = 1000, [PER_MINUTE] = 60000, [PER_HOUR] = 3600000};
    return limit_tick_us(per) ? ms[per] : 0;
}

static uint64_t keep_ms(enum limit_per per)
{
    const uint64_t day = 86400000;
    return per == PER_MONTH ? 33 * day : per == PER_DAY ? 2 * day : 2 * window_ms(per) + SILENT_MS;
}

static void append(struct shared *s, const struct told *t)
{
    const struct counter *c = t->counter;
    char hex[2 * COUNTER_DIGEST + 1];
    sodium_bin2hex(hex, sizeof hex, c->digest, COUNTER_DIGEST);
    redisAppendCommand(s->redis,
                       "EVALSHA %s 1 accord:limit:%s:%" PRIu64 " %s %" PRIu64 " %" PRIu64
                       " %" PRIu64 " %" PRIu64 " %d %" PRIu64,
                       s->sha, hex, limit_tick_us(c->per) ? 0 : t->tick, s->id, ++s->sequence,
                       t->taken, t->settled, window_ms(c->per) * 16 / 15, SILENT_MS,
                       keep_ms(c->per));
}

static uint64_t number_of(const redisReply *r, size_t i)
{
    const redisReply *x = r->element[i];
    return x->type == REDIS_REPLY_STRING ? strtoull(x->str, NULL, 10) : 0;
}

/* They know now; and so do we. */
static void note(const struct told *t, const redisReply *r, uint64_t now_ms)
{
    struct counter *c = t->counter;
    atomic_store(&c->limit.others, number_of(r, 0));
    atomic_store(&c->limit.others_settled, number_of(r, 1));
    atomic_store(&c->limit.known, t->taken);
    atomic_store(&c->limit.lease, counter_lease(c));
    c->shared.told = t->taken;
    c->shared.told_settled = t->settled;
    c->shared.told_ms = now_ms;
    told++;
}

static void send_batch(struct shared *s, uint64_t now_ms)
{
    void *reply;
    bool ok = s->redis != NULL;
    for (size_t i = 0; ok && i < s->n; i++) {
        append(s, &s->batch[i]);
    }
    for (size_t i = 0; ok && i < s->n; i++) {
        ok = redisGetReply(s->redis, &reply) == REDIS_OK;
        const redisReply *r = ok ? reply : NULL;
        if (ok && r->type == REDIS_REPLY_ERROR) {
            note_why(s, r->str);
        }
        ok = ok && r->type == REDIS_REPLY_ARRAY && r->elements == 2;
        if (ok) {
            note(&s->batch[i], r, now_ms);
        }
        if (r) {
            freeReplyObject(reply);
        }
    }
    if (!ok) { /* the script is gone, it is busy or a replica, or nothing came: all anew */
        disconnect(s);
    }
    s->n = 0;
}

/* ---- what there is to tell ---- */

/* Another day: what was known is of the one before. What counts no more here is known to nobody. */
static void keep_up(struct counter *c, const struct told *t, uint64_t now_ms)
{
    bool slides = limit_tick_us(c->per) > 0;
    if (!slides && c->shared.tick != t->tick) {
        atomic_store(&c->limit.others, 0);
        atomic_store(&c->limit.others_settled, 0);
        c->shared.told = c->shared.told_settled = 0;
        c->shared.tick = t->tick;
        c->shared.asked = true;
    }
    if (atomic_load(&c->limit.known) > t->taken) {
        atomic_store(&c->limit.known, t->taken);
    }
    if (slides && now_ms - c->shared.told_ms > window_ms(c->per) * 16 / 15) {
        atomic_store(&c->limit.others, 0);
    }
}

static bool is_due(const struct counter *c, const struct told *t, uint64_t now_ms)
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
    struct told t = {.counter = c, .tick = limit_tick(c->per, c->zone, now)};
    t.settled = limit_settled(&r, now); /* first: so it is never more than what is taken */
    t.taken = limit_taken(&r, now);
    keep_up(c, &t, now_ms);
    if (send && is_due(c, &t, now_ms)) {
        c->shared.asked = false;
        s->batch[s->n++] = t;
    }
}

static void pass(struct shared *s)
{
    struct counter *page[BATCH];
    const struct limit_now now = counter_now(clock_us(), clock_wall_us());
    const uint64_t now_ms = now.mono_us / 1000;
    bool send = connected(s, now_ms);
    size_t at = 0, n;
    while ((n = counters_shared(page, BATCH, &at)) > 0) {
        for (size_t i = 0; i < n; i++) {
            look(s, page[i], &now, send && s->redis);
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
        rest_us = s->redis && took_us * SHARE_OF_TIME > rest_us ? took_us * SHARE_OF_TIME : rest_us;
        rest_us = rest_us < 100000 ? rest_us : 100000;
        nanosleep(&(struct timespec){.tv_nsec = (long)rest_us * 1000}, NULL);
    }
    pass(s); /* what was settled last */
    return NULL;
}

/* ---- life ---- */

static char *copy(struct str text)
{
    char *z = mem_zalloc(text.n + 1);
    ptrdiff_t n = percent_decode(text, z);
    z[n < 0 ? 0 : n] = 0;
    return z;
}

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] */
static int take_apart(struct shared *s, struct str url)
{
    struct str rest = str_from(url, 8), authority, user, host;
    uint64_t port = 6379;
    str_cut(&rest, '/', &authority);
    if (rest.n) {
        s->number = copy(rest);
    }
    ptrdiff_t at = str_chr(authority, '@');
    if (at >= 0) {
        struct str secret = str_first(authority, (size_t)at);
        authority = str_from(authority, (size_t)at + 1);
        if (!str_cut(&secret, ':', &user)) {
            return -EINVAL;
        }
        s->user = user.n ? copy(user) : NULL;
        s->password = copy(secret);
    }
    if (authority.n && authority.p[0] == '[') {
        ptrdiff_t end = str_chr(authority, ']');
        host = end > 0 ? str_make(authority.p + 1, (size_t)end - 1) : (struct str){0};
        authority = end > 0 ? str_from(authority, (size_t)end + 1) : authority;
        if (authority.n && authority.p[0] == ':') {
            authority = str_from(authority, 1);
        }
    } else {
        str_cut(&authority, ':', &host);
    }
    s->host = copy(host);
    if (authority.n && (str_to_u64(authority, &port) < 0 || !port || port > 65535)) {
        return -EINVAL;
    }
    s->port = (int)port;
    return host.n ? 0 : -EINVAL;
}

/* The process's name among the others, made at its first start. */
static int read_id(struct shared *s, const char *dir)
{
    unsigned char bytes[ID_BYTES];
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    int fd = at < 0 ? -1 : openat(at, "limits.id", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        r = -errno;
    } else if (read(fd, s->id, sizeof s->id - 1) != (ssize_t)sizeof s->id - 1) {
        randombytes_buf(bytes, sizeof bytes);
        sodium_bin2hex(s->id, sizeof s->id, bytes, sizeof bytes);
        r = pwrite(fd, s->id, sizeof s->id - 1, 0) < 0 || fsync(fd) < 0 ? -errno : 0;
    }
    for (size_t i = 0; r == 0 && i < sizeof s->id - 1; i++) {
        r = strchr("0123456789abcdef", s->id[i]) && s->id[i] ? 0 : -EINVAL;
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
    if (s->redis) {
        redisFree(s->redis);
    }
    if (s->password) {
        sodium_memzero(s->password, strlen(s->password));
    }
    free(s->host);
    free(s->user);
    free(s->password);
    free(s->number);
    free(s);
}

int shared_open(const struct config_shared *c, const char *dir, shared_tell tell,
                struct shared **ret, struct buf *errors)
{
    if (secret_empty(c->redis)) {
        *ret = NULL;
        return 0;
    }
    struct shared *s = mem_zalloc(sizeof *s);
    s->when_unreachable = c->when_unreachable;
    s->tell = tell;
    s->sequence = clock_wall_us(); /* after those of an earlier life */
    int r = read_id(s, dir);
    if (r < 0) {
        buf_printf(errors, "shared: %s/limits.id cannot be used: %s\n", dir, strerror(-r));
    } else if ((r = take_apart(s, secret_reveal(c->redis))) < 0) {
        buf_printf(errors, "shared.redis: the URL cannot be taken apart; allowed: %s\n",
                   rule_redis_url.allowed);
    }
    if (r < 0) {
        shared_free(s);
        return r;
    }
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
