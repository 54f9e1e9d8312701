/* What is different between two documents, by JSON Pointer; and a three-way merge (CONFLICT.md,
 * ruling 9). Pure.
 *
 * Objects are compared member by member. A list is one value, unless a rule says what its elements
 * are known by: then an element is at POINTER/KEY-VALUE for the comparison, and conflicts show that
 * pointer; sets are lists of texts without an order. */
#ifndef CONFLICT_DIFF_H
#define CONFLICT_DIFF_H

#include "json/tree.h"

enum merge_how {
    MERGE_KEYED, /* a list of objects, each known by its member `key` */
    MERGE_SET,   /* a list of texts: added and removed one by one */
};

struct merge_rule {
    struct str pointer; /* of the list: "/targets"; a token * stands for any */
    enum merge_how how;
    struct str key;
};

struct merge_rules {
    const struct merge_rule *rules;
    size_t n;
};

/* One side is NULL where nothing is. Nodes are those of the documents. */
struct change_at {
    struct str pointer;
    const struct json *from, *to;
};

struct changes {
    struct arena *arena;
    struct change_at *all;
    size_t n, _cap;
};

/* Adds the differences to `c`, in the order of `from`, additions last. */
void diff(struct changes *c, const struct json *from, const struct json *to,
          const struct merge_rules *rules);

/* The JSON Patch (RFC 6902) that makes `to` of `from`. */
struct json *diff_patch(struct arena *a, const struct json *from, const struct json *to);

/* ---- three-way merge ---- */

struct merge_conflict {
    struct str pointer;
    const struct json *base, *theirs, *yours; /* NULL: not there */
};

struct merge {
    struct json *merged;              /* a tree of its own; where there is a conflict, theirs */
    struct merge_conflict *conflicts; /* both sides changed it, differently */
    size_t n_conflicts;
    struct changes yours; /* your changes that nobody else touched */
};

/* `theirs` and `yours` are both made from `base`. Merged keeps the order of theirs. */
void merge3(struct arena *a, const struct json *base, const struct json *theirs,
            const struct json *yours, const struct merge_rules *rules, struct merge *ret);

#endif
