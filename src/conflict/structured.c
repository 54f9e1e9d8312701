/* The reader; the writer is structured_write.c. Sections are those of RFC 9651. */
#include "conflict/structured.h"

#include <errno.h>

#include "base/utf8.h"

enum { INTEGER_DIGITS = 15, DECIMAL_DIGITS = 12, FRACTION_DIGITS = 3 };

struct reader {
    struct arena *a;
    const char *at, *end;
};

static bool here(const struct reader *r, char c)
{
    return r->at < r->end && *r->at == c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static void skip_spaces(struct reader *r)
{
    while (here(r, ' ')) {
        r->at++;
    }
}

static void skip_ows(struct reader *r)
{
    while (here(r, ' ') || here(r, '\t')) {
        r->at++;
    }
}

/* 4.2.4 */
static int read_number(struct reader *r, struct sf_item *ret)
{
    bool negative = here(r, '-');
    r->at += negative;
    int64_t n = 0;
    unsigned digits = 0, fraction = 0;
    bool decimal = false;
    for (; r->at < r->end && (is_digit(*r->at) || (*r->at == '.' && !decimal)); r->at++) {
        if (*r->at == '.') {
            if (digits == 0 || digits > DECIMAL_DIGITS) {
                return -EBADMSG;
            }
            decimal = true;
            continue;
        }
        fraction += decimal;
        digits++;
        if (digits > (decimal ? DECIMAL_DIGITS + FRACTION_DIGITS : INTEGER_DIGITS) ||
            fraction > FRACTION_DIGITS) {
            return -EBADMSG;
        }
        n = n * 10 + (*r->at - '0');
    }
    if (digits == 0 || (decimal && fraction == 0)) {
        return -EBADMSG;
    }
    for (; decimal && fraction < FRACTION_DIGITS; fraction++) {
        n *= 10;
    }
    *ret = (struct sf_item){.type = decimal ? SF_DECIMAL : SF_INTEGER, .n = negative ? -n : n};
    return 0;
}

/* 4.2.5 */
static int read_string(struct reader *r, struct sf_item *ret)
{
    struct buf b = {.arena = r->a};
    r->at++;
    for (; r->at < r->end; r->at++) {
        char c = *r->at;
        if (c == '"') {
            r->at++;
            *ret = (struct sf_item){.type = SF_STRING, .text = buf_str(&b)};
            return 0;
        }
        if (c == '\\') {
            r->at++;
            if (!here(r, '"') && !here(r, '\\')) {
                return -EBADMSG;
            }
            c = *r->at;
        } else if (c < 0x20 || c > 0x7e) {
            return -EBADMSG;
        }
        buf_addc(&b, c);
    }
    return -EBADMSG;
}

static bool is_token_char(char c)
{
    return is_alpha(c) || is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~:/", c));
}

/* 4.2.6 */
static int read_token(struct reader *r, struct sf_item *ret)
{
    const char *from = r->at;
    while (r->at < r->end && is_token_char(*r->at)) {
        r->at++;
    }
    *ret = (struct sf_item){.type = SF_TOKEN, .text = str_make(from, (size_t)(r->at - from))};
    return 0;
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : is_digit(c)          ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* 4.2.7: padding may be missing, and bits behind the end need not be zero. */
static int read_bytes(struct reader *r, struct sf_item *ret)
{
    struct buf b = {.arena = r->a};
    uint32_t bits = 0;
    unsigned n = 0, digits = 0, padding = 0;
    for (r->at++; r->at < r->end && *r->at != ':'; r->at++) {
        int d = base64_digit(*r->at);
        if (*r->at == '=' && digits % 4 + padding < 4 && digits % 4 > 1) {
            padding++;
            continue;
        }
        if (d < 0 || padding) {
            return -EBADMSG;
        }
        digits++;
        bits = bits << 6 | (uint32_t)d;
        n += 6;
        if (n >= 8) {
            n -= 8;
            buf_addc(&b, (char)(bits >> n));
        }
    }
    if (!here(r, ':') || digits % 4 == 1) {
        return -EBADMSG;
    }
    r->at++;
    *ret = (struct sf_item){.type = SF_BYTES, .text = buf_str(&b)};
    return 0;
}

/* 4.2.8 */
static int read_boolean(struct reader *r, struct sf_item *ret)
{
    r->at++;
    if (!here(r, '0') && !here(r, '1')) {
        return -EBADMSG;
    }
    *ret = (struct sf_item){.type = SF_BOOLEAN, .n = *r->at++ == '1'};
    return 0;
}

/* 4.2.9 */
static int read_date(struct reader *r, struct sf_item *ret)
{
    r->at++;
    int e = read_number(r, ret);
    if (e < 0 || ret->type != SF_INTEGER) {
        return -EBADMSG;
    }
    ret->type = SF_DATE;
    return 0;
}

static bool is_utf8(struct str s)
{
    for (size_t at = 0, n; at < s.n; at += n) {
        n = utf8_len(s.p + at, s.n - at);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

static int hex_lower(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 4.2.10 */
static int read_display(struct reader *r, struct sf_item *ret)
{
    struct buf b = {.arena = r->a};
    r->at++;
    if (!here(r, '"')) {
        return -EBADMSG;
    }
    for (r->at++; r->at < r->end && *r->at != '"'; r->at++) {
        char c = *r->at;
        if (c < 0x20 || c > 0x7e) {
            return -EBADMSG;
        }
        if (c == '%') {
            int high = r->end - r->at > 2 ? hex_lower(r->at[1]) : -1;
            int low = high < 0 ? -1 : hex_lower(r->at[2]);
            if (low < 0) {
                return -EBADMSG;
            }
            c = (char)(high << 4 | low);
            r->at += 2;
        }
        buf_addc(&b, c);
    }
    if (!here(r, '"') || !is_utf8(buf_str(&b))) {
        return -EBADMSG;
    }
    r->at++;
    *ret = (struct sf_item){.type = SF_DISPLAY, .text = buf_str(&b)};
    return 0;
}

/* 4.2.3.1 */
static int read_bare(struct reader *r, struct sf_item *ret)
{
    if (r->at == r->end) {
        return -EBADMSG;
    }
    switch (*r->at) {
    case '"':
        return read_string(r, ret);
    case ':':
        return read_bytes(r, ret);
    case '?':
        return read_boolean(r, ret);
    case '@':
        return read_date(r, ret);
    case '%':
        return read_display(r, ret);
    default:
        break;
    }
    if (*r->at == '-' || is_digit(*r->at)) {
        return read_number(r, ret);
    }
    return *r->at == '*' || is_alpha(*r->at) ? read_token(r, ret) : -EBADMSG;
}

/* 4.2.3.3 */
static int read_key(struct reader *r, struct str *ret)
{
    const char *from = r->at;
    if (r->at == r->end || !(is_lower(*r->at) || *r->at == '*')) {
        return -EBADMSG;
    }
    while (r->at < r->end && (is_lower(*r->at) || is_digit(*r->at) || strchr("_-.*", *r->at)) &&
           *r->at) {
        r->at++;
    }
    *ret = str_make(from, (size_t)(r->at - from));
    return 0;
}

/* ---- collections ---- */

struct members {
    struct sf_member *all;
    size_t n, cap;
};

static struct sf_member *add(struct reader *r, struct members *m)
{
    if (m->n == m->cap) {
        struct sf_member *old = m->all;
        m->cap = m->cap ? 2 * m->cap : 4;
        m->all = arena_alloc(r->a, m->cap * sizeof *m->all);
        if (m->n) {
            memcpy(m->all, old, m->n * sizeof *old);
        }
    }
    m->all[m->n] = (struct sf_member){0};
    return &m->all[m->n++];
}

/* The place of a name: what comes later replaces what was there, where it was. */
static struct sf_member *place_of(struct reader *r, struct members *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (str_eq(m->all[i].name, name)) {
            return &m->all[i];
        }
    }
    struct sf_member *new = add(r, m);
    new->name = name;
    return new;
}

/* 4.2.3.2 */
static int read_parameters(struct reader *r, struct sf_item *to)
{
    struct members m = {0};
    while (here(r, ';')) {
        struct sf_item value = {.type = SF_BOOLEAN, .n = 1};
        struct str name;
        r->at++;
        skip_spaces(r);
        if (read_key(r, &name) < 0) {
            return -EBADMSG;
        }
        if (here(r, '=')) {
            r->at++;
            if (read_bare(r, &value) < 0) {
                return -EBADMSG;
            }
        }
        place_of(r, &m, name)->item = value;
    }
    to->parameters = m.all;
    to->n_parameters = m.n;
    return 0;
}

/* 4.2.3 */
static int read_one(struct reader *r, struct sf_item *ret)
{
    int e = read_bare(r, ret);
    return e < 0 ? e : read_parameters(r, ret);
}

/* 4.2.1.2 */
static int read_inner(struct reader *r, struct sf_item *ret)
{
    struct members m = {0};
    r->at++;
    for (;;) {
        skip_spaces(r);
        if (here(r, ')')) {
            r->at++;
            *ret = (struct sf_item){.type = SF_INNER, .members = m.all, .n_members = m.n};
            return read_parameters(r, ret);
        }
        if (read_one(r, &add(r, &m)->item) < 0 || (!here(r, ' ') && !here(r, ')'))) {
            return -EBADMSG;
        }
    }
}

/* 4.2.1.1 */
static int read_item_or_inner(struct reader *r, struct sf_item *ret)
{
    return here(r, '(') ? read_inner(r, ret) : read_one(r, ret);
}

/* 4.2, steps 1 to 5: the lines as one, which is ASCII. */
static int begin(struct reader *r, struct arena *a, const struct str *lines, size_t n)
{
    struct buf b = {.arena = a};
    for (size_t i = 0; i < n; i++) {
        buf_addz(&b, i ? ", " : "");
        buf_add(&b, lines[i]);
    }
    struct str all = b.n ? buf_str(&b) : STR("");
    for (size_t i = 0; i < all.n; i++) {
        if (all.p[i] & 0x80) {
            return -EBADMSG;
        }
    }
    *r = (struct reader){.a = a, .at = all.p, .end = all.p + all.n};
    skip_spaces(r);
    return 0;
}

static int end(struct reader *r)
{
    skip_spaces(r);
    return r->at == r->end ? 0 : -EBADMSG;
}

/* Behind a member of a list or dictionary: the next one, or the end. 1: there is another. */
static int next_member(struct reader *r)
{
    skip_ows(r);
    if (r->at == r->end) {
        return 0;
    }
    if (!here(r, ',')) {
        return -EBADMSG;
    }
    r->at++;
    skip_ows(r);
    return r->at == r->end ? -EBADMSG : 1; /* a comma at the end */
}

int sf_read_item(struct arena *a, const struct str *lines, size_t n, struct sf_item *ret)
{
    struct reader r;
    int e = begin(&r, a, lines, n);
    e = e < 0 ? e : read_one(&r, ret);
    return e < 0 ? e : end(&r);
}

/* Members, each read by `one`, with commas between. */
static int read_members(struct arena *a, const struct str *lines, size_t n,
                        int (*one)(struct reader *r, struct members *m), struct sf_member **ret,
                        size_t *ret_n)
{
    struct reader r;
    struct members m = {0};
    int more = begin(&r, a, lines, n);
    if (more == 0) {
        more = r.at < r.end;
    }
    while (more > 0) {
        more = one(&r, &m);
        more = more < 0 ? more : next_member(&r);
    }
    *ret = m.all;
    *ret_n = m.n;
    return more;
}

static int read_element(struct reader *r, struct members *m)
{
    return read_item_or_inner(r, &add(r, m)->item);
}

static int read_pair(struct reader *r, struct members *m)
{
    struct sf_item value = {.type = SF_BOOLEAN, .n = 1};
    struct str name;
    int e = read_key(r, &name);
    if (e < 0) {
        return e;
    }
    if (here(r, '=')) {
        r->at++;
        e = read_item_or_inner(r, &value);
    } else {
        e = read_parameters(r, &value);
    }
    place_of(r, m, name)->item = value;
    return e;
}

int sf_read_list(struct arena *a, const struct str *lines, size_t n, struct sf_member **ret,
                 size_t *ret_n)
{
    return read_members(a, lines, n, read_element, ret, ret_n);
}

int sf_read_dictionary(struct arena *a, const struct str *lines, size_t n, struct sf_member **ret,
                       size_t *ret_n)
{
    return read_members(a, lines, n, read_pair, ret, ret_n);
}
