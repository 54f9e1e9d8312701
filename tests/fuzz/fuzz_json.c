/* The scanner against a second opinion that is too simple to be wrong in the same way; the tree
 * must survive being printed and read again. */
#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "json/tree.h"
#include "json/wide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Recursive descent over [p, end): the byte behind the value, or NULL. */
static const char *value(const char *p, const char *end, int depth);

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

static const char *string(const char *p, const char *end)
{
    if (p == end || *p++ != '"') {
        return NULL;
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
        if (close == '}') {
            p = string(p, end);
            p = p ? space(p, end) : NULL;
            if (!p || p == end || *p != ':') {
                return NULL;
            }
            p = space(p + 1, end);
        }
        p = value(p, end, depth + 1);
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

static const char *value(const char *p, const char *end, int depth)
{
    struct str rest = str_make(p, (size_t)(end - p));
    if (p == end) {
        return NULL;
    }
    if (*p == '{' || *p == '[') {
        return container(p, end, depth);
    }
    if (*p == '"') {
        return string(p, end);
    }
    if (str_starts(rest, STR("true")) || str_starts(rest, STR("null"))) {
        return p + 4;
    }
    return str_starts(rest, STR("false")) ? p + 5 : number(p, end);
}

static bool is_json(struct str doc)
{
    const char *end = doc.p + doc.n;
    const char *p = value(space(doc.p, end), end, 0);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = str_make((const char *)data, size);
    bool expected = size > 0 && is_json(doc);
    size_t error_at = 0;
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        if (!wide_choose(level)) {
            continue;
        }
        struct json_want want[] = {
            {.name = STR("model")}, {.name = STR("stream")}, {.name = STR("n")}, {.name = STR("")}};
        enum json_type top;
        struct json_error e = {0};
        bool ok = json_scan(doc, want, 4, &top, &e) == 0;
        must(ok == expected);
        must(ok || (e.at <= size && e.why));
        must(level == WIDE_PLAIN || e.at == error_at);
        error_at = e.at;
        if (ok && top == JSON_OBJECT) {
            struct str trimmed = doc;
            while (trimmed.p[0] != '{') {
                trimmed = str_from(trimmed, 1);
            }
            while (trimmed.p[trimmed.n - 1] != '}') {
                trimmed.n--;
            }
            wants_agree(trimmed, want, 4);
        }
    }
    if (expected) {
        print_and_read_again(doc);
    }
    return 0;
}
