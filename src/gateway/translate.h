/* A call whose caller and upstream speak different dialects: the request goes out through the intermediate
 * form, the answer comes back through it, event by event. */
#ifndef GATEWAY_TRANSLATE_H
#define GATEWAY_TRANSLATE_H

#include "dialect/format.h"
#include "dialect/ir_repeat.h"
#include "gateway/call.h"

/* A function that goes by another name at the upstream. */
struct renamed {
    struct renamed *next;
    struct str here, there; /* in req->arena */
};

/* The line of an answer whose tokens we have counted because the provider does not. */
#define TRANSLATE_ESTIMATED STR("accord-estimated: tokens\r\n")

enum reading { READ_NOTHING, READ_EVENTS, READ_WHOLE, READ_ERROR };

struct translation {
    const struct format *caller, *upstream;
    struct ir_call form;  /* in req->input */
    struct ir_call *echo; /* the caller's own, for answers that tell it; NULL: it is `form` */
    struct buf body;      /* of the request, as the upstream takes it; in req->input */
    struct buf path;      /* ... behind the base URL's path */
    struct str version;   /* ... and what stands between them when the base URL names no version */
    struct str dropped;   /* the answer's field line about losses; in req->arena */
    uint8_t reading;      /* enum reading */
    bool begun;           /* the answer's head is with the client */
    bool estimated;       /* its tokens are */
    bool ours;            /* it is we who end the answer: nothing else is tried */
    unsigned status;      /* of an error's head */
    bool enough;          /* ... which says x-should-retry: false */
    bool more;            /* ... or true */
    uint32_t retry_after_ms;
    struct renamed *renamed; /* functions whose names the upstream could not take as they are */
    struct ir_in in;
    struct ir_repeat repeat;
    struct ir_out out;
    struct ir_fold fold;
    struct buf text;           /* the answer's bytes, in the worker's scratch memory */
    struct buf early;          /* of a stream, before there is anything in it; in req->arena */
    struct buf answer;         /* a body that is being collected, in req->arena */
    struct str last;           /* the answer's end, ready, while it is being kept; in req->arena */
    struct exchange *exchange; /* of a call that is no conversation, exchange.h; else NULL */
};

/* How a target takes the call. */
enum plan { PLAN_NOT, PLAN_PASS, PLAN_TRANSLATE };
enum plan translate_plan(const struct call *c, const struct snap_target *t);
/* Whether a provider speaks dialects of the family: the built-in one those that most callers speak. */
bool translate_same_family(const struct snap_provider *p, enum family f);

/* Makes the body for the present target; a request that cannot be read or carried is refused. */
enum next translate_request(struct call *c);
/* Whether the body is an object whose texts can be read; else the call is refused. */
enum next translate_check_body(struct call *c);
/* The head for the upstream. */
struct str translate_head_for(struct call *c);

/* The answer comes: relay.c hands it on. */
void translate_head(struct call *c, const struct h1_head *h);
/* The start of a stream has been held back for long enough: it goes out. */
void translate_hurry(struct call *c);
/* The same for an error of an upstream that speaks the caller's dialect, when it must be looked at. */
void translate_refusal(struct call *c, const struct h1_head *h);
/* The answer that was held back has been kept: it goes out, and the call ends. */
void translate_finish(struct call *c);
void translate_body(struct call *c, const struct iovec *pieces, int n, bool end);

#endif
