/* A worker: one thread with its own loop, listeners, server, upstream pools, metrics and ring. What
 * it knows of the world is its present snapshot. And the gateway: all workers together, and the way
 * a new snapshot reaches them. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include "gateway/snapshot.h"
#include "http/server.h"
#include "ledger/metrics.h"
#include "ledger/record.h"
#include "policy/retry.h"

struct bodies;
struct gateway;
struct store;

/* The key that signs for one of Amazon's credentials today. */
struct hold_key {
    const struct snap_aws *of;
    char day[8];
    unsigned char key[32];
};

/* A worker's hold on a snapshot: how many of its calls still run on it. Not shared, so plain
 * numbers. */
struct snap_hold {
    struct snapshot *snap;
    uint32_t calls;
    bool current;
    struct http_origin **origin;     /* by provider index */
    struct hold_key *aws_key;        /* by provider index */
    struct retry_budget *retries;    /* by provider index */
    uint64_t *no_responses_until_ms; /* by provider index: has no /responses, as it has said */
};

/* Keys that were seen lately: a keyed hash of the secret under a key of this process and worker
 * stands for it, so that its digest is worked out once and not for each call. Emptied with each
 * snapshot. */
enum { SEEN_KEYS = 256 };
struct seen_key {
    uint64_t mac[2];            /* SipHash-2-4, 128 bits */
    const struct snap_key *key; /* NULL: empty */
};

/* The key of the call before: many callers have one key, and it need not be hashed again. */
enum { LAST_KEY_MIN = 16, LAST_KEY_MAX = 128 };
struct last_key {
    const struct snap_key *key; /* NULL: none */
    size_t n;
    char secret[LAST_KEY_MAX];
};

/* What bodies that were seen lately come to (memory_key.c): at most 600 KiB, for those who use it. */
enum { SEEN_BODIES = 128, SEEN_BODY_MAX = 4096, SEEN_QUESTION_MAX = 512 };
struct seen_body {
    const struct endpoint *endpoint; /* NULL: empty */
    char *text;                      /* of malloc's */
    uint32_t n, cap;
    uint32_t
        question_n; /* of the last question that it was the body of, and what that came to; 0: none */
    char question[SEEN_QUESTION_MAX];
    uint8_t digest[32], key[32];
    bool repeatable, may_be_kept;
};

struct worker {
    struct gateway *gateway;
    unsigned index;
    struct loop *loop;
    struct http_server *server;
    struct http_server *sim; /* answers for the built-in provider */
    struct http_client *client;
    struct listener **listeners;
    struct checkup *checkups; /* checkup.h */
    struct snap_hold *hold;
    _Atomic uint64_t generation; /* of `hold`, for others to read */
    struct metrics metrics;
    struct record_ring *ring;
    uint64_t random[2];
    struct arena scratch; /* empty between two events */
    struct schema_cache *schemas;
    struct mask_scratch *masks; /* NULL: no policy masks anything */
    bool masks_unfit;           /* ... it does not fit the present snapshot: calls under it fail */
    uint32_t fetches;           /* under way, fetch.h */
    struct tls_ctx *fetch_tls;  /* to fetch with when no provider speaks TLS; NULL: not yet */
    uint8_t seen_secret[16];
    struct seen_key seen[SEEN_KEYS];
    struct last_key last;
    uint64_t body_seed;
    struct seen_body *seen_bodies; /* NULL: no call needed it yet */
    struct timer late;             /* how late the loop is, while there are calls */
    uint64_t late_due_ms, late_calls, late_ms;
    uint32_t late_load; /* what stands for that beside the calls under way, admit.c */
    struct timer trim;  /* gives pooled memory back after a load */
    uint64_t trim_calls;
    uint64_t calls;
    uint64_t wall_offset_us; /* wall clock minus monotonic, renewed each second */
    size_t n_listeners;
    struct loop_task drain_task;
    struct timer drain_timer;
    uint64_t drain_deadline_ms;
    uint32_t visits;              /* that the store or the control thread has, and will hand back */
    size_t kept_bytes;            /* of responses that the store has yet to keep */
    uint64_t kept_slow_until_ms;  /* the store takes long: no answer waits for it */
    struct memory_keeper *keeper; /* memory_note.c; NULL: not yet */
    bool stopped;                 /* the deadline has passed: calls were told to end */
};

struct call;

/* What answers on paths that are no calls: the platform (a layer below this one). It is asked on
 * the worker's thread, about paths that no endpoint has. A visit ends with visit_end() of call.h. */
struct visit_ops {
    bool (*claims)(struct str path);
    /* The head is there; the visit sets c->visit and answers, collects the body, or waits. */
    void (*begin)(void *arg, struct call *c);
    void (*collected)(struct call *c);                         /* the body is whole */
    void (*piece)(struct call *c, struct str piece, bool end); /* after http_stream() */
    void (*gone)(struct call *c);    /* the client has left: c is not to be touched any more */
    void (*drained)(struct call *c); /* the client has taken what was sent */
    void (*probe)(struct call *c);   /* does the client still listen? send something, if possible */
    void (*stop)(struct call *c);    /* the server stops: come to an end */
    /* The server refuses the request (http_server_ops.refused): write the answer, no more. */
    void (*refused)(void *arg, struct call *c, unsigned status, const char *why);
    /* Adds lines to /metrics. Any thread. */
    void (*metrics)(void *arg, struct buf *b);
};

struct gateway {
    struct worker *workers;
    unsigned n_workers;
    struct ledger *ledger;
    struct bodies *bodies;          /* NULL: none is kept */
    struct store *store;            /* NULL: none, and no response is kept */
    const struct visit_ops *visits; /* NULL: none */
    void *visits_arg;
    _Atomic uint64_t generation; /* applied by all workers */
    _Atomic uint64_t compile_us; /* what the last snapshot took to make */
    _Atomic bool draining;
    _Atomic bool reload_ok;   /* the last reload was taken */
    _Atomic unsigned running; /* workers whose threads have not ended */
    uint64_t started_us;      /* wall clock */
};

/* 64 random bits, fast and not for secrets (xoroshiro128+). */
uint64_t worker_random(struct worker *w);

/* Makes the worker's parts; `fds` are its listening sockets (taken over). */
void worker_init(struct worker *w, struct gateway *g, unsigned index, struct snapshot *s,
                 const int *fds, size_t n_fds, struct tls_ctx *tls);
/* The thread's main function: runs the loop until the worker has drained. */
void *worker_main(void *worker);

/* A call began: memory is to be given back some time after the last one. */
void worker_active(struct worker *w);
void hold_free(struct snap_hold *h);

/* Hands a new snapshot to all workers and waits until each has taken it. From the control thread.
 */
void gateway_publish(struct gateway *g, struct snapshot *s, struct tls_ctx *tls);
/* Stops accepting and lets calls end, until the deadline; then breaks them off. Returns at once;
 * the workers' threads end. From the control thread. */
void gateway_drain(struct gateway *g, uint64_t deadline_ms);

#endif
