/* Below masking.h: what a call has of it. */
#ifndef GATEWAY_MASKING_CALL_H
#define GATEWAY_MASKING_CALL_H

#include "gateway/masking.h"
#include "policy/mask.h"

#define MASKING_BLOCKED STR("personal_data_blocked")
#define MASKING_FAILED  STR("masking_failed")

struct masking {
    const struct snap_masking *policy;
    struct mask_call call, answer; /* of the request; of what the model writes */

    /* The body as the caller sent it, and what in call.h points into it; */
    struct str clear, member;
    struct splice splice[SPLICES];
    struct str masked;         /* as it goes out; empty: the same */
    struct mask_splice *spans; /* what was replaced */
    size_t n_spans;

    /* The text that the model is writing. */
    struct mask_stream stream;
    struct mask_restore restore;
    struct buf args; /* of a tool call that is looked at when it is whole; in req->arena */
    bool looked;     /* the request has been looked through, and goes */
    bool stopped;    /* the answer is refused: nothing of it goes any more */
};

/* "card, iban" */
struct str masking_blocked_by(struct arena *a, uint32_t blocked);

#endif
