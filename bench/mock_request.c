#include "mock_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The members we look for stand in the first or last bytes of every client's body. */
enum { SEARCHED = 4096 };

static bool is(const char *name, size_t n, const char *wanted)
{
    return n == strlen(wanted) && strncasecmp(name, wanted, n) == 0;
}

static void take_header(struct mock_request *r, const struct mock_expectations *expect,
                        const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (!colon) {
        return;
    }
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    while (*value == ' ') {
        value++;
    }
    size_t value_len = (size_t)(line + n - value);
    switch (name_len) { /* most headers are none of these lengths */
    case 9:
        if (is(line, name_len, "x-api-key") && expect->key) {
            r->with_key =
                value_len == strlen(expect->key) && !memcmp(value, expect->key, value_len);
        }
        break;
    case 10:
        if (is(line, name_len, "connection") && value_len >= 5 &&
            strncasecmp(value, "close", 5) == 0) {
            r->keep_alive = false;
        }
        break;
    case 13:
        if (is(line, name_len, "authorization") && expect->key && value_len > 7) {
            size_t key_len = strlen(expect->key);
            r->with_key = value_len >= 7 + key_len && !memcmp(value + 7, expect->key, key_len);
        } else if (is(line, name_len, "x-mock-chunks")) {
            r->chunks = (int32_t)strtol(value, NULL, 10);
        }
        break;
    case 14:
        if (is(line, name_len, "content-length")) {
            r->body_len = strtoull(value, NULL, 10);
        }
        break;
    case 17:
        if (is(line, name_len, "transfer-encoding")) {
            r->framed = false;
        }
        break;
    case 18:
        if (is(line, name_len, "x-mock-interval-ms")) {
            r->interval_ms = (int32_t)strtol(value, NULL, 10);
        }
        break;
    default:
        break;
    }
}

static bool take_request_line(struct mock_request *r, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    if (!space) {
        return false;
    }
    size_t method_len = (size_t)(space - line);
    if (method_len == 4 && !memcmp(line, "POST", 4)) {
        r->method = MOCK_POST;
    } else if (method_len == 3 && !memcmp(line, "GET", 3)) {
        r->method = MOCK_GET;
    } else {
        r->method = MOCK_OTHER;
    }
    const char *path = space + 1;
    const char *end = memchr(path, ' ', (size_t)(line + n - path));
    if (!end) {
        return false;
    }
    r->path_len = (size_t)(end - path);
    if (r->path_len >= sizeof(r->path)) {
        r->path_len = sizeof(r->path) - 1;
    }
    memcpy(r->path, path, r->path_len);
    r->path[r->path_len] = '\0';
    r->messages = !strcmp(r->path, "/v1/messages");
    r->keep_alive = !memcmp(line + n - 1, "1", 1); /* HTTP/1.1 */
    return true;
}

long mock_request_head(struct mock_request *r, const struct mock_expectations *expect,
                       const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    r->framed = true;
    r->with_key = false;
    r->body_len = 0;
    r->chunks = -1;
    r->interval_ms = -1;
    r->body_seen = 0;
    r->stream = false;
    r->include_usage = false;
    r->renamed = false;
    r->carry_len = 0;
    const char *line = p;
    for (;;) {
        const char *eol = memchr(line, '\r', (size_t)(end - line) + 1);
        if (!eol) {
            return -1;
        }
        size_t len = (size_t)(eol - line);
        if (line != p) {
            take_header(r, expect, line, len);
        } else if (!take_request_line(r, line, len)) {
            return -1;
        }
        if (eol == end) {
            return (long)(end + 4 - p);
        }
        line = eol + 2;
    }
}

/* true when name is followed by ':', optional spaces and "true". */
static bool says_true(const char *p, size_t n, const char *name)
{
    const char *at = memmem(p, n, name, strlen(name));
    if (!at) {
        return false;
    }
    const char *end = p + n;
    at += strlen(name);
    while (at < end && (*at == ':' || *at == ' ')) {
        at++;
    }
    return end - at >= 4 && !memcmp(at, "true", 4);
}

static void search(struct mock_request *r, const struct mock_expectations *expect, const char *p,
                   size_t n)
{
    if (!r->stream) {
        r->stream = says_true(p, n, "\"stream\"");
    }
    if (r->stream && !r->include_usage) {
        r->include_usage = says_true(p, n, "\"include_usage\"");
    }
    if (expect->model && !r->renamed) {
        r->renamed = memmem(p, n, expect->model, strlen(expect->model)) != NULL;
    }
}

/* The bytes before p are gone; a member that was split by a read is found in this seam. */
static void search_seam(struct mock_request *r, const struct mock_expectations *expect,
                        const char *p, size_t n)
{
    char seam[2 * sizeof(r->carry)];
    size_t take = n < sizeof(r->carry) ? n : sizeof(r->carry);
    memcpy(seam, r->carry, r->carry_len);
    memcpy(seam + r->carry_len, p, take);
    search(r, expect, seam, r->carry_len + take);
}

void mock_request_body(struct mock_request *r, const struct mock_expectations *expect,
                       const char *p, size_t n)
{
    uint64_t from = r->body_seen;
    uint64_t to = from + n;
    r->body_seen = to;
    if (r->carry_len) {
        search_seam(r, expect, p, n);
    }
    if (from < SEARCHED) {
        size_t len = to < SEARCHED ? n : (size_t)(SEARCHED - from);
        search(r, expect, p, len);
    }
    uint64_t tail = r->body_len > SEARCHED ? r->body_len - SEARCHED : 0;
    if (tail < SEARCHED) {
        tail = SEARCHED;
    }
    if (to > tail) {
        size_t skip = from < tail ? (size_t)(tail - from) : 0;
        search(r, expect, p + skip, n - skip);
    }
    size_t keep = n < sizeof(r->carry) ? n : sizeof(r->carry);
    memcpy(r->carry, p + n - keep, keep);
    r->carry_len = keep;
}
