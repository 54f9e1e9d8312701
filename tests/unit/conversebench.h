/* What the tests of bedrock.converse share. Texts are written with ' in place of ". */
#ifndef TESTS_CONVERSEBENCH_H
#define TESTS_CONVERSEBENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/bedrock.h"
#include "dialect/format.h"
#include "http/aws_frame.h"
#include "json/scan.h"

#define CLAUDE "us.anthropic.claude-sonnet-4-20250514-v1:0"
#define NOVA   "amazon.nova-2-lite-v1:0"
#define LLAMA  "meta.llama3-70b-instruct-v1:0"

static const char *compact(struct arena *a, const char *text)
{
    char *to = arena_dupz(a, str_of(text)), *at = to; /* ' for " */
    for (; *at; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return to;
}

static inline void text_is(const char *what, struct str got, struct str want)
{
    if (!str_eq(got, want)) {
        fail_msg("%s:\n%.*s\ninstead of\n%.*s", what, STR_ARG(got), STR_ARG(want));
    }
}

static inline void check_json(const char *what, struct str text)
{
    struct json_error e;
    enum json_type top;
    if (json_scan(text, NULL, 0, &top, &e) < 0 || top != JSON_OBJECT) {
        fail_msg("%s: %s at %zu of\n%.*s", what, e.why, e.at, STR_ARG(text));
    }
}

static inline struct str joined(struct arena *a, const struct ir_list *l)
{
    struct buf b = {.arena = a};
    for (; l; l = l->next) {
        if (b.n) {
            buf_addc(&b, ' ');
        }
        buf_add(&b, l->text);
    }
    return buf_str(&b);
}

static inline int read_request(struct arena *a, struct ir_call *c, enum format_id from,
                               const char *body)
{
    struct str text = arena_dup(a, str_of(compact(a, body)));
    check_json("the test's own request", text);
    ir_call_init(c, a);
    int r = format_of(from)->read_request(c, text);
    ir_call_finish(c);
    return r;
}

static inline struct str write_request(struct arena *a, struct ir_call *c, enum format_id to,
                                       const char *model, uint32_t quirks)
{
    struct buf b = {.arena = a};
    struct ir_target t = {
        .model = str_of(model), .quirks = quirks, .family = format_of(to)->family};
    format_of(to)->write_request(&b, c, &t);
    check_json("what was written", buf_str(&b));
    return buf_str(&b);
}

struct translation {
    const char *name, *model, *in, *out, *dropped;
    uint32_t quirks;
};

static inline void check_translation(enum format_id from, enum format_id to,
                                     const struct translation *t)
{
    struct arena a = {0};
    struct ir_call c;
    if (read_request(&a, &c, from, t->in) < 0) {
        fail_msg("%s: %.*s", t->name, STR_ARG(c.bad));
    }
    struct str got = write_request(&a, &c, to, t->model, t->quirks);
    text_is(t->name, got, str_of(compact(&a, t->out)));
    text_is(t->name, joined(&a, c.dropped), str_of(t->dropped));
    text_is("a second time", write_request(&a, &c, to, t->model, t->quirks), got);
    arena_reset(&a);
}

#endif
