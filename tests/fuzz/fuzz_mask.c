/* Masking: any cut of a text gives what the whole gives, what was valid JSON stays it, and tokens restore to what was
 * there. The first byte is the action, the second the length of the pieces; the rest is a document, and if it is none
 * the inside of a string. */
#include <stdlib.h>

#include "base/must.h"
#include "json/scan.h"
#include "policy/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct mask_pattern patterns[] = {
    {T("employee"), T("employee(?: id)?:? \\d{4,8}\\b"), true},
    {T("badge"), T("\\b[A-Z]{2}\\d{6}[A-Z]\\b"), false},
    {T("angle"), T("<<.*>>"), false},
    {T("line"), T("^IBAN|end$"), false},
};
static const struct str words[] = {T("Anna"), T("Anna Schmidt"), T("J\xC3\xBCrgen"), T("b@c")};
static const struct mask_words lists[] = {{T("people"), words, 4, false}};

static struct mask_policy *policies[MASK_BLOCK + 1];
static struct mask_scratch *scratch;
static struct arena arena;
static struct pool pool;

static const struct mask_policy *policy_of(enum mask_action action)
{
    if (!policies[action]) {
        struct mask_options o = {
            .patterns = patterns, .n_patterns = 4, .lists = lists, .n_lists = 1};
        for (unsigned i = 0; i < MASK_KINDS; i++) {
            o.action[i] = action;
        }
        must(mask_compile(&o, &policies[action], &(struct buf){0}) == 0);
        must(mask_scratch_fit(&scratch, policies[action]) == 0);
    }
    return policies[action];
}

static struct mask_call call_of(enum mask_action action)
{
    return (struct mask_call){.policy = policy_of(action), .scratch = scratch, .arena = &arena};
}

static bool is_text(struct str s, bool *ret_halves)
{
    struct str quoted = arena_printf(&arena, "\"%.*s\"", STR_ARG(s));
    if (json_scan(quoted, NULL, 0, NULL, NULL) < 0) {
        return false;
    }
    *ret_halves = json_half_pair(quoted) >= 0;
    return true;
}

static struct str plain(struct str s)
{
    char *to = arena_alloc(&arena, s.n + 2);
    struct str quoted = arena_printf(&arena, "\"%.*s\"", STR_ARG(s));
    return str_make(to, json_unescape(quoted, to));
}

static struct str in_pieces(struct mask_call *c, struct str text, size_t piece)
{
    struct mask_stream s = {.call = c, .pool = &pool};
    struct buf out = {.arena = &arena};
    for (; text.n; text = str_from(text, piece)) {
        struct str one = str_first(text, piece);
        char *own = malloc(one.n); /* ends where the bytes end */
        must(own);
        memcpy(own, one.p, one.n);
        must(mask_stream_add(&s, str_make(own, one.n), &out) >= 0);
        free(own);
    }
    must(mask_stream_end(&s, &out) >= 0);
    return buf_str(&out);
}

static struct str restored(const struct mask_call *c, struct str text, size_t piece)
{
    struct mask_restore r = {.call = c};
    struct buf out = {.arena = &arena};
    for (; text.n; text = str_from(text, piece)) {
        mask_restore_add(&r, str_first(text, piece), &out);
    }
    mask_restore_end(&r, &out);
    return buf_str(&out);
}

static void look_at_text(enum mask_action action, size_t piece, struct str text)
{
    struct mask_call a = call_of(action), b = call_of(action);
    struct mask_splice *s;
    size_t n;
    struct buf out = {.arena = &arena};
    must(mask_text(&a, text, &s, &n) >= 0);
    mask_splice(text, s, n, &out);
    must(str_eq(in_pieces(&b, text, piece), buf_str(&out)));
    must(memcmp(a.counts, b.counts, sizeof a.counts) == 0);
    must(action != MASK_REPORT || str_eq(buf_str(&out), text));
    bool halves, same;
    if (text.n < 1 << 20 && !memchr(text.p, 0, text.n) && is_text(text, &halves)) {
        must(is_text(buf_str(&out), &same));
        if (action == MASK_TOKENISE && !halves) {
            must(str_eq(plain(restored(&a, buf_str(&out), piece)), plain(text)));
        }
    }
}

static void look_at_body(enum mask_action action, struct str body)
{
    struct mask_call c = call_of(action);
    struct mask_splice *s;
    size_t n;
    struct buf out = {.arena = &arena}, back = {.arena = &arena};
    must(mask_body(&c, body, NULL, &s, &n) >= 0);
    mask_splice(body, s, n, &out);
    must(json_scan(buf_str(&out), NULL, 0, NULL, NULL) == 0);
    must(mask_restore_body(&c, buf_str(&out), &s, &n) == 0);
    mask_splice(buf_str(&out), s, n, &back);
    must(json_scan(buf_str(&back), NULL, 0, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    enum mask_action action = (enum mask_action)(MASK_REPORT + data[0] % 4);
    struct str text = arena_dup(&arena, str_make((const char *)data + 2, size - 2));
    if (json_scan(text, NULL, 0, NULL, NULL) == 0) {
        look_at_body(action, text);
    } else {
        look_at_text(action, 1 + data[1] % 64, text);
    }
    arena_reset(&arena);
    must(pool.lent == 0);
    return 0;
}
