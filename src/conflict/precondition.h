/* Conditional requests (RFC 9110, 13): whether a request is to be done, given the present state of
 * what it is about. Pure, so that it is decided inside the transaction that acts on it. */
#ifndef CONFLICT_PRECONDITION_H
#define CONFLICT_PRECONDITION_H

#include "conflict/etag.h"

enum condition_method {
    CONDITION_READ,   /* GET, HEAD */
    CONDITION_PUT,    /* creates when nothing is there */
    CONDITION_CHANGE, /* PATCH, DELETE, actions: 404 when nothing is there */
    CONDITION_CREATE, /* POST of a list: the target is the list, which has no tag */
};

struct conditions {
    struct etag_list if_match, if_none_match;
    struct str if_modified_since, if_unmodified_since; /* p NULL: absent */
    bool doubled_since; /* one of the two stood there twice: both are ignored (13.1.3) */
};

struct present {
    bool exists;
    struct etag tag;
    int64_t modified_s; /* as sent in Last-Modified */
    int64_t now_s;
};

enum verdict {
    VERDICT_PROCEED,
    VERDICT_NOT_MODIFIED, /* 304 */
    VERDICT_NOT_FOUND,    /* 404 */
    VERDICT_FAILED,       /* 412 */
    VERDICT_MALFORMED,    /* 400: a list of tags that cannot be read */
};

struct judgement {
    enum verdict verdict;
    const char *field;  /* which decided: "If-Match" ...; NULL: none */
    bool conditional;   /* the request named a state (also "*"): a protected route may proceed */
    bool unconditional; /* If-Match: *: whatever it is now */
};

/* In the order of 13.2.2. `If-Match` that is malformed is 400 whatever else holds. */
struct judgement precondition(enum condition_method method, const struct conditions *c,
                              const struct present *now);

#endif
