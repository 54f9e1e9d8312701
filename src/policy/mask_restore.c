/* Values back in the place of their tokens. Nothing needs a look but brackets. */
#include <errno.h>

#include "json/scan.h"
#include "json/walk.h"
#include "policy/mask_look.h"

static void put(const struct mask_call *c, struct str plain, bool nested, struct buf *out)
{
    if (nested) {
        struct buf once = {.arena = c->arena};
        buf_add_json(&once, plain);
        plain = buf_str(&once);
    }
    buf_add_json(out, plain);
}

/* Adds s[0..n), values in place; returns how many bytes were taken: all, or up to what may become a token. */
static size_t restore(const struct mask_call *c, bool nested, const char *s, size_t n, bool end,
                      struct buf *out)
{
    size_t at = 0;
    for (const char *p; (p = memchr(s + at, '[', n - at));) {
        size_t i = (size_t)(p - s), len;
        unsigned label;
        uint64_t number;
        struct str value;
        buf_add(out, str_make(s + at, i - at));
        int r = mask_token_read(c->policy, p, n - i, &len, &label, &number);
        if (r < 0 && !end) {
            return i;
        }
        if (r > 0 && mask_value(c, label, number, &value)) {
            put(c, value, nested, out);
            at = i + len;
        } else {
            buf_addc(out, '[');
            at = i + 1;
        }
        if (at == n) {
            return n;
        }
    }
    buf_add(out, str_make(s + at, n - at));
    return n;
}

void mask_restore_add(struct mask_restore *r, struct str piece, struct buf *out)
{
    const struct mask_call *c = r->call;
    if (!c->_vault) {
        buf_add(out, piece);
        return;
    }
    while (r->_n && piece.n) {
        /* what is held and as much of the piece as one token needs */
        char both[2 * MASK_TOKEN_BYTES_MAX];
        size_t more = sizeof both - r->_n < piece.n ? sizeof both - r->_n : piece.n;
        memcpy(both, r->_held, r->_n);
        memcpy(both + r->_n, piece.p, more);
        size_t n = r->_n + more, taken = restore(c, r->nested, both, n, false, out);
        if (taken < r->_n || more == piece.n) { /* may still become one: then it is short */
            must(n - taken <= sizeof r->_held);
            memmove(r->_held, both + taken, n - taken);
            r->_n = (uint8_t)(n - taken);
            piece = str_from(piece, more);
        } else {
            piece = str_from(piece, taken - r->_n);
            r->_n = 0;
        }
    }
    if (piece.n) {
        size_t taken = restore(c, r->nested, piece.p, piece.n, false, out);
        must(piece.n - taken <= sizeof r->_held);
        memcpy(r->_held, piece.p + taken, piece.n - taken);
        r->_n = (uint8_t)(piece.n - taken);
    }
}

void mask_restore_end(struct mask_restore *r, struct buf *out)
{
    if (r->_n) {
        restore(r->call, r->nested, r->_held, r->_n, true, out);
        r->_n = 0;
    }
}

struct restorer {
    struct mask_call *c;
    struct str body;
    struct buf out; /* of struct mask_splice */
};

static int add_splice(struct restorer *b, size_t at, size_t n, struct str plain, bool nested)
{
    struct buf with = {.arena = b->c->arena};
    put(b->c, plain, nested, &with);
    struct mask_splice one = {at, n, buf_str(&with)};
    buf_add(&b->out, str_make((const char *)&one, sizeof one));
    return b->out.overflow || with.overflow ? -E2BIG : 0;
}

/* A string that says an object or array; decoded into memory of the call. */
static bool is_document(struct mask_call *c, struct str text)
{
    char first = *text.p, last = text.p[text.n - 1];
    if (!(first == '{' && last == '}') && !(first == '[' && last == ']')) {
        return false;
    }
    char *plain = arena_alloc(c->arena, text.n + 2);
    size_t n = json_unescape(str_make(text.p - 1, text.n + 2), plain);
    bool is = json_scan(str_make(plain, n), NULL, 0, NULL, NULL) == 0;
    arena_trim(c->arena, plain, text.n + 2, 0);
    return is;
}

static int restore_string(struct restorer *b, struct str text)
{
    int nested = -1; /* not known yet */
    for (size_t i = 0; i < text.n; i++) {
        size_t len;
        unsigned label;
        uint64_t number;
        struct str value;
        const char *p = memchr(text.p + i, '[', text.n - i);
        if (!p) {
            break;
        }
        i = (size_t)(p - text.p);
        if (mask_token_read(b->c->policy, p, text.n - i, &len, &label, &number) <= 0 ||
            !mask_value(b->c, label, number, &value)) {
            continue;
        }
        nested = nested < 0 ? is_document(b->c, text) : nested;
        int r = add_splice(b, (size_t)(p - b->body.p), len, value, nested);
        if (r < 0) {
            return r;
        }
        i += len - 1;
    }
    return 0;
}

static int restore_value(struct restorer *b, struct walk *w)
{
    struct str s;
    int r = 0;
    switch (walk_type(w)) {
    case JSON_STRING:
        s = walk_text(w);
        return restore_string(b, s);
    case JSON_OBJECT:
        walk_enter(w);
        while (r == 0 && walk_member(w, &s)) {
            r = restore_value(b, w);
        }
        return r;
    case JSON_ARRAY:
        walk_enter(w);
        while (r == 0 && walk_element(w)) {
            r = restore_value(b, w);
        }
        return r;
    default:
        walk_value(w);
        return 0;
    }
}

int mask_restore_body(struct mask_call *c, struct str body, struct mask_splice **ret, size_t *ret_n)
{
    struct restorer b = {.c = c, .body = body, .out = {.arena = c->arena}};
    struct walk w = walk_at(body);
    *ret = NULL;
    *ret_n = 0;
    int r = c->_vault ? restore_value(&b, &w) : 0;
    if (r == 0) {
        *ret = (struct mask_splice *)(void *)b.out.p;
        *ret_n = b.out.n / sizeof **ret;
    }
    return r;
}
