#include "gateway/fetch.h"

#include <stdlib.h>

#include "base/base64.h"

enum { TYPE_SHOWN = 64 };

static uint64_t max_bytes(const struct fetch *f)
{
    return (uint64_t)f->hold->snap->config->fetch.max_bytes;
}

/* ---- the end ---- */

static void release(struct fetch *f)
{
    http_up_cancel(f->_up);
    f->_up = NULL;
    timer_clear(&f->_timer);
    buf_free(&f->_body);
}

void fetch_cancel(struct fetch *f)
{
    release(f);
    f->over = true;
}

__attribute__((format(printf, 2, 3))) static void fail(struct fetch *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    f->why = arena_vprintf(f->arena, fmt, ap);
    va_end(ap);
    fetch_cancel(f);
    f->done(f);
}

static const char *noun(const struct fetch *f)
{
    return f->kind == IR_IMAGE ? "an image" : f->kind == IR_AUDIO ? "a recording" : "a document";
}

static void on_timer(struct timer *t)
{
    struct fetch *f = (struct fetch *)((char *)t - offsetof(struct fetch, _timer));
    fail(f, "it did not come whole within %d seconds", FETCH_MS / 1000);
}

/* ---- what comes ---- */

static void fail_type(struct fetch *f)
{
    struct str t = str_first(f->_declared, TYPE_SHOWN);
    struct str taken = media_taken(f->kind);
    fail(f, "what came is %s%.*s, which is not taken for %s (%.*s)", t.n ? "" : "of no type",
         STR_ARG(t), noun(f), STR_ARG(taken));
}

static void fail_size(struct fetch *f)
{
    if (f->_n > max_bytes(f)) {
        fail(f, "it is larger than the %llu bytes that are fetched",
             (unsigned long long)max_bytes(f));
    } else {
        fail(f, "with the others of this request it is larger than the %llu bytes that are fetched",
             2 * (unsigned long long)max_bytes(f));
    }
}

/* The front is there, or all there is: true when it looks like what it is said to be. */
static bool find_type(struct fetch *f)
{
    struct str front = str_make(f->_front, f->_front_n);
    f->media_type = media_found(f->kind, f->_declared, front);
    return f->media_type.n > 0;
}

static void fail_front(struct fetch *f)
{
    struct str t = str_first(f->_declared, TYPE_SHOWN);
    if (t.n) {
        fail(f, "what came is said to be %.*s and is not", STR_ARG(t));
    } else {
        fail(f, "what came does not look like %s", noun(f));
    }
}

/* Keeps the first bytes; true when they are all there now. */
static bool take_front(struct fetch *f, struct str piece)
{
    struct str part = str_first(piece, MEDIA_FRONT - f->_front_n);
    if (part.n) {
        memcpy(f->_front + f->_front_n, part.p, part.n);
        f->_front_n = (uint8_t)(f->_front_n + part.n);
    }
    return part.n && f->_front_n == MEDIA_FRONT;
}

static void add(struct fetch *f, struct str piece)
{
    if (!f->_coder) {
        buf_add(&f->_body, piece);
        return;
    }
    size_t room = base64_size(piece.n + 2);
    char *to = buf_room(&f->_body, room);
    if (to) {
        f->_body.n -= room - base64_add(f->_coder, to, piece);
    }
}

/* As it stands in JSON: nothing else of a remote server's words is passed on. */
static struct str text_type(struct str declared)
{
    struct str type;
    str_cut(&declared, ';', &type);
    type = str_trim(type);
    for (size_t i = 0; i < type.n; i++) {
        char c = (char)(type.p[i] | 0x20);
        if (!((c >= 'a' && c <= 'z') || strchr("/.+-0123456789", type.p[i]))) {
            return STR("text/plain");
        }
    }
    return type;
}

static void finish(struct fetch *f)
{
    if (f->_n == 0) {
        fail(f, "what came is empty");
        return;
    }
    if (!f->_coder) {
        f->text = media_text(f->keep, buf_str(&f->_body));
        if (!f->text.p) {
            fail(f, "what came is no text in UTF-8");
            return;
        }
        f->media_type = text_type(f->_declared);
    } else {
        if (!f->media_type.n && !find_type(f)) {
            fail_front(f);
            return;
        }
        char *to = buf_room(&f->_body, 4);
        f->_body.n -= 4 - (to ? base64_end(f->_coder, to) : 0);
        f->data = buf_str(&f->_body);
        f->data = f->_body.arena ? f->data : arena_dup(f->keep, f->data);
    }
    fetch_cancel(f);
    f->done(f);
}

static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    struct fetch *f = owner;
    if (end) {
        f->_up = NULL; /* closed when we return */
    }
    for (int i = 0; i < n; i++) {
        struct str piece = str_make(pieces[i].iov_base, pieces[i].iov_len);
        f->_n += piece.n;
        if (f->_n > max_bytes(f) || piece.n > *f->left) {
            fail_size(f);
            return;
        }
        *f->left -= piece.n;
        if (f->_coder && take_front(f, piece) && !find_type(f)) {
            fail_front(f);
            return;
        }
        add(f, piece);
    }
    if (end) {
        finish(f);
    }
}

/* Of a known length it goes straight to where it stays. */
static void prepare_body(struct fetch *f, const struct h1_head *h, bool text)
{
    f->_body = (struct buf){.limit = base64_size((size_t)max_bytes(f) + 8)};
    if (!text) {
        f->_coder = arena_zalloc(f->arena, sizeof *f->_coder);
        if (h->body == BODY_LENGTH) {
            f->_body.arena = f->keep;
            (void)buf_room(&f->_body, base64_size((size_t)h->length + 8));
            f->_body.n = 0;
        }
    }
}

/* ---- asking ---- */

static void open_url(struct fetch *f);

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void redirect(struct fetch *f, const struct h1_head *h)
{
    const char *why;
    bool tls = f->url.tls;
    struct str location = h1_find(h, STR("location"));
    if (!location.p) {
        fail(f, "it redirects to nowhere");
    } else if (f->_redirects++ == FETCH_REDIRECTS) {
        fail(f, "it redirects more than %d times", FETCH_REDIRECTS);
    } else if (url_follow(f->arena, &f->url, location, &f->url, &why) < 0) {
        fail(f, "it redirects to a URL that cannot be used: %s", why);
    } else if (tls && !f->url.tls) {
        fail(f, "it redirects from https to http");
    } else {
        http_up_cancel(f->_up);
        open_url(f);
    }
}

static void on_head(void *owner, const struct h1_head *h)
{
    struct fetch *f = owner;
    struct str coding = h1_get(h, H_CONTENT_ENCODING);
    if (is_redirect(h->status)) {
        redirect(f, h);
        return;
    }
    if (h->status != 200) {
        fail(f, "the answer to it was %u", h->status);
        return;
    }
    if (coding.n && !str_ieq(coding, STR("identity"))) {
        fail(f, "it came compressed, which was not asked for");
        return;
    }
    f->_declared = arena_dup(f->arena, h1_get(h, H_CONTENT_TYPE));
    enum media m = media_declared(f->kind, f->wanted, f->_declared);
    if (m == MEDIA_REFUSED) {
        fail_type(f);
        return;
    }
    if (h->body == BODY_LENGTH && (h->length > max_bytes(f) || h->length > *f->left)) {
        f->_n = h->length;
        fail_size(f);
        return;
    }
    prepare_body(f, h, m == MEDIA_TEXT);
}

/* Not the connection's own words: they name addresses that only we are to know. */
static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    static const char *const words[] = {
        [CONNECT_NAME] = "its name does not resolve",
        [CONNECT_PRIVATE] = "it leads to a private address, and those are not fetched from",
        [CONNECT_TLS] = "its certificate is not trusted, or TLS failed with it",
        [CONNECT_TIMEOUT] = "no connection could be made in time",
    };
    struct fetch *f = owner;
    (void)detail;
    f->_up = NULL;
    if (why != HTTP_FAIL_CONNECT) {
        fail(f, "%s",
             why == HTTP_FAIL_MALFORMED ? "what came is no HTTP answer"
                                        : "the connection broke before all had come");
        return;
    }
    bool known = connect < sizeof words / sizeof *words && words[connect];
    fail(f, "%s", known ? words[connect] : "no connection could be made");
}

static void add_line(struct buf *b, struct str name, struct str value)
{
    buf_add(b, name);
    buf_add(b, value);
    buf_add(b, STR("\r\n"));
}

static void on_ready(void *owner)
{
    struct fetch *f = owner;
    struct connect_target t = {.host = f->url.host, .port = f->url.port, .tls = f->url.tls};
    struct buf b = {.arena = f->arena};
    const char *variable;
    buf_add(&b, STR("GET "));
    if (!t.tls && connect_proxy_from_env(f->arena, &t, &variable) == 0 && t.proxy_host.n) {
        buf_add(&b, STR("http://")); /* a proxy is asked for the whole URL (RFC 9112, 3.2.2) */
        buf_add(&b, f->url.authority);
    }
    add_line(&b, f->url.target, STR(" HTTP/1.1"));
    add_line(&b, STR("host: "), f->url.authority);
    if (!t.tls && t.proxy_auth.n) {
        add_line(&b, STR("proxy-authorization: "), t.proxy_auth);
    }
    add_line(&b, STR("user-agent: accord/"), STR(ACCORD_VERSION));
    buf_add(&b, STR("accept: "));
    add_line(&b, media_taken(f->kind), STR(", */*;q=0.1"));
    buf_add(&b, STR("accept-encoding: identity\r\nconnection: close\r\n\r\n"));
    struct iovec v = {b.p, b.n};
    http_up_send(f->_up, &v, 1, M_GET, true);
}

static const struct http_up_ops up_ops = {
    .ready = on_ready, .head = on_head, .body = on_body, .failed = on_failed};

/* One of a provider, or the worker's own when no provider needs any. NULL: there is none. */
static struct tls_ctx *tls_of(struct fetch *f)
{
    const struct snapshot *s = f->hold->snap;
    for (size_t i = 0; i < s->n_providers; i++) {
        if (s->providers[i].target.tls_ctx) {
            return s->providers[i].target.tls_ctx;
        }
    }
    struct buf why = {.arena = f->arena};
    if (!f->worker->fetch_tls && tls_client_ctx(&f->worker->fetch_tls, &why) < 0) {
        return NULL;
    }
    return f->worker->fetch_tls;
}

static void fail_later(struct timer *t)
{
    struct fetch *f = (struct fetch *)((char *)t - offsetof(struct fetch, _timer));
    fail(f, "this gateway's proxy or its authorities are not set up");
}

static void open_url(struct fetch *f)
{
    struct http_origin_config c = {
        .target = {.host = f->url.host,
                   .port = f->url.port,
                   .tls = f->url.tls,
                   .allow_private = f->hold->snap->config->fetch.allow_private_address}};
    const char *variable;
    bool ready;
    c.target.tls_ctx = f->url.tls ? tls_of(f) : NULL;
    f->_up = NULL;
    if ((f->url.tls && !c.target.tls_ctx) ||
        connect_proxy_from_env(f->arena, &c.target, &variable) < 0) {
        f->_timer.fire = fail_later;
        loop_timer(f->worker->loop, &f->_timer, 0);
        return;
    }
    f->_up = http_up_once(f->worker->client, &c, &up_ops, f, &ready);
}

void fetch_start(struct fetch *f)
{
    f->_timer.fire = on_timer;
    loop_timer(f->worker->loop, &f->_timer, FETCH_MS);
    open_url(f);
}
