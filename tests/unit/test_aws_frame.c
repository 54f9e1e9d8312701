/* Frames of Amazon's event streams: bytes made by another writer (Python's zlib), every cut, every bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/must.h"
#include "http/aws_frame.h"

/* messageStart with {"role":"assistant"} */
static const char event_hex[] = "000000760000005296d5fade0b3a6576656e742d7479706507000c6d65737361"
                                "676553746172740d3a636f6e74656e742d747970650700106170706c69636174"
                                "696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b22"
                                "726f6c65223a22617373697374616e74227d6fa8c599";
/* a header of each type, the event "e" with {} */
static const char types_hex[] = "0000007f0000006d2da3b592017400016601016202780173037879016904616263"
                                "64016c05616263646566676801420600"
                                "036162630154083132333435363738017509303132333435363738396162636465"
                                "660b3a6576656e742d74797065070001"
                                "650d3a6d6573736167652d747970650700056576656e747b7d39f08086";
/* code InternalError, message "it broke" */
static const char error_hex[] = "0000005c0000004ce7abf0180d3a6d6573736167652d74797065070005657272"
                                "6f720b3a6572726f722d636f646507000d496e7465726e616c4572726f720e3a"
                                "6572726f722d6d65737361676507000869742062726f6b65c0c21ee3";

static struct str bytes(struct arena *a, const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *to = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        to[i] = (char)v;
    }
    return str_make(to, n);
}

/* In memory of its own, so that a look behind the end is seen. */
static size_t end_of(struct str s)
{
    char *own = malloc(s.n ? s.n : 1);
    must(own);
    memcpy(own, s.p, s.n);
    size_t end = aws_frame_end(own, s.n);
    free(own);
    return end;
}

static void text_is(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want))) {
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(got), want);
    }
}

static void reads(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum aws_frame_type type;
        const char *name, *message, *payload;
    } frames[] = {
        {event_hex, AWS_FRAME_EVENT, "messageStart", "", "{\"role\":\"assistant\"}"},
        {types_hex, AWS_FRAME_EVENT, "e", "", "{}"},
        {error_hex, AWS_FRAME_ERROR, "InternalError", "it broke", ""},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct arena a = {0};
        struct aws_frame f;
        struct str s = bytes(&a, frames[i].hex);
        assert_int_equal(aws_frame_end(s.p, s.n), s.n);
        assert_int_equal(aws_frame_read(s, &f), 0);
        assert_int_equal(f.type, frames[i].type);
        text_is(f.name, frames[i].name);
        text_is(f.message, frames[i].message);
        text_is(f.payload, frames[i].payload);
        arena_reset(&a);
    }
}

static void waits_for_the_whole(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str s = bytes(&a, event_hex), other = bytes(&a, types_hex);
    for (size_t n = 0; n < s.n; n++) {
        assert_int_equal(end_of(str_first(s, n)), 0);
    }
    struct buf both = {.arena = &a};
    buf_add(&both, s);
    for (size_t n = 0; n <= other.n; n++) {
        both.n = s.n;
        buf_add(&both, str_first(other, n));
        assert_int_equal(end_of(buf_str(&both)), s.n);
    }
    arena_reset(&a);
}

static void sees_each_damaged_bit(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str s = bytes(&a, event_hex);
    char *own = arena_dupz(&a, s);
    for (size_t bit = 0; bit < s.n * 8; bit++) {
        own[bit / 8] = (char)(own[bit / 8] ^ 1 << bit % 8);
        assert_true(aws_frame_end(own, s.n) == AWS_FRAME_BAD);
        own[bit / 8] = (char)(own[bit / 8] ^ 1 << bit % 8);
    }
    arena_reset(&a);
}

/* Sums that are right over lengths that are not. */
static void refuses_lengths(void **state)
{
    (void)state;
    static const char *const preludes[] = {
        "0000000f00000000e77248b8", /* shorter than its own frame */
        "00100001000000003f9c6a17", /* 1 MiB and a byte */
        "000000100000000172c5787d", /* headers past the end */
    };
    for (size_t i = 0; i < sizeof preludes / sizeof *preludes; i++) {
        struct arena a = {0};
        struct str s = bytes(&a, preludes[i]);
        if (end_of(s) != AWS_FRAME_BAD) {
            fail_msg("prelude %zu is taken", i);
        }
        arena_reset(&a);
    }
}

static void refuses_headers_that_do_not_add_up(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
    } headers[] = {
        {"\0", 1},             /* no name */
        {"\1", 1},             /* its name is missing */
        {"\1a", 2},            /* its type */
        {"\1a\12", 3},         /* a type that there is not */
        {"\1a\7", 3},          /* its length */
        {"\1a\7\0", 4},        /* ... half of it */
        {"\1a\7\0\2x", 6},     /* text that is cut off */
        {"\1a\4abc", 6},       /* a number that is cut off */
        {"\377a\7\0\1x", 6},   /* a name that is longer than all */
        {"\1a\7\377\377x", 6}, /* and a text */
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct buf b = {0};
        struct aws_frame f;
        buf_add(&b, str_make("\0\0\0\0\0\0\0\0\0\0\0\0", 12));
        b.p[7] = (char)headers[i].n;
        buf_add(&b, str_make(headers[i].p, headers[i].n));
        buf_add(&b, STR("sums"));
        if (aws_frame_read(buf_str(&b), &f) == 0) {
            fail_msg("headers %zu are taken", i);
        }
        buf_free(&b);
    }
}

static void writes(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b = {0};
    buf_add(&b, STR("before"));
    size_t at = aws_frame_begin(&b, AWS_FRAME_EVENT, STR("messageStart"));
    assert_int_equal(at, 6);
    buf_add(&b, STR("{\"role\":\"assistant\"}"));
    aws_frame_finish(&b, at);
    assert_true(str_eq(str_from(buf_str(&b), 6), bytes(&a, event_hex)));

    at = aws_frame_begin(&b, AWS_FRAME_EXCEPTION, STR("throttlingException"));
    aws_frame_finish(&b, at);
    struct aws_frame f;
    struct str s = str_from(buf_str(&b), at);
    assert_int_equal(aws_frame_end(s.p, s.n), s.n);
    assert_int_equal(aws_frame_read(s, &f), 0);
    assert_int_equal(f.type, AWS_FRAME_EXCEPTION);
    text_is(f.name, "throttlingException");
    text_is(f.payload, "");
    buf_free(&b);
    arena_reset(&a);
}

/* What a full buffer did not take is not touched either. */
static void a_full_buffer_is_left_alone(void **state)
{
    (void)state;
    for (size_t limit = 1; limit < 130; limit++) {
        struct buf b = {.limit = limit};
        size_t at = aws_frame_begin(&b, AWS_FRAME_EVENT, STR("messageStart"));
        buf_add(&b, STR("{\"role\":\"assistant\"}"));
        aws_frame_finish(&b, at);
        assert_true(b.overflow == (limit < 118));
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(waits_for_the_whole),
        cmocka_unit_test(sees_each_damaged_bit),
        cmocka_unit_test(refuses_lengths),
        cmocka_unit_test(refuses_headers_that_do_not_add_up),
        cmocka_unit_test(writes),
        cmocka_unit_test(a_full_buffer_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
