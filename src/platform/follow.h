/* An answer that goes on: what happens, as server-sent events, read in pieces on another thread.
 *
 *   begin ── head, greeting, watch ──▶ follow_on ── read ──▶ (another thread) ──▶ follow_answered ── events go out ─┐
 *                                         ▲                                                                          │
 *                                         └── something was committed, the client has taken all, there may be more ──┘
 *
 * At most one reading is under way, and none while the client does not take what it was sent. Each ping reads, too, so
 * that who may not see it any more is told by the end of a quiet stream as well. The worker's thread, but for what says
 * otherwise. */
#ifndef PLATFORM_FOLLOW_H
#define PLATFORM_FOLLOW_H

#include "platform/visit.h"

struct follow;

/* What is followed. */
struct follow_kind {
    const char *greeting; /* a comment */
    /* Begins to read: follow_answered() follows, once. False: not now; it calls follow_on() later. */
    bool (*read)(struct follow *f);
    void (*watch)(struct follow *f); /* calls follow_on() when something has happened, until */
    void (*unwatch)(struct follow *f);
    bool (*posted)(const struct follow *f); /* a task of its watcher is on its way to this loop */
    void (*free)(struct follow *f);
};

struct follow {
    struct visit *v;
    const struct follow_kind *kind;
    struct buf out; /* whoever reads: events; of malloc's */
    bool more;      /* ... the piece was full, there may be more */
    bool over;      /* ... nobody may see it any more */
    bool again;     /* it is to be read once more */
    bool _reading, _full, _gone;
    struct timer _ping;
    struct loop_task _last;
};

/* In the handler: the visit is answered by following. `f` is the visit's from now on. */
void follow_begin(struct follow *f, struct visit *v, const struct follow_kind *kind);
/* There may be something. Does nothing once the stream has ended. */
void follow_on(struct follow *f);
/* A reading has ended. */
void follow_answered(struct follow *f);

/* Last-Event-ID; -1 when there is none. False: refused. */
bool follow_after(struct visit *v, int64_t *ret);

#endif
