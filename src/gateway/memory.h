/* Calls that are answered from memory: by what was answered before (the cache), by what is being answered to somebody
 * who asked the same (coalescing), or by what was answered under the same Idempotency-Key. All three are one thing, a
 * recording (policy/recording.h). A call writes one, or reads one:
 *
 *   route ── memory_enter ─┬─ there is one ── it is read: memory_play() ── DONE, or WAIT and memory_play() again
 *                          └─ none ── NEXT: the upstream is asked, and what goes to the client is written
 *
 * Calls without such a policy and without the field pass by two tests. */
#ifndef GATEWAY_MEMORY_H
#define GATEWAY_MEMORY_H

#include "gateway/call.h"
#include "policy/recording.h"

enum memory_role { MEMORY_PASSES, MEMORY_WRITES, MEMORY_READS };

/* Counts the events of a stream, byte by byte; zero is its beginning. */
struct event_count {
    uint64_t begun;
    bool inside, line_empty, after_cr;
};

/* What waits for a recording to go on. It may outlive the call, while its task is on its way. */
struct memory_reader {
    struct recording_watcher watcher; /* first member */
    struct loop_task task;
    struct worker *worker;
    struct call *call; /* NULL: it has ended */
    bool posted;
};

/* memory_note.c: what stands in the store of a call under an Idempotency-Key. */
struct memory_note;

/* Of a call; in req->arena. */
struct memory {
    struct recording *recording;
    uint8_t role;       /* enum memory_role */
    bool cached;        /* a policy has a cache for this call */
    bool idempotent;    /* it has an Idempotency-Key */
    bool open;          /* others may read what it writes while it does */
    bool ids;           /* its events have ids: that is known once its head is */
    bool found_ended;   /* what is read was over already */
    bool over;          /* all of it was written or read */
    bool ignored;       /* it has a key that means nothing here */
    bool volatile_only; /* it has a key, and the store could not be told */
    uint32_t keep_s;    /* what is written is found for so long */
    struct event_count events;
    struct buf numbered;      /* of malloc's */
    struct memory_note *note; /* NULL: none, or it has been told how the call ended */
    struct memory_reader *reader;
    struct recording_place place;
    struct str origin;   /* of what is read: "provider/model" */
    uint64_t sent, skip; /* bytes; events that the client has had */
};

/* The digests that stand for a question. In memory_key.c. */
struct memory_question {
    uint8_t key[RECORDING_KEY];
    bool repeatable;  /* temperature 0 and a seed */
    bool may_be_kept; /* nobody wants it kept elsewhere, and it hangs on nothing that is */
};
/* False: the body is nothing that could be compared. */
bool memory_ask(struct call *c, const struct snap_cache *cache, struct memory_question *ret);
/* Of the call's key, method, path and Idempotency-Key; and of all that has to be the same whenever those are. */
void memory_ask_again(struct call *c, struct str idempotency_key, uint8_t *key, uint8_t *payload);
struct str memory_tenant(const struct call *c, const struct snap_cache *cache);

/* Whether memory_enter() has anything to look at. */
static inline bool memory_concerns(const struct call *c)
{
    return c->hold->snap->caches || (c->req->head && c->req->head->at[H_IDEMPOTENCY_KEY]);
}
/* Whether it has an Idempotency-Key that means something. */
static inline bool memory_is_keyed(const struct call *c)
{
    return c->req->head && c->req->head->at[H_IDEMPOTENCY_KEY] &&
           c->hold->snap->config->memory.idempotency_ttl_s;
}
/* Once the model, the limits and the masking are settled. May answer 400 and 422. */
enum next memory_enter(struct call *c);

/* memory_note.c: the call that writes a recording under a key has a note made of it; and goes on at its stage (not
 * NEXT: it is answered, or waits). */
enum next memory_note_begin(struct call *c, const uint8_t *key, const uint8_t *payload);
enum next memory_note_go_on(struct call *c);
/* What is written of the call's end: its answer, as far as it came; that it has had one; nothing, and the key is free
 * again. For the last, the recording ends when that is so: who then asks again finds neither. */
enum note_end { NOTE_OPEN, NOTE_WHOLE, NOTE_CUT, NOTE_GONE, NOTE_DROP };
void memory_note_end(struct call *c, enum note_end how);
/* The key belongs to another request: 422. And the call reads what it was to write. */
enum next memory_refuse_other(struct call *c);
/* What the call was to write stands for nothing: the key is free, and who waited for it asks on his own. */
void memory_give_up(struct call *c);
enum next memory_replay(struct call *c);

/* memory_play.c: sends what there is of the recording that is read. */
enum memory_played {
    PLAYED_ALL,
    PLAYED_SO_FAR,
    PLAYED_NOTHING /* the recording failed: ask yourself */
};
enum memory_played memory_play(struct call *c);
/* More can be sent: the recording has grown, or the client has taken what there was. */
void memory_more(struct call *c);
void memory_read(struct call *c, struct recording *r);
void memory_stop_reading(struct call *c);

/* What is written. The answer's type, before it is known whether it goes to the client; its head has gone; and its
 * body: sent in the same way as by http_send(). */
void memory_answer(struct call *c, const struct h1_head *h);
void memory_begin(struct call *c, struct str type, struct str lines);
void memory_send(struct call *c, const struct iovec *v, int n, bool end);
/* Whether the events of an answer of this type, with these lines, can be told apart; others have no ids. */
bool memory_has_events(struct str type, struct str lines);
/* What stands in place of a provider in records and metrics of calls that were answered from memory. No provider can be
 * named so. */
struct str memory_source(const struct call *c);
/* Fields of ours, and the end of the call. */
void memory_fields(struct call *c);
void memory_leave(struct call *c);
/* The client has gone: whether the call is to go on, for others. */
bool memory_goes_on(const struct call *c);
/* Whether the answer is wanted by others who may read faster than the client does. What then waits for him is at most
 * what is kept of it. */
bool memory_hurries(const struct call *c);

/* Moves on over p[0..n) until the event behind `events` of them begins; returns how many bytes are before it. */
size_t event_count_until(struct event_count *c, const char *p, size_t n, uint64_t events);

#endif
