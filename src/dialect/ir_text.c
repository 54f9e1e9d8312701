/* Texts of the form: decoding, ids, media types, signatures, and what writers put down. */
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/must.h"
#include "dialect/ir.h"
#include "json/span.h"

static bool has_escape(struct str s)
{
    return s.n && memchr(s.p, '\\', s.n);
}

struct str ir_plain(struct arena *a, struct str escaped)
{
    if (!has_escape(escaped)) {
        return escaped;
    }
    /* json_unescape() wants the quotes, which stand around every escaped text that a document held; one that
     * was put together here has none, so they are added to a copy. */
    char *quoted = arena_alloc(a, escaped.n + 2), *to = arena_alloc(a, escaped.n + 2);
    quoted[0] = quoted[escaped.n + 1] = '"';
    memcpy(quoted + 1, escaped.p, escaped.n);
    return str_make(to, json_unescape(str_make(quoted, escaped.n + 2), to));
}

struct str ir_tidy(struct arena *a, struct str escaped)
{
    return has_escape(escaped) ? ir_escape(a, ir_plain(a, escaped)) : escaped;
}

bool ir_is_blank(struct str escaped)
{
    for (size_t i = 0; i < escaped.n; i++) {
        if (escaped.p[i] == '\\' && i + 1 < escaped.n && strchr("nrt", escaped.p[i + 1])) {
            i++;
        } else if (escaped.p[i] != ' ') {
            return false;
        }
    }
    return true;
}

static bool needs_escape(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f) {
            return true;
        }
    }
    return false;
}

struct str ir_escape(struct arena *a, struct str plain)
{
    struct buf b = {.arena = a};
    if (!needs_escape(plain)) {
        return plain;
    }
    buf_add_json(&b, plain);
    return buf_str(&b);
}

static __attribute__((noinline)) bool is_spelled_as(struct str escaped, struct str plain)
{
    char room[66];
    room[0] = room[escaped.n + 1] = '"';
    memcpy(room + 1, escaped.p, escaped.n);
    return json_quoted_is(str_make(room, escaped.n + 2), plain);
}

bool ir_spells(struct str escaped, struct str plain)
{
    /* Words of protocols are short. */
    return escaped.n <= 64 && has_escape(escaped) && is_spelled_as(escaped, plain);
}

/* ---- arguments ---- */

static struct str wrap_input(struct arena *a, struct str plain)
{
    struct buf b = {.arena = a};
    buf_add(&b, STR("{\"input\":\""));
    buf_add_json(&b, plain);
    buf_add(&b, STR("\"}"));
    return buf_str(&b);
}

struct str ir_args_in(struct arena *a, struct str escaped)
{
    struct str text = str_trim(ir_plain(a, escaped));
    enum json_type top;
    if (text.n == 0) {
        return STR("{}");
    }
    if (json_scan(text, NULL, 0, &top, NULL) < 0 || top != JSON_OBJECT) {
        return wrap_input(a, text);
    }
    return text;
}

void ir_add_escaped(struct buf *b, struct str value)
{
    /* Only quotes and backslashes can stand in valid JSON and need an escape; and white space. */
    size_t from = 0;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c != '"' && c != '\\' && c >= 0x20) {
            continue;
        }
        buf_add(b, str_make(value.p + from, i - from));
        from = i + 1;
        if (c < 0x20) {
            buf_add(b, c == '\n' ? STR("\\n") : c == '\r' ? STR("\\r") : STR("\\t"));
        } else {
            buf_addc(b, '\\');
            buf_addc(b, (char)c);
        }
    }
    buf_add(b, str_from(value, from));
}

struct str ir_args_out(struct arena *a, struct str value)
{
    struct buf b = {.arena = a};
    ir_add_escaped(&b, value);
    return buf_str(&b);
}

/* ---- ids ---- */

static uint64_t hash(struct str s, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325 ^ seed; /* FNV-1a, finished so that all bits depend on all */
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3;
    }
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccd;
    return h ^ h >> 33;
}

static const char digits62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static char *put_hash(char *to, struct str s, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++) {
        if (i % 10 == 0) {
            h = hash(s, i);
        }
        *to++ = digits62[h % 62];
        h /= 62;
    }
    return to;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_word(struct str s, bool with_marks)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_letter_or_digit(s.p[i]) && !(with_marks && (s.p[i] == '_' || s.p[i] == '-'))) {
            return false;
        }
    }
    return s.n > 0;
}

struct str ir_id(struct arena *a, struct str id, enum ir_id_rule rule)
{
    static const struct {
        size_t min, max;
        struct str front;
        unsigned hash_n;
    } rules[] = {
        [IR_ID_ANY] = {1, 256, {"call_", 5}, 20},
        [IR_ID_OPENAI] = {1, 40, {"call_", 5}, 20},
        [IR_ID_ANTHROPIC] = {1, 64, {"toolu_", 6}, 20},
        [IR_ID_MISTRAL] = {9, 9, {"", 0}, 9},
    };
    bool fits = id.n >= rules[rule].min && id.n <= rules[rule].max;
    if (fits && (rule == IR_ID_ANTHROPIC || rule == IR_ID_MISTRAL)) {
        fits = is_word(id, rule == IR_ID_ANTHROPIC);
    }
    if (fits) {
        return id;
    }
    char *to = arena_alloc(a, 32), *at = to;
    memcpy(at, rules[rule].front.p, rules[rule].front.n);
    at = put_hash(at + rules[rule].front.n, id, rules[rule].hash_n);
    return str_make(to, (size_t)(at - to));
}

struct str ir_function_name(struct arena *a, struct str name)
{
    if (name.n <= 64 && is_word(name, true)) {
        return name;
    }
    struct str plain = ir_plain(a, name);
    char *to = arena_alloc(a, 64), *at = to;
    for (size_t i = 0; i < plain.n && i < 55; i++) {
        *at++ = is_letter_or_digit(plain.p[i]) || plain.p[i] == '-' ? plain.p[i] : '_';
    }
    *at++ = '_';
    at = put_hash(at, name, 8);
    return str_make(to, (size_t)(at - to));
}

/* ---- media ---- */

static const struct {
    struct str ending, type;
} media[] = {
    {{"png", 3}, {"image/png", 9}},
    {{"jpg", 3}, {"image/jpeg", 10}},
    {{"jpeg", 4}, {"image/jpeg", 10}},
    {{"gif", 3}, {"image/gif", 9}},
    {{"webp", 4}, {"image/webp", 10}},
    {{"pdf", 3}, {"application/pdf", 15}},
    {{"txt", 3}, {"text/plain", 10}},
    {{"md", 2}, {"text/markdown", 13}},
    {{"csv", 3}, {"text/csv", 8}},
    {{"html", 4}, {"text/html", 9}},
    {{"json", 4}, {"application/json", 16}},
    {{"doc", 3}, {"application/msword", 18}},
    {{"docx", 4}, {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", 71}},
    {{"xls", 3}, {"application/vnd.ms-excel", 24}},
    {{"xlsx", 4}, {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 65}},
    {{"wav", 3}, {"audio/wav", 9}},
    {{"mp3", 3}, {"audio/mpeg", 10}},
    {{"flac", 4}, {"audio/flac", 10}},
    {{"ogg", 3}, {"audio/ogg", 9}},
    {{"aac", 3}, {"audio/aac", 9}},
};

struct str ir_media_of(struct str name)
{
    size_t from = name.n;
    while (from > 0 && is_letter_or_digit(name.p[from - 1])) {
        from--;
    }
    struct str ending = str_from(name, from);
    for (size_t i = 0; i < sizeof media / sizeof *media; i++) {
        if (str_ieq(ending, media[i].ending)) {
            return media[i].type;
        }
    }
    return (struct str){0};
}

struct str ir_media_format(struct str media_type)
{
    for (size_t i = 0; i < sizeof media / sizeof *media; i++) {
        if (str_ieq(media_type, media[i].type) && !str_eq(media[i].ending, STR("jpg"))) {
            return media[i].ending;
        }
    }
    ptrdiff_t slash = str_chr(media_type, '/');
    struct str rest = str_from(media_type, (size_t)(slash + 1));
    return str_starts(rest, STR("x-")) ? str_from(rest, 2) : rest;
}

bool ir_data_url(struct arena *a, struct str escaped, struct str *ret_media_type,
                 struct str *ret_data)
{
    const struct str scheme = STR("data:");
    if (!str_istarts(escaped, scheme)) {
        return false;
    }
    bool decoded = has_escape(escaped);
    struct str text = ir_plain(a, escaped), head;
    text = str_from(text, scheme.n);
    if (!str_cut(&text, ',', &head)) {
        return false;
    }
    struct str type = head, rest;
    str_cut(&head, ';', &type);
    bool base64 = false;
    while (head.n) {
        str_cut(&head, ';', &rest);
        base64 = str_ieq(rest, STR("base64"));
    }
    if (!base64) {
        return false;
    }
    /* What was decoded may hold a quote, which would end the string that it is written into. */
    *ret_media_type = decoded ? ir_escape(a, type) : type;
    *ret_data = decoded ? ir_escape(a, text) : text;
    return true;
}

/* ---- signatures ---- */

/* Whether this process has marked anything yet. */
static _Atomic bool has_marked;

bool ir_may_be_marked(void)
{
    return atomic_load_explicit(&has_marked, memory_order_relaxed);
}

/* base64 of "accordsig", and four more for the issuer. */
#define MARK "YWNjb3Jkc2ln"
enum { MARK_N = sizeof MARK - 1 + 4 };

struct str ir_signature_out(struct arena *a, struct str signature, enum family issuer,
                            enum family caller)
{
    bool own = issuer == caller && !str_eq(signature, IR_NO_SIGNATURE);
    if (own || signature.n == 0) {
        return signature;
    }
    atomic_store_explicit(&has_marked, true, memory_order_relaxed);
    size_t room = sodium_base64_encoded_len(signature.n, sodium_base64_VARIANT_ORIGINAL);
    char *to = arena_alloc(a, MARK_N + room);
    memcpy(to, MARK "AAA", MARK_N - 1);
    to[MARK_N - 1] = (char)('A' + (unsigned)issuer);
    sodium_bin2base64(to + MARK_N, room, (const unsigned char *)signature.p, signature.n,
                      sodium_base64_VARIANT_ORIGINAL);
    return str_make(to, MARK_N + room - 1);
}

struct str ir_signature_in(struct arena *a, struct str text, enum family dialect,
                           enum family *ret_issuer)
{
    *ret_issuer = dialect;
    unsigned issuer = text.n > MARK_N ? (unsigned char)text.p[MARK_N - 1] - 'A' : FAMILY_COUNT;
    if (issuer >= FAMILY_COUNT || !str_starts(text, STR(MARK "AAA"))) {
        return text;
    }
    struct str coded = str_from(ir_plain(a, text), MARK_N);
    char *to = arena_alloc(a, coded.n + 2);
    size_t n;
    enum json_type top;
    if (sodium_base642bin((unsigned char *)to + 1, coded.n, coded.p, coded.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return (struct str){0}; /* was changed on its way: nobody's */
    }
    /* Anyone can make such a mark: what it holds must be the inside of one string, or it would end it. */
    to[0] = to[n + 1] = '"';
    if (json_scan(str_make(to, n + 2), NULL, 0, &top, NULL) < 0 || top != JSON_STRING) {
        return (struct str){0};
    }
    *ret_issuer = (enum family)issuer;
    return str_eq(str_make(to + 1, n), IR_NO_SIGNATURE) ? (struct str){0} : str_make(to + 1, n);
}

bool ir_has_mark(struct str body)
{
    const struct str mark = STR(MARK "AAA");
    const char *p = body.p, *end = body.p + body.n;
    while (end - p >= (ptrdiff_t)mark.n && (p = memchr(p, mark.p[0], (size_t)(end - p)))) {
        if (end - p >= (ptrdiff_t)mark.n && memcmp(p, mark.p, mark.n) == 0) {
            return true;
        }
        p++;
    }
    return false;
}

/* ---- what writers put down ---- */

void ir_comma(struct buf *b)
{
    char last = b->n ? b->p[b->n - 1] : '{';
    if (last != '{' && last != '[' && last != ',' && last != ':') {
        buf_addc(b, ',');
    }
}

/* Opens a member with room for `n` more bytes, to which it points; NULL when there is none. */
static inline char *open_member(struct buf *b, struct str name, size_t n)
{
    char last = b->n ? b->p[b->n - 1] : '{';
    bool comma = last != '{' && last != '[' && last != ',';
    char *at = buf_room(b, name.n + n + 3 + comma);
    if (!at) {
        return NULL;
    }
    if (comma) {
        *at++ = ',';
    }
    *at++ = '"';
    memcpy(at, name.p, name.n);
    at[name.n] = '"';
    at[name.n + 1] = ':';
    return at + name.n + 2;
}

void ir_put_key(struct buf *b, struct str name)
{
    (void)open_member(b, name, 0);
}

void ir_put_member(struct buf *b, struct str name, struct str escaped)
{
    char *at = escaped.p ? open_member(b, name, escaped.n + 2) : NULL;
    if (at) {
        *at++ = '"';
        memcpy(at, escaped.p, escaped.n);
        at[escaped.n] = '"';
    }
}

void ir_put_plain(struct buf *b, const char *name, struct str plain)
{
    ir_put_name(b, name);
    buf_addc(b, '"');
    buf_add_json(b, plain);
    buf_addc(b, '"');
}

void ir_put_value(struct buf *b, const char *name, struct str value)
{
    if (value.n) {
        ir_put_name(b, name);
        buf_add(b, value);
    }
}

void ir_put_bool(struct buf *b, const char *name, bool v)
{
    ir_put_name(b, name);
    buf_add(b, v ? STR("true") : STR("false"));
}

void ir_put_list(struct buf *b, const char *name, const struct ir_list *l)
{
    if (!l) {
        return;
    }
    ir_put_name(b, name);
    buf_addc(b, '[');
    for (; l; l = l->next) {
        ir_comma(b);
        buf_addc(b, '"');
        buf_add(b, l->text);
        buf_addc(b, '"');
    }
    buf_addc(b, ']');
}

/* Mostly "0.7": without an exponent, it is below its first digit and one. */
static bool is_surely_below(struct str number, double max)
{
    int digit = number.p[0] - '0';
    if (digit < 0 || digit > 9 || digit + 1 > max || (number.n > 1 && number.p[1] != '.')) {
        return false;
    }
    for (size_t i = 2; i < number.n; i++) {
        if ((number.p[i] | 0x20) == 'e') {
            return false;
        }
    }
    return true;
}

void ir_put_media_url(struct buf *b, const char *name, const struct ir_part *p)
{
    if (p->url.n) {
        ir_put_text(b, name, p->url);
        return;
    }
    ir_put_name(b, name);
    buf_add(b, STR("\"data:"));
    buf_add(b, p->media_type.n ? p->media_type : STR("application/octet-stream"));
    buf_add(b, STR(";base64,"));
    buf_add(b, p->data);
    buf_addc(b, '"');
}

int64_t ir_number(struct str value)
{
    int64_t n = 0;
    return value.n && json_int(value, &n) == 0 ? n : 0;
}

bool ir_is_openai_tier(struct str escaped)
{
    static const struct str words[] = {
        {"auto", 4}, {"default", 7}, {"flex", 4}, {"priority", 8}, {"scale", 5}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ir_is(escaped, words[i])) {
            return true;
        }
    }
    return false;
}

struct str ir_at_most(struct ir_call *c, struct str value, const char *name, double max)
{
    char text[64];
    if (value.n == 0 || value.n >= sizeof text || is_surely_below(value, max)) {
        return value;
    }
    memcpy(text, value.p, value.n);
    text[value.n] = 0;
    if (strtod(text, NULL) <= max) {
        return value;
    }
    ir_drop(c, arena_printf(c->arena, "%s>%g", name, max));
    return arena_printf(c->arena, "%g", max);
}
