/* Time zones, for windows that begin with a day or a month: what the system's table says (TZif, RFC 8536), read once
 * and kept for as long as the process runs. Times are seconds since 1970. */
#ifndef MODEL_ZONE_H
#define MODEL_ZONE_H

#include "base/str.h"

struct zone;

/* The zone of that name ("Europe/Paris"), NULL when the system does not know it; "UTC" is always known. Any thread,
 * but not on the path of a call: a zone that is asked for the first time is read from a file. */
const struct zone *zone_find(struct str name);

/* The same of a table's bytes; for tests. NULL: they are none. Belongs to the caller, who frees it with free(). */
struct zone *zone_parse(struct str bytes);

/* Days and months there, numbered from that of 1970-01-01 on; and when one begins. Any thread; NULL is UTC. */
int64_t zone_day(const struct zone *z, int64_t time_s);
int64_t zone_month(const struct zone *z, int64_t time_s);
int64_t zone_day_begins(const struct zone *z, int64_t day);
int64_t zone_month_begins(const struct zone *z, int64_t month);

#endif
