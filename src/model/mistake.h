/* What is wrong with a document: where it stands, which field it is, and what would be right. All
 * mistakes of a document are gathered and then printed in the order of their places. */
#ifndef MODEL_MISTAKE_H
#define MODEL_MISTAKE_H

#include "base/buf.h"
#include "json/tree.h"

/* The way from the root to a field. Lives on the stack of the function that walks the tree. */
struct path {
    const struct path *up; /* NULL: the root */
    struct str name;       /* of a member; empty for an element */
    size_t index;          /* of an element */
};

struct mistake {
    struct mistake *next;
    uint32_t line, column; /* 0: not from a text */
    struct str path;       /* providers[0].dialect */
    struct str pointer;    /* /providers/0/dialect (RFC 6901) */
    struct str text;
};

enum { MISTAKES_MAX = 1000 }; /* the rest is only counted */

struct mistakes {
    struct arena *arena;
    struct mistake *first, *last;
    size_t n; /* all of them, also those that were not kept */
};

/* `at` may be NULL; a member that is named wrongly is placed at its key by mistake_add_key(). */
__attribute__((format(printf, 4, 5))) void mistake_add(struct mistakes *m, const struct json *at,
                                                       const struct path *path, const char *fmt,
                                                       ...);
__attribute__((format(printf, 4, 5))) void mistake_add_key(struct mistakes *m,
                                                           const struct json *at,
                                                           const struct path *path, const char *fmt,
                                                           ...);
__attribute__((format(printf, 4, 5))) void mistake_add_at(struct mistakes *m, uint32_t line,
                                                          uint32_t column, const char *fmt, ...);

/* One line each: "SOURCE:LINE:COLUMN: PATH: TEXT"; without a place "PATH: TEXT". */
void mistakes_print(struct buf *b, const struct mistakes *m, struct str source);

/* providers[0].dialect */
struct str path_text(struct arena *a, const struct path *path);

/* The word of `words` (NULL-terminated) that `word` was probably meant to be, or NULL. */
const char *nearest_word(struct str word, const char *const *words);

#endif
