/* What tests of wire formats share: requests and answers from one row to another. Texts are written with ' in
 * place of ". */
#ifndef TESTS_FORMATBENCH_H
#define TESTS_FORMATBENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "http/sse.h"
#include "json/scan.h"

static struct arena arena;

static inline int reset(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static inline struct str quoted(const char *text)
{
    char *z = arena_dupz(&arena, str_of(text));
    for (char *p = z; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_of(z);
}

static inline void is(struct str have, const char *want)
{
    struct str w = quoted(want);
    if (!str_eq(have, w)) {
        fail_msg("\n  is   %.*s\n  not  %s", STR_ARG(have), w.p);
    }
}

static inline void is_json(struct str s)
{
    struct json_error e = {0};
    if (json_scan(s, NULL, 0, NULL, &e) < 0) {
        fail_msg("%s at %zu: %.*s", e.why, e.at, STR_ARG(s));
    }
}

/* ---- requests ---- */

static inline void lost_is(const struct ir_call *c, const char *want)
{
    struct buf b = {.arena = &arena};
    for (const struct ir_list *l = c->dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(", ") : STR(""));
    }
    is(buf_str(&b), want);
}

/* `stream` is the gateway's to read. */
static inline struct ir_call *read_as(enum format_id from, const char *body, int want)
{
    struct ir_call *c = arena_alloc(&arena, sizeof *c);
    struct str text = quoted(body);
    ir_call_init(c, &arena);
    c->stream = str_find(text, STR("\"stream\":true")) >= 0;
    is_json(text);
    int r = format_of(from)->read_request(c, text);
    if (r < 0 && want == 0) {
        fail_msg("%.*s", STR_ARG(c->bad));
    }
    assert_int_equal(r, want);
    ir_call_finish(c);
    return c;
}

static inline struct str write_as(enum format_id to, struct ir_call *c, const char *model)
{
    const struct format *f = format_of(to);
    struct ir_target t = {.model = str_of(model), .family = f->family};
    struct buf b = {.arena = &arena}, again = {.arena = &arena};
    f->write_request(&b, c, &t);
    is_json(buf_str(&b));
    f->write_request(&again, c, &t);
    assert_true(str_eq(buf_str(&b), buf_str(&again)));
    return buf_str(&b);
}

static inline void request(enum format_id from, enum format_id to, const char *body,
                           const char *want, const char *lost)
{
    struct ir_call *c = read_as(from, body, 0);
    is(write_as(to, c, "m"), want);
    lost_is(c, lost);
}

static inline void refused(enum format_id from, const char *body, const char *param)
{
    struct ir_call *c = read_as(from, body, -22);
    is(c->bad_param, param);
}

/* ---- answers ---- */

struct answer {
    struct ir_in in;
    struct ir_out out;
    struct buf text;
    struct ir_fold fold;
    const struct format *to;
};

static inline void both(void *arg, const struct ir_event *e)
{
    struct answer *a = arg;
    ir_fold_event(&a->fold, e);
    if (a->to) {
        a->to->write_event(&a->out, e);
    }
}

static inline struct answer *begin_answer(enum format_id from, enum format_id to)
{
    struct answer *a = arena_zalloc(&arena, sizeof *a);
    const struct format *f = format_of(from);
    a->to = format_of(to);
    a->text.arena = &arena;
    a->fold = (struct ir_fold){.arena = &arena, .copy = true};
    a->in = (struct ir_in){.arena = &arena,
                           .event = both,
                           .arg = a,
                           .state = arena_zalloc(&arena, f->in_state + 16),
                           .usage = USAGE_NONE,
                           .request_id = "req_ABC"};
    a->out = (struct ir_out){.arena = &arena,
                             .out = &a->text,
                             .scratch = &arena,
                             .state = arena_zalloc(&arena, a->to->out_state + 16),
                             .model = STR("asked"),
                             .id = STR("ABC"),
                             .created_s = 1789000000,
                             .sequence = -1,
                             .usage_wanted = true,
                             .caller = a->to->family};
    return a;
}

/* The frames of a stream, as they stand on the wire. */
static inline struct answer *stream(enum format_id from, enum format_id to, const char *wire)
{
    struct answer *a = begin_answer(from, to);
    const struct format *f = format_of(from);
    struct str text = quoted(wire);
    a->out.stream = true;
    while (text.n && !a->in.failed) {
        struct str name = {0}, frame, data;
        if (f->framing == FRAMING_SSE) {
            size_t n = sse_event_end(text.p, text.n, 0);
            n = n ? n : text.n;
            frame = str_first(text, n);
            data = str_trim(sse_data(&arena, frame, &name));
            text = str_from(text, n);
        } else {
            str_cut(&text, '\n', &data);
        }
        if (data.n) {
            /* Its own memory, gone when the reader returns: nothing may be kept of it. */
            char *own = test_malloc(data.n);
            memcpy(own, data.p, data.n);
            struct str copy = str_make(own, data.n);
            enum json_type top;
            bool json = json_scan(copy, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
            f->read_event(&a->in, name, copy, json);
            memset(own, '#', data.n);
            test_free(own);
        }
    }
    if (a->in.finished && !a->in.failed) {
        both(a, &(struct ir_event){.type = IR_END, .usage = a->in.usage});
    }
    return a;
}

static inline void streams(enum format_id from, enum format_id to, const char *wire,
                           const char *want)
{
    struct answer *a = stream(from, to, wire);
    if (a->in.failed) {
        fail_msg("%.*s", STR_ARG(a->in.error.message));
    }
    is(buf_str(&a->text), want);
}

static inline struct answer *whole(enum format_id from, enum format_id to, const char *body)
{
    struct answer *a = begin_answer(from, to);
    a->to = NULL;
    a->fold.copy = false;
    struct str text = quoted(body);
    is_json(text);
    format_of(from)->read_answer(&a->in, text);
    if (a->in.finished && !a->in.failed) {
        format_of(to)->write_answer(&a->out, &a->fold.answer);
        is_json(buf_str(&a->text));
    }
    return a;
}

static inline void wholes(enum format_id from, enum format_id to, const char *body,
                          const char *want)
{
    struct answer *a = whole(from, to, body);
    if (a->in.failed) {
        fail_msg("%.*s", STR_ARG(a->in.error.message));
    }
    is(buf_str(&a->text), want);
}

/* What a fold holds, in a few letters: kind[text], and how it ended. */
static inline struct str summary(const struct answer *a)
{
    static const char kinds[] = "TIADCRKF";
    struct buf b = {.arena = &arena};
    for (const struct ir_part *p = a->fold.answer.parts; p; p = p->next) {
        buf_printf(&b, "%c[%.*s%s%.*s] ", kinds[p->kind], STR_ARG(p->name), p->name.n ? " " : "",
                   STR_ARG(p->kind == IR_TOOL_CALL ? p->args : p->text));
    }
    buf_printf(&b, "%d %lld/%lld", (int)a->fold.answer.finish,
               (long long)a->fold.answer.usage.input, (long long)a->fold.answer.usage.output);
    return buf_str(&b);
}

#endif
