/* GET /api/v1/{kind}/watch: the changes of a kind as server-sent events, from Last-Event-ID or from
 * now on. The id of an event is its number in the change feed, its name the action, its data the
 * resource as it is now (of a deletion: its id and revision). */
#ifndef PLATFORM_WATCH_H
#define PLATFORM_WATCH_H

#include "platform/visit.h"

/* All on the worker's thread. The stream begins; what was asked for is there and allowed. */
void watch_begin(struct visit *v);
/* The client has left: frees the visit, now or when the store is done with it. */
void watch_end(struct visit *v);
void watch_drained(struct visit *v);
void watch_ping(struct visit *v);
/* The server stops: the stream ends; the client comes again with Last-Event-ID. */
void watch_stop(struct visit *v);

#endif
