/* json_scan decides what is JSON; what follows builds nodes from text that it has found valid, and
 * so looks at structure only. It does not recurse: the open containers stand in an array. */
#include <errno.h>
#include <stdlib.h>

#include "json/span.h"
#include "json/tree.h"

struct build {
    struct arena *arena;
    struct str doc;
    const char *p;         /* the next byte to read */
    const char *mark;      /* line and column are those of this byte */
    uint32_t line, column; /* from 1; columns count code points */
    unsigned depth;
    struct json *open[JSON_DEPTH_MAX];
};

/* Moves the mark to `p`. */
static void locate(struct build *b, const char *p)
{
    for (; b->mark < p; b->mark++) {
        if (*b->mark == '\n') {
            b->line++;
            b->column = 1;
        } else if (((unsigned char)*b->mark & 0xC0) != 0x80) {
            b->column++;
        }
    }
}

static void skip_space(struct build *b)
{
    const char *end = b->doc.p + b->doc.n;
    while (b->p < end && (*b->p == ' ' || *b->p == '\n' || *b->p == '\r' || *b->p == '\t')) {
        b->p++;
    }
}

static struct str string(struct build *b)
{
    const char *end = json_string_end(b->p, b->doc);
    struct str quoted = str_make(b->p, (size_t)(end - b->p)), text;
    b->p = end;
    if (!json_plain(quoted, &text)) {
        char *to = arena_alloc(b->arena, quoted.n);
        text = str_make(to, json_unescape(quoted, to));
        arena_trim(b->arena, to, quoted.n, text.n);
    }
    return text;
}

static struct str scalar_text(struct build *b)
{
    const char *from = b->p, *end = b->doc.p + b->doc.n;
    while (b->p < end && !strchr(",]} \n\r\t", *b->p)) {
        b->p++;
    }
    return str_make(from, (size_t)(b->p - from));
}

/* The value at b->p; of a container only its opening. */
static struct json *node(struct build *b)
{
    locate(b, b->p);
    struct json *j = json_new(b->arena, json_type_of(*b->p));
    j->line = b->line;
    j->column = b->column;
    switch (j->type) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        b->p++;
        break;
    case JSON_STRING:
        j->text = string(b);
        break;
    case JSON_NUMBER:
        j->text = scalar_text(b);
        break;
    default:
        (void)scalar_text(b);
        break;
    }
    return j;
}

static void append(struct json *container, struct json *child)
{
    if (container->last) {
        container->last->next = child;
    } else {
        container->first = child;
    }
    container->last = child;
}

/* A child of the innermost container with, in an object, its name in front. */
static struct json *child(struct build *b)
{
    struct json *container = b->open[b->depth - 1];
    struct str key = {0};
    uint32_t line = 0, column = 0;
    if (container->type == JSON_OBJECT) {
        locate(b, b->p);
        line = b->line;
        column = b->column;
        key = string(b);
        skip_space(b);
        b->p++; /* the colon */
        skip_space(b);
    }
    struct json *j = node(b);
    j->key = key;
    j->key_line = line;
    j->key_column = column;
    append(container, j);
    return j;
}

static int by_place(const struct json *a, const struct json *b)
{
    if (a->key_line != b->key_line) {
        return a->key_line < b->key_line ? -1 : 1;
    }
    return a->key_column < b->key_column ? -1 : a->key_column > b->key_column;
}

static int by_key(const void *x, const void *y)
{
    const struct json *a = *(struct json *const *)x, *b = *(struct json *const *)y;
    if (a->key.n != b->key.n) {
        return a->key.n < b->key.n ? -1 : 1;
    }
    int order = a->key.n ? memcmp(a->key.p, b->key.p, a->key.n) : 0;
    return order ? order : by_place(a, b);
}

/* The member that repeats an earlier one's name, the first of them, or NULL. Sorted, because the
 * number of members is whatever the sender likes. */
static const struct json *find_doubled(struct arena *a, const struct json *object)
{
    size_t n = json_count(object), size = n * sizeof(struct json *);
    if (n < 2) {
        return NULL;
    }
    const struct json **members = arena_alloc(a, size), *found = NULL;
    size_t i = 0;
    for (const struct json *m = object->first; m; m = m->next) {
        members[i++] = m;
    }
    qsort(members, n, sizeof *members, by_key);
    for (i = 1; i < n; i++) {
        if (str_eq(members[i]->key, members[i - 1]->key) &&
            (!found || by_place(members[i], found) < 0)) {
            found = members[i];
        }
    }
    arena_trim(a, members, size, 0);
    return found;
}

/* The byte at line and column. */
static size_t offset_of(struct str doc, uint32_t line, uint32_t column)
{
    struct build b = {.doc = doc, .mark = doc.p, .line = 1, .column = 1};
    while (b.mark < doc.p + doc.n && (b.line != line || b.column != column)) {
        locate(&b, b.mark + 1);
    }
    return (size_t)(b.mark - doc.p);
}

/* Closes the containers that end at b->p; the first member that one of them holds twice, or NULL.
 */
static const struct json *close_ended(struct build *b)
{
    for (; b->depth > 0; b->depth--) {
        skip_space(b);
        if (*b->p != '}' && *b->p != ']') {
            break;
        }
        b->p++;
        const struct json *closed = b->open[b->depth - 1];
        const struct json *doubled =
            closed->type == JSON_OBJECT ? find_doubled(b->arena, closed) : NULL;
        if (doubled) {
            return doubled;
        }
    }
    return NULL;
}

int json_parse(struct arena *a, struct str doc, struct json **ret, struct json_error *ret_error)
{
    int r = json_scan(doc, NULL, 0, NULL, ret_error);
    if (r < 0) {
        return r;
    }
    struct build b = {.arena = a, .doc = doc, .p = doc.p, .mark = doc.p, .line = 1, .column = 1};
    skip_space(&b);
    struct json *top = node(&b), *j = top;
    for (;;) {
        if (j->type == JSON_OBJECT || j->type == JSON_ARRAY) {
            b.open[b.depth++] = j;
        }
        const struct json *doubled = close_ended(&b);
        if (doubled) {
            if (ret_error) {
                ret_error->at = offset_of(doc, doubled->key_line, doubled->key_column);
                ret_error->why = "a member's name stands twice in this object";
            }
            return -EBADMSG;
        }
        if (b.depth == 0) {
            *ret = top;
            return 0;
        }
        if (*b.p == ',') {
            b.p++;
            skip_space(&b);
        }
        j = child(&b);
    }
}
