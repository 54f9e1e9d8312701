/* URLs of http and https as a client follows them (RFC 3986; what people write besides is encoded as browsers do).
 * Strict about who is asked, so that what is checked and what is asked are the same. Pure. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "base/arena.h"

enum { URL_MAX = 8192 };

struct url {
    bool tls;
    uint16_t port;
    struct str host; /* lower case; a name, or an address without brackets */
    struct str
        authority;     /* as the Host field has it: the port only when it is not the scheme's own */
    struct str target; /* path and query, visible ASCII, "/" at least; a fragment is left out */
};

/* 0, or -EINVAL with half a sentence in `*ret_why` ("it has no host"). What `ret` needs is copied. */
__attribute__((warn_unused_result)) int url_parse(struct arena *a, struct str text, struct url *ret,
                                                  const char **ret_why);
/* Where a Location field leads to, seen from `base`. `ret` may be `base`. */
__attribute__((warn_unused_result)) int url_follow(struct arena *a, const struct url *base,
                                                   struct str location, struct url *ret,
                                                   const char **ret_why);

#endif
