/* Limits and budgets on the path of a call: what it may use is reserved once its model is known, and replaced by what it
 * used when it is over; answers tell what is left. */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

#include "gateway/call.h"

/* What a call has reserved; in req->arena. */
struct charge {
    int64_t input, output; /* tokens: what the request may come to; output -1: nobody knows */
    const struct snap_limit *refused; /* the one that had no room; nothing is reserved then */
    uint64_t wait_us;                 /* ... and will have some again; LIMIT_NEVER: it will not */
    bool settled, soft_exceeded;
    uint8_t hidden; /* bit per group: the upstream's fields stay behind */
    uint8_t theirs; /* ... ours do, because the upstream's are tighter */
    size_t n;
    struct limit_item items[]; /* their rules are the beginnings of struct snap_limit */
};

/* Reserves, or refuses the call; a dry run only looks whether it would. For calls with limits only. */
enum next limits_reserve(struct call *c);
/* A call without a valid key: one request of what its address has; NEXT, or it is refused for that. For snapshots with
 * limits of addresses only. */
enum next limits_stranger(struct call *c);
/* There is room, but other processes do not know yet of what was taken here, or cannot hear of it. */
enum next limits_refuse_leased(struct call *c, const struct snap_limit *l);
/* caller.c: the address that the call comes from, behind trusted proxies the one that they tell. False, and 0: it came over a
 * unix socket, and nobody told; all of those are one caller. */
bool caller_address(const struct call *c, uint8_t to[16]);
/* At every end of a call that has reserved. */
void limits_settle(struct call *c);
/* Before the last bytes of an answer go out: a client that has them, and comes back at once, finds settled what it used,
 * when the upstream has told it. */
void limits_settle_told(struct call *c);

/* limit_fields.c: what an answer of ours or the upstream's tells: whenever there is a charge. */
void limits_fields(struct call *c);
/* Looks at what the upstream tells of its own limits, before its fields are passed on; and whether that one is not. */
void limits_meet(struct call *c, const struct h1_head *h);
bool limits_hide(const struct call *c, struct str name);

/* limits_page.c: what /metrics tells of the limits of a snapshot. */
struct json;
/* ... and of one alone, to whom it holds for: {"policy", "what", "per", "at_most", "taken", "soft"}; in `a`. */
struct json *limits_json(struct arena *a, const struct snap_limit *l, const struct limit_now *now);
void limits_print(struct buf *b, const struct snapshot *s, const struct limit_now *now);

#endif
