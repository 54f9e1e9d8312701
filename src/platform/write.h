/* What writes and reads of resources share. */
#ifndef PLATFORM_WRITE_H
#define PLATFORM_WRITE_H

#include "conflict/diff.h"
#include "platform/visit.h"

enum write_mode {
    WRITE_CREATE,      /* POST of the list */
    WRITE_REPLACE,     /* PUT */
    WRITE_MERGE_PATCH, /* PATCH, RFC 7396 */
    WRITE_JSON_PATCH,  /* PATCH, RFC 6902 */
    WRITE_APPLY,       /* PATCH, the fields of one manager */
    WRITE_DELETE,
    WRITE_RESTORE,
    WRITE_ACTION,
};

/* A write on its way through its stages (write.c). */
struct writing {
    struct visit *v;
    struct db *db;
    const struct resource_kind *kind;
    enum write_mode mode;
    const struct action *action;
    struct str id;
    bool exists;
    struct resource now; /* the present state */
    struct json *own;    /* its own fields; an empty object without one */
    struct str team;     /* whose it is */
    struct judgement judged;
    struct prefer prefer;
    struct str key, scope, fingerprint; /* of Idempotency-Key */
    struct json *body;                  /* NULL: none */
    int64_t named_revision;             /* in the body; 0: none */
    bool merging;                       /* onto what others did since the base */
    struct resource base;
    struct json *base_own;
    struct json *given; /* own fields of the state that is wanted */
    struct str note;
    int64_t overlap_us;
    struct document doc;
    struct resource_write out;
    struct secret issued; /* shown once */
    struct str manager;   /* of WRITE_APPLY: "file:prod.yaml" */
    bool force;
    bool unchanged;
};

struct conditions visit_conditions(struct visit *v);
struct present visit_present(struct visit *v, const struct resource *r);
/* Refuses with 412 or 400 as judged; `now` NULL: nothing is there. */
void refuse_precondition(struct visit *v, const struct judgement *j, const struct resource *now);

/* Whether the resource is the asker's own, the user themselves or their token, and their token's
 * scopes allow the verb. */
bool is_own(const struct visit *v, const struct resource_kind *k, const struct resource *r,
            const char *verb);
/* Whether the past of v->args[0] may be read, also when it is deleted; else refused. */
int may_read_past(struct visit *v, struct db *db, bool *ret_ok);
/* What of a kind's lists is merged element by element, by its table. */
struct merge_rules kind_merge_rules(const struct resource_kind *k, struct arena *a);

/* ---- write_conflict.c: what an answer to a refused write says ---- */

/* `current` and `resource`, and links to both. */
void tell_current(struct visit *v, const struct resource_kind *k, const struct resource *now);
/* base, theirs, yours of each field, what could be merged, and resolutions. `yours` NULL: unknown. */
void tell_edit_conflict(struct writing *w, const struct resource *base, const struct json *base_own,
                        const struct json *yours);
/* A unique value is taken, a reference leads nowhere, others refer to it. */
int tell_refusal(struct writing *w, int error, const struct resource_refusal *why);

/* ---- write_document.c: from what was sent to what is written ---- */

/* Reads w->given as a document of the kind: fields that are not given but set by the server are
 * carried over, secrets that are masked stay. 0; or refused with 422 (w->v->refusal is set). */
int complete_document(struct writing *w, struct json *given, struct document *ret);
struct json *own_fields(struct visit *v, const struct resource *r);
/* A field of the settings; NULL: not set. */
const struct json *setting(struct visit *v, struct db *db, const char *name);
int64_t setting_int(struct visit *v, struct db *db, const char *name, int64_t fallback);
/* Removes id, revision, etag, created and updated from a representation. */
void strip_metadata(struct json *tree);
/* Secrets, digests and hashes of w->doc into w->out. */
int write_secrets_of(struct writing *w);
void document_hash(struct arena *a, struct str id, const struct json *tree, struct str *ret);

#endif
