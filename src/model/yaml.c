#include "model/yaml.h"

#include <errno.h>
#include <yaml.h>

#include "model/names.h"

/* An open mapping or sequence. */
struct level {
    struct json *node;
    struct names keys; /* of a mapping, once it has many */
    size_t n;
    bool has_key; /* the next node is the value of `key` */
    struct str key;
    uint32_t key_line, key_column;
};

struct reader {
    struct arena *arena;
    struct mistakes *mistakes;
    struct json *root;
    struct level levels[YAML_DEPTH_MAX];
    size_t depth, nodes;
    unsigned documents;
    struct str source;
    bool stop; /* a mistake after which the rest makes no sense */
};

static uint32_t line_of(const yaml_event_t *e)
{
    return (uint32_t)e->start_mark.line + 1;
}

static uint32_t column_of(const yaml_event_t *e)
{
    return (uint32_t)e->start_mark.column + 1;
}

static void fail(struct reader *r, const yaml_event_t *e, const char *text)
{
    mistake_add_at(r->mistakes, line_of(e), column_of(e), "%s", text);
    r->stop = true;
}

/* Whether `key` stands in the mapping already. Small mappings are searched, large ones hashed. */
static bool key_is_doubled(struct reader *r, struct level *l, struct str key)
{
    enum { MANY = 16 };
    if (l->n < MANY) {
        return json_get(l->node, key) != NULL;
    }
    if (l->n == MANY) {
        l->keys = (struct names){.arena = r->arena};
        for (const struct json *c = l->node->first; c; c = c->next) {
            names_add(&l->keys, c->key, 0, NULL);
        }
    }
    return !names_add(&l->keys, key, 0, NULL);
}

static void append(struct json *parent, struct json *child)
{
    if (parent->last) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
}

/* Puts a new node where the document is: at the root, into a sequence, or behind a key. */
static void place(struct reader *r, struct json *node)
{
    struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (!l) {
        r->root = node;
        return;
    }
    if (l->node->type == JSON_OBJECT) {
        node->key = l->key;
        node->key_line = l->key_line;
        node->key_column = l->key_column;
        l->has_key = false;
        if (key_is_doubled(r, l, node->key)) {
            struct buf b = {.arena = r->arena};
            buf_add_json(&b, str_first(node->key, 80));
            mistake_add_key(r->mistakes, node, NULL, "the key \"%.*s\" stands here twice",
                            STR_ARG(b));
            l->n++;
            return;
        }
    }
    append(l->node, node);
    l->n++;
}

static struct json *new_node(struct reader *r, const yaml_event_t *e, enum json_type type)
{
    struct json *node = json_new(r->arena, type);
    node->line = line_of(e);
    node->column = column_of(e);
    if (++r->nodes > YAML_NODES_MAX) {
        fail(r, e, "there are more than 500000 values");
    }
    return node;
}

static bool is_one_of(struct str s, const char *const *words)
{
    for (; *words; words++) {
        if (str_eq(s, str_of(*words))) {
            return true;
        }
    }
    return false;
}

static size_t digits(struct str s, size_t at, const char *set)
{
    size_t from = at;
    while (at < s.n && s.p[at] && strchr(set, s.p[at])) {
        at++;
    }
    return at - from;
}

/* 0o17 and 0x1F as decimal. */
static int based_number(struct arena *a, struct str s, struct str *ret)
{
    bool octal = str_starts(s, STR("0o"));
    if (!octal && !str_starts(s, STR("0x"))) {
        return -EINVAL;
    }
    const char *set = octal ? "01234567" : "0123456789abcdefABCDEF";
    size_t n = digits(s, 2, set);
    if (n == 0 || n + 2 != s.n) {
        return -EINVAL;
    }
    uint64_t v = 0;
    for (size_t i = 2; i < s.n; i++) {
        unsigned c = (unsigned char)s.p[i];
        unsigned digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
        if (v >> (octal ? 61 : 60)) {
            return -ERANGE;
        }
        v = v << (octal ? 3 : 4) | digit;
    }
    struct buf b = {.arena = a};
    buf_add_u64(&b, v);
    *ret = buf_str(&b);
    return 0;
}

/* A plain scalar as a number by the core schema (YAML 1.2.2, 10.3.2), respelled as JSON wants it:
 * no plus, no leading zeros, digits on both sides of the point. -EINVAL: it is no number. */
static int core_number(struct arena *a, struct str s, struct str *ret)
{
    size_t at = 0, whole, fraction = 0, from;
    bool point = false;
    if (based_number(a, s, ret) != -EINVAL) {
        return based_number(a, s, ret);
    }
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        at = 1;
    }
    from = at;
    whole = digits(s, at, "0123456789");
    at += whole;
    if (at < s.n && s.p[at] == '.') {
        point = true;
        fraction = digits(s, ++at, "0123456789");
        at += fraction;
    }
    if (whole + fraction == 0) {
        return -EINVAL;
    }
    size_t exponent = at;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        at++;
        if (at < s.n && (s.p[at] == '-' || s.p[at] == '+')) {
            at++;
        }
        size_t n = digits(s, at, "0123456789");
        if (n == 0) {
            return -EINVAL;
        }
        at += n;
    }
    if (at != s.n) {
        return -EINVAL;
    }
    while (whole > 1 && s.p[from] == '0') {
        from++;
        whole--;
    }
    struct buf b = {.arena = a};
    buf_addz(&b, s.p[0] == '-' ? "-" : "");
    buf_add(&b, whole ? str_make(s.p + from, whole) : STR("0"));
    if (point) {
        buf_addc(&b, '.');
        buf_add(&b, fraction ? str_make(s.p + exponent - fraction, fraction) : STR("0"));
    }
    buf_add(&b, str_from(s, exponent));
    *ret = buf_str(&b);
    return 0;
}

static void type_plain(struct reader *r, const yaml_event_t *e, struct json *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const endless[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                          "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                          ".NaN",  ".NAN",  NULL};
    struct str number;
    int n;
    if (is_one_of(node->text, nulls)) {
        node->type = JSON_NULL;
    } else if (is_one_of(node->text, trues)) {
        node->type = JSON_TRUE;
    } else if (is_one_of(node->text, falses)) {
        node->type = JSON_FALSE;
    } else if (is_one_of(node->text, endless)) {
        fail(r, e, "a number must be finite");
    } else if ((n = core_number(r->arena, node->text, &number)) != -EINVAL) {
        if (n < 0) {
            fail(r, e, "a number must fit in 64 bits");
            return;
        }
        node->type = JSON_NUMBER;
        node->text = number;
    }
    if (node->type != JSON_STRING && node->type != JSON_NUMBER) {
        node->text = (struct str){0};
    }
}

static void scalar(struct reader *r, const yaml_event_t *e)
{
    struct str text = str_make((const char *)e->data.scalar.value, e->data.scalar.length);
    struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (text.n && memchr(text.p, 0, text.n)) {
        fail(r, e, "a text must not hold NUL");
        return;
    }
    text = arena_dup(r->arena, text);
    if (l && l->node->type == JSON_OBJECT && !l->has_key) {
        l->has_key = true;
        l->key = text;
        l->key_line = line_of(e);
        l->key_column = column_of(e);
        return;
    }
    struct json *node = new_node(r, e, JSON_STRING);
    node->text = text;
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        type_plain(r, e, node);
    }
    place(r, node);
}

static void open_level(struct reader *r, const yaml_event_t *e, enum json_type type)
{
    struct level *l = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (l && l->node->type == JSON_OBJECT && !l->has_key) {
        fail(r, e, "a key must be a plain text, not a list or a mapping");
        return;
    }
    if (r->depth == YAML_DEPTH_MAX) {
        fail(r, e, "lists and mappings are nested deeper than 64 levels");
        return;
    }
    struct json *node = new_node(r, e, type);
    place(r, node);
    r->levels[r->depth++] = (struct level){.node = node};
}

static bool is_decorated(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor || e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    default:
        return e->type == YAML_ALIAS_EVENT;
    }
}

static void take(struct reader *r, const yaml_event_t *e)
{
    if (is_decorated(e)) {
        fail(r, e,
             "anchors (&x), aliases (*x) and tags (!x) are not supported; put the text in "
             "quotes if it begins so");
        return;
    }
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++r->documents > 1) {
            fail(r, e, "one file holds one document; a second one begins here");
        }
        break;
    case YAML_SCALAR_EVENT:
        scalar(r, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_level(r, e, JSON_ARRAY);
        break;
    case YAML_MAPPING_START_EVENT:
        open_level(r, e, JSON_OBJECT);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        break;
    default:
        break;
    }
}

/* "{secret: ${NAME}}": to YAML the inner brackets are a mapping of their own. */
static bool has_bare_variable(const struct reader *r, const yaml_parser_t *p)
{
    struct str line = {0}, rest = r->source;
    for (size_t n = 0; n <= p->problem_mark.line; n++) {
        (void)!str_cut(&rest, '\n', &line);
    }
    return str_find(line, STR("${")) >= 0 && str_find(line, STR("\"${")) < 0;
}

static void parser_failed(struct reader *r, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "this is not YAML";
    uint32_t line = (uint32_t)p->problem_mark.line + 1;
    uint32_t column = (uint32_t)p->problem_mark.column + 1;
    const char *hint = "";
    r->stop = true;
    if (p->error == YAML_READER_ERROR) { /* it has a byte offset, but no mark */
        line = (uint32_t)p->mark.line + 1;
        column = (uint32_t)p->mark.column + 1;
        hint = " (the file must be UTF-8)";
    } else if (strstr(problem, "cannot start any token")) {
        hint = " (a tab cannot indent; quote texts that begin with @ or `)";
    } else if (p->context && strstr(p->context, "flow") && has_bare_variable(r, p)) {
        hint = " (between brackets a variable needs quotes: \"${NAME}\")";
    }
    if (p->context) {
        mistake_add_at(r->mistakes, line, column, "%s, %s%s", p->context, problem, hint);
    } else {
        mistake_add_at(r->mistakes, line, column, "%s%s", problem, hint);
    }
}

struct json *yaml_read(struct arena *a, struct str text, struct mistakes *m)
{
    yaml_parser_t parser;
    yaml_event_t event;
    struct reader r = {.arena = a, .mistakes = m, .source = text};
    bool end = false;
    if (text.n > YAML_SIZE_MAX) {
        mistake_add_at(m, 1, 1, "the file is longer than 4 MiB");
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        mistake_add_at(m, 1, 1, "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    while (!end && !r.stop) {
        if (!yaml_parser_parse(&parser, &event)) {
            parser_failed(&r, &parser);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        take(&r, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (r.stop) {
        return NULL;
    }
    if (!r.root) {
        r.root = json_new(a, JSON_OBJECT);
        r.root->line = r.root->column = 1;
    }
    return r.root;
}
