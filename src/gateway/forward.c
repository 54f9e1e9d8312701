/* Stage 6: the request goes to its target. A connection that was dead in the pool is followed by a fresh one;
 * what else may be tried again is again.c's to say. */
#include "gateway/again.h"
#include "gateway/hedging.h"
#include "gateway/sign.h"
#include "gateway/translate.h"

#include <stdio.h>

#include "base/must.h"
#include "json/scan.h"

enum {
    BODY_QUEUE_MAX = 128 * 1024, /* of a streamed body, waiting for the upstream */
    FORWARD_IOV = 2 * SPLICES + 6,
};

/* ---- the head for the upstream ---- */

/* Whether the Connection field names this one, which makes it hop-by-hop (RFC 9110, 7.6.1). */
static bool nominated(const struct h1_head *h, const struct h1_field *f)
{
    return h->nominates && h1_has_token(h, H_CONNECTION, h1_name(h, f));
}

static bool goes_on(const struct h1_head *h, const struct h1_field *f)
{
    if (header_flags[f->id] & (HF_HOP | HF_KEY | HF_ASK)) {
        return false;
    }
    if (f->id == H_OTHER && (h->base[f->name] | 0x20) == 'a' &&
        str_istarts(h1_name(h, f), STR("accord-"))) {
        return false; /* words to us */
    }
    return !nominated(h, f);
}

static char *put(char *at, struct str s)
{
    if (s.n) {
        memcpy(at, s.p, s.n);
    }
    return at + s.n;
}

/* The client's field lines that go on, in their order and spelling; neighbours are copied together.
 */
static char *put_fields(char *at, const struct h1_head *h)
{
    uint32_t from = 0, end = 0;
    for (const struct h1_field *f = h->fields; f < h->fields + h->n_fields; f++) {
        if (!goes_on(h, f)) {
            continue;
        }
        if (f->name != end) {
            at = put(at, h1_slice(h, from, end - from));
            from = f->name;
        }
        end = f->end;
    }
    return put(at, h1_slice(h, from, end - from));
}

/* Whether a pair of the query may hold the caller's key: named "key" in any spelling, or with what looks
 * like one of ours in it. */
static bool may_be_key(struct call *c, struct str pair)
{
    struct str part, name;
    char *text = arena_alloc(&c->req->input, pair.n + 1);
    ptrdiff_t n = percent_decode(pair, text);
    struct str plain = n < 0 ? pair : str_make(text, (size_t)n);
    if (n < 0 || str_find(plain, STR("sk-accord-")) >= 0) {
        return true;
    }
    while (plain.n) {
        str_cut(&plain, ';', &part);
        str_cut(&part, '=', &name);
        if (str_ieq(name, STR("key"))) {
            return true;
        }
    }
    return false;
}

/* The query without the caller's key. */
static char *put_query(char *at, struct call *c)
{
    const struct h1_head *h = c->req->head;
    struct str query = h1_slice(h, h->query, h->query_n), pair;
    char sep = '?';
    while (query.n) {
        str_cut(&query, '&', &pair);
        if (!may_be_key(c, pair)) {
            *at++ = sep;
            at = put(at, pair);
            sep = '&';
        }
    }
    return at;
}

struct str call_upstream_model(const struct call *c)
{
    if (c->target->model.n) {
        return c->target->model;
    }
    return c->suffix.n ? c->suffix : c->asked;
}

/* Percent-encodes a model's name for a path; slashes stay. */
static struct str path_model(struct call *c, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    char *text = arena_alloc(&c->req->input, model.n * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < model.n; i++) {
        unsigned char ch = (unsigned char)model.p[i];
        if (ch <= ' ' || ch >= 0x7f || strchr("%?#\"<>\\^`{|}", ch)) {
            text[n++] = '%';
            text[n++] = hex[ch >> 4];
            text[n++] = hex[ch & 15];
        } else {
            text[n++] = (char)ch;
        }
    }
    return str_make(text, n);
}

static char *put_length(char *at, const struct call *c, uint64_t length)
{
    if (c->body_streams && c->req->head->body == BODY_CHUNKED) {
        return put(at, STR("transfer-encoding: chunked\r\n"));
    }
    if (length == 0 && c->req->head->method == M_GET) {
        return at;
    }
    at = put(at, STR("content-length: "));
    at += u64_print(at, length);
    return put(at, STR("\r\n"));
}

static struct str make_head(struct call *c, const struct iovec *body, int n, uint64_t length)
{
    const struct h1_head *h = c->req->head;
    const struct snap_provider *p = c->target->provider;
    struct str model = call_upstream_model(c);
    struct str fixed = c->credential->fields;
    if (c->translated) {
        return translate_head_for(c);
    }
    if (c->ep.endpoint->model_in == MODEL_IN_PATH) {
        model = path_model(c, model);
    }
    size_t room = p->absolute.n + endpoint_path_room(&c->ep, p->base_path, model) + h->query_n +
                  fixed.n + h->n + 160 + p->signs * (size_t)4096;
    char *head = arena_alloc(&c->req->input, room), *at = head;
    at = put(at, h1_slice(h, h->method_at, h->method_n));
    *at++ = ' ';
    at = put(at, p->absolute);
    char *target = at;
    at += endpoint_upstream_path(at, &c->ep, p->base_path, model);
    at = put_query(at, c);
    struct str signed_for = str_make(target, (size_t)(at - target));
    at = put(at, STR(" HTTP/1.1\r\n"));
    at = put(at, fixed);
    if (c->credential->aws) {
        at = put(at, sign_request(c, signed_for, body, n));
    }
    if (p->family == FAMILY_ANTHROPIC && !h->at[H_ANTHROPIC_VERSION]) {
        at = put(at, STR("anthropic-version: 2023-06-01\r\n"));
    }
    at = put_fields(at, h);
    at = put_length(at, c, length);
    at = put(at, STR("\r\n"));
    return str_make(head, (size_t)(at - head));
}

/* ---- the body, with its splices ---- */

/* The splice that puts the upstream's name for the model in. */
static bool model_splice(struct call *c, struct splice *ret)
{
    struct str model = call_upstream_model(c), body = c->req->body;
    bool form = c->ep.endpoint->model_in == MODEL_IN_FORM;
    if (c->ep.endpoint->model_in == MODEL_IN_PATH || model.n == 0) {
        return false;
    }
    struct str plain = c->member;
    bool quoted = !form && c->member.n;
    if (quoted && !json_plain(c->member, &plain)) {
        plain = (struct str){0};
    }
    if (c->member.n && str_eq(plain, model)) {
        return false;
    }
    if (form) {
        if (!c->member.n) {
            return false;
        }
        *ret = (struct splice){(uint32_t)(c->member.p - body.p), (uint32_t)c->member.n, model};
        return true;
    }
    struct buf text = {.arena = &c->req->input};
    if (c->member.n && c->target->model.n) {
        ret->text = c->target->quoted;
    } else {
        buf_add(&text, c->member.n ? STR("\"") : STR("\"model\":\""));
        buf_add_json(&text, model);
        buf_add(&text, c->member.n ? STR("\"") : STR("\","));
        ret->text = buf_str(&text);
    }
    ret->at = c->member.n ? (uint32_t)(c->member.p - body.p) : (uint32_t)str_chr(body, '{') + 1;
    ret->n = (uint32_t)c->member.n;
    return true;
}

static struct iovec iov(struct str s)
{
    return (struct iovec){(void *)(uintptr_t)s.p, s.n};
}

/* Cuts the body at the splices; returns the number of pieces and their length together. */
static int cut_body(struct call *c, struct iovec *v, uint64_t *ret_length)
{
    struct splice s[SPLICES + 1] UNINITIALIZED;
    struct str body = c->req->body;
    int n = 0, k = 0;
    if (c->translated) {
        v[0] = iov(buf_str(&c->tr->body));
        *ret_length = c->tr->body.n;
        return 1;
    }
    for (int i = 0; i < c->n_splices; i++) {
        s[n++] = c->splice[i];
    }
    if (body.n && model_splice(c, &s[n])) {
        n++;
    }
    if (n == 2 && s[0].at > s[1].at) {
        struct splice first = s[1];
        s[1] = s[0];
        s[0] = first;
    }
    uint64_t length = body.n;
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        v[k++] = iov(str_make(body.p + at, s[i].at - at));
        v[k++] = iov(s[i].text);
        at = s[i].at + s[i].n;
        length = length - s[i].n + s[i].text.n;
    }
    v[k++] = iov(str_from(body, at));
    *ret_length = length;
    return k;
}

/* ---- sending ---- */

static void send_chunk(struct call *c, const struct iovec *body, int n, uint64_t length, bool end)
{
    struct iovec v[FORWARD_IOV];
    char size[24];
    int k = 0;
    bool chunked = c->req->head->body == BODY_CHUNKED;
    if (chunked && length) {
        int len = snprintf(size, sizeof size, "%llx\r\n", (unsigned long long)length);
        v[k++] = iov(str_make(size, (size_t)len));
    }
    for (int i = 0; i < n; i++) {
        v[k++] = body[i];
    }
    if (chunked) {
        struct str tail = STR("\r\n0\r\n\r\n");
        v[k++] = iov(length ? (end ? tail : str_first(tail, 2))
                            : (end ? str_from(tail, 2) : str_first(tail, 0)));
    }
    c->body_sent = end;
    http_up_send(c->up, v, k, c->req->head->method, end);
}

static void send_request(struct call *c)
{
    struct iovec v[FORWARD_IOV] UNINITIALIZED;
    uint64_t length;
    int n = cut_body(c, v + 1, &length);
    uint64_t total = length;
    if (c->body_streams && c->req->head->body == BODY_LENGTH) {
        total += c->req->_left; /* what is still to come */
    }
    v[0] = iov(make_head(c, v + 1, n, total));
    if (!c->forwarded_us) {
        c->forwarded_us = clock_us();
        c->own_us += (uint32_t)(c->forwarded_us - loop_now_us(c->w->loop));
    }
    if (!c->body_streams) {
        http_up_send(c->up, v, n + 1, c->req->head->method, true);
        c->body_sent = true;
        return;
    }
    http_up_send(c->up, v, 1, c->req->head->method, false);
    send_chunk(c, v + 1, n, length, false);
    http_body_resume(c->req);
}

void forward_piece(struct call *c, struct str piece, bool end)
{
    struct iovec v = iov(piece);
    if (!c->up || !c->up_ready || c->body_sent) {
        return; /* the answer has come already; the rest is read and dropped */
    }
    send_chunk(c, &v, piece.n ? 1 : 0, piece.n, end);
    if (http_up_queued(c->up) > BODY_QUEUE_MAX) {
        http_body_pause(c->req);
    }
}

void forward_drained(struct call *c)
{
    if (c->body_streams && !c->body_sent) {
        http_body_resume(c->req);
    }
}

/* ---- trying, and trying again ---- */

static const char *connect_code(enum connect_failure why)
{
    switch (why) {
    case CONNECT_NAME:
        return "upstream_name_unknown";
    case CONNECT_PRIVATE:
        return "upstream_private_address";
    case CONNECT_TLS:
        return "upstream_tls_failed";
    case CONNECT_PROXY:
        return "upstream_proxy_failed";
    case CONNECT_TIMEOUT:
        return "upstream_connect_timeout";
    default:
        return "upstream_unreachable";
    }
}

static enum next give_up(struct call *c, enum http_failure why, enum connect_failure connect,
                         const char *detail)
{
    struct call_error e = {
        .status = 502, .code = "upstream_failed", .outcome = OUTCOME_UPSTREAM_FAILED};
    if (why == HTTP_FAIL_CONNECT) {
        e.code = connect_code(connect);
    } else if (why == HTTP_FAIL_FIRST_BYTE || why == HTTP_FAIL_IDLE) {
        e.status = 504;
        e.code = why == HTTP_FAIL_IDLE ? "upstream_stalled" : "upstream_timeout";
        e.outcome = OUTCOME_TIMEOUT;
    } else if (why == HTTP_FAIL_MALFORMED) {
        e.code = "upstream_malformed";
    }
    return call_fail(c, &e, "The provider \"%.*s\" gave no answer: %s.",
                     STR_ARG(c->target->provider->id), detail);
}

static struct fault fault_of_failure(enum http_failure why)
{
    return why == HTTP_FAIL_CONNECT      ? fault_of_connecting()
           : why == HTTP_FAIL_FIRST_BYTE ? fault_of_waiting()
                                         : fault_of_silence();
}

/* The wait for a connection is over. */
static void connected(struct call *c)
{
    if (c->connecting_us) {
        c->connect_us += (uint32_t)(loop_now_us(c->w->loop) - c->connecting_us);
        c->connecting_us = 0;
    }
}

static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    struct call *c = owner;
    c->up = NULL;
    c->up_ready = false;
    connected(c);
    if (c->status) {
        relay_failed(c, why, detail);
        return;
    }
    if (why == HTTP_FAIL_STALE && !c->body_streams) {
        /* A dead pooled connection is followed by a fresh one, once: that needs no budget. */
        c->w->metrics.retries[RETRY_STALE]++;
        call_failed_attempt(c, "connection_died", 0);
        call_back_to(c, STAGE_forward);
        call_run(c);
        return;
    }
    struct fault f = fault_of_failure(why);
    f.why = why == HTTP_FAIL_CONNECT ? connect_code(connect) : NULL;
    if (again(c, &f)) {
        return;
    }
    give_up(c, why, connect, detail);
    call_back_to(c, STAGE_settle);
    call_run(c);
}

static void on_ready(void *owner)
{
    struct call *c = owner;
    c->up_ready = true;
    connected(c);
    send_request(c);
}

static void on_head(void *owner, const struct h1_head *h)
{
    relay_head(owner, h);
}

static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    struct call *c = owner;
    if (end) {
        c->up = NULL; /* back in the pool when we return */
    }
    relay_body(c, pieces, n, end);
}

static void on_up_drained(void *owner)
{
    forward_drained(owner);
}

const struct http_up_ops forward_ops = {on_ready, on_head, on_body, on_failed, on_up_drained};

void forward_open(struct call *c, const struct http_up_ops *ops, void *owner)
{
    struct http_origin *o = c->hold->origin[c->target->provider->index];
    bool fresh =
        c->attempts > 0 && owner == c; /* a second attempt beside one may be a pooled one */
    c->attempts++;
    if (c->stream) {
        deadline_begin(c);
    }
    c->up = http_up_open(o, fresh, ops, owner, &c->up_ready);
    if (c->up_ready) {
        send_request(c);
    } else {
        c->connecting_us = loop_now_us(c->w->loop);
    }
}

enum next stage_forward(struct call *c)
{
    if (c->up) {
        return NEXT; /* on its way */
    }
    if (c->translated) {
        enum next n = translate_request(c);
        if (n != NEXT) {
            return n;
        }
    }
    forward_open(c, &forward_ops, c);
    if (c->target->hedge) {
        hedging_begin(c);
    }
    return NEXT;
}
