/* Trying again: after an answer that was an error, or none, or the start of one that broke off, as long as the
 * client has seen nothing of it. Another credential first, then another target, then the same one after a pause;
 * inside the provider's retry budget and the call's own bounds. */
#ifndef GATEWAY_AGAIN_H
#define GATEWAY_AGAIN_H

#include "gateway/call.h"
#include "policy/fault.h"

enum { AGAIN_ATTEMPTS = 3 }; /* unless a policy says otherwise */

/* What policies say of how often the call is tried, and how long. */
struct snap_retry again_policy(const struct call *c);
/* Whether an attempt could still follow: the request is at hand, and the client has seen nothing. */
bool again_possible(const struct call *c);
/* Whether the call's bounds allow one more. */
bool again_left(const struct call *c);
/* Notes the fault where it belongs, and starts the next attempt if there is to be one: then true, and the call
 * runs (it may be over when this returns). */
bool again(struct call *c, const struct fault *f);
/* The upstream has answered, well and to the end. */
void again_worked(struct call *c);
/* Its answer broke off when a part of it was with the client: nothing can be tried, but it counts. */
void again_blame(struct call *c);

/* What an answer's head asks to wait, in milliseconds: retry-after-ms, or Retry-After in seconds or as a date
 * (RFC 9110, 10.2.3); 0: nothing. */
uint32_t again_retry_after(const struct h1_head *h);
/* Whether it says x-should-retry: false. */
bool again_is_told_enough(const struct h1_head *h);
/* ... or true. */
bool again_is_told_more(const struct h1_head *h);
/* SDKs repeat every 409 blindly, and some sleep as long as they are told. So the advice that a 409 of an upstream
 * brings is none of the fields that go back; ours says whether a repeat can help, and after how long, at most a
 * minute (`retry_after_ms` as the upstream says, 0: it does not). */
bool again_is_advice(const struct h1_head *h, const struct h1_field *f);
void again_advise(struct call *c, bool lock, uint32_t retry_after_ms);
/* 401, 402, 403: about us, and nothing that the caller could mend. */
bool again_is_about_credential(unsigned status);
/* An upstream's error ahead of all content: something else is tried, or it is the answer, in the caller's words. */
struct ir_error;
void again_or_fail(struct call *c, const struct ir_error *e, enum outcome outcome);
/* The same for an answer that is none: 502 with this code. `what` follows the provider's name. */
void again_or_replace(struct call *c, const struct fault *f, const char *code, const char *what);
/* The attempt, and all that came of it, is as if it had not been. */
void again_forget(struct call *c);

/* An answer, or the start of a stream, that is kept back while it is not sure that the client gets it. */
struct held {
    struct str lines; /* field lines that go to the client; in req->arena */
    struct buf body;  /* in req->arena */
    struct str error; /* the event of a stream that says that it has failed; in req->arena */
    uint64_t begun_ms;
    uint32_t events;
    uint32_t retry_after_ms; /* as the answer says; 0: it does not */
    uint32_t by_body_ms;     /* ... in its body alone */
    uint16_t status;
    bool should_retry; /* it says x-should-retry: true */
    bool enough;       /* ... false */
    bool lock;         /* a 409 that ends by itself */
};

enum relay_mode {
    RELAY_PLAIN,
    RELAY_EVENTS,
    RELAY_OPAQUE,
    RELAY_REFUSAL, /* an error that is held back until it is clear that nothing else can be tried */
};

enum { HELD_MS = 2000 }; /* the start of a stream is held back no longer */

/* held.c: keeps the answer with this head back. */
void held_begin(struct call *c, const struct h1_head *h);
/* The same for an error after which something may be tried, or that is about us and not about the caller; false:
 * it is neither. And the pieces of its body. */
bool held_refuses(struct call *c, const struct h1_head *h);
void held_refusal(struct call *c, const struct iovec *pieces, int n, bool end);
/* What is held goes to the client; what comes next is passed on as it comes. */
void held_pass_on(struct call *c);
/* The stream ended before there was anything in it worth passing on; or with an error event, which is held. */
void held_is_empty(struct call *c, const char *what);
void held_has_failed(struct call *c);
/* The answer when the provider refuses our credential, and there is no other to try: 502. */
void held_refuse_credential(struct call *c, unsigned status);

#endif
