/*
 * Reads one HTTP/1.1 answer after the other from a connection, as the bytes come, and checks each
 * while it does: status, length, the very bytes; of a stream every event, their order and the
 * terminal one. A fast wrong answer must not count as an answer.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include "hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_LINE = 768, ANSWER_REFERENCE = 4096, ANSWER_HEAD = 16384 };

/* What all answers of a load must be, and what was counted over all of them. One per process. */
struct answer_rules {
    int status;
    bool stream;
    bool usage;      /* the client asked for usage; otherwise a usage event is a failure */
    bool own_id;     /* the answers are a gateway's own: an id and a time of their own, and streams
                        begin with an event that tells the role */
    uint32_t chunks; /* content events of each stream */
    uint64_t late_ns;

    /* The body of the first answer; the others must be equal to it (of errors only as long), but for
     * what varies: id and time of a gateway's own answers. */
    char reference[ANSWER_REFERENCE];
    size_t reference_len;
    bool have_reference;
    struct {
        size_t from, to;
    } varies[2];

    uint64_t events; /* content events */
    uint64_t usage_events;
    uint64_t done_events;
    uint64_t comments;
    uint64_t body_bytes;
    uint64_t late;
    struct hist delay; /* of content events: from the upstream's send to our receive */
    struct hist first; /* from the request to the first content event */
};

enum answer_state {
    ANSWER_IN_HEAD,
    ANSWER_IN_BODY,
    ANSWER_IN_SIZE,
    ANSWER_IN_CHUNK,
    ANSWER_AFTER_CHUNK,
    ANSWER_IN_TRAILER,
};

/* All zero is a connection that waits for its first answer. */
struct answer {
    enum answer_state state;
    bool closes; /* the other side will close after this answer */
    bool role_seen;
    bool finish_seen;
    bool done_seen;
    uint32_t next_index;
    uint32_t usage_seen;
    uint64_t left; /* of the body or of the chunk */
    uint64_t body_len;
    uint64_t asked_ns;
    char *head; /* only while a head is incomplete */
    size_t head_len;
    uint32_t line_len; /* an event or a chunk size that is incomplete */
    char line[ANSWER_LINE];
};

enum answer_result { ANSWER_MORE, ANSWER_DONE, ANSWER_WRONG };

/* Makes a ready for the next answer; the request left at asked_ns. */
void answer_begin(struct answer *a, uint64_t asked_ns);

/*
 * Takes n bytes that arrived at now_ns. ANSWER_WRONG: *ret_why tells the reason. Bytes after the
 * end of an answer are wrong too, because nothing more was asked.
 */
enum answer_result answer_feed(struct answer *a, struct answer_rules *rules, const char *p,
                               size_t n, uint64_t now_ns, const char **ret_why);

#endif
