/* A visit: one request to the platform, from its head to its answer.
 *
 *   worker: begin ── route, head copied ──▶ (body) ──▶ job to the store
 *   store thread: who is it ▸ may they ▸ the route's handler ▸ answer or refusal
 *   worker: the answer goes out
 *
 * A visit has memory of its own (arenas without a pool), because the client may leave while the
 * store works on it; it is freed when both are done with it. Handlers run on a store thread, and
 * again from the start when the store lost a race: what they make lives in `work`. */
#ifndef PLATFORM_VISIT_H
#define PLATFORM_VISIT_H

#include "auth/role.h"
#include "conflict/precondition.h"
#include "conflict/request_fields.h"
#include "gateway/call.h"
#include "http/query.h"
#include "ledger/reader.h"
#include "model/resource_kind.h"
#include "platform/platform.h"
#include "platform/problem.h"
#include "store/journal.h"
#include "store/resource.h"

struct route;
struct visit;

/* An answer that goes on; all on the worker's thread. */
struct visit_stream {
    void (*begin)(struct visit *v); /* what was asked for is there and allowed */
    void (*end)(struct visit *v);   /* the client has left: frees the visit, now or later */
    void (*drained)(struct visit *v);
    void (*ping)(struct visit *v);
    void (*stop)(struct visit *v); /* the server stops; the client comes again with Last-Event-ID */
    void (*free)(struct visit *v);
};

/* Asks the ledger, on its reader's thread: sets v->answer or a refusal. Negative: it could not be asked. */
typedef int visit_question(struct visit *v, struct reader *r);

enum { VISIT_ARGS = 4, VISIT_BODY_MAX = 1 << 20 };

/* Who asks. */
struct principal {
    bool known;
    struct str name;          /* "user:ana", "token:ci", for audit and managers */
    struct str user;          /* id of the user; empty for a machine's token */
    struct str token;         /* id of the token; empty with a session */
    struct str session, csrf; /* digests, with a session */
    int64_t since_us;         /* when the user or the machine's token was made */
    struct grants grants;
};

/* What is answered. */
struct answer {
    unsigned status;
    struct buf fields; /* lines with their CRLF, besides content-type and our own */
    const char *type;
    struct str body;
    struct str replay; /* of `fields`: what an idempotent repeat is answered with */
    int64_t wait_seq;  /* not sent before the workers know of this change; 0: at once */
};

/* Why it is refused. */
struct refusal {
    bool set;
    enum problem_id id;
    struct str detail;
    struct json *members; /* beside the standard ones; may be NULL */
    uint32_t retry_after_ms;
    struct str kind, resource_id; /* what a conflict is about */
    struct str fields;            /* JSON list of pointers */
};

struct visit {
    struct store_job job; /* first member */
    struct platform *platform;
    struct call *call; /* NULL: the client has left. Only on the worker's thread */
    struct worker *worker;
    struct loop *loop;
    struct arena in;   /* the request: as long as the visit */
    struct arena work; /* what handlers make: as long as one run */
    struct h1_head head;
    struct str method, path;
    bool is_head; /* HEAD: answered as GET, without the body */
    bool early;   /* the client waits for "100 Continue": only what can be told from the head */
    bool early_done;
    const struct route *route;
    const struct resource_kind *kind; /* of the route; NULL: none */
    struct str args[VISIT_ARGS];      /* of the path: id, revision or action */
    struct query query;
    struct str body;
    struct buf late; /* a body that waited for "100 Continue", as it comes */
    struct str base; /* "http://host:port" of this server as the client calls it */
    char id[32];
    struct str
        address;       /* of the client, behind trusted proxies the one that they tell; or "unix" */
    struct str source; /* the same, of IPv6 its /64: who guesses passwords has all of that */
    int64_t now_us;
    struct principal who;
    struct answer answer;
    struct refusal refusal;
    bool dry_run; /* a write that is done, answered, and not kept */
    bool busy;    /* the store has it, or it waits for the workers */
    struct visit *next_waiting;
    struct loop_task applied;
    const struct visit_stream *stream; /* NULL: one answer */
    struct follow *follow;             /* what happens, follow.h */
    void (*then)(
        struct visit *v);     /* makes the answer on the worker's thread, once the store has said
                                      who asks; NULL: it is made */
    visit_question *question; /* for the ledger, once the store has said who asks; NULL: none */
    struct reader_job ask;
};

/* 0, with v->answer or a refusal set; or the store's error, by which nothing is kept: -EAGAIN runs it
 * again, others become 503. */
typedef int visit_handler(struct visit *v, struct db *db);

/* The values of all lines of a field, in v->in. */
struct etag_list visit_lines(struct visit *v, struct str name);
/* The first one; p NULL. */
struct str visit_field(const struct visit *v, struct str name);

void visit_free(struct visit *v);

/* ---- answers (answer.c); all in v->work ---- */

__attribute__((format(printf, 3, 4))) void answer_line(struct visit *v, const char *name,
                                                       const char *fmt, ...);
void answer_json(struct visit *v, unsigned status, const struct json *j);
void answer_empty(struct visit *v, unsigned status);

/* Adds a resource as JSON text: its id, its own fields, revision, etag, created and updated. `only`
 * (may be NULL) names the fields to show. */
void resource_print(struct buf *b, struct visit *v, const struct resource *r, const char *extra,
                    struct str extra_value, struct str only);
struct json *resource_tree(struct visit *v, const struct resource *r);
struct str resource_etag(struct arena *a, const struct resource *r);
struct str resource_href(struct arena *a, const struct resource_kind *k, struct str id);

/* The refusal is remembered; the answer is made of it when the handler has returned. The first one
 * stands. */
__attribute__((format(printf, 3, 4))) void refuse(struct visit *v, enum problem_id id,
                                                  const char *fmt, ...);
/* The object for further members of the refusal's answer. */
struct json *refusal_members(struct visit *v);
/* Makes the answer of the refusal, and records it when it is a conflict. */
void refusal_answer(struct visit *v, struct db *db);
/* The store's error as a refusal: 503. */
void refuse_store(struct visit *v, int error);

/* Reads the resource of the path for GET: whether the asker may, conditions, ETag and the fields that
 * go with it. `*ret_ok` false: it is answered or refused already. */
int begin_reading(struct visit *v, struct db *db, struct resource *ret, bool *ret_ok);

/* ---- the query (parameters.c); false: refused ---- */

/* Whether all names that stand there are those of the route. */
bool known_parameters(struct visit *v);
/* true or false; not there: false. */
bool flag_parameter(struct visit *v, const char *name, bool *ret);
/* `fields`: which members of the kind's resources are to be answered; p NULL: all. */
bool fields_parameter(struct visit *v, struct str *ret);
/* Whether resources of the kind have a member of this name. */
bool kind_shows(const struct kind *k, struct str name);

/* ---- who asks (identify.c) ---- */

/* Fills v->who. Refuses with 401 when a secret is there that is not known. */
int identify(struct visit *v, struct db *db);
/* The team that a resource belongs to: through its references; empty: none. */
int team_of(struct visit *v, struct db *db, const struct resource_kind *k, const struct resource *r,
            struct str *ret);
int team_of_tree(struct visit *v, struct db *db, const struct resource_kind *k, struct str id,
                 const struct json *tree, const char *owner, struct str *ret);
bool may(const struct visit *v, const struct resource_kind *k, const char *verb, struct str team);
/* Whether the asker may read a resource in this state, which may be one of the past or a deletion:
 * through its team then, as their own, or because they may act on it. */
int may_read(struct visit *v, struct db *db, const struct resource_kind *k,
             const struct resource *r, bool *ret);
/* A role's permissions, built-in or a resource. False: there is no such role. */
bool role_permissions(struct visit *v, struct db *db, struct str role, const struct str **ret,
                      size_t *ret_n);

#endif
