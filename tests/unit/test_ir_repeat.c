/* Events that are taken because they are like the one before mean what they would mean if they were read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "dialect/ir_repeat.h"
#include "http/sse.h"
#include "json/scan.h"

struct reading {
    struct ir_in in;
    struct ir_repeat repeat;
    struct buf told; /* the events, as text */
    unsigned taken;
};

static void on_event(void *arg, const struct ir_event *e)
{
    struct reading *r = arg;
    ir_repeat_see(&r->repeat, e);
    buf_printf(&r->told, "%d %d %u <%.*s>\n", (int)e->type, (int)e->kind, e->block,
               STR_ARG(e->text));
}

static size_t read_one(struct reading *r, const struct format *f, struct str rest, bool repeat)
{
    struct str name, data;
    enum json_type top;
    size_t n = repeat ? ir_repeat_take(&r->repeat, rest.p, rest.n, &data) : 0;
    if (n) {
        r->taken++;
        ir_delta(&r->in, data);
        return n;
    }
    n = sse_event_take(r->in.arena, rest.p, rest.n, 0, &name, &data);
    if (n) {
        bool json = json_scan(data, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
        r->repeat.events = 0;
        if (json) {
            f->read_event(&r->in, name, data, json);
        } else {
            r->in.failed = true;
        }
        ir_repeat_note(&r->repeat, r->in.arena, str_first(rest, n));
    }
    return n;
}

static struct reading read_all(struct arena *a, const struct format *f, struct str stream,
                               bool repeat)
{
    struct reading r = {.told = {.arena = a}};
    size_t n;
    r.in = (struct ir_in){.arena = a,
                          .event = on_event,
                          .state = arena_zalloc(a, f->in_state + 16),
                          .usage = USAGE_NONE,
                          .request_id = "req_00000000000000000000000000"};
    r.in.arg = &r;
    while (stream.n && !r.in.failed && (n = read_one(&r, f, stream, repeat)) > 0) {
        stream = str_from(stream, n);
    }
    buf_printf(&r.told, "%d %d", r.in.failed, r.in.finished);
    return r;
}

/* How many were taken; both ways must tell the same. */
static unsigned compare(enum format_id id, struct str stream)
{
    struct arena a = {0};
    char *own = malloc(stream.n + 1); /* reading outside of it shows */
    assert_non_null(own);
    memcpy(own, stream.p, stream.n);
    stream.p = own;
    struct reading with = read_all(&a, format_of(id), stream, true);
    struct reading without = read_all(&a, format_of(id), stream, false);
    buf_addc(&with.told, 0);
    buf_addc(&without.told, 0);
    assert_string_equal(with.told.p, without.told.p);
    arena_reset(&a);
    free(own);
    return with.taken;
}

/* ---- what streams are like ---- */

#define CHAT(content)                                                                              \
    "data: "                                                                                       \
    "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" content    \
    "\"},\"finish_reason\":null}]}\n\n"
#define MESSAGES(content)                                                                          \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"             \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"" content "\"}}\n\n"
/* As long as that, and of a type that nobody knows. */
#define UNKNOWN(content)                                                                           \
    "event: content_block_delta\ndata: {\"type\":\"content_block_xxxxx\",\"index\":0,"             \
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"" content "\"}}\n\n"
#define MESSAGES_START                                                                             \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\","           \
    "\"model\":\"m\"}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\","    \
    "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define MESSAGES_STOP                                                                              \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"

static void test_only_the_text_differs(void **state)
{
    (void)state;
    assert_int_equal(compare(FORMAT_CHAT, STR(CHAT("a") CHAT("b") CHAT("c") CHAT("d"))), 2);
    assert_int_equal(
        compare(FORMAT_MESSAGES, STR(MESSAGES_START MESSAGES("a") MESSAGES("b")
                                         MESSAGES("\\n\\u00e9\\\"") MESSAGES("\xC3\xA9"))),
        3);
}

static void test_what_is_no_text_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\tb", "\xFF", "\xC3", "\\x", "\\u12g4", "\xED\xA0\x80", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = {0};
        buf_addz(&b, MESSAGES_START MESSAGES("a") MESSAGES("b"));
        buf_printf(
            &b,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
            "\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n",
            bad[i]);
        buf_addz(&b, MESSAGES("c"));
        assert_true(compare(FORMAT_MESSAGES, buf_str(&b)) <= 2);
        buf_free(&b);
    }
}

static void test_an_event_between_ends_it(void **state)
{
    (void)state;
    /* behind its end a piece has no block to go to */
    assert_int_equal(
        compare(FORMAT_MESSAGES, STR(MESSAGES_START MESSAGES("a") MESSAGES_STOP MESSAGES("b"))), 0);
    assert_int_equal(compare(FORMAT_CHAT, STR(CHAT("a") CHAT("b") CHAT("c") "data: [DONE]\n\n")),
                     1);
}

/* Reads come into one buffer, so that a text of an earlier event may have stood where this one has a string. */
static void test_an_event_without_a_text_is_no_model_for_others(void **state)
{
    (void)state;
    static const char *const frames[] = {MESSAGES_START, MESSAGES("a"), UNKNOWN("b"), UNKNOWN("c")};
    const struct format *f = format_of(FORMAT_MESSAGES);
    struct arena a = {0};
    struct reading r = {.told = {.arena = &a}};
    char buffer[1024];
    r.in = (struct ir_in){.arena = &a,
                          .event = on_event,
                          .arg = &r,
                          .state = arena_zalloc(&a, f->in_state + 16),
                          .usage = USAGE_NONE,
                          .request_id = "req_00000000000000000000000000"};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct str rest = str_make(buffer, strlen(frames[i]));
        memcpy(buffer, frames[i], rest.n);
        size_t told = r.told.n;
        for (size_t n; rest.n && (n = read_one(&r, f, rest, true)) > 0;) {
            rest = str_from(rest, n);
        }
        assert_true(i < 2 ? r.told.n > told : r.told.n == told);
    }
    assert_int_equal(r.taken, 0);
    arena_reset(&a);
}

static void test_events_that_never_repeat_are_given_up(void **state)
{
    (void)state;
    struct buf b = {0};
    for (unsigned i = 0; i < 40; i++) {
        bool same = i >= 30;
        buf_printf(&b, "data: {\"id\":\"%u\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n",
                   same ? 99 : i);
    }
    assert_int_equal(compare(FORMAT_CHAT, buf_str(&b)), 0);
    buf_free(&b);
}

/* A stream of which some bytes are others, and some pieces come twice, or not at all. */
static void test_damage(void **state)
{
    (void)state;
    static const char good[] =
        MESSAGES_START MESSAGES("a") MESSAGES("bc") MESSAGES("d\\n") MESSAGES("e") MESSAGES_STOP;
    static const char also[] = CHAT("a") CHAT("b") CHAT("c\\\"") CHAT("d") "data: [DONE]\n\n";
    static const char bytes[] = "\"\\{}[],: \n\rat0\x01\xC3\xA9";
    unsigned taken = 0;
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        bool chat = i & 1;
        char text[sizeof good + sizeof also];
        size_t n = chat ? sizeof also - 1 : sizeof good - 1;
        memcpy(text, chat ? also : good, n);
        for (unsigned k = 0; k < i % 4; k++) {
            text[(size_t)rand() % n] = bytes[(size_t)rand() % (sizeof bytes - 1)];
        }
        n -= i % 3 ? 0 : (size_t)rand() % 60;
        taken += compare(chat ? FORMAT_CHAT : FORMAT_MESSAGES, str_make(text, n));
    }
    assert_true(taken > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_text_differs),
        cmocka_unit_test(test_what_is_no_text_is_read),
        cmocka_unit_test(test_an_event_between_ends_it),
        cmocka_unit_test(test_an_event_without_a_text_is_no_model_for_others),
        cmocka_unit_test(test_events_that_never_repeat_are_given_up),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
