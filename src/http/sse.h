/* Server-sent events (WHATWG HTML, 9.2) and NDJSON, as they pass by: where events end, and what
 * their data is. Lines end with LF, CR or CRLF, and any split of the bytes gives the same events.
 */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include "base/arena.h"
#include "base/str.h"

/* The end of the first whole event in p[0..n), its blank line included; 0 when there is none yet.
 * `from` says how many bytes were looked at before without success (0 at first), so that a slowly
 * growing event is scanned once. A CR at the very end waits for what follows. */
size_t sse_event_end(const char *p, size_t n, size_t from);

/* The same for a caller that looks for JSON members in events and wants to read each byte once:
 * says, too, whether a string that begins with 'u' or 'f' stands in what was looked at ("usage",
 * "usageMetadata", "finish_reason", "finishReason"). May say so without there being one, never the
 * other way round. */
struct sse_look {
    bool u, f;
};
size_t sse_event_look(const char *p, size_t n, size_t from, struct sse_look *ret);

/* The data of one event (as sse_event_end() cut it): its data lines joined by LF (then copied into
 * `a`), empty without one. `*ret_name` (may be NULL) is the event's name, or empty. A BOM is
 * skipped. */
struct str sse_data(struct arena *a, struct str event, struct str *ret_name);

/* Both in one: the end of the first whole event (0: none yet) and, when there is one, its name and data. What
 * nearly all events look like is read once. */
size_t sse_event_take(struct arena *a, const char *p, size_t n, size_t from, struct str *ret_name,
                      struct str *ret_data);

/* The same for NDJSON: the end of the first line, its LF included; 0: none yet. */
size_t ndjson_line_end(const char *p, size_t n, size_t from);

#endif
