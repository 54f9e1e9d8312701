/* The skimmer goes by blocks of 64 bytes, whose quotes, backslashes and brackets come as bits
 * (json/wide.h): all strings of a block are told from what is outside of them at once, and deep in
 * the document only brackets are looked at one by one. At the level of the members strings of the
 * name's length are, too; and when one is the name, the few bytes that follow are read singly: a
 * colon makes it a member, behind which stands the value.
 *
 * Between two pieces, `_state` is where the last byte left off. */
#include "json/skim.h"

#include "json/wide.h"

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

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
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

/* Whether the string that ends at `p` says the name. */
static bool is_name(struct json_skim *s, const struct piece *in, const char *p)
{
    if (s->_key_n == 0) {
        return str_eq(str_make(in->keep, (size_t)(p - in->keep)), s->name);
    }
    keep_key(s, in->keep, p);
    return str_eq(str_make(s->_key, s->_key_n), s->name);
}

/* Takes the escaped quotes out of a block of `n` bytes; `carry` is all ones when it begins in a
 * string. Returns whether the byte behind the block is escaped. */
static bool resolve_escapes(struct marks *m, uint64_t carry, size_t n)
{
    for (uint64_t slashes = m->slashes; slashes;) {
        unsigned i = (unsigned)__builtin_ctzll(slashes);
        uint64_t bit = 1ULL << i, next = bit << 1;
        slashes &= ~bit;
        bool in_string = __builtin_parityll(m->quotes & (bit - 1)) != (carry != 0);
        if (in_string) {
            slashes &= ~next;
            m->quotes &= ~next;
            if (i + 1 == n) {
                return true;
            }
        }
    }
    return false;
}

/* Of a block at the members' level: where strings as long as the name open, and where one closes
 * that has begun in front of the block; or the quotes of a value that is a string. */
static uint64_t quotes_of_interest(const struct json_skim *s, const struct marks *m,
                                   uint64_t inside)
{
    if (s->_state & KEEPING) {
        return m->quotes;
    }
    uint64_t opens = m->quotes & inside, closes = m->quotes & ~inside;
    uint64_t same_length = s->name.n < 63 ? opens & closes >> (s->name.n + 1) : 0;
    uint64_t first = m->quotes & -m->quotes;
    return same_length | (closes & first);
}

/* What take_marks() has to look at in a block, outside of strings and in them. */
static inline uint64_t of_interest(const struct json_skim *s, const struct marks *m,
                                   uint64_t inside)
{
    uint64_t brackets = m->brackets & ~inside;
    return s->_depth == member_depth(s) ? brackets | quotes_of_interest(s, m, inside) : brackets;
}

/* A quote at `p` that is of interest. Returns the byte behind a name. */
static const char *take_quote(struct json_skim *s, struct piece *in, const char *p, bool opens)
{
    if (s->_state & KEEPING) {
        if (!opens) {
            end_value(s, in, p + 1);
        }
        return NULL;
    }
    if (opens) {
        return str_eq(str_make(p + 1, s->name.n), s->name) ? p + s->name.n + 2 : NULL;
    }
    return is_name(s, in, p) ? p + 1 : NULL;
}

/* A brace or bracket at `p`. */
static inline void take_bracket(struct json_skim *s, struct piece *in, const char *p)
{
    if (*p == '{' || *p == '[') {
        s->_depth++;
        return;
    }
    s->_depth--;
    if (s->_state & KEEPING && s->_depth == member_depth(s)) {
        end_value(s, in, p + 1);
    }
}

/* Takes what is of interest in the block at `p`, one by one. Stops behind a string that is the
 * name, and at the end of the document: returns where, or NULL. */
static const char *take_marks(struct json_skim *s, struct piece *in, const char *p,
                              const struct marks *m, uint64_t inside)
{
    uint32_t members = member_depth(s);
    for (uint64_t left = of_interest(s, m, inside); left;) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint32_t depth = s->_depth, state = s->_state;
        left &= left - 1;
        if (p[i] == '"') {
            const char *behind = take_quote(s, in, p + i, inside >> i & 1);
            if (behind) {
                enter(s, NAME);
                return behind;
            }
        } else {
            take_bracket(s, in, p + i);
            if (s->_depth == 0) {
                s->done = true;
                return p + i + 1;
            }
        }
        /* At another level, or behind the value, other marks are of interest. */
        if ((depth == members) != (s->_depth == members) || state != s->_state) {
            left = of_interest(s, m, inside) & ~1ULL << i;
        }
    }
    return NULL;
}

/* Goes on in or outside of a string, to the piece's end or to where take_marks() stops. */
static const char *blocks(struct json_skim *s, struct piece *in, const char *p)
{
    uint64_t carry = (s->_state & STATE) == TEXT ? UINT64_MAX : 0;
    enter(s, OUT);
    while (p < in->end) {
        size_t n = in->end - p < WIDE_BLOCK ? (size_t)(in->end - p) : WIDE_BLOCK;
        struct marks m;
        wide.marks(p, in->start, in->end, &m);
        if (carry && !(m.quotes | m.slashes)) { /* most bytes of most answers: a long text */
            p = wide.quotes(p + n, in->start, in->end).base;
            continue;
        }
        bool escape = false;
        if (m.slashes) {
            escape = resolve_escapes(&m, carry, n);
            m.inside = parities(m.quotes);
        }
        uint64_t inside = m.inside ^ carry;
        const char *stop = of_interest(s, &m, inside) ? take_marks(s, in, p, &m, inside) : NULL;
        if (stop) {
            return stop;
        }
        if (inside >> 63 && m.quotes && !(s->_state & KEEPING)) {
            /* What begins here and ends behind the block may be the name. */
            in->keep = p + WIDE_BLOCK - __builtin_clzll(m.quotes);
            s->_key_n = 0;
        }
        carry = inside >> 63 ? UINT64_MAX : 0;
        p += n;
        if (escape && p++ == in->end) {
            enter(s, ESCAPE);
            return in->end;
        }
    }
    enter(s, carry ? TEXT : OUT);
    return in->end;
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

void json_skim(struct json_skim *s, struct str piece)
{
    if (piece.n == 0) {
        return;
    }
    struct piece in = {.start = piece.p, .end = piece.p + piece.n, .keep = piece.p};
    for (const char *p = in.start; p < in.end && !s->done;) {
        p = step(s, &in, p);
    }
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
