/* JSON as a tree in an arena: for configuration, documents and whatever is not on the path of a
 * call.
 *
 * Numbers keep their spelling (`text`), members their order; a doubled member name is an error.
 * Nodes are never changed after they are shared; editing means json_set/json_remove on a tree that
 * one owns. `line` and `column` (from 1) are filled by readers that know them (YAML, json_parse),
 * else 0. */
#ifndef JSON_TREE_H
#define JSON_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "json/scan.h"

struct json {
    enum json_type type;
    uint32_t line, column;
    struct str text;    /* string: decoded; number: as spelled; else empty */
    struct json *first; /* array and object: the first child */
    struct json *last;
    struct json *next; /* the next sibling */
    struct str key;    /* in an object: decoded name */
    uint32_t key_line, key_column;
};

/* Parses a whole document. 0, or -EBADMSG with `*ret_error` (also for a doubled member name). Text
 * without escapes points into `doc`, which must live as long as the tree. */
__attribute__((warn_unused_result)) int json_parse(struct arena *a, struct str doc,
                                                   struct json **ret, struct json_error *ret_error);

struct json *json_new(struct arena *a, enum json_type type);
struct json *json_new_str(struct arena *a, struct str text); /* not copied */
struct json *json_new_int(struct arena *a, int64_t v);
struct json *json_new_bool(struct arena *a, bool v);
struct json *json_clone(struct arena *a, const struct json *j); /* deep; text is copied */

/* Member `key` of an object, NULL when absent or when `j` is no object or NULL. */
struct json *json_get(const struct json *j, struct str key);
/* Sets (replaces or appends) a member; returns value. The key is not copied. */
struct json *json_set(struct json *object, struct str key, struct json *value);
/* The same for a name that is known not to be there: nothing is looked for. */
struct json *json_add(struct json *object, struct str key, struct json *value);
bool json_remove(struct json *object, struct str key);
void json_append(struct json *array, struct json *value);
size_t json_count(const struct json *j); /* children */

/* JSON Pointer (RFC 6901): NULL when it does not resolve. */
struct json *json_at(const struct json *j, struct str pointer);
/* Adds "/" and `token` with ~ and / escaped to a pointer under construction. */
void json_pointer_add(struct buf *b, struct str token);

bool json_equal(const struct json *a,
                const struct json *b); /* numbers by value of their spelling */

/* Prints compact (indent 0) or indented; strings re-escaped by buf_add_json, numbers as spelled. */
void json_print(struct buf *b, const struct json *j, unsigned indent);

#endif
