/* What Vectorscan looks for, compiled: prefixes of secrets, the users' words and patterns. */
#include <errno.h>

#include "policy/mask_look.h"

/* What Vectorscan is given: secrets, then words, then patterns. */
struct expressions {
    struct arena arena;
    uint32_t secrets, n;
    const char **texts;
    unsigned *flags, *ids;
};

static const char *prefix_expression(struct arena *a, struct str s)
{
    struct buf b = {.arena = a};
    for (size_t i = 0; i < s.n; i++) {
        buf_printf(&b, "\\x%02x", (unsigned char)s.p[i]);
    }
    buf_addc(&b, '\0');
    return b.p;
}

static void collect(const struct mask_policy *p, const struct mask_options *o,
                    struct expressions *x)
{
    struct arena *a = &x->arena;
    uint32_t first = x->secrets + p->n_words;
    x->n = first + p->n_patterns;
    x->texts = arena_zalloc(a, (x->n + 1) * sizeof *x->texts);
    x->flags = arena_zalloc(a, (x->n + 1) * sizeof *x->flags);
    x->ids = arena_zalloc(a, (x->n + 1) * sizeof *x->ids);
    for (uint32_t i = 0; i < x->n; i++) {
        x->ids[i] = i;
        if (i < x->secrets) {
            x->texts[i] = prefix_expression(a, secret_prefix(i));
        } else if (i < first) {
            x->texts[i] = mask_word_expression(a, p->words[i - x->secrets].folded);
        } else {
            x->texts[i] = arena_dupz(a, o->patterns[i - first].regex);
            x->flags[i] = mask_pattern_flags(&o->patterns[i - first]);
        }
    }
}

static int compile_first(struct mask_policy *p, const struct mask_options *o,
                         const struct expressions *x, uint32_t n, hs_database_t **ret,
                         struct buf *errors)
{
    hs_compile_error_t *e = NULL;
    if (n == 0 || hs.compile_multi(x->texts, x->flags, x->ids, n, HS_MODE_BLOCK, NULL, ret, &e) ==
                      HS_SUCCESS) {
        return 0;
    }
    int i = e->expression - (int)(x->secrets + p->n_words);
    if (i >= 0 && i < (int)p->n_patterns) {
        mask_pattern_mistake(errors, &o->patterns[i], mask_offset_in(e->message), e->message);
    } else {
        buf_printf(errors, "masking cannot be compiled: %s\n", e->message);
    }
    hs.free_compile_error(e);
    return -EINVAL;
}

/* One database of secrets, words and patterns, and one of the first two. */
static int compile_databases(struct mask_policy *p, const struct mask_options *o,
                             struct buf *errors)
{
    struct expressions x = {.secrets = p->action[MASK_SECRET] ? (uint32_t)secret_rows() : 0};
    collect(p, o, &x);
    int r = compile_first(p, o, &x, x.n, &p->whole, errors);
    p->stream = p->whole;
    if (r == 0 && p->n_patterns) {
        p->stream = NULL;
        r = compile_first(p, o, &x, x.n - p->n_patterns, &p->stream, errors);
    }
    arena_reset(&x.arena);
    return r;
}

int mask_user_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors)
{
    struct mask_options some = *o;
    int r = 0;
    some.n_patterns = p->action[MASK_PATTERN] ? o->n_patterns : 0;
    some.n_lists = p->action[MASK_WORD] ? o->n_lists : 0;
    if (o->n_patterns > MASK_PATTERNS_MAX) {
        buf_printf(errors, "more than %d patterns\n", MASK_PATTERNS_MAX);
        return -EINVAL;
    }
    if (some.n_lists) {
        r = mask_words_compile(p, o, errors);
    }
    p->n_patterns = (uint32_t)some.n_patterns;
    p->pattern_group = arena_zalloc(&p->arena, (some.n_patterns + 1) * sizeof *p->pattern_group);
    if (some.n_patterns) {
        int one = mask_patterns_compile(p, &some, errors);
        r = one < 0 ? one : r;
    }
    return r < 0 ? r : compile_databases(p, &some, errors);
}
