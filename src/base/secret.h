/* A secret has a type of its own, so that no printer takes it by mistake: there is no function that
 * adds a struct secret to a log line, an error or a metric. Whoever must put it on the wire says so
 * by calling secret_reveal(), which is easy to search for. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/str.h"

struct secret {
    struct str _hidden;
};

static inline struct secret secret_of(struct str s)
{
    return (struct secret){s};
}

static inline struct str secret_reveal(struct secret s)
{
    return s._hidden;
}

static inline bool secret_empty(struct secret s)
{
    return s._hidden.n == 0;
}

#endif
