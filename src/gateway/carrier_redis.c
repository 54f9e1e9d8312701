/* In Redis a counter of a window is a hash, "accord:limit:DIGEST:WINDOW", with a field for each process:
 *
 *   ID of the process -> "SEQUENCE TAKEN SETTLED MILLISECONDS"
 *
 * A script writes one's own field and answers with the sum of the others', in one step. What is asked and answered is
 * printed and read by hiredis; the bytes go through here, because Debian's hiredis knows no TLS. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/must.h"
#include "dialect/endpoint.h"
#include "gateway/carrier.h"
#include "net/tls.h"

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

struct redis {
    struct carrier carrier; /* first member */
    char *host, *user, *password, *number;
    int port;
    bool secure;
    redisContext *c; /* NULL: not connected */
    struct tls_ctx *ctx;
    struct tls *tls;
    char sha[41];
};

static struct redis *of(struct carrier *c)
{
    return (struct redis *)c;
}

/* ---- bytes ---- */

static bool lost(struct redis *r)
{
    bool late = errno == EAGAIN || errno == EWOULDBLOCK;
    carrier_why(&r->carrier, late ? "it does not answer in time" : strerror(errno));
    return false;
}

static bool send_bytes(struct redis *r, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = send(r->c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return lost(r);
        }
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool send_pending(struct redis *r)
{
    struct str out = tls_pending(r->tls);
    bool ok = send_bytes(r, out.p, out.n);
    tls_sent(r->tls, out.n);
    return ok;
}

/* What hiredis has printed goes out. */
static bool flush(struct redis *r)
{
    bool ok = true;
    if (!r->tls) {
        ok = send_bytes(r, r->c->obuf, sdslen(r->c->obuf));
    } else if (tls_write(r->tls, r->c->obuf, sdslen(r->c->obuf)) < 0) {
        carrier_why(&r->carrier, tls_why(r->tls));
        ok = false;
    } else {
        ok = send_pending(r);
    }
    sdsclear(r->c->obuf);
    return ok;
}

/* Waits for bytes; 0 of them: lost. */
static size_t receive(struct redis *r, char *to, size_t cap)
{
    ssize_t n;
    do {
        n = recv(r->c->fd, to, cap, 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        carrier_why(&r->carrier, "it has closed the connection");
    } else if (n < 0) {
        (void)lost(r);
    }
    return n > 0 ? (size_t)n : 0;
}

static bool read_plain(struct redis *r)
{
    char bytes[16384];
    size_t n = receive(r, bytes, sizeof bytes);
    return n && redisReaderFeed(r->c->reader, bytes, n) == REDIS_OK;
}

static bool read_more(struct redis *r)
{
    char bytes[16384];
    ssize_t n;
    if (!r->tls) {
        return read_plain(r);
    }
    while ((n = tls_read(r->tls, bytes, sizeof bytes)) == 0) {
        size_t got = receive(r, bytes, sizeof bytes);
        if (!got) {
            return false;
        }
        tls_feed(r->tls, bytes, got);
    }
    if (n < 0) {
        carrier_why(&r->carrier,
                    n == -ECONNRESET ? "it has closed the connection" : tls_why(r->tls));
    }
    return n > 0 && redisReaderFeed(r->c->reader, bytes, (size_t)n) == REDIS_OK;
}

/* The next answer; NULL: lost, or it was an error. The caller frees it. */
static redisReply *answer(struct redis *r)
{
    void *reply = NULL;
    while (redisReaderGetReply(r->c->reader, &reply) == REDIS_OK && !reply) {
        if (!read_more(r)) {
            return NULL;
        }
    }
    redisReply *a = reply;
    if (!a) {
        carrier_why(&r->carrier, "it does not speak the protocol of Redis");
    } else if (a->type == REDIS_REPLY_ERROR) {
        carrier_why(&r->carrier, a->str);
        freeReplyObject(a);
        a = NULL;
    }
    return a;
}

/* ---- the connection ---- */

static void disconnect(struct carrier *c)
{
    struct redis *r = of(c);
    tls_free(r->tls);
    r->tls = NULL;
    if (r->c) {
        redisFree(r->c);
        r->c = NULL;
    }
}

static bool shake(struct redis *r)
{
    struct buf why = {.limit = 512};
    char bytes[16384];
    int done;
    if (!r->ctx && tls_client_ctx(&r->ctx, &why) < 0) {
        buf_addc(&why, 0);
        carrier_why(&r->carrier, why.p);
        buf_free(&why);
        return false;
    }
    buf_free(&why);
    r->tls = tls_new(r->ctx, r->host);
    while ((done = tls_shake(r->tls)) == 0) {
        size_t n = send_pending(r) ? receive(r, bytes, sizeof bytes) : 0;
        if (!n) {
            return false;
        }
        tls_feed(r->tls, bytes, n);
    }
    if (done < 0) {
        carrier_why(&r->carrier, tls_why(r->tls));
        (void)send_pending(r); /* the alert that says why */
        tls_ctx_unref(r->ctx); /* the authorities may have changed */
        r->ctx = NULL;
    }
    return done == 1 && send_pending(r);
}

/* Whether the server has done it. */
static bool done(struct redis *r, int argc, const char **argv, char *ret_text, size_t cap)
{
    if (redisAppendCommandArgv(r->c, argc, argv, NULL) != REDIS_OK || !flush(r)) {
        return false;
    }
    redisReply *a = answer(r);
    if (a && ret_text && a->type == REDIS_REPLY_STRING && a->str && strlen(a->str) < cap) {
        snprintf(ret_text, cap, "%s", a->str);
    }
    if (a) {
        freeReplyObject(a);
    }
    return a != NULL;
}

static bool greet(struct redis *r)
{
    const char *auth[3] = {"AUTH"}, *select[2] = {"SELECT", r->number};
    const char *load[3] = {"SCRIPT", "LOAD", script};
    int n = 1;
    if (r->password) {
        if (r->user) {
            auth[n++] = r->user;
        }
        auth[n++] = r->password;
    }
    return (n == 1 || done(r, n, auth, NULL, 0)) && (!r->number || done(r, 2, select, NULL, 0)) &&
           done(r, 3, load, r->sha, sizeof r->sha);
}

static bool connect_now(struct carrier *c)
{
    struct redis *r = of(c);
    const struct timeval patience = {.tv_sec = SHARE_ANSWER_MS / 1000};
    r->c = redisConnectWithTimeout(r->host, r->port, patience);
    if (!r->c || r->c->err || redisSetTimeout(r->c, patience) != REDIS_OK) {
        carrier_why(c, r->c && r->c->err ? r->c->errstr : "no connection could be made");
        return false;
    }
    return (!r->secure || shake(r)) && greet(r);
}

/* ---- telling ---- */

static void append(struct redis *r, const struct share *s)
{
    char hex[2 * COUNTER_DIGEST + 1];
    sodium_bin2hex(hex, sizeof hex, s->digest, COUNTER_DIGEST);
    redisAppendCommand(r->c,
                       "EVALSHA %s 1 accord:limit:%s:%" PRIu64 " %s %" PRIu64 " %" PRIu64
                       " %" PRIu64 " %" PRIu64 " %d %" PRIu64,
                       r->sha, hex, s->tick, r->carrier.id, s->sequence, s->taken, s->settled,
                       s->window_ms, SHARE_SILENT_MS, s->keep_ms);
}

static uint64_t number_of(const redisReply *r, size_t i)
{
    const redisReply *x = r->element[i];
    return x->type == REDIS_REPLY_STRING ? strtoull(x->str, NULL, 10) : 0;
}

static bool hear(struct redis *r, struct share *s)
{
    redisReply *a = answer(r);
    bool ok = a && a->type == REDIS_REPLY_ARRAY && a->elements == 2;
    if (ok) {
        s->others = number_of(a, 0);
        s->others_settled = number_of(a, 1);
    }
    if (a) {
        freeReplyObject(a);
    }
    return ok;
}

/* The script is gone, it is busy or a replica, or nothing came: false, all is begun anew. */
static bool tell(struct carrier *c, struct share *all, size_t n)
{
    struct redis *r = of(c);
    for (size_t i = 0; i < n; i++) {
        append(r, &all[i]);
    }
    bool ok = flush(r);
    for (size_t i = 0; ok && i < n; i++) {
        ok = hear(r, &all[i]);
    }
    if (!ok) {
        carrier_why(c, "its answer is not what was asked for");
    }
    return ok;
}

/* ---- life ---- */

static void free_redis(struct carrier *c)
{
    struct redis *r = of(c);
    disconnect(c);
    tls_ctx_unref(r->ctx);
    if (r->password) {
        sodium_memzero(r->password, strlen(r->password));
    }
    free(r->host);
    free(r->user);
    free(r->password);
    free(r->number);
    free(r);
}

static char *copy(struct str text)
{
    char *z = mem_zalloc(text.n + 1);
    ptrdiff_t n = percent_decode(text, z);
    z[n < 0 ? 0 : n] = 0;
    return z;
}

static int take_apart(struct redis *r, struct str url)
{
    r->secure = str_starts(url, STR("rediss://"));
    struct str rest = str_from(url, r->secure ? 9 : 8), authority, user, host;
    uint64_t port = 6379;
    str_cut(&rest, '/', &authority);
    if (rest.n) {
        r->number = copy(rest);
    }
    ptrdiff_t at = str_chr(authority, '@');
    if (at >= 0) {
        struct str secret = str_first(authority, (size_t)at);
        authority = str_from(authority, (size_t)at + 1);
        if (!str_cut(&secret, ':', &user)) {
            return -EINVAL;
        }
        r->user = user.n ? copy(user) : NULL;
        r->password = copy(secret);
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
    r->host = copy(host);
    if (authority.n && (str_to_u64(authority, &port) < 0 || !port || port > 65535)) {
        return -EINVAL;
    }
    r->port = (int)port;
    return host.n ? 0 : -EINVAL;
}

struct carrier *carrier_redis(struct str url)
{
    static const struct carrier_ops ops = {.name = "Redis",
                                           .connect = connect_now,
                                           .tell = tell,
                                           .disconnect = disconnect,
                                           .free = free_redis};
    struct redis *r = mem_zalloc(sizeof *r);
    r->carrier.ops = &ops;
    if (take_apart(r, url) < 0) {
        free_redis(&r->carrier);
        return NULL;
    }
    return &r->carrier;
}
