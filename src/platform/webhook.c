#include "platform/webhook.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/url.h"

struct delivery {
    struct delivery *next;
    struct webhooks *w;
    struct arena arena;
    struct str webhook, id, body;
    struct url url;
    struct connect_target target;
    unsigned char key[WEBHOOK_KEY_MAX];
    size_t key_n;
    struct http_up *up;
    struct timer timer; /* ends a try, or begins the next one */
    unsigned tries;
};

/* ---- the end of one ---- */

static void forget(struct delivery *d)
{
    struct webhooks *w = d->w;
    struct delivery **at = &w->_first;
    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
    w->waiting--;
    timer_clear(&d->timer);
    http_up_cancel(d->up);
    sodium_memzero(d->key, sizeof d->key);
    arena_reset(&d->arena);
    free(d);
}

static void complain(struct delivery *d, const char *why)
{
    struct webhooks *w = d->w;
    w->complain(w->arg, arena_printf(&d->arena,
                                     "the webhook \"%.*s\" was not told of %.*s after %u tries: %s",
                                     STR_ARG(d->webhook), STR_ARG(d->id), d->tries, why));
}

/* Full jitter: anywhere from now to twice as long as the last time at most. */
static uint64_t pause_ms(unsigned tries)
{
    uint64_t most = (uint64_t)WEBHOOK_FIRST_MS << (tries - 1);
    return randombytes_uniform((uint32_t)(most < WEBHOOK_MOST_MS ? most : WEBHOOK_MOST_MS)) + 1;
}

static void begin_try(struct timer *t);

static void try_failed(struct delivery *d, const char *why, bool for_good)
{
    http_up_cancel(d->up);
    d->up = NULL;
    if (for_good || d->tries == WEBHOOK_TRIES) {
        d->w->failed++;
        complain(d, why);
        forget(d);
        return;
    }
    d->timer.fire = begin_try;
    loop_timer(d->w->_loop, &d->timer, pause_ms(d->tries));
}

/* ---- one try ---- */

static void on_head(void *owner, const struct h1_head *h)
{
    struct delivery *d = owner;
    char why[64];
    if (h->status >= 200 && h->status < 300) {
        d->w->delivered++;
        forget(d);
        return;
    }
    bool redirected = h->status >= 300 && h->status < 400;
    snprintf(why, sizeof why,
             redirected ? "it answers %u, and redirects are not followed" : "it answers %u",
             h->status);
    try_failed(d, why, redirected || h->status == 410); /* 410: it wants none any more */
}

/* The head has ended the exchange; nothing comes here. */
static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    (void)owner;
    (void)pieces;
    (void)n;
    (void)end;
}

static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    struct delivery *d = owner;
    d->up = NULL;
    (void)detail;
    bool private = why == HTTP_FAIL_CONNECT && connect == CONNECT_PRIVATE;
    try_failed(d,
               private ? "it is at a private address; allow_private_address allows that"
               : why == HTTP_FAIL_CONNECT ? "no connection could be made"
                                          : "the connection broke before it answered",
               false);
}

static void on_late(struct timer *t)
{
    struct delivery *d = (struct delivery *)((char *)t - offsetof(struct delivery, timer));
    try_failed(d, "it did not answer in time", false);
}

/* v1,BASE64(HMAC-SHA256(key, "ID.TIMESTAMP.BODY")) */
static void add_signature(struct delivery *d, struct buf *b, int64_t now_s)
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(sizeof mac, sodium_base64_VARIANT_ORIGINAL)];
    struct str head = arena_printf(&d->arena, "%.*s.%lld.", STR_ARG(d->id), (long long)now_s);
    crypto_auth_hmacsha256_init(&state, d->key, d->key_n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)head.p, head.n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)d->body.p, d->body.n);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2base64(text, sizeof text, mac, sizeof mac, sodium_base64_VARIANT_ORIGINAL);
    buf_printf(b, "webhook-id: %.*s\r\nwebhook-timestamp: %lld\r\nwebhook-signature: v1,%s\r\n",
               STR_ARG(d->id), (long long)now_s, text);
}

static void on_ready(void *owner)
{
    struct delivery *d = owner;
    struct buf b = {.arena = &d->arena};
    bool plain_proxy = !d->target.tls && d->target.proxy_host.n;
    buf_addz(&b, "POST ");
    if (plain_proxy) { /* a proxy is asked for the whole URL (RFC 9112, 3.2.2) */
        buf_printf(&b, "http://%.*s", STR_ARG(d->url.authority));
    }
    buf_printf(&b, "%.*s HTTP/1.1\r\nhost: %.*s\r\n", STR_ARG(d->url.target),
               STR_ARG(d->url.authority));
    if (plain_proxy && d->target.proxy_auth.n) {
        buf_printf(&b, "proxy-authorization: %.*s\r\n", STR_ARG(d->target.proxy_auth));
    }
    buf_printf(&b,
               "user-agent: accord/" ACCORD_VERSION "\r\ncontent-type: application/json\r\n"
               "content-length: %zu\r\nconnection: close\r\n",
               d->body.n);
    add_signature(d, &b, (int64_t)(clock_wall_us() / 1000000));
    buf_addz(&b, "\r\n");
    const struct iovec v[] = {{b.p, b.n}, {(void *)(uintptr_t)d->body.p, d->body.n}};
    http_up_send(d->up, v, 2, M_POST, true);
}

static const struct http_up_ops up_ops = {
    .ready = on_ready, .head = on_head, .body = on_body, .failed = on_failed};

static struct http_client *client_of(struct webhooks *w)
{
    const struct http_client_timeouts t = {
        .connect_ms = WEBHOOK_TRY_MS, .first_byte_ms = WEBHOOK_TRY_MS, .idle_ms = WEBHOOK_TRY_MS};
    if (!w->_client) {
        w->_client = http_client_new(w->_loop);
        http_client_timeouts(w->_client, &t);
    }
    return w->_client;
}

static void begin_try(struct timer *timer)
{
    struct delivery *d = (struct delivery *)((char *)timer - offsetof(struct delivery, timer));
    struct webhooks *w = d->w;
    struct buf why = {.arena = &d->arena};
    const char *variable;
    bool ready;
    d->tries++;
    d->target = (struct connect_target){.host = d->url.host,
                                        .port = d->url.port,
                                        .tls = d->url.tls,
                                        .allow_private = d->target.allow_private};
    if ((d->url.tls && !w->_tls && tls_client_ctx(&w->_tls, &why) < 0) ||
        connect_proxy_from_env(&d->arena, &d->target, &variable) < 0) {
        try_failed(d, "this server's proxy or its authorities are not set up", false);
        return;
    }
    d->target.tls_ctx = d->url.tls ? w->_tls : NULL;
    d->timer.fire = on_late;
    loop_timer(w->_loop, &d->timer, WEBHOOK_TRY_MS);
    const struct http_origin_config c = {.target = d->target};
    d->up = http_up_once(client_of(w), &c, &up_ops, d, &ready);
}

/* ---- from outside ---- */

/* Each has a line of its own: one that is down takes nobody else's room. */
static size_t waiting_for(const struct webhooks *w, struct str webhook)
{
    size_t n = 0;
    for (const struct delivery *d = w->_first; d; d = d->next) {
        n += str_eq(d->webhook, webhook);
    }
    return n;
}

void webhook_send(struct webhooks *w, const struct config_webhook *to, struct str id,
                  struct str body)
{
    const char *why;
    if (waiting_for(w, to->id) == WEBHOOK_WAITING_MAX) {
        w->dropped++;
        return;
    }
    struct delivery *d = mem_zalloc(sizeof *d);
    d->w = w;
    d->next = w->_first;
    w->_first = d;
    w->waiting++;
    d->webhook = arena_dup(&d->arena, to->id);
    d->id = arena_dup(&d->arena, id);
    d->body = arena_dup(&d->arena, body);
    d->target.allow_private = to->allow_private_address;
    if (!webhook_key(secret_reveal(to->secret), d->key, &d->key_n) ||
        url_parse(&d->arena, to->url, &d->url, &why) < 0) {
        try_failed(d, "its url or its secret cannot be read", true);
        return;
    }
    d->timer.fire = begin_try;
    loop_timer(w->_loop, &d->timer, 0);
}

void webhooks_renew(struct webhooks *w)
{
    tls_ctx_unref(w->_tls);
    w->_tls = NULL;
}

void webhooks_free(struct webhooks *w)
{
    while (w->_first) {
        forget(w->_first);
    }
    if (w->_client) {
        http_client_free(w->_client);
    }
    webhooks_renew(w);
}
