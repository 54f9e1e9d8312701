/* A call: one request through the gateway. It is the only thing that travels; each stage is a file
 * of its own with one entry. Lives in its request's arena, on its worker's thread. */
#ifndef GATEWAY_CALL_H
#define GATEWAY_CALL_H

#include "gateway/worker.h"

/* The stages, in their order. Each is one file with one entry. */
#define STAGE_LIST(X)                                                                              \
    X(accept)       /* which endpoint is meant: dialect, kind, model in the path */                \
    X(authenticate) /* whose key is it */                                                          \
    X(admit)        /* is there room for one more call of this key */                              \
    X(shape)        /* the model, and what must change in the body */                              \
    X(route)        /* which target takes it */                                                    \
    X(forward)      /* to the upstream, with retries */                                            \
    X(relay)        /* and back, as it comes */                                                    \
    X(settle)       /* tokens, and what was reserved is given back */                              \
    X(record)       /* one record, metrics */

enum stage {
#define STAGE_NAME(name) STAGE_##name,
    STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

enum next {
    NEXT, /* go on with the next stage */
    WAIT, /* an event will call call_run() again, at the same stage */
    DONE, /* the answer is on its way or complete: settle and record */
};

/* An attempt that failed, and was followed by another. */
struct failed_attempt {
    struct failed_attempt *before;
    const struct snap_target *target;
    const char *why; /* a code */
    uint64_t at_us;
    uint16_t status; /* that the upstream answered; 0: nothing */
};

/* A span of the request's body that goes out as something else. */
struct splice {
    uint32_t at, n;
    struct str text;
};

enum { SPLICES = 2, EVENT_HOLD_MAX = 64 * 1024, MODEL_NAME_MAX = 256 };

/* What the relay keeps while an answer comes by. */
struct relay {
    uint8_t mode;   /* enum relay_mode, relay.c */
    bool finished;  /* the stream's own end was seen */
    bool errored;   /* the upstream's error event was passed on */
    bool mid_event; /* an event too long to hold is passing; `hold` has its last bytes */
    bool line_begins, after_cr; /* how its last piece ended */
    uint32_t events;            /* passed on so far */
    bool at_ease;               /* content has come, and no deadline is set for what follows it */
    uint64_t content_ms;        /* when content came last; 0: none has yet */
    bool paused;                /* the upstream is not read, because the client does not read */
    bool ended;
    char *hold; /* an event that is not complete yet */
    uint32_t hold_n, hold_cap;
    struct str type,
        coding; /* the answer's Content-Type and -Encoding, where it is written down (memory.h) */
    struct meter *meter; /* meter.c; NULL: nothing is to be found in this answer */
};

struct call {
    struct worker *w;
    struct http_req *req;
    struct snap_hold *hold;
    uint8_t stage;
    uint8_t outcome;
    uint8_t attempts;
    bool stream;       /* the client asked for a stream */
    bool usage_asked;  /* ... with its usage */
    bool usage_added;  /* we asked the upstream for usage: strip it */
    bool collecting;   /* the request's body is being kept, or is whole */
    bool body_streams; /* the request's body is passed on as it comes */
    bool body_sent;    /* all of it is with the upstream */
    bool body_scanned; /* json_scan_members() has accepted it, and it is an object */
    bool retry_waits;  /* the timer is a pause before the next attempt */
    bool hushed;       /* what is refused now is no answer, hedging.c */
    bool admitted, up_ready, ended, limited_key, limited_model;
    bool key_in_query;
    bool cost_settled; /* `cost_nusd` is known, or known not to be */
    bool weighed;      /* `bound` is known */
    int64_t
        bound;  /* tokens that the request lets the answer have; -1: as many as the model likes */
    bool array; /* a Gemini stream that is to be a JSON array (no alt=sse) */
    bool
        marked; /* the body holds signatures of other vendors that we have marked, or tokens whose values
                    come back (masking.h): it does not pass as it is */
    uint16_t status; /* sent to the client; 0: none */
    struct endpoint_match ep;
    const struct snap_key *key;
    const struct snap_model *model;
    const struct snap_target *target;
    struct str asked;        /* the model's name as the client said it; in req->arena */
    struct str suffix;       /* what stood behind "provider/" when that is what goes upstream */
    struct str conversation; /* openai.responses: calls on it go one at a time; in req->arena */
    struct talk *talk;       /* our place in that line, conversation.c */
    struct lease *lease;     /* ... and among processes, lease.h */
    struct str member;       /* the model's value in the body, as it stands */
    struct splice splice[SPLICES];
    uint8_t n_splices;
    uint64_t tried;                 /* bit per target */
    uint64_t unfit;                 /* bit per target whose conditions do not hold */
    uint64_t sticky;                /* what it sticks to, hashed; 0: nothing */
    uint8_t sticks_by;              /* enum sticky */
    struct traits *traits;          /* choice.h; NULL: its model asks for none */
    const struct snap_target *busy; /* whose load the present attempt counts in; NULL: none */
    uint64_t attempt_us;            /* since when; 0: what it took to answer is known */
    struct explanation *dry;        /* explain.h: nothing is sent or charged; NULL: a call */
    const struct snap_credential *credential; /* of the present target */
    uint64_t tried_credentials;               /* bit per credential of it */
    struct held *held; /* what has come and is not passed on yet, again.h; NULL: nothing */
    struct http_up *up;
    struct timer timer;    /* retries, then pings and the whole call's deadline */
    uint64_t last_sent_ms; /* when something went to the client */
    struct usage usage;
    struct relay relay;
    struct gather *gather;     /* a /metrics on its way, metrics_page.c */
    struct visit *visit;       /* a request to the platform on its way (struct visit_ops) */
    struct form *form;         /* a multipart body on its way, shape.c */
    struct inlining *inlining; /* what the request names by URL and is fetched; NULL: nothing */
    struct kept *kept;         /* openai.responses, translated: what is noted to keep it, kept.h */
    struct kept_job *kept_job; /* what the store has of it */
    struct kept_page *kept_page; /* one of them that is asked for, kept_page.c */
    struct masking *masking;     /* masking.h; NULL: nothing is looked for */
    struct body *copy;           /* copy.h; NULL: nothing of it is kept */
    struct memory *memory;       /* memory.h; NULL: what is answered is nobody else's */
    bool copied;                 /* whether is decided */
    bool remembered;             /* it is answered from there, and not by an upstream */
    struct translation *tr; /* of the attempt that is on its way; NULL: what is sent is passed on */
    bool translated;        /* the present target speaks another dialect */
    const struct snap_provider *lacks; /* it has answered that it has no /responses */
    uint64_t forwarded_us, answered_us;
    struct hedging
        *hedging;         /* a second attempt is or was beside the first, hedging.h; NULL: none */
    uint64_t hedge_at_ms; /* when one is to be made; 0: never */
    uint64_t begun_ms;    /* when the present attempt at a stream began */
    uint64_t
        connecting_us;   /* since when the present attempt waits for a connection; 0: it does not */
    uint32_t connect_us; /* what was waited for connections */
    uint32_t own_us;     /* time spent by us, not waited */
    const char *code;    /* of an error of ours; NULL: none */
    struct failed_attempt *failed; /* the last one; in req->arena */
    struct charge *charge; /* what is reserved of limits and budgets, limits.h; NULL: nothing */
    const struct snap_limit *crowded; /* a soft limit of calls at once that is exceeded */
    const struct price *price;        /* that `cost_nusd` was made with; settle.c */
    int64_t cost_nusd;                /* -1: not known */
    char id[32];
};

enum next stage_accept(struct call *c);
enum next stage_authenticate(struct call *c);
enum next stage_admit(struct call *c);
enum next stage_shape(struct call *c);
enum next stage_route(struct call *c);
enum next stage_forward(struct call *c);
enum next stage_relay(struct call *c);
enum next stage_settle(struct call *c);
enum next stage_record(struct call *c);

extern const struct http_server_ops call_server_ops;

/* Runs the call from its present stage on, to its end or to the next WAIT. */
void call_run(struct call *c);
/* Goes back to an earlier stage (a retry goes back to route). */
void call_back_to(struct call *c, enum stage stage);

/* Answers with an error of ours in the caller's dialect, and returns DONE. `retry_after_ms` 0:
 * none. */
struct call_error {
    unsigned status;
    const char *code;
    const char *param; /* may be NULL */
    enum outcome outcome;
    uint32_t retry_after_ms;
    bool should_retry;       /* x-should-retry */
    struct str operation;    /* the earlier call that it is about, or empty; then */
    const char *retry_class; /* ... what a retry is good for; one of docs/conflicts.md */
};
__attribute__((format(printf, 3, 4))) enum next
call_fail(struct call *c, const struct call_error *e, const char *fmt, ...);

/* The family whose words the caller understands. */
const struct dialect *call_dialect(const struct call *c);

/* Fields of ours that every answer to a call carries. */
void call_own_fields(struct call *c);
/* ... and those that say who answered, once somebody was asked: accord-attempts, accord-provider, accord-target. */
void call_target_fields(struct call *c);

/* Answers with a whole body, outside of any dialect (health, metrics, models), and returns DONE. */
enum next call_reply(struct call *c, unsigned status, struct str type, struct str body);

/* The visit has answered: the request is over. The last call about c. */
void visit_end(struct call *c);

/* admit.c: limits of the model, and what the call may use, once the model is known; and giving back what was taken,
 * or settling it. */
enum next admit_model(struct call *c);
/* Whether all of that has room for a dry run, of which nothing is taken. */
enum next admit_dry(struct call *c);
void admit_release(struct call *c);

/* record.c: the present attempt has failed, and another follows; `why` is a constant. */
void call_failed_attempt(struct call *c, const char *why, unsigned status);

/* settle.c: what the present target asks for the model now; NULL: not known. */
const struct price *call_price(struct call *c);
/* ... and what the call cost, by the tokens that were told. */
void call_settle_cost(struct call *c);

/* conversation.c: waits for the calls on the same conversation that came before; and lets the next one go. */
enum next conversation_enter(struct call *c);
void conversation_leave(struct call *c);

/* kept.c: puts the conversation that previous_response_id names into the body, once; keeps the answer whose last
 * bytes are `text` (true: translate_finish() will be called when they may go out); an answer that waits goes out
 * at once (false: none does); and the end of the call. */
enum next kept_enter(struct call *c);
struct ir_call;
void kept_tell(const struct call *c, struct ir_call *form);
bool kept_put(struct call *c, struct str text);
bool kept_hurry(struct call *c);
void kept_forget(struct call *c);
/* Whether the answer is to be kept: then the request's body is needed to the end. */
bool kept_wants(const struct call *c);
/* kept_page.c: /v1/responses/{id} */
enum next page_kept(struct call *c);

/* route.c: finds the model, whether the call may have it, and what its targets ask of the call. */
enum next route_model(struct call *c);
/* A credential of the target that was chosen; refused when all rest because the vendor itself has said so. */
enum next route_take_credential(struct call *c);
/* No target takes the call: says so. */
enum next route_none_left(struct call *c);
/* The present attempt counts as its target's; has begun to answer, well; and is over. */
void route_attempt_begun(struct call *c);
void route_answered(struct call *c);
void route_attempt_ended(struct call *c, bool failed);
/* Whether a target that was not tried and does not rest could still take the call; and another credential
 * of the present target that may be asked, NULL when none is left. */
bool route_others_left(struct call *c);
const struct snap_credential *route_other_credential(struct call *c);
/* Picks an untried target that does not rest, or another credential of the present one, for an attempt beside the one
 * that is under way; false: there is none. */
bool route_rival(struct call *c);

/* shape.c: whether a model's name leads nowhere else when it stands in a path. */
bool shape_stays_in_place(struct str name);
/* pieces of a multipart body. */
void shape_piece(struct call *c, struct str piece, bool end);
/* ... what stands between the parts of such a body; empty for others. */
struct str shape_delimiter(const struct call *c);
/* forward.c: the target's name for the model */
struct str call_upstream_model(const struct call *c);
/* passes a piece of a streamed request body on. */
void forward_piece(struct call *c, struct str piece, bool end);
void forward_drained(struct call *c);
/* The events of an upstream, for the call that is their owner; and an attempt begins, whose events are `ops`'. */
extern const struct http_up_ops forward_ops;
void forward_open(struct call *c, const struct http_up_ops *ops, void *owner);
/* relay.c */
/* The last lines of a head, and what follows from its being on its way. */
void relay_begin(struct call *c);
/* The lines of an upstream's head that go on, in req->arena. */
struct str relay_keep_fields(struct call *c, const struct h1_head *h);
void relay_head(struct call *c, const struct h1_head *h);
void relay_body(struct call *c, const struct iovec *pieces, int n, bool end);
void relay_failed(struct call *c, enum http_failure why, const char *detail);
void relay_drained(struct call *c);
void relay_probe(struct call *c);
/* The server stops: the call ends with an error instead of silence. */
void relay_stop(struct call *c);
void relay_timer(struct call *c);
/* Another process has its conversation by now: the call ends. */
void relay_displaced(struct call *c);
/* Something lasts: from now on the call's own deadline is watched. */
void relay_watch(struct call *c);
/* What translate.c shares with it: the field about timing; pings from now on; the client's queue is full; the
 * end of a call whose answer is out; and of one whose answer has begun and cannot be completed. */
void relay_add_timing(struct call *c);
void relay_watch_silence(struct call *c);
void relay_hold_back(struct call *c);
void relay_end_call(struct call *c);
void relay_break_off(struct call *c, const char *code, struct str message, enum outcome outcome);
/* The start of an event whose end has not come, kept in pooled memory. */
void relay_hold(struct call *c, const char *p, size_t n);
void relay_drop_hold(struct call *c);

/* The deadline of a whole call, in milliseconds; 0: none. */
uint64_t relay_total_ms(const struct call *c);

/* deadline.c: an attempt at a stream begins; content of it has come. */
void deadline_begin(struct call *c);
void deadline_content(struct call *c);
/* When the attempt's next deadline is, in milliseconds of the loop's clock; UINT64_MAX: it has none. */
uint64_t deadline_due(const struct call *c);
/* Until when the start of a stream may be held back that is held since `held_ms`. */
uint64_t deadline_of_hold(const struct call *c, uint64_t held_ms);
/* Acts if one has passed: true, and the call has gone on or is over. */
bool deadline_passed(struct call *c, uint64_t now_ms);

/* Sends the next pieces of the answer's body, and writes them down where they may be sent again (memory.h). */
void call_send(struct call *c, const struct iovec *v, int n, bool end);
void call_send_str(struct call *c, struct str s, bool end);

/* lacking.c: whether the provider is known to have no /responses; whether an answer with this status may say so,
 * and whether it does. Then the call goes to its other interface. Once that has answered with `status`, this is
 * remembered. */
bool lacking_responses(const struct call *c, const struct snap_provider *p);
bool lacking_may_tell(const struct call *c, unsigned status);
bool lacking_is_told(struct call *c, unsigned status, struct str body);
void lacking_again(struct call *c);
void lacking_learn(struct call *c, unsigned status);

/* meter.c: an answer whose bytes pass as they are begins, goes on and has ended; `json`: it is such a body. */
void meter_begin(struct call *c, const struct h1_head *h, bool json);
void meter_pass(struct call *c, const struct iovec *pieces, int n, bool end);
void meter_end(struct call *c);

/* events.c: passes pieces of a stream of events on (false: something else is tried, and the stream is gone);
 * and its end: false when the stream had not said that it is over (nothing was sent then). */
bool events_pass(struct call *c, const struct iovec *pieces, int n);
bool events_end(struct call *c);

/* pages.c: what answers without a key. */
enum next page_health(struct call *c, struct str path);
bool is_page(struct str path); /* one that page_health() answers */
/* models_page.c: the list of models or one of them; Ollama's question about one, and about its version. */
enum next page_models(struct call *c);
enum next page_show(struct call *c);
enum next page_version(struct call *c);
/* The name under which Claude Code's picker shows a model, and the way back from it: `name` itself when it is
 * none of those. */
struct str call_picker_name(struct arena *a, struct str name);
/* Whether one of Mistral's own SDKs asks: they insist on more than others do. */
bool call_by_mistral(const struct call *c);
struct str call_picked_model(struct str name);
enum next page_metrics(struct call *c);
void page_metrics_forget(struct gather *g); /* the asker has left */

#endif
