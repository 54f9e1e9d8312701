/* Structured Field Values for HTTP (RFC 9651): read, and written in the one form of section 4.1.
 * Pure. What is read lives in the arena and may point into the lines. */
#ifndef CONFLICT_STRUCTURED_H
#define CONFLICT_STRUCTURED_H

#include <stdint.h>

#include "base/buf.h"

enum sf_type {
    SF_INTEGER, /* n */
    SF_DECIMAL, /* n: thousandths */
    SF_STRING,  /* text, without quotes and escapes */
    SF_TOKEN,   /* text */
    SF_BYTES,   /* text: the bytes themselves */
    SF_BOOLEAN, /* n: 0 or 1 */
    SF_DATE,    /* n: seconds since 1970 */
    SF_DISPLAY, /* text: UTF-8 */
    SF_INNER,   /* members: an inner list */
};

struct sf_item {
    enum sf_type type;
    int64_t n;
    struct str text;
    struct sf_member *members; /* of an inner list; their names are empty */
    size_t n_members;
    struct sf_member *parameters;
    size_t n_parameters;
};

/* A member of a dictionary or of a list (without a name), or a parameter (its item is bare). */
struct sf_member {
    struct str name;
    struct sf_item item;
};

/* All lines of one field are one value (4.2). A field that is not there is an empty list or
 * dictionary, and no item. -EBADMSG: the whole field is to be ignored. */
__attribute__((warn_unused_result)) int sf_read_item(struct arena *a, const struct str *lines,
                                                     size_t n, struct sf_item *ret);
__attribute__((warn_unused_result)) int sf_read_list(struct arena *a, const struct str *lines,
                                                     size_t n, struct sf_member **ret,
                                                     size_t *ret_n);
__attribute__((warn_unused_result)) int sf_read_dictionary(struct arena *a, const struct str *lines,
                                                           size_t n, struct sf_member **ret,
                                                           size_t *ret_n);

/* -EINVAL: it cannot be expressed (a number out of range, a text with other characters); then what
 * was added to `b` is to be thrown away. An empty list or dictionary adds nothing. */
__attribute__((warn_unused_result)) int sf_write_item(struct buf *b, const struct sf_item *i);
__attribute__((warn_unused_result)) int sf_write_list(struct buf *b, const struct sf_member *all,
                                                      size_t n);
__attribute__((warn_unused_result)) int sf_write_dictionary(struct buf *b,
                                                            const struct sf_member *all, size_t n);

#endif
