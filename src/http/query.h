/* The query part of a URL as names and values (application/x-www-form-urlencoded, WHATWG URL 5.1).
 * Pure; what is decoded lives in the arena. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/arena.h"

enum { QUERY_PARAMETERS_MAX = 64 };

struct query_parameter {
    struct str name, value;
};

struct query {
    struct query_parameter all[QUERY_PARAMETERS_MAX];
    size_t n;
};

/* -EBADMSG: a broken %-escape, or bytes that are not UTF-8; -E2BIG: too many parameters. */
__attribute__((warn_unused_result)) int query_parse(struct arena *a, struct str text,
                                                    struct query *ret);
/* The first of that name; p NULL when there is none. */
struct str query_get(const struct query *q, struct str name);

/* Decodes %-escapes (and '+' as a space when `plus`). -EBADMSG. */
__attribute__((warn_unused_result)) int url_decode(struct arena *a, struct str text, bool plus,
                                                   struct str *ret);
/* Adds `s` with all that is not unreserved (RFC 3986, 2.3) escaped. */
struct buf;
void url_encode(struct buf *b, struct str s);

#endif
