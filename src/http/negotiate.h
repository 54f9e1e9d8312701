/* Small fields of requests that choose a form: Content-Type, Accept, Accept-Language, Cookie. Pure. */
#ifndef HTTP_NEGOTIATE_H
#define HTTP_NEGOTIATE_H

#include "base/str.h"

/* type/subtype without parameters, e.g. "application/json" of "Application/JSON; charset=utf-8";
 * compare with str_ieq(). */
struct str media_type(struct str content_type);

/* The index of the offer that the Accept value likes best (RFC 9110, 12.5.1), the first of equals;
 * -1 when it takes none. An empty value takes all. */
int accept_best(struct str accept, const char *const *offers);

/* The same for Accept-Language by prefix (RFC 4647, 3.3.1): "zh" serves zh-TW. 0 when none fits. */
int accept_language(struct str accept, const char *const *offers);

/* The value of a cookie by that name in a Cookie field (RFC 6265, 5.4); p NULL when absent. */
struct str cookie_get(struct str field, struct str name);

#endif
