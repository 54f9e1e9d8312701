/* The users' patterns. Vectorscan finds all in one pass, and knows only where they end; PCRE2 tells where a pattern
 * starts, as its own reading of all patterns, one group for each in one expression.
 *
 * Vectorscan takes less than PCRE2 does: nothing that looks around or back, so that a match is told by its own
 * bytes and the two beside it. That is what lets matches be found in a stream. */
#include <errno.h>
#include <stdlib.h>

#include "policy/mask_look.h"

int mask_pattern_mistake(struct buf *errors, const struct mask_pattern *m, size_t at,
                         const char *why)
{
    buf_printf(errors, "pattern \"%.*s\": at offset %zu: %s\n", STR_ARG(m->name), at, why);
    return -EINVAL;
}

/* Behind "(?": what Vectorscan refuses without telling where, and what would change the expression around it. */
static const char *unfit_group(struct str s)
{
    static const char *const refused[] = {"=", "!", "<=", "<!", ">",  "|", "(",
                                          "&", "R", "C",  "P=", "P>", "+"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (str_starts(s, str_of(refused[i]))) {
            return "look-around, atomic groups, conditions and recursion are not supported";
        }
    }
    for (size_t i = 0; i < s.n && s.p[i] != 'P' && s.p[i] != '<'; i++) {
        if (!is_letter((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '^') {
            break;
        }
        if (s.p[i] != 'i' && s.p[i] != 's' && s.p[i] != '-') {
            return "of the inline options only i and s are supported";
        }
    }
    return NULL;
}

/* What both libraries know and a text in pieces cannot have, and where it stands. */
static const char *unfit(struct str s, size_t *ret_at)
{
    bool quoted = false;
    for (size_t i = 0; i + 1 < s.n; i++) {
        *ret_at = i;
        if (s.p[i] == '\\') {
            char c = s.p[++i];
            quoted = quoted ? c != 'E' : c == 'Q';
            if (!quoted && strchr("AGzZKCXR", c)) {
                return "\\A, \\G, \\z, \\Z, \\K, \\C, \\X and \\R are not supported";
            }
            if (!quoted && strchr("123456789kg", c)) {
                return "back references are not supported";
            }
        } else if (!quoted && s.p[i] == '(' && s.p[i + 1] == '*') {
            return "verbs are not supported";
        } else if (!quoted && s.p[i] == '(' && s.p[i + 1] == '?') {
            const char *why = unfit_group(str_from(s, i + 2));
            if (why) {
                return why;
            }
        }
    }
    return NULL;
}

static pcre2_code *pcre_compile(struct str s, uint32_t options, int *ret_error, size_t *ret_at)
{
    return pcre.compile((PCRE2_SPTR)s.p, s.n,
                        options | PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NO_AUTO_CAPTURE |
                            PCRE2_DUPNAMES | PCRE2_NEVER_BACKSLASH_C,
                        ret_error, ret_at, NULL);
}

unsigned mask_pattern_flags(const struct mask_pattern *m)
{
    return HS_FLAG_UTF8 | HS_FLAG_MULTILINE | (m->any_case ? HS_FLAG_CASELESS : 0);
}

/* Vectorscan tells the offset within its text: "... at index 5." */
size_t mask_offset_in(const char *message)
{
    const char *at = strstr(message, "at index ");
    size_t v = 0;
    for (at = at ? at + 9 : ""; is_digit((unsigned char)*at); at++) {
        v = v * 10 + (size_t)(*at - '0');
    }
    return v;
}

static int check_width(struct mask_policy *p, const struct mask_pattern *m, const char *z,
                       struct buf *errors)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *e = NULL;
    if (hs.expression_info(z, mask_pattern_flags(m), &info, &e) != HS_SUCCESS) {
        int r = mask_pattern_mistake(errors, m, mask_offset_in(e->message), e->message);
        hs.free_compile_error(e);
        return r;
    }
    unsigned min = info->min_width, max = info->max_width;
    free(info);
    if (min == 0) {
        return mask_pattern_mistake(errors, m, 0, "it matches the empty text");
    }
    if (min > MASK_WIDTH_MAX) {
        return mask_pattern_mistake(errors, m, 0, "its shortest match is longer than 512 bytes");
    }
    p->pattern_cut |= max > MASK_WIDTH_MAX;
    max = max > MASK_WIDTH_MAX ? MASK_WIDTH_MAX : max;
    p->pattern_width = max > p->pattern_width ? max : p->pattern_width;
    return 0;
}

/* Checks one by itself, by both libraries; *ret_groups is how many groups it has. */
static int check_pattern(struct mask_policy *p, const struct mask_pattern *m, uint32_t *ret_groups,
                         struct buf *errors)
{
    size_t at = 0;
    int error = 0;
    if (m->regex.n == 0 || m->regex.n > MASK_PATTERN_BYTES_MAX ||
        memchr(m->regex.p, 0, m->regex.n)) {
        return mask_pattern_mistake(errors, m, 0,
                                    "it is empty, longer than 1024 bytes or holds a NUL");
    }
    const char *why = unfit(m->regex, &at);
    if (why) {
        return mask_pattern_mistake(errors, m, at, why);
    }
    pcre2_code *code = pcre_compile(m->regex, m->any_case ? PCRE2_CASELESS : 0, &error, &at);
    if (!code) {
        PCRE2_UCHAR message[120] = "";
        pcre.get_error_message(error, message, sizeof message);
        return mask_pattern_mistake(errors, m, at, (char *)message);
    }
    pcre.pattern_info(code, PCRE2_INFO_CAPTURECOUNT, ret_groups);
    pcre.code_free(code);
    return check_width(p, m, arena_dupz(&p->arena, m->regex), errors);
}

/* ((?:first))|((?i:second)), and which group is whose. */
int mask_patterns_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors)
{
    struct buf b = {.arena = &p->arena};
    uint32_t group = 1;
    int r = 0, error = 0;
    size_t at = 0;
    for (size_t i = 0; i < o->n_patterns; i++) {
        uint32_t groups = 0;
        int one = check_pattern(p, &o->patterns[i], &groups, errors);
        r = one < 0 ? one : r;
        p->pattern_group[i] = (uint16_t)group;
        group += 1 + groups;
        buf_printf(&b, "%s(?<_%zu>(?%s:%.*s\\E))", i ? "|" : "", i,
                   o->patterns[i].any_case ? "i" : "", STR_ARG(o->patterns[i].regex));
    }
    if (r < 0) {
        return r;
    }
    p->pattern = pcre_compile(buf_str(&b), 0, &error, &at);
    if (!p->pattern ||
        pcre.jit_compile(p->pattern, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) != 0) {
        buf_printf(errors, "the patterns cannot be compiled together\n");
        return -EINVAL;
    }
    return 0;
}

static unsigned matched_pattern(const struct mask_policy *p, const size_t *ovector)
{
    for (unsigned i = 0; i < p->n_patterns; i++) {
        if (ovector[2 * p->pattern_group[i]] != PCRE2_UNSET) {
            return i;
        }
    }
    return 0;
}

static int failure(int r)
{
    return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG; /* limits of matching, of its stack */
}

/* From `from` on, or (anchored) at it, in p[lo..hi). 1: a match; 0: none; 2: one may have begun. */
static int run(struct look *l, size_t from, size_t hi, uint32_t options, size_t *ret_from,
               size_t *ret_to)
{
    struct mask_scratch *s = l->scratch;
    const struct mask_policy *p = l->policy;
    const struct text *t = &l->t;
    int r = pcre.match(p->pattern, (PCRE2_SPTR)(t->p + t->lo), hi - t->lo, from - t->lo,
                       options | PCRE2_NO_UTF_CHECK, s->match_data, s->match_context);
    if (r == PCRE2_ERROR_NOMATCH) {
        return 0;
    }
    if (r < 0 && r != PCRE2_ERROR_PARTIAL) {
        return failure(r);
    }
    const size_t *o = pcre.get_ovector_pointer(s->match_data);
    *ret_from = t->lo + o[0];
    *ret_to = t->lo + o[1];
    return r == PCRE2_ERROR_PARTIAL ? 2 : 1;
}

/* A match of at most MASK_WIDTH_MAX bytes at `from`, as if the text ended there. */
static int run_cut(struct look *l, size_t from, size_t *ret_to)
{
    size_t cut = from + MASK_WIDTH_MAX, same;
    while (((unsigned char)l->t.p[cut] & 0xC0) == 0x80) {
        cut--;
    }
    return run(l, from, cut, PCRE2_ANCHORED | PCRE2_NOTEOL, &same, ret_to);
}

static size_t next_character(const struct text *t, size_t i)
{
    do {
        i++;
    } while (i < t->hi && ((unsigned char)t->p[i] & 0xC0) == 0x80);
    return i;
}

/* Where the next match can begin that ends at a hit behind `at`; t->hi: none. */
static size_t next_start(const struct look *l, size_t at, const struct hit *hits, size_t n,
                         size_t *i)
{
    const struct mask_policy *p = l->policy;
    uint32_t first = (p->action[MASK_SECRET] ? (uint32_t)secret_rows() : 0) + p->n_words;
    while (*i < n && (hits[*i].id < first || hits[*i].end <= at)) {
        ++*i;
    }
    if (*i == n) {
        return l->t.hi;
    }
    if (p->pattern_cut) {
        return at; /* it may begin anywhere in front: its end says nothing about its start */
    }
    size_t end = hits[*i].end;
    size_t least = end - l->t.lo > p->pattern_width ? end - p->pattern_width : l->t.lo;
    while (least > at && ((unsigned char)l->t.p[least] & 0xC0) == 0x80) {
        least--;
    }
    return least > at ? least : at;
}

int find_patterns(struct look *l, size_t begin, const struct hit *hits, size_t n_hits)
{
    struct text *t = &l->t;
    const struct mask_policy *p = l->policy;
    size_t at = l->resume[SOURCE_PATTERN], i = 0, from, to;
    at = at > begin ? at : begin;
    while (at < t->hi) {
        at = l->unhit ? at : next_start(l, at, hits, n_hits, &i);
        if (at == t->hi) {
            break;
        }
        int r = run(l, at, t->hi, t->more ? PCRE2_PARTIAL_HARD : 0, &from, &to);
        if (r > 0 && p->pattern_cut && t->hi - from > MASK_WIDTH_MAX) {
            r = run_cut(l, from, &to);
            if (r == 0) {
                at = next_character(t, from);
                continue;
            }
        }
        if (r <= 0) {
            return r;
        }
        if (r == 2) {
            t->starved = true;
            look_starved(l, from);
            return 0;
        }
        unsigned which = matched_pattern(p, pcre.get_ovector_pointer(l->scratch->match_data));
        look_found(l, SOURCE_PATTERN, MASK_PATTERN, MASK_KINDS + which, from, to);
        at = to;
    }
    return 0;
}
