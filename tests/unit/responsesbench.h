/* What the tests of openai.responses share. Texts are written with ' in place of ". */
#ifndef TESTS_RESPONSESBENCH_H
#define TESTS_RESPONSESBENCH_H

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

static inline void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("\n  is   %.*s\n  not  %s", STR_ARG(have), want);
    }
}

static inline void is_json(struct str s)
{
    struct json_error e = {0};
    if (json_scan(s, NULL, 0, NULL, &e) < 0) {
        fail_msg("%s at %zu: %.*s", e.why, e.at, STR_ARG(s));
    }
}

static inline void has(struct str text, struct str part)
{
    if (str_find(text, part) < 0) {
        fail_msg("\n  no   %.*s\n  in   %.*s", STR_ARG(part), STR_ARG(text));
    }
}

static inline struct str quoted(const char *text)
{
    char *z = arena_dupz(&arena, str_of(text));
    for (char *p = z; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_of(z);
}

static inline void is_quoted(struct str have, const char *want)
{
    is(have, quoted(want).p);
}

static inline struct str losses(const struct ir_call *c)
{
    struct buf b = {.arena = &arena};
    for (const struct ir_list *l = c->dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(" ") : STR(""));
    }
    return b.p ? buf_str(&b) : STR("");
}

static inline struct ir_call *read_as(enum format_id from, const char *body)
{
    struct ir_call *c = arena_alloc(&arena, sizeof *c);
    struct str text = quoted(body);
    ir_call_init(c, &arena);
    is_json(text);
    if (format_of(from)->read_request(c, text) < 0) {
        fail_msg("%.*s", STR_ARG(c->bad));
    }
    ir_call_finish(c);
    return c;
}

static inline struct str write_as(enum format_id to, struct ir_call *c, uint32_t quirks)
{
    const struct format *f = format_of(to);
    struct ir_target t = {.model = STR("m"), .family = f->family, .quirks = quirks};
    struct buf b = {.arena = &arena};
    f->write_request(&b, c, &t);
    is_json(buf_str(&b));
    return buf_str(&b);
}

static inline void from_responses(const char *body, const char *want, const char *lost)
{
    struct ir_call *c = read_as(FORMAT_RESPONSES, body);
    is_quoted(write_as(FORMAT_CHAT, c, 0), want);
    is(losses(c), lost);
}

static inline void to_responses(enum format_id from, uint32_t quirks, const char *body,
                                const char *want, const char *lost)
{
    struct ir_call *c = read_as(from, body);
    is_quoted(write_as(FORMAT_RESPONSES, c, quirks), want);
    is(losses(c), lost);
}

#endif
