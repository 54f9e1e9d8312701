#include "http/h1_memo.h"

#include <emmintrin.h>
#include <errno.h>

/* Token characters (RFC 9110, 5.6.2). */
static const uint8_t token[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

/* A scan over the head: `p` moves, `why` is set on refusal. */
struct scan {
    const char *p, *end, *base;
    const char *why;
    bool host_news; /* Host does not stand there as in the last head */
};

enum { MORE = 0, OK = 1 };

static int refuse(struct scan *s, int code, const char *why)
{
    s->why = why;
    return -code;
}

/* The first byte in [p, end) that is a control character other than tab, or 0x7f. */
static inline const char *find_control(const char *p, const char *end)
{
    const __m128i space = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i fine = _mm_cmpeq_epi8(_mm_max_epu8(x, space), x); /* x >= 0x20 */
        fine = _mm_andnot_si128(_mm_cmpeq_epi8(x, del), fine);
        unsigned bits = ~(unsigned)_mm_movemask_epi8(fine) & 0xffff;
        if (bits) {
            p += __builtin_ctz(bits);
            if (*p != '\t') {
                return p;
            }
            p++;
            continue;
        }
        p += 16;
    }
    while (p < end && (((unsigned char)*p >= 0x20 && *p != 0x7f) || *p == '\t')) {
        p++;
    }
    return p;
}

/* The first byte in [p, end) that no request target may hold: space, controls, what is not ASCII. */
static inline const char *skip_target(const char *p, const char *end)
{
    const __m128i bang = _mm_set1_epi8(0x21), del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* Signed: bytes from 0x80 on are negative. */
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, bang), _mm_cmpeq_epi8(x, del));
        unsigned bits = (unsigned)_mm_movemask_epi8(odd);
        if (bits) {
            return p + __builtin_ctz(bits);
        }
        p += 16;
    }
    while (p < end && (unsigned char)(*p - 0x21) < 0x7f - 0x21) {
        p++;
    }
    return p;
}

/* CR LF at s->p. */
static int line_end(struct scan *s)
{
    if (s->p == s->end) {
        return MORE;
    }
    if (*s->p != '\r') {
        return refuse(s, 400, *s->p == '\n' ? "a line ends with LF alone" : "a control character");
    }
    if (s->p + 1 == s->end) {
        return MORE;
    }
    if (s->p[1] != '\n') {
        return refuse(s, 400, "a CR without LF");
    }
    s->p += 2;
    return OK;
}

/* Letters, digits and '-' at the front of sixteen bytes, which is what nearly all names are made
 * of. */
static unsigned plain_name(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i letter =
        _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8((char)('a' + 128)));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8((char)('0' + 128)));
    __m128i ok = _mm_or_si128(_mm_cmplt_epi8(letter, _mm_set1_epi8(-128 + 26)),
                              _mm_cmplt_epi8(digit, _mm_set1_epi8(-128 + 10)));
    ok = _mm_or_si128(ok, _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    unsigned odd = ~(unsigned)_mm_movemask_epi8(ok) & 0xffff;
    return odd ? (unsigned)__builtin_ctz(odd) : 16;
}

/* Behind the token at p. */
static inline const char *skip_token(const char *p, const char *end)
{
    while (end - p >= 16) {
        unsigned n = plain_name(p);
        p += n;
        if (n < 16) {
            break;
        }
    }
    while (p < end && token[(unsigned char)*p]) {
        p++;
    }
    return p;
}

/* One field line at `p`: behind it, or NULL with *ret_code 0 (not all there) or a refusal. */
static inline const char *field_line(struct scan *s, const char *p, const char *end,
                                     struct h1_field *f, int *ret_code)
{
    const char *name = p;
    p = skip_token(p, end);
    if (__builtin_expect(p == end || *p != ':' || p == name || p - name > UINT16_MAX, 0)) {
        *ret_code =
            p - name > UINT16_MAX ? refuse(s, 431, "a field name is too long")
            : p == end            ? MORE
            : name == p && (*p == ' ' || *p == '\t')
                ? refuse(s, 400, "a folded field line (obs-fold)")
                : refuse(s, 400, "a field name holds a character that is not allowed in it");
        return NULL;
    }
    f->name = (uint32_t)(name - s->base);
    f->name_n = (uint16_t)(p - name);
    f->id = (uint16_t)header_id(str_make(name, f->name_n));
    p++;
    if (end - p >= 2 && p[0] == ' ' && p[1] > ' ') {
        p++; /* one space, as everybody writes it */
    } else {
        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }
    }
    const char *value = p;
    p = find_control(p, end);
    const char *value_end = p;
    if (__builtin_expect(end - p < 2 || p[0] != '\r' || p[1] != '\n', 0)) {
        s->p = p;
        *ret_code = line_end(s);
        return NULL;
    }
    while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t')) {
        value_end--;
    }
    f->value = (uint32_t)(value - s->base);
    f->value_n = (uint32_t)(value_end - value);
    f->end = (uint32_t)(p + 2 - s->base);
    return p + 2;
}

/* The field lines behind those that are known, and the empty line. */
static int fields(struct scan *s, struct h1_head *h, uint32_t known)
{
    const char *p = s->p, *end = s->end;
    if (known) {
        p = s->base + h->fields[known - 1].end;
        memo_take(h, known);
    } else {
        memset(h->at, 0, sizeof h->at);
    }
    for (uint32_t n = known;;) {
        h->n_fields = n;
        if (p == end) {
            return MORE;
        }
        if (*p == '\r' || *p == '\n') {
            s->p = p;
            return line_end(s);
        }
        if (n == H1_FIELDS_MAX) {
            return refuse(s, 431, "more than 128 header fields");
        }
        struct h1_field *f = &h->fields[n];
        const char *behind = memo_line(h->memo, n, s->base, p, end, f);
        if (!behind) {
            int code;
            behind = field_line(s, p, end, f, &code);
            if (!behind) {
                return code;
            }
            s->host_news = s->host_news || f->id == H_HOST;
        }
        p = behind;
        n++;
        if (f->id && !h->at[f->id]) {
            h->at[f->id] = (uint16_t)n;
        } else if (f->id == H_HOST || f->id == H_CONTENT_LENGTH || f->id == H_TRANSFER_ENCODING) {
            return refuse(s, 400, "Host, Content-Length or Transfer-Encoding stands there twice");
        }
    }
}

struct str h1_get(const struct h1_head *h, enum header_id id)
{
    return h->at[id] ? h1_value(h, &h->fields[h->at[id] - 1]) : (struct str){0};
}

struct str h1_find(const struct h1_head *h, struct str name)
{
    for (uint32_t i = 0; i < h->n_fields; i++) {
        if (str_ieq(h1_name(h, &h->fields[i]), name)) {
            return h1_value(h, &h->fields[i]);
        }
    }
    return (struct str){0};
}

bool h1_has_token(const struct h1_head *h, enum header_id id, struct str want)
{
    for (uint32_t i = h->at[id]; i && i <= h->n_fields; i++) {
        struct str list = h1_value(h, &h->fields[i - 1]), item;
        while (h->fields[i - 1].id == id && list.n) {
            str_cut(&list, ',', &item);
            if (str_ieq(str_trim(item), want)) {
                return true;
            }
        }
    }
    return false;
}

/* Connection's tokens (RFC 9112, 9.3 and 9.6). */
static void connection(struct h1_head *h)
{
    h->keep_alive = h->minor >= 1;
    h->nominates = h->upgrade = false;
    if (!h->at[H_CONNECTION]) {
        return;
    }
    for (uint32_t i = h->at[H_CONNECTION]; i && i <= h->n_fields; i++) {
        struct str list = h1_value(h, &h->fields[i - 1]), item;
        while (h->fields[i - 1].id == H_CONNECTION && list.n) {
            str_cut(&list, ',', &item);
            item = str_trim(item);
            if (str_ieq(item, STR("close"))) {
                h->keep_alive = false;
            } else if (str_ieq(item, STR("keep-alive"))) {
                h->keep_alive = h->keep_alive || h->minor == 0;
            } else if (item.n) {
                h->nominates = true;
                h->upgrade = h->upgrade || str_ieq(item, STR("upgrade"));
            }
        }
    }
    if (h->minor == 0 && h1_has_token(h, H_CONNECTION, STR("close"))) {
        h->keep_alive = false;
    }
}

/* How the body is framed (RFC 9112, 6.3). */
static int framing(struct scan *s, struct h1_head *h)
{
    h->body = BODY_NONE;
    h->length = 0;
    if (h->at[H_TRANSFER_ENCODING]) {
        if (h->at[H_CONTENT_LENGTH]) {
            return refuse(s, 400, "both Content-Length and Transfer-Encoding");
        }
        if (h->minor == 0) {
            return refuse(s, 400, "Transfer-Encoding in HTTP/1.0");
        }
        if (!str_ieq(h1_get(h, H_TRANSFER_ENCODING), STR("chunked"))) {
            return refuse(s, 400, "a transfer coding other than chunked");
        }
        h->body = BODY_CHUNKED;
    } else if (h->at[H_CONTENT_LENGTH]) {
        if (str_to_u64(h1_get(h, H_CONTENT_LENGTH), &h->length) < 0 || h->length > INT64_MAX) {
            return refuse(s, 400, "Content-Length is not a number of bytes");
        }
        h->body = h->length ? BODY_LENGTH : BODY_NONE;
    }
    return OK;
}

static enum h1_method method_of(struct str m)
{
    static const struct {
        struct str name;
        enum h1_method method;
    } known[] = {
        {{"POST", 4}, M_POST},       {{"GET", 3}, M_GET},     {{"HEAD", 4}, M_HEAD},
        {{"PUT", 3}, M_PUT},         {{"PATCH", 5}, M_PATCH}, {{"DELETE", 6}, M_DELETE},
        {{"OPTIONS", 7}, M_OPTIONS},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_eq(m, known[i].name)) {
            return known[i].method;
        }
    }
    return M_OTHER;
}

/* Splits the target into path and query; absolute-form loses its scheme and authority (3.2.2). */
static int target(struct scan *s, struct h1_head *h)
{
    struct str t = h1_slice(h, h->target, h->target_n);
    if (str_chr(t, '#') >= 0) {
        return refuse(s, 400, "the request target holds a fragment");
    }
    uint32_t skip = 0;
    if (t.p[0] != '/' && !str_eq(t, STR("*"))) {
        ptrdiff_t scheme = str_find(t, STR("://"));
        if (scheme < 0 || !(str_istarts(t, STR("http://")) || str_istarts(t, STR("https://")))) {
            return refuse(s, 400, "the request target is neither a path nor a URL");
        }
        struct str rest = str_from(t, (size_t)scheme + 3);
        size_t authority = 0;
        while (authority < rest.n && rest.p[authority] != '/' && rest.p[authority] != '?') {
            authority++;
        }
        if (authority == 0) {
            return refuse(s, 400, "the request target names no host");
        }
        skip = (uint32_t)((size_t)scheme + 3 + authority);
    }
    struct str rest = str_from(t, skip);
    ptrdiff_t q = str_chr(rest, '?');
    h->path = h->target + skip;
    h->path_n = (uint32_t)(q < 0 ? rest.n : (size_t)q);
    h->query = q < 0 ? h->target + h->target_n : h->path + (uint32_t)q + 1;
    h->query_n = q < 0 ? 0 : (uint32_t)(rest.n - (size_t)q - 1);
    return OK;
}

/* "HTTP/1.x" at s->p. */
static int version(struct scan *s, uint8_t *minor)
{
    static const char http[] = "HTTP/";
    size_t have = (size_t)(s->end - s->p);
    if (memcmp(s->p, http, have < 5 ? have : 5) != 0) {
        return refuse(s, 400, "the HTTP version is malformed");
    }
    if (have < 8) {
        return MORE;
    }
    if (s->p[6] != '.' || s->p[5] < '0' || s->p[5] > '9' || s->p[7] < '0' || s->p[7] > '9') {
        return refuse(s, 400, "the HTTP version is malformed");
    }
    if (s->p[5] != '1') {
        return refuse(s, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    *minor = (uint8_t)(s->p[7] - '0') > 1 ? 1 : (uint8_t)(s->p[7] - '0');
    s->p += 8;
    return OK;
}

static int request_line(struct scan *s, struct h1_head *h)
{
    const char *m = s->p;
    bool post = s->end - s->p > 4 && memcmp(s->p, "POST ", 5) == 0; /* nearly always */
    s->p += post ? 4 : 0;
    while (s->p < s->end && token[(unsigned char)*s->p] && s->p - m < 32) {
        s->p++;
    }
    if (s->p == s->end) {
        return MORE;
    }
    if (*s->p != ' ' || s->p == m) {
        return refuse(s, 400, "the method is malformed");
    }
    h->method_at = (uint32_t)(m - s->base);
    h->method_n = (uint32_t)(s->p - m);
    h->method = post ? M_POST : method_of(str_make(m, h->method_n));
    const char *t = ++s->p;
    s->p = skip_target(s->p, s->end);
    if (s->p == s->end) {
        return MORE;
    }
    if (*s->p != ' ' || s->p == t) {
        return refuse(s, 400, "the request target holds a character that is not allowed in it");
    }
    h->target = (uint32_t)(t - s->base);
    h->target_n = (uint32_t)(s->p - t);
    s->p++;
    int r = version(s, &h->minor);
    return r <= 0 ? r : line_end(s);
}

/* The first line, unless it is known. */
static int first_line(struct scan *s, struct h1_head *h, bool known,
                      int (*parse)(struct scan *, struct h1_head *))
{
    if (known) {
        s->p = s->base + h->fields[0].name;
        return OK;
    }
    return parse(s, h);
}

/* Controls, space, what ends a host in a URL, and what is in no URL at all (RFC 3986, 3.2.2). */
static const uint8_t not_in_host[256] = {
    [0 ... ' '] = 1, ['/'] = 1, ['\\'] = 1, ['?'] = 1,           ['#'] = 1, ['@'] = 1,
    [','] = 1,       ['"'] = 1, ['<'] = 1,  ['>'] = 1,           ['{'] = 1, ['}'] = 1,
    ['|'] = 1,       ['^'] = 1, ['`'] = 1,  [0x7f ... 0xff] = 1,
};

/* Host: there, and one host (RFC 9112, 3.2). */
static int host(struct scan *s, const struct h1_head *h)
{
    if (!h->at[H_HOST]) {
        return h->minor == 0 ? OK : refuse(s, 400, "Host is missing");
    }
    struct str v = h1_get(h, H_HOST);
    if (!s->host_news) {
        return OK; /* was looked at then */
    }
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (not_in_host[c]) {
            return refuse(s, 400, "Host is malformed");
        }
    }
    return OK;
}

static int request_rules(struct scan *s, struct h1_head *h, bool same_target)
{
    int r = host(s, h);
    if (r > 0 && !same_target) {
        r = target(s, h);
    }
    if (r > 0) {
        r = framing(s, h);
    }
    if (r <= 0) {
        return r;
    }
    connection(h);
    h->expect_continue = false;
    if (h->at[H_EXPECT]) {
        if (!str_ieq(h1_get(h, H_EXPECT), STR("100-continue"))) {
            return refuse(s, 417, "Expect other than 100-continue");
        }
        h->expect_continue = h->minor >= 1;
    }
    return OK;
}

/* The head is not complete: is it too long already? */
static int too_long(struct scan *s, size_t n, size_t max)
{
    if (n < max) {
        return MORE;
    }
    bool in_first_line = memchr(s->base, '\n', max) == NULL; /* whatever else came with it */
    return refuse(s, in_first_line ? 414 : 431,
                  in_first_line ? "the request target is too long" : "the header is too long");
}

int h1_request(struct h1_head *h, const char *p, size_t n, size_t max, const char **ret_why)
{
    size_t seen = n < max ? n : max;
    struct scan s = {.p = p, .end = p + seen, .base = p};
    struct h1_known known = memo_known(h, p, seen);
    h->base = p;
    if (known.all) {
        return (int)h->n;
    }
    memo_forget(h);
    while (!known.first && s.end - s.p >= 2 && s.p[0] == '\r' && s.p[1] == '\n' && s.p - p < 4) {
        s.p += 2;
    }
    if (s.end - s.p == 1 && s.p[0] == '\r') {
        return MORE;
    }
    int r = first_line(&s, h, known.first, request_line);
    if (r > 0) {
        r = fields(&s, h, known.lines);
    }
    if (r > 0) {
        h->n = (uint32_t)(s.p - p);
        r = request_rules(&s, h, known.first);
    } else if (r == MORE) {
        r = too_long(&s, n, max);
    }
    *ret_why = s.why;
    if (r > 0) {
        memo_keep(h);
    }
    return r > 0 ? (int)h->n : r;
}

static int status_line(struct scan *s, struct h1_head *h)
{
    int r = version(s, &h->minor);
    if (r <= 0) {
        return r;
    }
    if (s->end - s->p < 5) {
        return MORE;
    }
    for (int i = 1; i <= 3; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return refuse(s, EBADMSG, "the status is not a number");
        }
    }
    h->status = (uint16_t)((s->p[1] - '0') * 100 + (s->p[2] - '0') * 10 + (s->p[3] - '0'));
    if (s->p[0] != ' ' || h->status < 100 || h->status > 599 ||
        (s->p[4] != ' ' && s->p[4] != '\r')) {
        return refuse(s, EBADMSG, "the status line is malformed");
    }
    s->p = find_control(s->p + 4, s->end);
    return line_end(s);
}

/* What an answer may have for a body, whatever its fields say (RFC 9112, 6.3). */
static int answer_body(struct h1_head *h, enum h1_method method)
{
    if (method == M_HEAD || h->status < 200 || h->status == 204 || h->status == 304) {
        h->body = BODY_NONE;
    } else if (h->body == BODY_NONE && !h->at[H_CONTENT_LENGTH]) {
        h->body = BODY_TO_CLOSE;
        h->keep_alive = false;
    }
    return (int)h->n;
}

int h1_answer(struct h1_head *h, const char *p, size_t n, size_t max, enum h1_method method,
              const char **ret_why)
{
    size_t seen = n < max ? n : max;
    struct scan s = {.p = p, .end = p + seen, .base = p};
    struct h1_known known = memo_known(h, p, seen);
    h->base = p;
    if (known.all) {
        h->body = h->memo->body;
        h->keep_alive = h->memo->keep_alive;
        return answer_body(h, method);
    }
    memo_forget(h);
    int r = first_line(&s, h, known.first, status_line);
    if (r > 0) {
        r = fields(&s, h, known.lines);
    }
    if (r > 0) {
        h->n = (uint32_t)(s.p - p);
        r = framing(&s, h);
        connection(h);
    } else if (r == MORE && n >= max) {
        *ret_why = "the header of the answer is too long";
        return -EMSGSIZE;
    }
    *ret_why = s.why;
    if (r <= 0) {
        return r < 0 ? -EBADMSG : MORE;
    }
    memo_keep(h);
    return answer_body(h, method);
}
