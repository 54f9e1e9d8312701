/* The answer's side of a request: heads, fields, framing of the body. */
#include <stdio.h>
#include <time.h>

#include "base/must.h"
#include "http/server.h"
#include "http/server_priv.h"

struct str http_reason(unsigned status)
{
    if (status == 200) {
        return STR("OK");
    }
    static const struct {
        unsigned status;
        struct str reason;
    } known[] = {
        {200, {"OK", 2}},
        {201, {"Created", 7}},
        {202, {"Accepted", 8}},
        {204, {"No Content", 10}},
        {304, {"Not Modified", 12}},
        {400, {"Bad Request", 11}},
        {401, {"Unauthorized", 12}},
        {402, {"Payment Required", 16}},
        {403, {"Forbidden", 9}},
        {404, {"Not Found", 9}},
        {405, {"Method Not Allowed", 18}},
        {408, {"Request Timeout", 15}},
        {409, {"Conflict", 8}},
        {412, {"Precondition Failed", 19}},
        {413, {"Content Too Large", 17}},
        {414, {"URI Too Long", 12}},
        {415, {"Unsupported Media Type", 22}},
        {417, {"Expectation Failed", 18}},
        {422, {"Unprocessable Content", 21}},
        {426, {"Upgrade Required", 16}},
        {428, {"Precondition Required", 21}},
        {429, {"Too Many Requests", 17}},
        {431, {"Request Header Fields Too Large", 31}},
        {500, {"Internal Server Error", 21}},
        {501, {"Not Implemented", 15}},
        {502, {"Bad Gateway", 11}},
        {503, {"Service Unavailable", 19}},
        {504, {"Gateway Timeout", 15}},
        {505, {"HTTP Version Not Supported", 26}},
        {529, {"Overloaded", 10}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].status == status) {
            return known[i].reason;
        }
    }
    return STR("Status");
}

struct str http_date(struct http_server *s)
{
    /* The wall clock is asked at most ten times a second. */
    uint64_t now_us = loop_now_us(s->loop);
    if (s->date_s == 0 || now_us - s->date_checked_us > 100000) {
        s->date_checked_us = now_us;
        time_t now = time(NULL);
        if ((uint64_t)now != s->date_s) {
            struct tm tm;
            s->date_s = (uint64_t)now;
            gmtime_r(&now, &tm);
            strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        }
    }
    return str_make(s->date, 29);
}

char *http_head_room(struct http_req *r, size_t n)
{
    struct http_server *s = r->conn->server;
    if (!check(n <= OUT_CAP - s->out_n)) {
        return NULL;
    }
    char *at = s->out + s->out_n;
    s->out_n += n;
    return at;
}

void http_head_used(struct http_req *r, const char *end)
{
    r->conn->server->out_n = (size_t)(end - r->conn->server->out);
}

void http_lines(struct http_req *r, struct str lines)
{
    char *at = lines.n ? http_head_room(r, lines.n) : NULL;
    if (at) {
        memcpy(at, lines.p, lines.n);
    }
}

void http_field(struct http_req *r, struct str name, struct str value)
{
    char *at = http_head_room(r, name.n + value.n + 4);
    if (at) {
        memcpy(at, name.p, name.n);
        memcpy(at + name.n, ": ", 2);
        memcpy(at + name.n + 2, value.p, value.n);
        memcpy(at + name.n + 2 + value.n, "\r\n", 2);
    }
}

void http_field_u64(struct http_req *r, struct str name, uint64_t value)
{
    char digits[20];
    http_field(r, name, str_make(digits, u64_print(digits, value)));
}

void http_close_after(struct http_req *r)
{
    r->_close = true;
}

/* Whether the connection ends with this answer because a body is still to come that nobody will
 * read: too long to drain, or held back until "100 Continue". */
static bool must_close(const struct http_req *r)
{
    return r->_close || (!r->_in_done && (r->_expects || r->_left > DISCARD_MAX));
}

static inline char *put(char *at, struct str s)
{
    memcpy(at, s.p, s.n);
    return at + s.n;
}

/* More than the lines below can take. */
enum { HEAD_LINES_MAX = 256 };

void http_head(struct http_req *r, unsigned status, int64_t length)
{
    struct str reason = http_reason(status);
    must(!r->_answered && r->conn->server->out_n == 0);
    char *at = http_head_room(r, HEAD_LINES_MAX);
    at = put(at, STR("HTTP/1.1 "));
    at[0] = (char)('0' + status / 100 % 10);
    at[1] = (char)('0' + status / 10 % 10);
    at[2] = (char)('0' + status % 10);
    at[3] = ' ';
    at = put(at + 4, reason);
    at = put(at, STR("\r\n"));
    bool bodiless = status < 200 || status == 204 || status == 304;
    r->_out_none = r->_head_request || bodiless;
    r->_out_chunked = length < 0 && r->_minor >= 1 && !bodiless;
    if (bodiless) {
        /* neither length nor coding: RFC 9112, 6.3 */
    } else if (length >= 0) {
        at = put(at, STR("content-length: "));
        at += u64_print(at, (uint64_t)length);
        at = put(at, STR("\r\n"));
    } else if (r->_out_chunked) {
        at = put(at, STR("transfer-encoding: chunked\r\n"));
    } else {
        r->_close = true;
    }
    if (must_close(r)) {
        r->_close = true;
        at = put(at, STR("connection: close\r\n"));
    } else if (r->_minor == 0) {
        at = put(at, STR("connection: keep-alive\r\n"));
    }
    http_head_used(r, at);
    r->_answered = true;
}

static size_t chunk_size_line(char *to, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = n ? (size_t)(67 - __builtin_clzll(n)) / 4 : 1;
    for (size_t i = 0; i < len; i++) {
        to[i] = digits[n >> 4 * (len - 1 - i) & 15];
    }
    to[len] = '\r';
    to[len + 1] = '\n';
    return len + 2;
}

static struct iovec iov(const char *p, size_t n)
{
    return (struct iovec){(void *)(uintptr_t)p, n};
}

void http_send(struct http_req *r, const struct iovec *v, int n, bool end)
{
    struct http_conn *c = r->conn;
    struct http_server *s = c->server;
    struct iovec out[HTTP_IOV_MAX + 4] UNINITIALIZED;
    char size[20];
    size_t total = 0;
    int k = 0;
    must(r->_answered && !r->_out_done && n <= HTTP_IOV_MAX);
    for (int i = 0; i < n; i++) {
        total += v[i].iov_len;
    }
    if (r->tee) {
        r->tee(r, str_make(s->out, s->out_n), v, n);
    }
    if (s->out_n) {
        http_lines(r, STR("\r\n"));
        out[k++] = iov(s->out, s->out_n);
        s->out_n = 0;
    }
    if (total && !r->_out_none) {
        if (r->_out_chunked) {
            out[k++] = iov(size, chunk_size_line(size, total));
        }
        memcpy(out + k, v, (size_t)n * sizeof *v);
        k += n;
        r->bytes_out += total;
    }
    if (r->_out_chunked && !r->_out_none && (total || end)) {
        static const char tail[] = "\r\n0\r\n\r\n";
        size_t from = total ? 0 : 2, to = end ? 7 : 2;
        out[k++] = iov(tail + from, to - from);
    }
    r->_out_done = end;
    if (k == 0 || c->broken) {
        return;
    }
    size_t before = stream_queued(c->stream);
    if (stream_write(c->stream, out, k) < 0) {
        conn_break(c);
        return;
    }
    size_t queued = stream_queued(c->stream);
    if (queued) {
        conn_queued(c, before, queued);
    }
}

void http_send_str(struct http_req *r, struct str text, bool end)
{
    struct iovec v = iov(text.p, text.n);
    http_send(r, &v, text.n ? 1 : 0, end);
}

size_t http_queued(const struct http_req *r)
{
    return r->conn->stream ? stream_queued(r->conn->stream) : 0;
}

void http_cut(struct http_req *r)
{
    r->conn->server->out_n = 0;
    r->_close = true;
    r->_out_done = false;
}

bool http_answered(const struct http_req *r)
{
    return r->_answered;
}

size_t http_peer(struct http_req *r, char *to, size_t cap)
{
    return r->conn->stream ? stream_peer(r->conn->stream, to, cap) : 0;
}
