/* Dates of HTTP (RFC 9110, 5.6.7). Pure: no locale, no time zone. Seconds since 1970, UTC. */
#ifndef CONFLICT_HTTP_DATE_H
#define CONFLICT_HTTP_DATE_H

#include <stdint.h>

#include "base/arena.h"

/* All three forms: IMF-fixdate, RFC 850, asctime. A two-digit year that seems to be more than 50
 * years after `now_s` is of the century before. -EBADMSG. */
__attribute__((warn_unused_result)) int http_date_parse(struct str text, int64_t now_s,
                                                        int64_t *ret_s);
/* IMF-fixdate, the only form that is sent: Sun, 06 Nov 1994 08:49:37 GMT. */
struct str http_date_print(struct arena *a, int64_t s);

/* RFC 3339 in UTC, to the microsecond when there are any: 2026-11-22T10:00:00.000001Z. */
struct str time_print(struct arena *a, int64_t us);
/* -EBADMSG. Digits beyond the microsecond are cut. */
__attribute__((warn_unused_result)) int time_parse(struct str text, int64_t *ret_us);

#endif
