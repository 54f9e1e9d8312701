/* A whole document: its strings are decoded into one buffer, a line each, which the finders run over at once; then
 * each string is looked at by itself, and what was found is mapped back to the bytes it came from. */
#include <errno.h>

#include "json/walk.h"
#include "policy/mask_look.h"

enum { ROOM_BEHIND = 128, SHORTEST = 5 /* no detector but the users' finds less */ };

struct reader {
    struct mask_call *c;
    struct mask_scratch *s;
    const struct mask_members *members;
    const char *doc; /* of this level */
    size_t n;        /* filled of scratch->plain */
    unsigned level, depth;
    int r;
};

static int read_value(struct reader *b, struct walk *w, bool sensitive, bool on);

static bool is_among(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

/* A slash may stand there escaped. */
static bool is_base64(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (!is_alnum(c) && c != '+' && c != '/' && c != '=' && c != '-' && c != '_' &&
            !(c == '\\' && i + 1 < s.n && s.p[i + 1] == '/')) {
            return false;
        }
    }
    return true;
}

/* "data:image/png;base64,...", or its bytes alone: an image is no text. */
static bool is_data(struct str s)
{
    if (!str_starts(s, STR("data:"))) {
        return s.n >= MASK_BASE64_MIN && is_base64(s);
    }
    ptrdiff_t at = str_find(str_first(s, 120), STR(";base64,"));
    return at >= 0 && is_base64(str_from(s, (size_t)at + 8));
}

static bool is_document(struct str s)
{
    if (s.n < 2 ||
        !((s.p[0] == '{' && s.p[s.n - 1] == '}') || (s.p[0] == '[' && s.p[s.n - 1] == ']'))) {
        return false;
    }
    return json_scan(s, NULL, 0, NULL, NULL) == 0;
}

static void read_document(struct reader *b, struct str doc)
{
    struct reader in = *b;
    struct walk w = walk_at(doc);
    in.doc = b->s->plain;
    in.level = 1;
    in.r = read_value(&in, &w, false, true);
    b->n = in.n;
    b->r = in.r;
}

static void read_string(struct reader *b, struct str text, bool sensitive)
{
    struct mask_scratch *s = b->s;
    size_t n, used, at = b->n;
    if (text.n == 0 || (!sensitive && is_data(text))) {
        return;
    }
    char *to = s->plain + at;
    b->r = mask_decode(s, text, to, at, (size_t)(text.p - b->doc), false, &n, &used);
    if (b->r < 0) {
        return;
    }
    to[n] = '\n';
    b->n = at + n + 1;
    if (!sensitive && b->level == 0 && is_document(str_make(to, n))) {
        read_document(b, str_make(to, n));
        return;
    }
    if (!SCRATCH_ROOM(s, segments, s->n_segments + 1)) {
        b->r = -E2BIG;
        return;
    }
    s->segments[s->n_segments++] = (struct segment){at, at + n, (uint8_t)b->level, sensitive};
}

/* A number under a name that is masked. It stands among the segments as an empty one, its place in a match. */
static void read_number(struct reader *b, struct str spelled)
{
    struct mask_scratch *s = b->s;
    size_t from = (size_t)(spelled.p - b->doc);
    if (!SCRATCH_ROOM(s, segments, s->n_segments + 1)) {
        b->r = -E2BIG;
        return;
    }
    /* lo > hi marks it */
    s->segments[s->n_segments++] =
        (struct segment){from + spelled.n, from, (uint8_t)b->level, true};
}

static bool is_passed_over(const struct reader *b, struct str key)
{
    const struct mask_members *m = b->members;
    return is_among(key, m->skip, m->n_skip) || (b->depth == 1 && is_among(key, m->top, m->n_top));
}

static void read_object(struct reader *b, struct walk *w, bool on)
{
    struct str key;
    walk_enter(w);
    b->depth++;
    while (walk_member(w, &key)) {
        bool in = on;
        if (b->level == 0 && b->members) {
            in |= is_among(key, b->members->only, b->members->n_only);
            if (is_passed_over(b, key)) {
                walk_value(w);
                continue;
            }
        }
        b->r = read_value(b, w, mask_name_is_sensitive(b->c->policy, key), in);
        if (b->r < 0) {
            return;
        }
    }
    b->depth--;
}

static int read_value(struct reader *b, struct walk *w, bool sensitive, bool on)
{
    struct str s;
    switch (walk_type(w)) {
    case JSON_STRING:
        s = walk_text(w);
        if (on) {
            read_string(b, s, sensitive);
        }
        break;
    case JSON_OBJECT:
        read_object(b, w, on);
        break;
    case JSON_ARRAY:
        walk_enter(w);
        b->depth++;
        while (b->r == 0 && walk_element(w)) {
            b->r = read_value(b, w, sensitive, on);
        }
        b->depth--;
        break;
    case JSON_NUMBER:
        s = walk_value(w);
        if (on && sensitive) {
            read_number(b, s);
        }
        break;
    default:
        walk_value(w);
    }
    return b->r;
}

static void add_field(struct mask_scratch *s, const struct segment *g)
{
    if (SCRATCH_ROOM(s, matches, s->n_matches + 1)) {
        s->matches[s->n_matches++] = (struct match){
            .from = g->lo < g->hi ? g->lo : g->hi,
            .to = g->lo < g->hi ? g->hi : g->lo,
            .label = MASK_FIELD,
            .kind = MASK_FIELD,
            .level = g->level,
            .number = g->lo > g->hi,
        };
    }
}

static int look_at_segments(struct mask_call *c, struct mask_scratch *s)
{
    size_t i = 0;
    struct look l = {.policy = c->policy, .scratch = s, .t = {.p = s->plain}};
    for (size_t k = 0; k < s->n_segments; k++) {
        const struct segment *g = &s->segments[k];
        if (g->sensitive) {
            add_field(s, g);
            continue;
        }
        while (i < s->n_hits && s->hits[i].end <= g->lo) {
            i++;
        }
        size_t from = i, first = s->n_matches;
        while (i < s->n_hits && s->hits[i].end <= g->hi) {
            i++;
        }
        if (i == from && g->hi - g->lo < SHORTEST) {
            continue;
        }
        l.t.lo = g->lo;
        l.t.hi = g->hi;
        for (unsigned j = 0; j < SOURCES; j++) {
            l.resume[j] = g->lo;
        }
        int r = mask_find(&l, g->lo, s->hits + from, i - from);
        if (r < 0) {
            return r;
        }
        for (size_t j = first; g->level && j < s->n_matches; j++) {
            s->matches[j].level = 1;
        }
    }
    return s->full ? -E2BIG : 0;
}

static size_t place_of(const struct mask_scratch *s, const struct match *m, size_t at)
{
    at = m->number ? at : mask_raw_at(s, at);
    return m->level ? mask_raw_at(s, at) : at;
}

/* A number's place is taken by a string. */
static struct str with_quotes(struct mask_call *c, struct str s, unsigned level)
{
    return level ? arena_printf(c->arena, "\\\"%.*s\\\"", STR_ARG(s))
                 : arena_printf(c->arena, "\"%.*s\"", STR_ARG(s));
}

static int splice_one(struct mask_call *c, const struct match *m, size_t from, struct str body,
                      struct mask_splice *ret)
{
    const struct mask_scratch *s = c->scratch;
    size_t at = place_of(s, m, from), end = place_of(s, m, m->to);
    struct str plain = m->number
                           ? str_make(m->level ? s->plain + from : body.p + from, m->to - from)
                           : str_make(s->plain + from, m->to - from);
    bool was_blocked = c->blocked;
    int r = mask_place(c, m, plain, &ret->with);
    if (c->blocked && !was_blocked) {
        c->blocked_at = at;
    }
    if (m->number && ret->with.n) {
        ret->with = with_quotes(c, ret->with, m->level);
    }
    ret->at = at;
    ret->n = end - at;
    return r;
}

static int splice_matches(struct mask_call *c, struct str body, struct mask_splice **ret,
                          size_t *ret_n)
{
    const struct mask_scratch *s = c->scratch;
    size_t n = 0, behind = 0;
    if (s->n_matches == 0) {
        return 0;
    }
    struct mask_splice *all = arena_alloc(c->arena, s->n_matches * sizeof *all);
    for (size_t i = 0; i < s->n_matches; i++) {
        const struct match *m = &s->matches[i];
        if (!m->number && m->to <= behind) {
            continue;
        }
        int r = splice_one(c, m, m->number || m->from > behind ? m->from : behind, body, &all[n]);
        if (r < 0) {
            return r;
        }
        behind = m->number ? behind : m->to;
        n += all[n].with.n != 0;
    }
    *ret = all;
    *ret_n = n;
    return c->blocked != 0;
}

/* Large buffers are for large bodies only. */
static void shrink(struct mask_scratch *s)
{
    scratch_shrink((void **)&s->plain, &s->plain_cap, sizeof *s->plain);
    scratch_shrink((void **)&s->rows, &s->rows_cap, sizeof *s->rows);
    scratch_shrink((void **)&s->hits, &s->hits_cap, sizeof *s->hits);
    scratch_shrink((void **)&s->matches, &s->matches_cap, sizeof *s->matches);
    scratch_shrink((void **)&s->segments, &s->segments_cap, sizeof *s->segments);
}

static bool begin(struct mask_call *c, struct str text)
{
    struct mask_scratch *s = c->scratch;
    s->full = false;
    s->n_hits = s->n_matches = s->n_rows = s->n_segments = 0;
    /* A string and its line end take no more than it did with its quotes, a string within a string no more again. */
    return text.n < MASK_TEXT_MAX / 2 && SCRATCH_ROOM(s, plain, 2 * text.n + ROOM_BEHIND);
}

static int finish(struct mask_call *c, size_t n, struct str body, struct mask_splice **ret,
                  size_t *ret_n)
{
    struct mask_scratch *s = c->scratch;
    int r = mask_hits(s, c->policy->whole, s->plain, 0, n);
    r = r < 0 ? r : look_at_segments(c, s);
    return r < 0 ? r : splice_matches(c, body, ret, ret_n);
}

int mask_body(struct mask_call *c, struct str body, const struct mask_members *members,
              struct mask_splice **ret, size_t *ret_n)
{
    struct reader b = {.c = c, .s = c->scratch, .members = members, .doc = body.p};
    *ret = NULL;
    *ret_n = 0;
    if (!c->policy->any) {
        return 0;
    }
    if (!begin(c, body)) {
        return -E2BIG;
    }
    struct walk w = walk_at(body);
    int r = read_value(&b, &w, false, !members || members->n_only == 0);
    r = r < 0 ? r : finish(c, b.n, body, ret, ret_n);
    shrink(c->scratch);
    return r;
}

int mask_text(struct mask_call *c, struct str text, struct mask_splice **ret, size_t *ret_n)
{
    struct mask_scratch *s = c->scratch;
    size_t n = 0, used;
    *ret = NULL;
    *ret_n = 0;
    if (!c->policy->any || text.n == 0) {
        return 0;
    }
    if (!begin(c, text) || !SCRATCH_ROOM(s, segments, 1)) {
        return -E2BIG;
    }
    int r = mask_decode(s, text, s->plain, 0, 0, false, &n, &used);
    s->segments[s->n_segments++] = (struct segment){0, n, 0, false};
    r = r < 0 ? r : finish(c, n, text, ret, ret_n);
    shrink(s);
    return r;
}

void mask_splice(struct str body, const struct mask_splice *s, size_t n, struct buf *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        buf_add(out, str_make(body.p + at, s[i].at - at));
        buf_add(out, s[i].with);
        at = s[i].at + s[i].n;
    }
    buf_add(out, str_from(body, at));
}
