#include "ledger/body.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "json/scan.h"

enum { HIDDEN_MAX = 1 << 20, FORMS = 4 };

void body_type(struct body_part *p, struct str type)
{
    p->type = str_make(p->_type, type.n < sizeof p->_type ? type.n : sizeof p->_type);
    memcpy(p->_type, type.p, p->type.n);
}

/* ---- what is hidden ---- */

static void add_sized(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_add(b, str_make((const char *)&n, sizeof n));
    buf_add(b, s);
}

static struct str take_sized(struct str *rest)
{
    uint32_t n;
    memcpy(&n, rest->p, sizeof n);
    struct str s = str_make(rest->p + sizeof n, n);
    *rest = str_from(*rest, sizeof n + n);
    return s;
}

bool body_hides(struct body *b, struct str plain, struct str with)
{
    size_t slack = 2 * plain.n; /* a quote may be escaped once more */
    b->hidden.limit = HIDDEN_MAX;
    b->slack = slack > b->slack ? slack : b->slack;
    add_sized(&b->hidden, plain);
    add_sized(&b->hidden, with);
    return !b->hidden.overflow;
}

/* A text that is not to be seen. */
struct hidden {
    struct str plain, with;
    int32_t next; /* with the same first byte; -1: none */
};

struct hiding {
    struct arena arena;
    struct hidden *all;
    size_t n, longest;
    int32_t first[256];
};

static struct str escaped(struct arena *a, struct str s)
{
    struct buf b = {.arena = a};
    buf_add_json(&b, s);
    return buf_str(&b);
}

/* What a text says that stands between quotes; itself, when it is none. */
static struct str said(struct arena *a, struct str s)
{
    enum json_type type;
    struct str quoted = arena_printf(a, "\"%.*s\"", STR_ARG(s));
    if (json_scan(quoted, NULL, 0, &type, NULL) < 0 || type != JSON_STRING) {
        return s;
    }
    char *plain = arena_alloc(a, quoted.n);
    return str_make(plain, json_unescape(quoted, plain));
}

static void add(struct hiding *h, struct str plain, struct str with)
{
    if (plain.n) {
        h->all[h->n++] = (struct hidden){plain, with, -1};
        h->longest = plain.n > h->longest ? plain.n : h->longest;
    }
}

/* As it stood; as a writer escapes it that has read it; the same within a document in a string; and without an escape,
 * when it stood in one. */
static void add_forms(struct hiding *h, struct str plain, struct str with)
{
    struct arena *a = &h->arena;
    struct str says = said(a, plain);
    add(h, plain, with);
    add(h, escaped(a, says), with);
    add(h, escaped(a, escaped(a, says)), with);
    add(h, escaped(a, said(a, says)), with);
}

/* Shorter ones first, and the same ones side by side. */
static int by_text(const void *x, const void *y)
{
    const struct hidden *a = x, *b = y;
    if (a->plain.n != b->plain.n) {
        return a->plain.n < b->plain.n ? -1 : 1;
    }
    return memcmp(a->plain.p, b->plain.p, a->plain.n);
}

static void read_hidden(struct hiding *h, struct str all)
{
    size_t pairs = 0;
    for (struct str rest = all; rest.n; pairs++) {
        (void)take_sized(&rest);
        (void)take_sized(&rest);
    }
    h->all = arena_alloc(&h->arena, (FORMS * pairs + 1) * sizeof *h->all);
    while (all.n) {
        struct str plain = take_sized(&all);
        add_forms(h, plain, take_sized(&all));
    }
    qsort(h->all, h->n, sizeof *h->all, by_text);
    memset(h->first, -1, sizeof h->first);
    for (size_t i = 0; i < h->n; i++) { /* the longest ends up in front */
        struct hidden *one = &h->all[i];
        if (i == 0 || !str_eq(one->plain, h->all[i - 1].plain)) {
            int32_t *first = &h->first[(unsigned char)one->plain.p[0]];
            one->next = *first;
            *first = (int32_t)i;
        }
    }
}

static const struct hidden *hidden_at(const struct hiding *h, struct str rest)
{
    int32_t i = h->first[(unsigned char)rest.p[0]];
    while (i >= 0 && !str_starts(rest, h->all[i].plain)) {
        i = h->all[i].next;
    }
    return i < 0 ? NULL : &h->all[i];
}

/* Of a text that was cut, what stands at the end may be the beginning of something that is hidden: it is left out. */
static void hide(struct body *b, struct body_part *p)
{
    struct hiding h = {0};
    struct buf out = {0};
    read_hidden(&h, buf_str(&b->hidden));
    size_t end = p->text.n;
    if (p->bytes > p->text.n) {
        end = end > h.longest ? end - h.longest : 0;
    }
    for (size_t at = 0; at < end;) {
        const struct hidden *one = hidden_at(&h, str_from(buf_str(&p->text), at));
        buf_add(&out, one ? one->with : str_make(p->text.p + at, 1));
        at += one ? one->plain.n : 1;
    }
    buf_free(&p->text);
    p->text = out;
    arena_reset(&h.arena);
}

/* ---- as JSON ---- */

static bool is_text(struct str s)
{
    size_t n = 1;
    for (size_t at = 0; at < s.n && n; at += n) {
        n = utf8_len(s.p + at, s.n - at);
    }
    return n > 0;
}

/* A cut may have gone through a character. */
static struct str whole_characters(struct str s)
{
    for (size_t back = 1; back <= 3 && back <= s.n; back++) {
        if (((unsigned char)s.p[s.n - back] & 0xC0) == 0xC0) {
            return utf8_len(s.p + s.n - back, back) ? s : str_first(s, s.n - back);
        }
    }
    return s;
}

static void add_base64(struct buf *to, struct str s)
{
    struct base64 e = {0};
    char *at = buf_room(to, base64_size(s.n + 2));
    if (at) {
        to->n -= base64_size(s.n + 2);
        size_t n = base64_add(&e, at, s);
        to->n += n + base64_end(&e, at + n);
    }
}

static void print_part(struct buf *to, const char *name, const struct body_part *p, size_t max)
{
    static const char *const why[] = {
        [BODY_NOT_HELD] = "not_held", [BODY_NOT_MASKED] = "not_masked"};
    struct str text = str_first(buf_str(&p->text), p->text.n < max ? p->text.n : max);
    bool cut = p->text.n > max || p->bytes > p->text.n;
    buf_printf(to, ",\"%s\":{", name);
    if (p->type.n) {
        buf_addz(to, "\"content_type\":\"");
        buf_add_json(to, p->type);
        buf_addz(to, "\",");
    }
    buf_printf(to, "\"bytes\":%llu", (unsigned long long)p->bytes);
    if (p->absent) {
        buf_printf(to, ",\"absent\":\"%s\"}", why[p->absent]);
        return;
    }
    text = cut ? whole_characters(text) : text;
    buf_printf(to, ",\"cut\":%s,\"%s\":\"", cut ? "true" : "false",
               is_text(text) ? "text" : "base64");
    if (is_text(text)) {
        buf_add_json(to, text);
    } else {
        add_base64(to, text);
    }
    buf_addz(to, "\"}");
}

void body_json(struct body *b, struct str kept_until, struct buf *to)
{
    bool cut = b->answer.bytes > b->answer.text.n;
    if (b->hidden.overflow) {
        b->answer.absent = BODY_NOT_MASKED;
    } else if (b->hidden.n && !b->answer.absent) {
        hide(b, &b->answer);
        b->answer.bytes = cut ? b->answer.bytes : b->answer.text.n;
        buf_free(&b->hidden); /* once */
    }
    buf_printf(to, "{\"id\":\"%s\",\"status\":%u,\"form\":\"%s\",\"kept_until\":\"%.*s\"", b->id,
               b->status, b->masked ? "masked" : "clear", STR_ARG(kept_until));
    print_part(to, "request", &b->request, b->max_bytes);
    print_part(to, "answer", &b->answer, b->max_bytes);
    buf_addc(to, '}');
}
