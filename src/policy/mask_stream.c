/* A text in pieces. With each piece the text is looked at again from where it was undecided: that is short, and the
 * libraries' own streams would keep kilobytes for each text and still not tell where a match begins.
 *
 *      context        held            piece
 *     |.......|.................|...............|
 *             ^ all that starts in front of here is known, and out; `_out` says how much of what is held is,
 *               too (the end of a match that reaches over the border)
 */
#include <errno.h>

#include "policy/mask_look.h"

enum { ROOM_BEHIND = 128, HELD_MAX = 8 * MASK_LONG_MAX };

static char *held(struct mask_stream *s)
{
    return s->_held ? s->_held : s->_small;
}

static void free_held(struct mask_stream *s)
{
    if (s->_held) {
        pool_give(s->pool, s->_held, s->_held_size);
        s->_held = NULL;
    }
    s->_held_n = 0;
}

/* Keeps `text` as what is held; it does not lie in the stream's own memory. */
static int keep(struct mask_stream *s, struct str text)
{
    if (text.n > HELD_MAX) {
        return -E2BIG;
    }
    if (text.n > sizeof s->_small && (!s->_held || s->_held_size < text.n)) {
        free_held(s);
        s->_held = pool_take(s->pool, text.n, &s->_held_size);
    } else if (text.n <= sizeof s->_small && s->_held) {
        free_held(s);
    }
    memcpy(held(s), text.p, text.n);
    s->_held_n = (uint32_t)text.n;
    return 0;
}

/* The last of plain[0..n), from the start of a character on, as the context of what follows. */
static void keep_context(struct mask_stream *s, const char *plain, size_t n)
{
    size_t from = n > MASK_CONTEXT ? n - MASK_CONTEXT : 0;
    while (from < n && ((unsigned char)plain[from] & 0xC0) == 0x80) {
        from++;
    }
    s->_context_n = (uint8_t)(n - from);
    memcpy(s->_context, plain + from, n - from);
}

/* Adds the escaped text of plain [from, to), which lies in `raw`. */
static void pass(const struct mask_scratch *w, struct str raw, size_t from, size_t to,
                 struct buf *out)
{
    if (from < to) {
        size_t a = mask_raw_at(w, from), b = mask_raw_at(w, to);
        buf_add(out, str_make(raw.p + a, b - a));
    }
}

/* Lets go what is known: all in front of the hold, and the ends of matches that start there. `*at` is what is out. */
static int let_go(struct mask_stream *s, struct look *l, struct str raw, size_t *at,
                  struct buf *out)
{
    struct mask_scratch *w = l->scratch;
    for (size_t i = 0; i < w->n_matches && w->matches[i].from < l->hold; i++) {
        const struct match *m = &w->matches[i];
        struct str with;
        s->_resume[m->source] = s->_base + m->to;
        if (m->to <= *at) {
            continue;
        }
        size_t from = m->from > *at ? m->from : *at;
        pass(w, raw, *at, from, out);
        int r = mask_place(s->call, m, str_make(w->plain + from, m->to - from), &with);
        if (r < 0) {
            return r;
        }
        if (with.n) {
            buf_add(out, with);
        } else {
            pass(w, raw, from, m->to, out);
        }
        *at = m->to;
    }
    if (*at < l->hold) {
        pass(w, raw, *at, l->hold, out);
        *at = l->hold;
    }
    return 0;
}

/* What is held and the piece, in a row. */
static int join(struct mask_stream *s, struct str piece, struct str *ret)
{
    struct mask_scratch *w = s->call->scratch;
    *ret = piece;
    if (piece.n >= MASK_TEXT_MAX / 4) {
        return -E2BIG;
    }
    if (s->_held_n) {
        size_t n = s->_held_n + piece.n;
        if (!SCRATCH_ROOM(w, raw, n)) {
            return -E2BIG;
        }
        memcpy(w->raw, held(s), s->_held_n);
        memcpy(w->raw + s->_held_n, piece.p, piece.n);
        *ret = str_make(w->raw, n);
    }
    return SCRATCH_ROOM(w, plain, s->_context_n + ret->n + ROOM_BEHIND) ? 0 : -E2BIG;
}

static int advance(struct mask_stream *s, struct str piece, bool more, struct buf *out)
{
    struct mask_scratch *w = s->call->scratch;
    const struct mask_policy *p = s->call->policy;
    struct str raw;
    size_t n, used, from = s->_context_n;
    w->full = false;
    w->n_hits = w->n_matches = w->n_rows = 0;
    int r = join(s, piece, &raw);
    if (r < 0) {
        return r;
    }
    memcpy(w->plain, s->_context, from);
    r = mask_decode(w, raw, w->plain + from, from, 0, more, &n, &used);
    if (r < 0) {
        return r;
    }
    struct look l = {.policy = p,
                     .scratch = w,
                     .t = {.p = w->plain, .hi = from + n, .more = more},
                     .unhit = true};
    for (unsigned i = 0; i < SOURCES; i++) {
        l.resume[i] = s->_resume[i] > s->_base ? (size_t)(s->_resume[i] - s->_base) : 0;
    }
    r = mask_hits(w, p->stream, w->plain, from, n);
    r = r < 0 ? r : mask_find(&l, from, w->hits, w->n_hits);
    if (r < 0) {
        return r;
    }
    size_t at = from + s->_out;
    r = let_go(s, &l, raw, &at, out);
    if (r < 0) {
        return r;
    }
    size_t rest = mask_raw_at(w, l.hold);
    s->_out = (uint32_t)(at - l.hold);
    keep_context(s, w->plain, l.hold);
    s->_base += l.hold - s->_context_n;
    return keep(s, str_from(raw, rest));
}

static int failed(struct mask_stream *s, struct buf *out, size_t before, int r)
{
    out->n = before;
    free_held(s);
    s->_failed = true;
    return r;
}

int mask_stream_add(struct mask_stream *s, struct str piece, struct buf *out)
{
    size_t before = out->n;
    if (!s->call->policy->any) {
        buf_add(out, piece);
        return 0;
    }
    if (s->_failed) {
        return -EBADMSG;
    }
    int r = piece.n ? advance(s, piece, true, out) : 0;
    r = out->overflow ? -E2BIG : r;
    return r < 0 ? failed(s, out, before, r) : s->call->blocked != 0;
}

int mask_stream_end(struct mask_stream *s, struct buf *out)
{
    size_t before = out->n;
    int r = s->_failed ? -EBADMSG : 0;
    if (r == 0 && s->_held_n) {
        r = advance(s, STR(""), false, out);
        r = out->overflow ? -E2BIG : r;
        r = r < 0 ? failed(s, out, before, r) : r;
    }
    mask_stream_drop(s);
    return r < 0 ? r : s->call->blocked != 0;
}

void mask_stream_drop(struct mask_stream *s)
{
    free_held(s);
    *s = (struct mask_stream){.call = s->call, .pool = s->pool};
}
