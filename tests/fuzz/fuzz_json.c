/* Both modes of the scanner against a second opinion that is too simple to be wrong in the same
 * way; the tree must survive being printed and read again. */
#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "json/span.h"
#include "json/tree.h"
#include "json/judge.h"
#include "json/wide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_want wanted[] = {
    {.name = {"model", 5}}, {.name = {"stream", 6}}, {.name = {"n", 1}}, {.name = {"", 0}}};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* The mode of json_scan_members: only the top-level names and the wanted strings are judged. */
static bool members_only;

/* Recursive descent over [p, end): the byte behind the value, or NULL. `judged`: so is its text, if
 * it is a string. */
static const char *value(const char *p, const char *end, int depth, bool judged);

static const char *space(const char *p, const char *end)
{
    while (p < end && *p && strchr(" \t\r\n", *p)) {
        p++;
    }
    return p;
}

static const char *hex(const char *p, const char *end)
{
    for (int i = 0; i < 4; i++, p++) {
        if (p == end || !*p || !strchr("0123456789abcdefABCDEF", *p)) {
            return NULL;
        }
    }
    return p;
}

/* Without a look at the text. */
static const char *passed_over(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++) {
        p += *p == '\\';
    }
    return p < end ? p + 1 : NULL;
}

static const char *string(const char *p, const char *end, bool judged)
{
    if (p == end || *p++ != '"') {
        return NULL;
    }
    if (!judged) {
        return passed_over(p, end);
    }
    while (p && p < end && *p != '"') {
        size_t n = utf8_len(p, (size_t)(end - p));
        if (n == 0 || (unsigned char)*p < 0x20) {
            return NULL;
        }
        if (*p != '\\') {
            p += n;
        } else if (++p < end && *p == 'u') {
            p = hex(p + 1, end);
        } else if (p < end && *p && strchr("\"\\/bfnrt", *p)) {
            p++;
        } else {
            return NULL;
        }
    }
    return p && p < end ? p + 1 : NULL;
}

static const char *digits(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p > from ? p : NULL;
}

static const char *number(const char *p, const char *end)
{
    p += p < end && *p == '-';
    p = p < end && *p == '0' ? p + 1 : digits(p, end);
    if (p && p < end && *p == '.') {
        p = digits(p + 1, end);
    }
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p = digits(p + (p < end && (*p == '+' || *p == '-')), end);
    }
    return p;
}

static bool is_wanted(const char *key, const char *key_end)
{
    for (size_t i = 0; i < WANTED; i++) {
        if (json_quoted_is(str_make(key, (size_t)(key_end - key)), wanted[i].name)) {
            return true;
        }
    }
    return false;
}

static const char *container(const char *p, const char *end, int depth)
{
    char close = *p == '{' ? '}' : ']';
    if (depth == JSON_DEPTH_MAX) {
        return NULL;
    }
    p = space(p + 1, end);
    if (p < end && *p == close) {
        return p + 1;
    }
    for (;;) {
        bool judged = !members_only;
        if (close == '}') {
            const char *key = p;
            p = string(p, end, judged || depth == 0);
            judged |= p && depth == 0 && is_wanted(key, p);
            p = p ? space(p, end) : NULL;
            if (!p || p == end || *p != ':') {
                return NULL;
            }
            p = space(p + 1, end);
        }
        p = value(p, end, depth + 1, judged);
        p = p ? space(p, end) : NULL;
        if (!p || p == end || (*p != ',' && *p != close)) {
            return NULL;
        }
        if (*p == close) {
            return p + 1;
        }
        p = space(p + 1, end);
    }
}

static const char *value(const char *p, const char *end, int depth, bool judged)
{
    struct str rest = str_make(p, (size_t)(end - p));
    if (p == end) {
        return NULL;
    }
    if (*p == '{' || *p == '[') {
        return container(p, end, depth);
    }
    if (*p == '"') {
        return string(p, end, judged);
    }
    if (str_starts(rest, STR("true")) || str_starts(rest, STR("null"))) {
        return p + 4;
    }
    return str_starts(rest, STR("false")) ? p + 5 : number(p, end);
}

static bool is_json(struct str doc, bool only_members)
{
    const char *end = doc.p + doc.n;
    members_only = only_members;
    const char *p = value(space(doc.p, end), end, 0, !only_members);
    return p && space(p, end) == end;
}

static void print_and_read_again(struct str doc)
{
    struct arena a = {0};
    struct json *tree, *again;
    struct json_error e;
    if (json_parse(&a, doc, &tree, &e) == 0) {
        for (unsigned indent = 0; indent < 3; indent += 2) {
            struct buf b = {.arena = &a};
            json_print(&b, tree, indent);
            must(json_parse(&a, buf_str(&b), &again, &e) == 0);
            must(json_equal(tree, again));
            must(json_equal(tree, json_clone(&a, again)));
        }
    } else {
        must(e.at < doc.n && strstr(e.why, "twice"));
    }
    arena_reset(&a);
}

/* The members that the scan reports are those that an iteration over the span meets. */
static void wants_agree(struct str doc, const struct json_want *want, size_t nwant)
{
    for (size_t i = 0; i < nwant; i++) {
        struct str value = {0};
        enum json_type type = json_member(doc, want[i].name, &value);
        must(type == want[i].type);
        must(type == JSON_NONE
                 ? want[i].count == 0
                 : want[i].count > 0 && value.p == want[i].value.p && value.n == want[i].value.n);
    }
}

/* Shows reads outside of the document: the copy is exactly as large. */
static char *exact_copy(struct str doc)
{
    char *p = malloc(doc.n ? doc.n : 1);
    must(p);
    memcpy(p, doc.p, doc.n);
    return p;
}

static struct str trimmed(struct str doc)
{
    while (doc.p[0] != '{') {
        doc = str_from(doc, 1);
    }
    while (doc.p[doc.n - 1] != '}') {
        doc.n--;
    }
    return doc;
}

/* What both modes found in a document that both accept. */
static void same_wants(const struct json_want *a, const struct json_want *b)
{
    for (size_t i = 0; i < WANTED; i++) {
        must(a[i].type == b[i].type && a[i].count == b[i].count && a[i].escaped == b[i].escaped);
        must(a[i].key.p == b[i].key.p && a[i].key.n == b[i].key.n);
        must(a[i].value.p == b[i].value.p && a[i].value.n == b[i].value.n);
    }
}

/* Wanted strings can be decoded in both modes. */
static void decode_wants(const struct json_want *want)
{
    for (size_t i = 0; i < WANTED; i++) {
        if (want[i].type == JSON_STRING) {
            must(json_scan(want[i].value, NULL, 0, NULL, NULL) == 0);
            char *to = malloc(want[i].value.n);
            must(json_unescape(want[i].value, to) <= want[i].value.n);
            free(to);
        }
    }
}

static void scan_both(struct str doc, bool valid, bool members_valid)
{
    struct json_want strict[WANTED], lax[WANTED];
    enum json_type top, lax_top;
    struct json_error e = {0}, lax_e = {0};
    memcpy(strict, wanted, sizeof wanted);
    memcpy(lax, wanted, sizeof wanted);
    bool ok = json_scan(doc, strict, WANTED, &top, &e) == 0;
    bool lax_ok = json_scan_members(doc, lax, WANTED, &lax_top, &lax_e) == 0;
    must(ok == valid && lax_ok == members_valid && (lax_ok || !ok));
    must(ok || !lax_ok || !json_texts_are_good(doc));
    must(ok || (e.at <= doc.n && e.why));
    must(lax_ok || (lax_e.at <= doc.n && lax_e.why && lax_e.at >= e.at));
    if (ok) {
        must(top == lax_top);
        same_wants(strict, lax);
    }
    if (lax_ok && lax_top == JSON_OBJECT) {
        wants_agree(trimmed(doc), lax, WANTED);
        decode_wants(lax);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = str_make((const char *)data, size);
    char *copy = exact_copy(doc);
    doc.p = copy;
    bool valid = size > 0 && is_json(doc, false), members_valid = size > 0 && is_json(doc, true);
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        if (wide_choose(level)) {
            scan_both(doc, valid, members_valid);
        }
    }
    if (valid) {
        print_and_read_again(doc);
    }
    free(copy);
    return 0;
}
