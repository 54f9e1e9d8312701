/* A value is scanned by one loop that never recurses: a byte per open container says what closes
 * it. Texts are what bodies consist of, so strings go by windows (json/wide.h): marks of 64 bytes
 * at a time, shared by all short strings that lie in them. */
#include "json/scan.h"

#include <errno.h>

#include "base/utf8.h"
#include "json/escape.h"
#include "json/quote.h"
#include "json/span.h"
#include "json/wide.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define INLINE      static inline __attribute__((always_inline))
#define NOINLINE    static __attribute__((noinline))

struct scan {
    const char *start, *end;
    struct window window; /* up to date only in string_rest() */
    struct json_want *want;
    size_t nwant;
    uint64_t lengths; /* bit n % 64: a wanted name has n bytes */
    const char *odd;  /* the last string's text that was not plain ASCII */
    struct json_error error;
};

/* The part of the state that is to live in registers: only inlined functions get to see it. */
struct cursor {
    const char *end;
    const char *last; /* where the document's last WIDE_BLOCK bytes begin; NULL in a shorter one */
    struct window window;
    unsigned depth;            /* of open containers */
    char close;                /* closes the innermost one */
    char *closes;              /* closes[depth] is `close` */
    struct json_want *current; /* the wanted member whose value is being scanned, at depth 1 */
    const char *value;         /* where that value starts */
};

__attribute__((noinline, cold)) static const char *fail(struct scan *s, const char *at,
                                                        const char *why)
{
    s->error = (struct json_error){(size_t)(at - s->start), why};
    return NULL;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The byte at `p`, NUL at the end: NUL is nowhere allowed, so one test at the use catches both. */
INLINE char peek(const char *p, const char *end)
{
    return LIKELY(p < end) ? *p : 0;
}

NOINLINE const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p)) {
        p++;
    }
    return p;
}

/* The first byte at or behind `p` that is no white space. */
INLINE const char *to_token(const char *p, const char *end)
{
    char c = peek(p, end);
    if (LIKELY(c > ' ')) {
        return p;
    }
    if (c == ' ' && peek(p + 1, end) > ' ') { /* as Python prints it */
        return p + 1;
    }
    return skip_space(p, end);
}

static const char not_closed[] = "a string is not closed";

/* Says what is wrong with the escape at `p`. Surrogates need not pair (RFC 8259, 8.2). */
static const char *bad_escape(struct scan *s, const char *p)
{
    bool hex = peek(++p, s->end) == 'u';
    if (hex) {
        p++;
        while (escape_class(peek(p, s->end)) & ESCAPE_HEX) {
            p++;
        }
    }
    return fail(s, p,
                p == s->end ? not_closed
                : hex       ? "\\u takes four hexadecimal digits"
                            : "no such escape");
}

static const char *not_utf8(struct scan *s, const char *p)
{
    size_t n;
    while ((n = utf8_len(p, (size_t)(s->end - p))) > 0) {
        p += n;
    }
    return fail(s, p, "a string is not UTF-8");
}

/* Takes what a string stops at and is neither its end nor a good escape. */
NOINLINE const char *special(struct scan *s, const char *p)
{
    if (p == s->end) {
        return fail(s, p, not_closed);
    }
    if (*p == '\\') {
        return bad_escape(s, p);
    }
    if ((unsigned char)*p < 0x20) {
        return fail(s, p, "a control character in a string must be escaped");
    }
    const char *next = wide.utf8(p, s->end);
    return next ? next : not_utf8(s, p);
}

/* The rest of a string in which something stands that is not plain ASCII, from `p` on. */
NOINLINE const char *string_rest(struct scan *s, const char *p)
{
    const char *start = s->start, *end = s->end;
    for (;;) {
        p = window_next(&s->window, wide.text, p, start, end);
        size_t n = 0;
        if (LIKELY(p < end)) {
            if (*p == '"') {
                return p + 1;
            }
            n = *p == '\\' ? escape_len(p, end) : 0;
        }
        if (n) {
            p += n;
        } else if (!(p = special(s, p))) {
            return NULL;
        }
    }
}

/* The byte behind the closing quote of a string whose text starts at `p`. */
INLINE const char *string_end(struct scan *s, struct cursor *at, const char *p)
{
    const char *text = p;
    uintptr_t off = (uintptr_t)p - (uintptr_t)at->window.base;
    uint64_t bits = 0;
    if (LIKELY(off < WIDE_BLOCK)) {
        bits = at->window.bits >> off;
        if (!bits) {
            size_t left = (size_t)(at->end - at->window.base);
            p = at->window.base + (left < WIDE_BLOCK ? left : WIDE_BLOCK);
        }
    }
    if (!bits) {
        at->window = wide.text(p, s->start, at->end);
        bits = at->window.bits;
        p = at->window.base;
    }
    if (LIKELY(bits)) {
        p += (unsigned)__builtin_ctzll(bits);
        if (LIKELY(*p == '"')) {
            return p + 1;
        }
    }
    s->odd = text;
    s->window = at->window;
    p = string_rest(s, p);
    at->window = s->window;
    return p;
}

/* At least one digit; `why` when there is none. */
INLINE const char *digits(struct scan *s, const char *p, const char *end, const char *why)
{
    const char *from = p;
    while (p < end && is_digit(*p)) {
        p++;
    }
    return LIKELY(p > from) ? p : fail(s, p, why);
}

INLINE const char *number(struct scan *s, const char *p, const char *end)
{
    p += *p == '-';
    bool zero = peek(p, end) == '0';
    const char *first = p;
    if (!(p = digits(s, p, end, "a number lacks its digits"))) {
        return NULL;
    }
    if (zero && p > first + 1) {
        return fail(s, first + 1, "a number starts with a superfluous zero");
    }
    if (peek(p, end) == '.' &&
        !(p = digits(s, p + 1, end, "a number lacks digits behind the point"))) {
        return NULL;
    }
    if ((peek(p, end) | 0x20) == 'e') {
        p++;
        p += peek(p, end) == '+' || peek(p, end) == '-';
        p = digits(s, p, end, "a number lacks digits in its exponent");
    }
    return p;
}

NOINLINE const char *no_word(struct scan *s, const char *p, const char *w)
{
    while (peek(p, s->end) == *w) {
        p++;
        w++;
    }
    return fail(s, p, "no such word: true, false and null are");
}

INLINE const char *word(struct scan *s, const char *p, const char *w, size_t n)
{
    return s->end - p >= (ptrdiff_t)n && memcmp(p, w, n) == 0 ? p + n : no_word(s, p, w);
}

NOINLINE const char *scalar(struct scan *s, const char *p)
{
    switch (peek(p, s->end)) {
    case 't':
        return word(s, p, "true", 4);
    case 'f':
        return word(s, p, "false", 5);
    case 'n':
        return word(s, p, "null", 4);
    case '-':
    case '0' ... '9':
        return number(s, p, s->end);
    default:
        return fail(s, p, "a value is missing");
    }
}

INLINE void push(struct cursor *at, char open)
{
    at->close = (char)(open + 2); /* in ASCII, { is two in front of }, and [ of ] */
    at->closes[++at->depth] = at->close;
}

INLINE void pop(struct cursor *at)
{
    at->close = at->closes[--at->depth];
}

/* Some servers (those written in Go) take "Model" for "model", and the last of them counts. */
NOINLINE void note_cased(struct json_want *w, size_t nwant, struct str text)
{
    for (; nwant > 0; nwant--, w++) {
        w->cased |= str_ieq(w->name, text);
    }
}

/* The wanted member that begins with `key`, if any. */
NOINLINE struct json_want *begin_odd(struct scan *s, struct str key)
{
    for (size_t i = 0; i < s->nwant; i++) {
        if (json_quoted_is(key, s->want[i].name)) {
            s->want[i].escaped |= memchr(key.p, '\\', key.n) != NULL;
            return &s->want[i];
        }
    }
    char plain[64]; /* no name that is wanted is as long */
    if (key.n <= sizeof plain) {
        note_cased(s->want, s->nwant, str_make(plain, json_unescape(key, plain)));
    }
    return NULL;
}

INLINE uint64_t word_at(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Equality of n bytes. Names are too short for a call to pay. */
INLINE bool same(const char *a, const char *b, size_t n)
{
    for (; n >= 8; n -= 8, a += 8, b += 8) {
        if (word_at(a) != word_at(b)) {
            return false;
        }
    }
    for (; n > 0 && *a == *b; n--) {
        a++;
        b++;
    }
    return n == 0;
}

NOINLINE struct json_want *begin_plain(struct json_want *w, size_t nwant, struct str text)
{
    for (size_t i = 0; i < nwant; i++) {
        if (w[i].name.n == text.n && same(w[i].name.p, text.p, text.n)) {
            return &w[i];
        }
    }
    note_cased(w, nwant, text);
    return NULL;
}

INLINE void begin_member(struct scan *s, struct cursor *at, struct str key)
{
    struct json_want *w = NULL;
    size_t n = key.n - 2;
    if (UNLIKELY(s->odd == key.p + 1)) {
        w = begin_odd(s, key);
    } else if (s->lengths >> (n % 64) & 1) {
        w = begin_plain(s->want, s->nwant, str_make(key.p + 1, n));
    }
    if (w) {
        w->count++;
        w->key = key;
    }
    at->current = w;
}

INLINE void end_member(struct cursor *at, const char *p)
{
    struct json_want *w = at->current;
    if (w) {
        w->value = str_make(at->value, (size_t)(p - at->value));
        w->type = json_type_of(*at->value);
        at->current = NULL;
    }
}

/* The byte behind a text. The mode says whether it is judged: `lax` passes over those that are not,
 * `plain` is its shortcut for those that are, and both are NULL in the strict mode. They are
 * constants wherever they are passed on, so that each mode gets a loop of its own. */
INLINE const char *text_end(struct scan *s, struct cursor *at, const char *p, bool judged,
                            quote_end *lax, quote_plain *plain)
{
    if (!lax) {
        return string_end(s, at, p);
    }
    const char *behind = judged ? plain(p, at->end, at->last) : lax(p, at->end, at->last);
    if (LIKELY(behind)) {
        return behind;
    }
    return judged ? string_end(s, at, p) : fail(s, at->end, not_closed);
}

/* A member's name at `p` and its colon; returns where the value is, NULL when it is wrong. */
INLINE const char *member(struct scan *s, struct cursor *at, const char *p, quote_end *lax,
                          quote_plain *plain)
{
    const char *key = p;
    if (UNLIKELY(peek(p, at->end) != '"')) {
        return fail(s, p, "a member's name in quotes is missing");
    }
    p = text_end(s, at, p + 1, at->depth == 1, lax, plain);
    if (UNLIKELY(!p)) {
        return NULL;
    }
    size_t n = (size_t)(p - key);
    p = to_token(p, at->end);
    if (UNLIKELY(peek(p, at->end) != ':')) {
        return fail(s, p, "a colon is missing");
    }
    p = to_token(p + 1, at->end);
    if (at->depth == 1) {
        begin_member(s, at, str_make(key, n));
        at->value = p;
    }
    return p;
}

#define BEGINS(p, text) (memcmp((p), (text), sizeof(text) - 1) == 0)

/* How nearly every message of a chat begins, as JavaScript and as Python print it, and what stands
 * between two of them: known text needs no scanning. All return the start of the content's text, or
 * NULL; WIDE_BLOCK bytes are readable at `p`. */

INLINE const char *chat_role(const char *p)
{
    if (BEGINS(p, "user\",\"content\":\"")) {
        return p + 17;
    }
    if (BEGINS(p, "assistant\",\"content\":\"")) {
        return p + 22;
    }
    return BEGINS(p, "system\",\"content\":\"") ? p + 19 : NULL;
}

INLINE const char *chat_role_spaced(const char *p)
{
    if (BEGINS(p, "user\", \"content\": \"")) {
        return p + 19;
    }
    if (BEGINS(p, "assistant\", \"content\": \"")) {
        return p + 24;
    }
    return BEGINS(p, "system\", \"content\": \"") ? p + 21 : NULL;
}

/* The message at `p`. Not for a document's own object, whose members are looked at. */
INLINE const char *first_message(const struct cursor *at, const char *p)
{
    if (at->depth == 0 || at->depth == JSON_DEPTH_MAX || p > at->last) {
        return NULL;
    }
    if (BEGINS(p, "{\"role\":\"")) {
        return chat_role(p + 9);
    }
    return BEGINS(p, "{\"role\": \"") ? chat_role_spaced(p + 10) : NULL;
}

/* Behind the content of a message in an array: when it was the last member and another message
 * follows, one object closes and another opens, and the state stays what it is. */
INLINE const char *next_message(const char *p)
{
    if (BEGINS(p, "},{\"role\":\"")) {
        return chat_role(p + 11);
    }
    return BEGINS(p, "}, {\"role\": \"") ? chat_role_spaced(p + 13) : NULL;
}

/* The message whose content's text starts at `p`, and those that follow it in the same way; returns
 * the byte behind the last one's content. */
INLINE const char *messages(struct scan *s, struct cursor *at, const char *p, quote_end *lax,
                            quote_plain *plain)
{
    const char *last = at->close == ']' ? at->last : NULL;
    push(at, '{');
    for (;;) {
        const char *behind = text_end(s, at, p, false, lax, plain);
        if (!behind || behind > last || !(p = next_message(behind))) {
            return behind;
        }
    }
}

static const char *missing(struct scan *s, const char *p, char close)
{
    return fail(s, p,
                close == '}' ? "a comma or a closing brace is missing"
                             : "a comma or a closing bracket is missing");
}

/* Scans the value at `p`, returns the byte behind it. */
INLINE const char *value(struct scan *s, const char *p, quote_end *lax, quote_plain *plain)
{
    /* Filled from the bottom as containers open; clearing it each time would cost too much. */
    char closes[JSON_DEPTH_MAX + 1] __attribute__((uninitialized));
    struct cursor at = {.end = s->end, .closes = closes};
    at.last = s->end - s->start >= WIDE_BLOCK ? s->end - WIDE_BLOCK : NULL;
    closes[0] = 0;
    for (;;) {
        if (at.close == '}' && !(p = member(s, &at, p, lax, plain))) {
            return NULL;
        }
        char c = peek(p, at.end);
        const char *text = c == '{' ? first_message(&at, p) : NULL;
        if (text) {
            p = messages(s, &at, text, lax, plain);
        } else if (c == '"') {
            p = text_end(s, &at, p + 1, at.depth == 1 && at.current, lax, plain);
        } else if (c == '{' || c == '[') {
            if (UNLIKELY(at.depth == JSON_DEPTH_MAX)) {
                return fail(s, p, "too many levels of arrays and objects");
            }
            push(&at, c);
            p = to_token(p + 1, at.end);
            if (peek(p, at.end) != at.close) {
                continue;
            }
            p++;
            pop(&at);
        } else {
            p = scalar(s, p);
        }
        if (UNLIKELY(!p)) {
            return NULL;
        }
        /* A value has ended in front of p. */
        for (;;) {
            if (at.depth <= 1) {
                if (at.depth == 0) {
                    return p;
                }
                end_member(&at, p);
            }
            p = to_token(p, at.end);
            c = peek(p, at.end);
            if (c != at.close) {
                break;
            }
            p++;
            pop(&at);
        }
        if (UNLIKELY(c != ',')) {
            return missing(s, p, at.close);
        }
        p = to_token(p + 1, at.end);
    }
}

NOINLINE const char *value_strict(struct scan *s, const char *p)
{
    return value(s, p, NULL, NULL);
}

NOINLINE const char *members_plain(struct scan *s, const char *p)
{
    return value(s, p, quote_end_any, quote_plain_any);
}

#ifdef __x86_64__
NOINLINE QUOTE_AVX2 const char *members_avx2(struct scan *s, const char *p)
{
    return value(s, p, quote_end_avx2, quote_plain_avx2);
}
#endif

static const char *value_members(struct scan *s, const char *p)
{
#ifdef __x86_64__
    if (wide.level == WIDE_AVX2 && s->end - s->start >= WIDE_BLOCK) {
        return members_avx2(s, p);
    }
#endif
    return members_plain(s, p);
}

/* Clears what an earlier scan has left there; returns which lengths the names have. */
INLINE uint64_t forget(struct json_want *want, size_t nwant)
{
    uint64_t lengths = 0;
    for (size_t i = 0; i < nwant; i++) { /* `want` may be NULL */
        want[i] = (struct json_want){.name = want[i].name};
        lengths |= 1ULL << (want[i].name.n % 64);
    }
    return lengths;
}

INLINE int scan(struct str doc, struct json_want *want, size_t nwant, enum json_type *ret_top,
                struct json_error *ret_error, bool strict)
{
    if (!doc.n) {
        doc = STR("");
    }
    struct scan s = {
        .start = doc.p,
        .end = doc.p + doc.n,
        .want = want,
        .nwant = nwant,
        .lengths = forget(want, nwant),
    };
    const char *top = to_token(s.start, s.end);
    const char *p = strict ? value_strict(&s, top) : value_members(&s, top);
    if (p && p < s.end && (p = to_token(p, s.end)) < s.end) {
        p = fail(&s, p, "something stands behind the document");
    }
    if (!p) {
        if (ret_error) {
            *ret_error = s.error;
        }
        return -EBADMSG;
    }
    if (ret_top) {
        *ret_top = json_type_of(*top);
    }
    return 0;
}

int json_scan(struct str doc, struct json_want *want, size_t nwant, enum json_type *ret_top,
              struct json_error *ret_error)
{
    return scan(doc, want, nwant, ret_top, ret_error, true);
}

int json_scan_members(struct str doc, struct json_want *want, size_t nwant, enum json_type *ret_top,
                      struct json_error *ret_error)
{
    return scan(doc, want, nwant, ret_top, ret_error, false);
}
