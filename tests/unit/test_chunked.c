/* The chunked coding (RFC 9112, 7.1): whatever the split, the content is the same. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/h1.h"

/* What came out of a decoder: its last word, the content, and how much of the input it took. */
struct result {
    int last;
    struct buf content;
    size_t used;
};

static bool feed(struct h1_chunked *c, struct result *r, const char *p, size_t n)
{
    char *own = malloc(n ? n : 1); /* ends where the piece ends */
    assert_non_null(own);
    memcpy(own, p, n);
    const char *at = own, *end = own + n;
    for (;;) {
        struct str piece = {0};
        const char *before = at;
        r->last = h1_chunked(c, &at, end, &piece);
        r->used += (size_t)(at - before);
        if (r->last != CHUNK_DATA) {
            break;
        }
        assert_true(piece.n > 0 && piece.p >= before && piece.p + piece.n <= at);
        buf_add(&r->content, piece);
    }
    if (r->last == CHUNK_MORE) {
        assert_ptr_equal(at, end); /* it asks for more only when all is used */
    }
    free(own);
    return r->last == CHUNK_MORE;
}

/* In pieces of `step` bytes, but the first one of `first`. */
static struct result decode(const char *p, size_t n, size_t first, size_t step)
{
    struct h1_chunked c = {0};
    struct result r = {.last = CHUNK_MORE};
    size_t k = first < n ? first : n;
    for (size_t at = 0; feed(&c, &r, p + at, k) && at + k < n;) {
        at += k;
        k = step < n - at ? step : n - at;
    }
    return r;
}

/* All ways to cut in two, and steps of 1 to 5 bytes: the outcome is that of the whole. */
static void check_splits(const char *text, size_t n, int last, const char *content,
                         size_t content_n, size_t used)
{
    for (size_t step = 1; step <= 6; step++) {
        for (size_t first = 0; first <= n; first++) {
            struct result r = decode(text, n, first, step == 6 ? n : step);
            if (r.last != last) {
                fail_msg("\"%s\": %d instead of %d when cut at %zu, then every %zu", text, r.last,
                         last, first, step);
            }
            if (last >= 0) {
                assert_int_equal(r.used, used);
                assert_int_equal(r.content.n, content_n);
                assert_memory_equal(r.content.p ? r.content.p : "", content, content_n);
            }
            buf_free(&r.content);
        }
    }
}

#define T(text) text, sizeof(text) - 1

static const struct {
    const char *text;
    size_t n;
    const char *content;
    size_t content_n;
    size_t behind; /* bytes that belong to the next message */
} good[] = {
    {T("0\r\n\r\n"), T(""), 0},
    {T("5\r\nhello\r\n0\r\n\r\n"), T("hello"), 0},
    {T("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), T("hello world"), 0},
    {T("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), T("01234567890123456789"), 0},
    {T("4\r\n\r\n\r\n\r\n0\r\n\r\n"), T("\r\n\r\n"), 0},
    {T("3\r\n\0\n\xff\r\n0\r\n\r\n"), T("\0\n\xff"), 0},
    {T("0000000005\r\nhello\r\n000\r\n\r\n"), T("hello"), 0},
    {T("5;a=b;c=\"d\te\"\r\nhello\r\n0;x\r\n\r\n"), T("hello"), 0},
    {T("5;\r\nhello\r\n0\r\n\r\n"), T("hello"), 0},
    {T("5\r\nhello\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n"), T("hello"), 0},
    {T("5\r\nhello\r\n0\r\nX: a b\tc \xc3\xa9\r\n\r\n"), T("hello"), 0},
    {T("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), T("x"), 16},
    {T("1\r\nx\r\n0\r\n\r\n0\r\n\r\n"), T("x"), 5},
};

static void good_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        check_splits(good[i].text, good[i].n, CHUNK_END, good[i].content, good[i].content_n,
                     good[i].n - good[i].behind);
    }
}

/* Every part of a body that is not the whole asks for more, and has given a part of the content. */
static void incomplete_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        for (size_t n = 0; n < good[i].n - good[i].behind; n++) {
            struct result r = decode(good[i].text, n, n, n + 1);
            assert_int_equal(r.last, CHUNK_MORE);
            assert_true(r.content.n <= good[i].content_n);
            assert_memory_equal(r.content.p ? r.content.p : "", good[i].content, r.content.n);
            buf_free(&r.content);
        }
    }
}

static const struct {
    const char *text;
    size_t n;
} bad[] = {
    {T("\r\n")},                          /* no size */
    {T(";a=b\r\n")},                      /* an extension of nothing */
    {T("g\r\n")},                         /* no digit */
    {T("-5\r\nhello\r\n")},               /* a sign */
    {T("+5\r\nhello\r\n")},               /* the same */
    {T("0x5\r\nhello\r\n")},              /* C's spelling */
    {T(" 5\r\nhello\r\n")},               /* space ahead */
    {T("5 \r\nhello\r\n")},               /* space behind */
    {T("5\nhello\r\n")},                  /* LF alone */
    {T("5\r\rhello\r\n")},                /* CR CR */
    {T("5;a\nb\r\nhello\r\n")},           /* LF in an extension (terminator confusion) */
    {T("5;a\0b\r\nhello\r\n")},           /* NUL in an extension */
    {T("5;a\x7f\r\nhello\r\n")},          /* DEL in an extension */
    {T("5\r\nhello0\r\n\r\n")},           /* no line end behind the data */
    {T("5\r\nhello\n0\r\n\r\n")},         /* LF alone behind the data */
    {T("5\r\nhello\r0\r\n\r\n")},         /* CR alone behind the data */
    {T("5\r\nhello world\r\n0\r\n\r\n")}, /* more data than said */
    {T("10000000000000000\r\n")},         /* 2^64 */
    {T("1000000000000000\r\n")},          /* 2^60: more than anybody means */
    {T("fffffffffffffffff\r\n")},         /* beyond it */
    {T("0\r\n\n")},                       /* LF alone at the end */
    {T("0\r\n\rX")},                      /* CR alone at the end */
    {T("0\r\nno colon\r\n\r\n")},         /* trailers are fields */
    {T("0\r\nabc\r\n\r\n")},              /* the same */
    {T("0\r\n: x\r\n\r\n")},              /* without a name */
    {T("0\r\n x: y\r\n\r\n")},            /* folded */
    {T("0\r\nx : y\r\n\r\n")},            /* space before the colon */
    {T("0\r\nx: y\n\r\n")},               /* LF alone */
    {T("0\r\nx: \0\r\n\r\n")},            /* NUL */
    {T("0\r\nx: y\r\rz")},                /* CR CR */
};

static void bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_splits(bad[i].text, bad[i].n, -EBADMSG, NULL, 0, 0);
    }
}

/* A size line holds 256 bytes, zeros and extensions included, and not one more. */
static void long_size_lines(void **state)
{
    (void)state;
    for (int extension = 0; extension < 2; extension++) {
        for (size_t n = 250; n < 262; n++) {
            char text[300];
            memset(text, extension ? 'x' : '0', n);
            memcpy(text, extension ? "0;" : "00", 2);
            memcpy(text + n, "\r\n\r\n", 4);
            struct result r = decode(text, n + 4, 1, 1);
            assert_int_equal(r.last, n + 1 <= 256 ? CHUNK_END : -EBADMSG);
            r = decode(text, n + 4, n + 4, 1);
            assert_int_equal(r.last, n + 1 <= 256 ? CHUNK_END : -EBADMSG);
        }
    }
    /* Each chunk has its own. */
    struct buf b = {0};
    for (int i = 0; i < 50; i++) {
        buf_addz(&b, "1;0123456789012345678901234567890123456789\r\nx\r\n");
    }
    buf_addz(&b, "0\r\n\r\n");
    struct result r = decode(b.p, b.n, b.n, b.n);
    assert_int_equal(r.last, CHUNK_END);
    assert_int_equal(r.content.n, 50);
    buf_free(&r.content);
    buf_free(&b);
}

/* The trailer section holds 8 KiB, in however many lines. */
static void long_trailers(void **state)
{
    (void)state;
    for (size_t line = 100; line <= 9000; line += 8900) {
        for (size_t total = 8000; total <= 8400; total += 50) {
            struct buf b = {0};
            buf_addz(&b, "0\r\n");
            size_t start = b.n;
            while (b.n - start < total) {
                size_t n = total - (b.n - start);
                n = n < line ? n : line;
                buf_addz(&b, "x:");
                for (size_t i = 4; i < n; i++) {
                    buf_addc(&b, 'y');
                }
                buf_addz(&b, "\r\n");
            }
            buf_addz(&b, "\r\n");
            size_t section = b.n - start;
            struct result r = decode(b.p, b.n, 7, 1000);
            assert_int_equal(r.last, section <= 8192 ? CHUNK_END : -EBADMSG);
            buf_free(&b);
        }
    }
}

/* The largest sizes are taken as they are, and their data piece by piece. */
static void huge_chunks(void **state)
{
    (void)state;
    struct h1_chunked c = {0};
    struct result r = {.last = CHUNK_MORE};
    assert_true(feed(&c, &r, T("0fffffffffffffff\r\nabc")));
    assert_int_equal(r.content.n, 3);
    assert_true(c.left == 0x0fffffffffffffff - 3);
    buf_free(&r.content);
}

/* After the end it stays at the end, and takes nothing. */
static void end_is_the_end(void **state)
{
    (void)state;
    struct h1_chunked c = {0};
    struct result r = {.last = CHUNK_MORE};
    assert_false(feed(&c, &r, T("0\r\n\r\nabc")));
    assert_int_equal(r.used, 5);
    assert_false(feed(&c, &r, T("5\r\nhello\r\n")));
    assert_int_equal(r.last, CHUNK_END);
    assert_int_equal(r.used, 5);
}

/* One large body through every size of read. */
static void long_body(void **state)
{
    (void)state;
    struct buf coded = {0}, content = {0};
    uint32_t seed = 7;
    for (int i = 0; i < 200; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t n = 1 + (seed >> 16) % 300;
        buf_printf(&coded, i % 3 ? "%zx\r\n" : "%zX;e\r\n", n);
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525 + 1013904223;
            buf_addc(&content, (char)(seed >> 24));
            buf_addc(&coded, (char)(seed >> 24));
        }
        buf_addz(&coded, "\r\n");
    }
    buf_addz(&coded, "0\r\nT: x\r\n\r\n");
    for (size_t step = 1; step < 700; step += step < 20 ? 1 : 37) {
        struct result r = decode(coded.p, coded.n, step, step);
        assert_int_equal(r.last, CHUNK_END);
        assert_true(str_eq(buf_str(&r.content), buf_str(&content)));
        buf_free(&r.content);
    }
    buf_free(&coded);
    buf_free(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies),    cmocka_unit_test(incomplete_bodies),
        cmocka_unit_test(bad_bodies),     cmocka_unit_test(long_size_lines),
        cmocka_unit_test(long_trailers),  cmocka_unit_test(huge_chunks),
        cmocka_unit_test(end_is_the_end), cmocka_unit_test(long_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
