/* The choice among a model's targets and a provider's credentials. Nothing here sends, charges or notes anything, but
 * for the leave of a probe: a dry run (explain.h) asks the same questions. */
#ifndef GATEWAY_CHOICE_H
#define GATEWAY_CHOICE_H

#include "gateway/call.h"

enum { CHOICE_TARGETS_MAX = 64 }; /* as many as a call keeps apart */

/* What speaks against a target, in the order in which it is looked at. */
enum verdict {
    VERDICT_FIT,
    VERDICT_TRIED,
    VERDICT_DIALECT,     /* its provider cannot take this kind of call */
    VERDICT_CONDITION,   /* one of its conditions does not hold */
    VERDICT_HOST,        /* its provider rests */
    VERDICT_LANE,        /* the model there rests */
    VERDICT_CREDENTIALS, /* all credentials of the provider rest */
};

/* Of the target with this index; `without` has a bit for each one that counts as tried. */
enum verdict choice_verdict(struct call *c, uint32_t index, uint64_t without);
/* Whether there is any that could take the call, were it well and not tried. */
bool choice_any(const struct call *c);
/* Whether one is left that is well, and not tried. */
bool choice_left(struct call *c);
/* Leaves only targets that are known to read more than the present one; false: the model has none. */
bool choice_wider(struct call *c);

/* One of the untried targets of the best priority, as the model's balance says; `resting`: also of those that rest.
 * NULL: none. */
const struct snap_target *choice_pick(struct call *c, bool resting, uint64_t without,
                                      uint32_t *ret_index);
/* One that is well, or is let through to see how it does: what has rested and is in doubt gets one call at a time.
 * `*without` gets the bits of those that were passed by for that. */
const struct snap_target *choice_pick_well(struct call *c, uint64_t *without, uint32_t *ret_index);
/* By what the balance compares it: the lower, the better. */
double choice_score(const struct call *c, const struct snap_target *t);
/* Whether it has failed, has rested, and nobody knows yet how it does. */
bool choice_in_doubt(const struct snap_target *t);

/* Of the provider's credentials that are not in `without`, one of the best priority that does not rest; NULL: all
 * do. */
const struct snap_credential *choice_credential(struct call *c, const struct snap_target *t,
                                                uint64_t without);
/* All rest: the one that will be back first, when, and whether it is the vendor who has said so. */
const struct snap_credential *choice_soonest(const struct call *c, const struct snap_target *t,
                                             uint64_t *ret_left_ms, bool *ret_told);

/* traits.c: what the call says of itself that its model's targets ask: which conditions hold, and what it sticks to.
 * Once, as soon as the model is known, with the body as the caller sent it. */
enum next traits_read(struct call *c);
/* Whether the condition holds of the call; after traits_read(). */
bool traits_hold(struct call *c, const struct snap_condition *w);
/* How many tokens the request has, about. */
int64_t traits_tokens(const struct call *c);

#endif
