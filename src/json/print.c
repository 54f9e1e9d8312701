#include "json/tree.h"

static void new_line(struct buf *b, unsigned indent, unsigned level)
{
    if (!indent) {
        return;
    }
    buf_addc(b, '\n');
    for (unsigned i = 0; i < indent * level; i++) {
        buf_addc(b, ' ');
    }
}

static void print_string(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    buf_add_json(b, text);
    buf_addc(b, '"');
}

static void print(struct buf *b, const struct json *j, unsigned indent, unsigned level);

static void print_children(struct buf *b, const struct json *j, unsigned indent, unsigned level)
{
    bool object = j->type == JSON_OBJECT;
    buf_addc(b, object ? '{' : '[');
    for (const struct json *c = j->first; c; c = c->next) {
        new_line(b, indent, level + 1);
        if (object) {
            print_string(b, c->key);
            buf_add(b, indent ? STR(": ") : STR(":"));
        }
        print(b, c, indent, level + 1);
        if (c->next) {
            buf_addc(b, ',');
        }
    }
    if (j->first) {
        new_line(b, indent, level);
    }
    buf_addc(b, object ? '}' : ']');
}

/* Recursion goes as deep as the tree: JSON_DEPTH_MAX for everything that was read. */
static void print(struct buf *b, const struct json *j, unsigned indent, unsigned level)
{
    switch (j->type) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        print_children(b, j, indent, level);
        break;
    case JSON_STRING:
        print_string(b, j->text);
        break;
    case JSON_NUMBER:
        buf_add(b, j->text);
        break;
    case JSON_TRUE:
        buf_add(b, STR("true"));
        break;
    case JSON_FALSE:
        buf_add(b, STR("false"));
        break;
    default:
        buf_add(b, STR("null"));
        break;
    }
}

void json_print(struct buf *b, const struct json *j, unsigned indent)
{
    print(b, j, indent, 0);
}
