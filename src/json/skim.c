/* The skimmer goes by blocks of 64 bytes, whose quotes, backslashes and brackets come as bits
 * (json/marks.h): all strings of a block are told from what is outside of them at once. One by one
 * it looks only at brackets and at the strings that are as long as the name. When one of these says
 * it, at the level of the members, the few bytes that follow are read singly: a colon makes it a
 * member, behind which stands the value.
 *
 * Between two pieces, `_state` is where the last byte left off. */
#include "json/skim.h"

#include "json/marks.h"
#include "json/span.h"

#define INLINE   static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

enum state {
    START,  /* in front of the document */
    OUT,    /* outside of strings */
    TEXT,   /* in a string */
    ESCAPE, /* behind a backslash in it */
    NAME,   /* behind a string that says the name */
    VALUE,  /* behind its colon */
    SCALAR, /* in its value, a number or a word */
    STATE = 15,
    /* Besides the state: */
    IN_ARRAY = 16, /* the document is an array: the members are one level down */
    KEEPING = 32,  /* the wanted value is passing by */
};

struct piece {
    const char *start, *end;
    const char *keep; /* what of the value or the key lies in this piece starts here */
};

enum { QUOTE_STEP = 16 };

/* Bit i: p[i] and p[i + behind] are both quotes. */
static unsigned quote_pairs(const char *p, size_t behind)
{
#ifdef __x86_64__
    const __m128i quote = _mm_set1_epi8('"');
    __m128i first = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)p), quote);
    __m128i second = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)(p + behind)), quote);
    return (unsigned)_mm_movemask_epi8(_mm_and_si128(first, second));
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < QUOTE_STEP; i++) {
        bits |= (unsigned)(p[i] == '"' && p[i + behind] == '"') << i;
    }
    return bits;
#endif
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p)) {
        p++;
    }
    return p;
}

static void enter(struct json_skim *s, enum state state)
{
    s->_state = (s->_state & ~(uint32_t)STATE) | state;
}

static uint32_t member_depth(const struct json_skim *s)
{
    return s->_state & IN_ARRAY ? 2 : 1;
}

static void keep(struct json_skim *s, const char *from, const char *to)
{
    size_t n = (size_t)(to - from);
    if (n > JSON_SKIM_KEEP - s->n) {
        s->too_long = true;
    }
    if (!s->too_long && n) {
        memcpy(s->keep + s->n, from, n);
        s->n += (uint32_t)n;
    }
}

static void end_value(struct json_skim *s, const struct piece *in, const char *p)
{
    keep(s, in->keep, p);
    s->found = !s->too_long;
    s->n = s->found ? s->n : 0;
    s->_state &= ~(uint32_t)KEEPING;
}

/* One byte more than a name may have tells a key that is too long. */
static void keep_key(struct json_skim *s, const char *from, const char *to)
{
    size_t n = (size_t)(to - from), room = sizeof s->_key - s->_key_n;
    n = n < room ? n : room;
    if (n) {
        memcpy(s->_key + s->_key_n, from, n);
        s->_key_n += (uint32_t)n;
    }
}

/* Whether the string that ends at `p`, and has begun in front of the block, says the name. */
INLINE bool is_name(struct json_skim *s, const struct piece *in, const char *p)
{
    if (s->_key_n == 0) {
        return str_eq(str_make(in->keep, (size_t)(p - in->keep)), s->name);
    }
    keep_key(s, in->keep, p);
    return str_eq(str_make(s->_key, s->_key_n), s->name);
}

/* Notes where a loop leaves off: at the end of the piece. */
static const char *leave(struct json_skim *s, struct piece *in, uint32_t depth, uint64_t carry,
                         bool escape)
{
    s->_depth = depth;
    enter(s, escape ? ESCAPE : carry ? TEXT : OUT);
    return in->end;
}

/* Goes on in or outside of a string to the piece's end, or stops behind a string that is the name,
 * and at the end of the document. */
INLINE const char *search(struct json_skim *s, struct piece *in, const char *p, marks_block *block)
{
    uint64_t carry = (s->_state & STATE) == TEXT ? UINT64_MAX : 0;
    uint32_t depth = s->_depth, members = member_depth(s);
    size_t name_n = s->name.n;
    bool escape = false;
    while (p < in->end) {
        uint64_t from_before = carry;
        struct marks_step b = marks_next(in->start, in->end, p, &carry, block);
        if (b.text) { /* most bytes of most answers: a long text */
            p = wide.quotes(b.next, in->start, in->end).base;
            continue;
        }
        /* Besides brackets: where strings as long as the name open, and where one closes that has
         * begun in front of the block. */
        uint64_t opens = b.quotes & b.inside, closes = b.quotes ^ opens;
        uint64_t left = b.brackets | (opens & closes >> 1 >> name_n);
        left |= closes & -b.quotes & from_before;
        for (; left; left &= left - 1) {
            const char *at = p + __builtin_ctzll(left);
            if (*at != '"') {
                depth += marks_level(*at);
                if (depth == 0) {
                    s->done = true;
                    return at + 1;
                }
            } else if (depth == members) {
                bool whole = opens & left & -left;
                if (whole ? memcmp(at + 1, s->name.p, name_n) == 0 : is_name(s, in, at)) {
                    s->_depth = depth;
                    enter(s, NAME);
                    return whole ? at + name_n + 2 : at + 1;
                }
            }
        }
        if (carry & b.quotes) { /* what has begun here may be the name */
            in->keep = p + WIDE_BLOCK - __builtin_clzll(b.quotes);
            s->_key_n = 0;
        }
        p = b.next;
        escape = b.escape;
        p += escape;
    }
    return leave(s, in, depth, carry, escape && p > in->end);
}

/* The same while the wanted value passes by, a text or a container. Stops behind it. */
INLINE const char *pass_value(struct json_skim *s, struct piece *in, const char *p,
                              marks_block *block)
{
    uint64_t carry = (s->_state & STATE) == TEXT ? UINT64_MAX : 0;
    uint32_t depth = s->_depth, members = member_depth(s);
    bool escape = false;
    while (p < in->end) {
        uint64_t from_before = carry;
        struct marks_step b = marks_next(in->start, in->end, p, &carry, block);
        uint64_t left = b.brackets;
        if (depth == members && (from_before || *p == '"')) {
            left |= b.quotes & ~b.inside; /* it is a text: its end */
        }
        for (; left; left &= left - 1) {
            const char *at = p + __builtin_ctzll(left);
            if (*at != '"') {
                depth += marks_level(*at);
            }
            if (depth <= members) {
                s->_depth = depth;
                enter(s, OUT);
                end_value(s, in, at + 1);
                return at + 1;
            }
        }
        p = b.next;
        escape = b.escape;
        p += escape;
    }
    return leave(s, in, depth, carry, escape && p > in->end);
}

NOINLINE const char *blocks_plain(struct json_skim *s, struct piece *in, const char *p)
{
    return s->_state & KEEPING ? pass_value(s, in, p, marks_plain) : search(s, in, p, marks_plain);
}

#ifdef __x86_64__
NOINLINE const char *blocks_sse2(struct json_skim *s, struct piece *in, const char *p)
{
    return s->_state & KEEPING ? pass_value(s, in, p, marks_sse2) : search(s, in, p, marks_sse2);
}

NOINLINE MARKS_AVX2 const char *blocks_avx2(struct json_skim *s, struct piece *in, const char *p)
{
    return s->_state & KEEPING ? pass_value(s, in, p, marks_avx2) : search(s, in, p, marks_avx2);
}
#endif

static const char *blocks(struct json_skim *s, struct piece *in, const char *p)
{
#ifdef __x86_64__
    if (wide.level == WIDE_AVX2) {
        return blocks_avx2(s, in, p);
    }
    if (wide.level == WIDE_SSE2) {
        return blocks_sse2(s, in, p);
    }
#endif
    return blocks_plain(s, in, p);
}

static const char *start(struct json_skim *s, const char *p)
{
    if (is_space(*p)) {
        return p + 1;
    }
    if (*p == '{' || *p == '[') {
        s->_depth = 1;
        s->_state = *p == '[' ? OUT | IN_ARRAY : OUT;
    } else {
        s->done = true; /* no container: no members will come */
    }
    return p + 1;
}

static const char *behind_name(struct json_skim *s, const char *p)
{
    if (is_space(*p)) {
        return p + 1;
    }
    if (*p != ':') {
        enter(s, OUT);
        return p;
    }
    enter(s, VALUE);
    return p + 1;
}

static const char *begin_value(struct json_skim *s, struct piece *in, const char *p)
{
    if (is_space(*p)) {
        return p + 1;
    }
    s->n = 0;
    s->found = s->too_long = false;
    s->_state |= KEEPING;
    in->keep = p;
    enter(s, *p == '"' || *p == '{' || *p == '[' ? OUT : SCALAR);
    return p;
}

static const char *rest_of_scalar(struct json_skim *s, struct piece *in, const char *p)
{
    while (p < in->end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p)) {
        p++;
    }
    if (p < in->end) {
        end_value(s, in, p);
        enter(s, OUT);
    }
    return p;
}

static const char *step(struct json_skim *s, struct piece *in, const char *p)
{
    switch (s->_state & STATE) {
    case START:
        return start(s, p);
    case ESCAPE:
        enter(s, TEXT);
        return p + 1;
    case NAME:
        return behind_name(s, p);
    case VALUE:
        return begin_value(s, in, p);
    case SCALAR:
        return rest_of_scalar(s, in, p);
    default:
        return blocks(s, in, p);
    }
}

/* Goes on from `p`; returns where the document ended, or the piece. */
static const char *run(struct json_skim *s, struct piece *in, const char *p)
{
    while (p < in->end && !s->done) {
        p = step(s, in, p);
    }
    return p;
}

void json_skim(struct json_skim *s, struct str piece)
{
    if (piece.n == 0) {
        return;
    }
    struct piece in = {.start = piece.p, .end = piece.p + piece.n, .keep = piece.p};
    run(s, &in, in.start);
    if (s->done) {
        return;
    }
    if (s->_state & KEEPING) {
        keep(s, in.keep, in.end);
    } else if (s->_depth == member_depth(s) &&
               ((s->_state & STATE) == TEXT || (s->_state & STATE) == ESCAPE)) {
        keep_key(s, in.keep, in.end);
    }
}

/* The last place in front of `to` where the name stands between two quotes, of which the first is not
 * escaped; NULL when there is none at or behind `from`. */
static const char *last_name(struct str name, const char *from, const char *to)
{
    size_t behind = name.n + 1; /* from the first quote to the second */
    const char *p = to - behind;
    while (p - from >= QUOTE_STEP) {
        p -= QUOTE_STEP;
        unsigned bits = quote_pairs(p, behind);
        for (; bits; bits &= ~(1U << (31 - __builtin_clz(bits)))) {
            const char *at = p + 31 - __builtin_clz(bits);
            if (memcmp(at + 1, name.p, name.n) == 0 && (at == from || at[-1] != '\\')) {
                return at;
            }
        }
    }
    return NULL;
}

/* Outside of escapes a quote that the name and another quote follow opens a string: behind a closing
 * one no name can stand. So the last such string that a colon follows is the member if the bracket that
 * closes the object it stands in is the document's last. */
static bool skim_end(struct json_skim *s, struct str doc)
{
    if (doc.n < s->name.n + 1 + QUOTE_STEP || doc.p[0] != '{') {
        return false;
    }
    const char *end = doc.p + doc.n, *p = last_name(s->name, doc.p, end);
    p = p ? skip_space(p + s->name.n + 2, end) : end;
    if (p == end || *p != ':') {
        return false;
    }
    p = skip_space(p + 1, end);
    if (p == end || *p != '{') {
        return false;
    }
    const char *behind = json_closing(doc.p, p, end);
    if (!behind || skip_space(behind, end) != end) {
        return false;
    }
    s->from_value = str_make(p, (size_t)(end - p));
    return s->found = s->done = true;
}

void json_skim_whole(struct json_skim *s, struct str doc)
{
    if (!skim_end(s, doc)) {
        json_skim_start(s);
        json_skim(s, doc);
    }
}
