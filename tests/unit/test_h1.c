/* Heads of requests and answers. Every row is tried whole and cut behind every byte, each time in memory
 * that ends where the bytes end: a head is incomplete until it is whole, a refusal stays the same refusal,
 * and nothing behind the input is read. Sections are those of RFC 9112 unless another RFC is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/h1.h"

enum { MAX = 65536 };

static struct h1_field room[H1_FIELDS_MAX];

/* Parses a copy that ends with its last byte, and hands out the head over the text itself. */
static int request_n(struct h1_head *h, const char *p, size_t n, size_t max, const char **why)
{
    char *own = malloc(n ? n : 1);
    assert_non_null(own);
    memcpy(own, p, n);
    *h = (struct h1_head){.fields = room};
    *why = NULL;
    int r = h1_request(h, own, n, max, why);
    h->base = p;
    free(own);
    return r;
}

static int answer_n(struct h1_head *h, const char *p, size_t n, size_t max, enum h1_method method,
                    const char **why)
{
    char *own = malloc(n ? n : 1);
    assert_non_null(own);
    memcpy(own, p, n);
    *h = (struct h1_head){.fields = room};
    *why = NULL;
    int r = h1_answer(h, own, n, max, method, why);
    h->base = p;
    free(own);
    return r;
}

static void same_text(struct str got, const char *want, const char *row)
{
    if (!str_eq(got, str_of(want))) {
        fail_msg("%s: \"%.*s\" instead of \"%s\"", row, STR_ARG(got), want);
    }
}

static void same_number(int64_t got, int64_t want, const char *what, const char *row)
{
    if (got != want) {
        fail_msg("%s: %s is %lld instead of %lld", row, what, (long long)got, (long long)want);
    }
}

/* ---- requests that are refused ---- */

#define T(text) text, sizeof(text) - 1
#define HOST    "Host: a\r\n"

static const struct {
    const char *rule;
    const char *text;
    size_t n;
    int want;
} refused[] = {
    {"2.2: LF alone ends no line", T("GET / HTTP/1.1\n" HOST "\r\n"), 400},
    {"2.2: LF alone ends no field", T("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400},
    {"2.2: the empty line is CRLF", T("GET / HTTP/1.1\r\n" HOST "\n"), 400},
    {"2.2: a bare CR", T("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"), 400},
    {"2.2: a bare CR at the end of a value", T("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), 400},
    {"2.2: space before the first field", T("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400},
    {"2.2: three empty lines ahead", T("\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"2.2: an empty line that is LF", T("\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"2.3: HTTP/2.0", T("GET / HTTP/2.0\r\n" HOST "\r\n"), 505},
    {"2.3: HTTP/0.9", T("GET / HTTP/0.9\r\n" HOST "\r\n"), 505},
    {"2.3: lower case", T("GET / http/1.1\r\n" HOST "\r\n"), 400},
    {"2.3: no minor", T("GET / HTTP/1\r\n" HOST "\r\n"), 400},
    {"2.3: a letter", T("GET / HTTP/1.x\r\n" HOST "\r\n"), 400},
    {"2.3: two digits", T("GET / HTTP/1.10\r\n" HOST "\r\n"), 400},
    {"2.3: no HTTP", T("GET / HTPP/1.1\r\n" HOST "\r\n"), 400},
    {"3: no version (HTTP/0.9)", T("GET /\r\n\r\n"), 400},
    {"3: two spaces", T("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3: a tab", T("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3: space behind the version", T("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400},
    {"3: space in the target", T("GET /a b HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3: space ahead", T(" GET / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.1: no method", T("/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.1: not a token", T("G(T / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.1: a method without end", T("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJK / HTTP/1.1\r\n\r\n"),
     400},
    {"3.2: a control in the target", T("GET /\x01 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2: DEL in the target", T("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2: bytes above ASCII in the target", T("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2: no Host", T("GET / HTTP/1.1\r\n\r\n"), 400},
    {"3.2: two Hosts", T("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400},
    {"3.2: two Hosts in other case", T("GET / HTTP/1.1\r\n" HOST "hOST: a\r\n\r\n"), 400},
    {"3.2: a path in Host", T("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {"3.2: a user in Host", T("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400},
    {"3.2: a list in Host", T("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400},
    {"3.2: a Host above ASCII", T("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"), 400},
    {"3.2: a relative target", T("GET a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2.2: another scheme", T("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2.2: no authority", T("GET http:///a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2.3: authority-form", T("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"3.2.4: more than an asterisk", T("OPTIONS *a HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"5.1: space before the colon", T("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400},
    {"5.1: tab before the colon", T("GET / HTTP/1.1\r\n" HOST "X\t: a\r\n\r\n"), 400},
    {"5.1: no name", T("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"), 400},
    {"5.1: no colon", T("GET / HTTP/1.1\r\n" HOST "abc\r\n\r\n"), 400},
    {"5.1: a name that is no token", T("GET / HTTP/1.1\r\n" HOST "a[b]: c\r\n\r\n"), 400},
    {"5.1: a long name that is no token",
     T("GET / HTTP/1.1\r\n" HOST "abcdefghijklmnopqrst\x80: c\r\n\r\n"), 400},
    {"5.1: NUL in a name", T("GET / HTTP/1.1\r\n" HOST "a\0b: c\r\n\r\n"), 400},
    {"5.2: a folded line", T("GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n"), 400},
    {"5.2: a line folded by a tab", T("GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n"), 400},
    {"RFC 9110, 5.5: NUL in a value", T("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), 400},
    {"RFC 9110, 5.5: a control in a long value",
     T("GET / HTTP/1.1\r\n" HOST "X: abcdefghijklmnopqrstuvwxyz\x1f\r\n\r\n"), 400},
    {"RFC 9110, 5.5: DEL in a value", T("GET / HTTP/1.1\r\n" HOST "X: a\x7f\r\n\r\n"), 400},
    {"6.1: another coding", T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n"), 400},
    {"6.1: two codings", T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
     400},
    {"6.1: chunked twice",
     T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400},
    {"6.1: chunked in two lines",
     T("POST / HTTP/1.1\r\n" HOST
       "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     400},
    {"6.1: chunked with a vertical tab",
     T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
       "chunked\r\n\r\n"),
     400},
    {"6.1: an empty coding", T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n"), 400},
    {"6.1: in HTTP/1.0", T("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), 400},
    {"6.3: both framings",
     T("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {"6.3: both framings, the other way",
     T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400},
    {"6.3: two lengths",
     T("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400},
    {"6.3: a list of lengths", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\n"), 400},
    {"6.3: a sign", T("POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\n"), 400},
    {"6.3: minus", T("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"), 400},
    {"6.3: hexadecimal", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\n"), 400},
    {"6.3: empty", T("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"), 400},
    {"6.3: inner space", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 1 2\r\n\r\n"), 400},
    {"6.3: over 63 bits",
     T("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n"), 400},
    {"6.3: over 64 bits",
     T("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551617\r\n\r\n"), 400},
    {"RFC 9110, 10.1.1: another expectation", T("POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n"),
     417},
};

static void refused_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct h1_head h;
        const char *why;
        int r = request_n(&h, refused[i].text, refused[i].n, MAX, &why);
        same_number(r, -refused[i].want, "the outcome", refused[i].rule);
        assert_non_null(why);
        bool before = false;
        for (size_t n = 0; n <= refused[i].n; n++) {
            r = request_n(&h, refused[i].text, n, MAX, &why);
            if (before || r != 0) {
                same_number(r, -refused[i].want, "the outcome of a part", refused[i].rule);
            }
            before = r != 0;
        }
    }
}

/* ---- requests that are accepted ---- */

enum { KEEP = 1, EXPECT = 2, UPGRADE = 4, NOMINATES = 8 };

static const struct {
    const char *rule;
    const char *text;
    size_t n;
    enum h1_method method;
    const char *path, *query;
    enum h1_body body;
    uint64_t length;
    unsigned flags, minor;
} accepted[] = {
    {"3: the least", T("GET / HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/", "", BODY_NONE, 0, KEEP, 1},
    {"2.2: an empty line ahead", T("\r\nGET /a HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/a", "",
     BODY_NONE, 0, KEEP, 1},
    {"2.2: two empty lines ahead", T("\r\n\r\nGET /a HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/a", "",
     BODY_NONE, 0, KEEP, 1},
    {"2.3: a later minor is 1.1", T("GET / HTTP/1.9\r\n" HOST "\r\n"), M_GET, "/", "", BODY_NONE, 0,
     KEEP, 1},
    {"3.2: HTTP/1.0 needs no Host", T("GET / HTTP/1.0\r\n\r\n"), M_GET, "/", "", BODY_NONE, 0, 0,
     0},
    {"3.2: an empty Host", T("GET / HTTP/1.1\r\nHost:\r\n\r\n"), M_GET, "/", "", BODY_NONE, 0, KEEP,
     1},
    {"3.2: a v6 Host", T("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), M_GET, "/", "", BODY_NONE, 0,
     KEEP, 1},
    {"3.1: methods", T("HEAD / HTTP/1.1\r\n" HOST "\r\n"), M_HEAD, "/", "", BODY_NONE, 0, KEEP, 1},
    {"3.1: methods", T("PUT / HTTP/1.1\r\n" HOST "\r\n"), M_PUT, "/", "", BODY_NONE, 0, KEEP, 1},
    {"3.1: methods", T("PATCH / HTTP/1.1\r\n" HOST "\r\n"), M_PATCH, "/", "", BODY_NONE, 0, KEEP,
     1},
    {"3.1: methods", T("DELETE / HTTP/1.1\r\n" HOST "\r\n"), M_DELETE, "/", "", BODY_NONE, 0, KEEP,
     1},
    {"3.1: methods are case-sensitive", T("get / HTTP/1.1\r\n" HOST "\r\n"), M_OTHER, "/", "",
     BODY_NONE, 0, KEEP, 1},
    {"3.1: any token", T("M-SEARCH!#$ / HTTP/1.1\r\n" HOST "\r\n"), M_OTHER, "/", "", BODY_NONE, 0,
     KEEP, 1},
    {"3.2.1: a query", T("GET /a/b?c=d?e HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/a/b", "c=d?e",
     BODY_NONE, 0, KEEP, 1},
    {"3.2.1: an empty query", T("GET /a? HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/a", "", BODY_NONE, 0,
     KEEP, 1},
    {"3.2.1: escapes stay", T("GET /%2e%2E/%zz HTTP/1.1\r\n" HOST "\r\n"), M_GET, "/%2e%2E/%zz", "",
     BODY_NONE, 0, KEEP, 1},
    {"3.2.2: absolute-form", T("POST http://h.test:80/v1/x?q=1 HTTP/1.1\r\n" HOST "\r\n"), M_POST,
     "/v1/x", "q=1", BODY_NONE, 0, KEEP, 1},
    {"3.2.2: absolute-form in other case", T("GET HTTPS://h/a HTTP/1.1\r\n" HOST "\r\n"), M_GET,
     "/a", "", BODY_NONE, 0, KEEP, 1},
    {"3.2.2: without path", T("GET http://h HTTP/1.1\r\n" HOST "\r\n"), M_GET, "", "", BODY_NONE, 0,
     KEEP, 1},
    {"3.2.2: with query only", T("GET http://h?a=/b HTTP/1.1\r\n" HOST "\r\n"), M_GET, "", "a=/b",
     BODY_NONE, 0, KEEP, 1},
    {"3.2.4: asterisk-form", T("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), M_OPTIONS, "*", "", BODY_NONE,
     0, KEEP, 1},
    {"6.2: a length", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n"), M_POST, "/", "",
     BODY_LENGTH, 12, KEEP, 1},
    {"6.2: no body", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), M_POST, "/", "",
     BODY_NONE, 0, KEEP, 1},
    {"6.2: zeros ahead", T("POST / HTTP/1.1\r\n" HOST "content-length:\t 007 \t\r\n\r\n"), M_POST,
     "/", "", BODY_LENGTH, 7, KEEP, 1},
    {"6.2: 63 bits", T("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n"),
     M_POST, "/", "", BODY_LENGTH, INT64_MAX, KEEP, 1},
    {"6.1: chunked", T("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n"), M_POST,
     "/", "", BODY_CHUNKED, 0, KEEP, 1},
    {"9.6: close", T("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), M_GET, "/", "",
     BODY_NONE, 0, 0, 1},
    {"9.6: close among others", T("GET / HTTP/1.1\r\n" HOST "Connection: x-a ,, CLOSE\r\n\r\n"),
     M_GET, "/", "", BODY_NONE, 0, NOMINATES, 1},
    {"9.6: close in a second line",
     T("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\nX: y\r\n"
       "Connection: close\r\n\r\n"),
     M_GET, "/", "", BODY_NONE, 0, 0, 1},
    {"9.6: close is stronger", T("GET / HTTP/1.1\r\n" HOST "Connection: close, keep-alive\r\n\r\n"),
     M_GET, "/", "", BODY_NONE, 0, 0, 1},
    {"9.3: HTTP/1.0 that stays", T("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), M_GET, "/",
     "", BODY_NONE, 0, KEEP, 0},
    {"9.3: HTTP/1.0, close is stronger",
     T("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n"), M_GET, "/", "", BODY_NONE, 0, 0,
     0},
    {"9.6: not a token but a part of one",
     T("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n"), M_GET, "/", "", BODY_NONE, 0,
     KEEP | NOMINATES, 1},
    {"RFC 9110, 7.8: upgrade",
     T("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), M_GET, "/",
     "", BODY_NONE, 0, KEEP | NOMINATES | UPGRADE, 1},
    {"RFC 9110, 10.1.1: expects",
     T("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n"
       "Expect: 100-Continue\r\n\r\n"),
     M_POST, "/", "", BODY_LENGTH, 1, KEEP | EXPECT, 1},
    {"RFC 9110, 10.1.1: HTTP/1.0 expects nothing",
     T("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"), M_POST, "/", "",
     BODY_LENGTH, 1, 0, 0},
    {"RFC 9110, 5.5: bytes above ASCII and tabs in a value",
     T("GET / HTTP/1.1\r\n" HOST "X: \xc3\xa9\ta \xff and more than sixteen bytes\r\n\r\n"), M_GET,
     "/", "", BODY_NONE, 0, KEEP, 1},
};

static void accepted_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        const char *rule = accepted[i].rule, *why;
        struct h1_head h;
        for (size_t n = 0; n < accepted[i].n; n++) {
            same_number(request_n(&h, accepted[i].text, n, MAX, &why), 0, "the outcome of a part",
                        rule);
        }
        int r = request_n(&h, accepted[i].text, accepted[i].n, MAX, &why);
        same_number(r, (int)accepted[i].n, "the length", rule);
        same_number(h.n, r, "h.n", rule);
        same_number(h.method, accepted[i].method, "the method", rule);
        same_text(h1_slice(&h, h.path, h.path_n), accepted[i].path, rule);
        same_text(h1_slice(&h, h.query, h.query_n), accepted[i].query, rule);
        same_number(h.body, accepted[i].body, "the framing", rule);
        same_number((int64_t)h.length, (int64_t)accepted[i].length, "the length of the body", rule);
        unsigned flags = (h.keep_alive ? KEEP : 0) | (h.expect_continue ? EXPECT : 0) |
                         (h.upgrade ? UPGRADE : 0) | (h.nominates ? NOMINATES : 0);
        same_number(flags, accepted[i].flags, "the set of flags", rule);
        same_number(h.minor, accepted[i].minor, "the minor version", rule);
    }
}

/* What stands behind a head (a body, the next request) changes nothing about it. */
static void rest_is_not_looked_at(void **state)
{
    (void)state;
    static const char text[] = "POST /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n\0\n\x7f GET";
    size_t head = strlen(text);
    struct h1_head h;
    const char *why;
    for (size_t n = head; n < sizeof text; n++) {
        assert_int_equal(request_n(&h, text, n, MAX, &why), head);
        assert_int_equal(h.length, 2);
    }
}

/* ---- fields ---- */

static void fields_and_their_ids(void **state)
{
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\n"
                               "hOsT: a\r\n"
                               "X-Own:  one  two \t\r\n"
                               "Content-Type: application/json\r\n"
                               "X-API-KEY: k\r\n"
                               "Empty:\r\n"
                               "Connection: a, b\r\n"
                               "content-TYPE: second\r\n"
                               "Connection:\tc ,, D\r\n\r\n";
    struct h1_head h;
    const char *why;
    assert_int_equal(request_n(&h, text, sizeof text - 1, MAX, &why), sizeof text - 1);
    assert_int_equal(h.n_fields, 8);
    static const enum header_id ids[] = {H_HOST,  H_OTHER,      H_CONTENT_TYPE, H_X_API_KEY,
                                         H_OTHER, H_CONNECTION, H_CONTENT_TYPE, H_CONNECTION};
    uint32_t at = (uint32_t)strlen("POST / HTTP/1.1\r\n");
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(h.fields[i].id, ids[i]);
        assert_int_equal(h.fields[i].name, at); /* lines follow one another without a gap */
        at = h.fields[i].end;
        assert_memory_equal(text + at - 2, "\r\n", 2);
    }
    assert_int_equal(at, h.n - 2);
    same_text(h1_get(&h, H_CONTENT_TYPE), "application/json", "the first of two");
    same_text(h1_get(&h, H_X_API_KEY), "k", "x-api-key");
    assert_null(h1_get(&h, H_COOKIE).p);
    same_text(h1_find(&h, STR("x-OWN")), "one  two", "by name, trimmed");
    assert_int_equal(h1_find(&h, STR("empty")).n, 0);
    assert_non_null(h1_find(&h, STR("empty")).p);
    assert_null(h1_find(&h, STR("x-ow")).p);
    same_text(h1_name(&h, &h.fields[0]), "hOsT", "as it stood");
    assert_true(h1_has_token(&h, H_CONNECTION, STR("a")));
    assert_true(h1_has_token(&h, H_CONNECTION, STR("d")));
    assert_true(h1_has_token(&h, H_CONNECTION, STR("C")));
    assert_false(h1_has_token(&h, H_CONNECTION, STR("e")));
    assert_false(h1_has_token(&h, H_CONNECTION, STR("one")));
    assert_false(h1_has_token(&h, H_TE, STR("a")));
    assert_false(h1_has_token(&h, H_CONTENT_TYPE, STR("json")));
}

/* Names and values of every length up to two and a half vectors. */
static void every_length(void **state)
{
    (void)state;
    for (size_t name = 1; name <= 40; name++) {
        for (size_t value = 0; value <= 40; value++) {
            char text[256];
            int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "%.*s:%.*s\r\n\r\n",
                             (int)name, "xyzXYZ-0189-abcdefghijklmnopqrstuvwABC_~", (int)value,
                             "v0123456789 0123456789 0123456789 01234v");
            struct h1_head h;
            const char *why;
            assert_int_equal(request_n(&h, text, (size_t)n, MAX, &why), n);
            assert_int_equal(h.n_fields, 2);
            assert_int_equal(h.fields[1].name_n, name);
            size_t want = value;
            while (want && "v0123456789 0123456789 0123456789 01234v"[want - 1] == ' ') {
                want--;
            }
            assert_int_equal(h.fields[1].value_n, want);
        }
    }
}

/* Each byte where a name, a value, a target and a Host may not hold it, at every place of a vector. */
static bool is_token(unsigned c)
{
    return c < 0x80 && c > 0x20 && c != 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", (int)c);
}

static void every_byte(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 1; at < 24; at++) {
            char name[] = "abcdefghijklmnopqrstuvwxyz", text[128];
            struct h1_head h;
            const char *why;
            name[at] = 'A';
            int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "%s: x\r\n\r\n", name);
            *(char *)memchr(text + 25, 'A', 64) = (char)c;
            bool ok = request_n(&h, text, (size_t)n, MAX, &why) == n;
            assert_int_equal(ok, is_token(c) || c == ':');
            n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "x: %s\r\n\r\n", name);
            *(char *)memchr(text + 25, 'A', 64) = (char)c;
            ok = request_n(&h, text, (size_t)n, MAX, &why) == n;
            assert_int_equal(ok, (c >= 0x20 && c != 0x7f) || c == '\t');
            n = snprintf(text, sizeof text, "GET /%s HTTP/1.1\r\n" HOST "\r\n", name);
            *(char *)memchr(text + 4, 'A', 64) = (char)c;
            ok = request_n(&h, text, (size_t)n, MAX, &why) == n;
            assert_int_equal(ok, c > 0x20 && c < 0x7f && c != '#'); /* a fragment is not sent */
        }
    }
}

/* ---- limits ---- */

static void limits_of_a_head(void **state)
{
    (void)state;
    static char text[256];
    struct h1_head h;
    const char *why;
    int n =
        snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 40, 0, 40, 0);
    assert_int_equal(request_n(&h, text, (size_t)n, (size_t)n, &why), n);
    /* One byte less, and it is refused however much of it has come, and not before the limit. */
    for (size_t seen = 0; seen <= (size_t)n; seen++) {
        int r = request_n(&h, text, seen, (size_t)n - 1, &why);
        assert_int_equal(r, seen < (size_t)n - 1 ? 0 : -431);
    }
    for (size_t seen = 30; seen <= (size_t)n; seen++) {
        assert_int_equal(request_n(&h, text, seen, 30, &why), -414); /* still in the first line */
    }
    /* Exactly the limit, with a body behind it. */
    text[n] = 'x';
    assert_int_equal(request_n(&h, text, (size_t)n + 1, (size_t)n, &why), n);
}

static size_t with_fields(char *text, unsigned n)
{
    size_t at = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
    for (unsigned i = 1; i < n; i++) {
        at += (size_t)sprintf(text + at, "X%u: y\r\n", i);
    }
    return at + (size_t)sprintf(text + at, "\r\n");
}

static void number_of_fields(void **state)
{
    (void)state;
    static char text[H1_FIELDS_MAX * 16];
    struct h1_head h;
    const char *why;
    size_t n = with_fields(text, H1_FIELDS_MAX);
    assert_int_equal(request_n(&h, text, n, MAX, &why), n);
    assert_int_equal(h.n_fields, H1_FIELDS_MAX);
    n = with_fields(text, H1_FIELDS_MAX + 1);
    assert_int_equal(request_n(&h, text, n, MAX, &why), -431);
}

static void long_names_and_values(void **state)
{
    (void)state;
    size_t n = 300000;
    char *text = malloc(n);
    struct h1_head h;
    const char *why;
    size_t at = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
    memset(text + at, 'x', n - at);
    assert_int_equal(request_n(&h, text, n, 1 << 20, &why), -431); /* a name without end */
    memcpy(text + at, "X:", 2);
    memcpy(text + n - 4, "\r\n\r\n", 4);
    assert_int_equal(request_n(&h, text, n, 1 << 20, &why), n);
    assert_int_equal(h.fields[1].value_n, n - 4 - at - 2);
    assert_int_equal(request_n(&h, text, n, MAX, &why), -431);
    free(text);
}

/* ---- answers ---- */

static const struct {
    const char *rule;
    const char *text;
    size_t n;
    enum h1_method method;
    unsigned status;
    enum h1_body body;
    uint64_t length;
    bool keep_alive;
} answers[] = {
    {"4: the least", T("HTTP/1.1 200 \r\n\r\n"), M_GET, 200, BODY_TO_CLOSE, 0, false},
    {"4: no reason and no space", T("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n"), M_GET, 200,
     BODY_LENGTH, 2, true},
    {"4: any reason", T("HTTP/1.1 404 Not \xc3\xa9 there\t\r\nContent-Length: 2\r\n\r\n"), M_POST,
     404, BODY_LENGTH, 2, true},
    {"4: a status that nobody knows", T("HTTP/1.1 599 X\r\nContent-Length: 2\r\n\r\n"), M_POST, 599,
     BODY_LENGTH, 2, true},
    {"6.3 (1): HEAD", T("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"), M_HEAD, 200, BODY_NONE,
     20, true},
    {"6.3 (1): HEAD, chunked", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), M_HEAD,
     200, BODY_NONE, 0, true},
    {"6.3 (1): HEAD without framing", T("HTTP/1.1 200 OK\r\n\r\n"), M_HEAD, 200, BODY_NONE, 0,
     true},
    {"6.3 (1): 100", T("HTTP/1.1 100 Continue\r\n\r\n"), M_POST, 100, BODY_NONE, 0, true},
    {"6.3 (1): 103 with fields", T("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), M_POST, 103,
     BODY_NONE, 0, true},
    {"6.3 (1): 204", T("HTTP/1.1 204 No Content\r\n\r\n"), M_POST, 204, BODY_NONE, 0, true},
    {"6.3 (1): 304 with a length", T("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
     M_GET, 304, BODY_NONE, 5, true},
    {"6.3 (4): chunked", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), M_POST, 200,
     BODY_CHUNKED, 0, true},
    {"6.3 (6): no body", T("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), M_POST, 200, BODY_NONE,
     0, true},
    {"6.3 (8): until the end", T("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"), M_POST, 200,
     BODY_TO_CLOSE, 0, false},
    {"9.3: HTTP/1.0", T("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n"), M_POST, 200, BODY_LENGTH,
     2, false},
    {"9.3: HTTP/1.0 that stays",
     T("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"), M_POST, 200,
     BODY_LENGTH, 2, true},
    {"9.6: close", T("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\n"), M_POST,
     200, BODY_LENGTH, 2, false},
};

static void accepted_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const char *rule = answers[i].rule, *why;
        struct h1_head h;
        for (size_t n = 0; n < answers[i].n; n++) {
            same_number(answer_n(&h, answers[i].text, n, MAX, answers[i].method, &why), 0,
                        "the outcome of a part", rule);
        }
        int r = answer_n(&h, answers[i].text, answers[i].n, MAX, answers[i].method, &why);
        same_number(r, (int)answers[i].n, "the length", rule);
        same_number(h.status, answers[i].status, "the status", rule);
        same_number(h.body, answers[i].body, "the framing", rule);
        same_number(h.keep_alive, answers[i].keep_alive, "keep_alive", rule);
        if (h.body == BODY_LENGTH) {
            same_number((int64_t)h.length, (int64_t)answers[i].length, "the body's length", rule);
        }
    }
}

static const struct {
    const char *rule;
    const char *text;
    size_t n;
} refused_answers_[] = {
    {"2.3: HTTP/2", T("HTTP/2.0 200 OK\r\n\r\n")},
    {"4: something else", T("220 smtp.test ready\r\n\r\n")},
    {"4: an empty line ahead", T("\r\nHTTP/1.1 200 OK\r\n\r\n")},
    {"4: two digits", T("HTTP/1.1 20 OK\r\n\r\n")},
    {"4: four digits", T("HTTP/1.1 2000 OK\r\n\r\n")},
    {"4: letters", T("HTTP/1.1 2xx OK\r\n\r\n")},
    {"4: below 100", T("HTTP/1.1 099 OK\r\n\r\n")},
    {"RFC 9110, 15: above 599", T("HTTP/1.1 600 X\r\n\r\n")},
    {"RFC 9110, 15: above 599", T("HTTP/1.1 999 X\r\n\r\n")},
    {"4: a tab for the space", T("HTTP/1.1\t200 OK\r\n\r\n")},
    {"4: LF alone", T("HTTP/1.1 200 OK\n\r\n")},
    {"4: a control in the reason", T("HTTP/1.1 200 O\x01K\r\n\r\n")},
    {"5.1: space before the colon", T("HTTP/1.1 200 OK\r\nX : y\r\n\r\n")},
    {"5.2: a folded line", T("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n")},
    {"6.1: in HTTP/1.0", T("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")},
    {"6.1: another coding", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")},
    {"6.3: both", T("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n")},
    {"6.3: two lengths", T("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")},
    {"6.3: no number", T("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")},
};

static void refused_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_answers_ / sizeof *refused_answers_; i++) {
        struct h1_head h;
        const char *why;
        bool before = false;
        for (size_t n = 0; n <= refused_answers_[i].n; n++) {
            int r = answer_n(&h, refused_answers_[i].text, n, MAX, M_POST, &why);
            if (before || r != 0 || n == refused_answers_[i].n) {
                same_number(r, -EBADMSG, "the outcome", refused_answers_[i].rule);
                assert_non_null(why);
            }
            before = r != 0;
        }
    }
}

static void limits_of_an_answer(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct h1_head h;
    const char *why;
    size_t n = sizeof text - 1;
    assert_int_equal(answer_n(&h, text, n, n, M_POST, &why), n);
    assert_int_equal(answer_n(&h, text, n, n - 1, M_POST, &why), -EMSGSIZE);
    assert_non_null(why);
    assert_int_equal(answer_n(&h, text, n - 2, n - 1, M_POST, &why), 0);
}

/* With the lines of the head before at hand, every head still reads as it would by itself. */
static void lines_of_the_head_before(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdefgh\r\n"
        "Content-Length: 10\r\nX-One: \t two words \r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdefgh\r\n"
        "Content-Length: 10\r\nX-One: \t two words \r\n\r\n",
        "GET /longer/path HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdefgi\r\n"
        "Content-Length: 1000\r\nX-One: \t two words \r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abcdefgi\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nX: y\r\nAuthorization: Bearer abcdefgi\r\n\r\n",
    };
    struct h1_memo memo = {0};
    struct h1_field other[H1_FIELDS_MAX];
    struct h1_head with = {.fields = other, .memo = &memo};
    for (size_t i = 0; i < 2 * (sizeof heads / sizeof *heads); i++) {
        struct str text = str_of(heads[i / 2]);
        struct h1_head alone;
        const char *why;
        for (size_t n = 0; n < text.n; n++) { /* in any number of pieces */
            char *own = malloc(n + 1);
            memcpy(own, text.p, n);
            assert_int_equal(h1_request(&with, own, n, MAX, &why), 0);
            free(own);
        }
        assert_int_equal(request_n(&alone, text.p, text.n, MAX, &why), (int)text.n);
        assert_int_equal(h1_request(&with, text.p, text.n, MAX, &why), (int)text.n);
        assert_int_equal(with.n_fields, alone.n_fields);
        assert_memory_equal(with.fields, alone.fields, with.n_fields * sizeof *with.fields);
        assert_memory_equal(with.at, alone.at, sizeof with.at);
        assert_int_equal(with.length, alone.length);
    }
    const char *why;
    struct str folded = STR("GET / HTTP/1.1\r\nhost: a\r\nX: y\r\n z\r\n\r\n");
    assert_int_equal(h1_request(&with, folded.p, folded.n, MAX, &why), -400);
    struct str twice = STR("GET / HTTP/1.1\r\nhost: a\r\nX: y\r\nhost: a\r\n\r\n");
    assert_int_equal(h1_request(&with, twice.p, twice.n, MAX, &why), -400);
    struct str no_host = STR("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n");
    for (int i = 0; i < 3; i++) { /* what was refused is no better the next time */
        assert_int_equal(h1_request(&with, no_host.p, no_host.n, MAX, &why), -400);
    }
}

static void assert_same(const struct h1_head *a, const struct h1_head *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->n_fields, b->n_fields);
    assert_memory_equal(a->fields, b->fields, b->n_fields * sizeof *b->fields);
    assert_memory_equal(a->at, b->at, sizeof b->at);
    assert_int_equal(a->body, b->body);
    assert_int_equal(a->length, b->length);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_int_equal(a->expect_continue, b->expect_continue);
    assert_int_equal(a->method, b->method);
    assert_int_equal(a->target_n, b->target_n);
    assert_int_equal(a->path_n, b->path_n);
    assert_int_equal(a->query, b->query);
}

#define AGENT "User-Agent: client/1.0 (Linux)\r\nAccept: */*\r\n"

/* Each head behind each other one and behind itself, with what is cut off of it in between: it reads as by itself. */
static void any_head_behind_any_other(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /v1/x HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 10\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 11\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\n" AGENT
        "Content-Length: 1100\r\nExpect: 100-continue\r\n\r\n",
        "POST /v1/x HTTP/1.1\r\nHost: a\r\n" AGENT "Transfer-Encoding: chunked\r\n\r\n",
        "POST /v1/x?a=1 HTTP/1.1\r\nHost: a\r\n" AGENT "Content-Length: 10\r\n\r\n",
        "PUT /v1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" AGENT "\r\n",
        "\r\nGET /v1/x HTTP/1.0\r\n" AGENT "\r\n",
        "GET /v1/x HTTP/1.1\r\nAccept: a\r\nHost: b\r\n" AGENT "\r\n",
        "GET /v1/x/with/no/field/at/all HTTP/1.0\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: b\r\nXy: zz\r\n" AGENT "\r\n",
        "GET /v1/x HTTP/1.1\r\nHost: b\r\nX: yzz\r\n" AGENT "\r\n", /* as long */
    };
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\nX: y\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
    };
    enum { N = sizeof requests / sizeof *requests, A = sizeof replies / sizeof *replies };
    struct h1_memo memo = {0};
    struct h1_field other[H1_FIELDS_MAX];
    struct h1_head alone, with = {.fields = other, .memo = &memo};
    const char *why;
    for (size_t i = 0; i < (size_t)N * N * (N + 1); i++) {
        struct str first = str_of(requests[i % N]), then = str_of(requests[i / N % N]);
        assert_int_equal(h1_request(&with, first.p, first.n, MAX, &why), (int)first.n);
        if (i / N / N < N) {
            struct str cut = str_of(requests[i / N / N]);
            assert_int_equal(h1_request(&with, cut.p, cut.n - 1 - i % 20, MAX, &why), 0);
        }
        assert_int_equal(request_n(&alone, then.p, then.n, MAX, &why), (int)then.n);
        assert_int_equal(h1_request(&with, then.p, then.n, MAX, &why), (int)then.n);
        assert_same(&with, &alone);
    }
    struct h1_memo other_memo = {0};
    with = (struct h1_head){.fields = other, .memo = &other_memo};
    for (size_t i = 0; i < (size_t)A * A * 4; i++) {
        struct str first = str_of(replies[i / 4 / A]), then = str_of(replies[i / 4 % A]);
        enum h1_method method[2] = {i & 1 ? M_HEAD : M_POST, i & 2 ? M_HEAD : M_POST};
        assert_int_equal(h1_answer(&with, first.p, first.n, MAX, method[0], &why), (int)first.n);
        assert_int_equal(answer_n(&alone, then.p, then.n, MAX, method[1], &why), (int)then.n);
        assert_int_equal(h1_answer(&with, then.p, then.n, MAX, method[1], &why), (int)then.n);
        assert_same(&with, &alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_requests),
        cmocka_unit_test(accepted_requests),
        cmocka_unit_test(rest_is_not_looked_at),
        cmocka_unit_test(fields_and_their_ids),
        cmocka_unit_test(every_length),
        cmocka_unit_test(every_byte),
        cmocka_unit_test(limits_of_a_head),
        cmocka_unit_test(number_of_fields),
        cmocka_unit_test(long_names_and_values),
        cmocka_unit_test(accepted_answers),
        cmocka_unit_test(refused_answers),
        cmocka_unit_test(limits_of_an_answer),
        cmocka_unit_test(lines_of_the_head_before),
        cmocka_unit_test(any_head_behind_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
