/* Resources: the rows that all kinds share. The store knows no kind's fields: who calls has
 * validated the document and says which values are unique and what it refers to; the database
 * enforces both (UNIQUE, FOREIGN KEY) in the transaction of the job.
 *
 *   resource   (kind, id) live ones: revision, hash, document, managers, created/updated at/by
 *   revision   (kind, id, revision) every state there was, deletions included; what it was, who, when
 *   tombstone  (kind, id) the last revision of a deleted one: a recreated resource counts on from it
 *   uniq       (kind, field, value) -> id
 *   reference  (kind, id, pointer) -> (kind, id) of what must exist
 *   secret     (kind, id, name) -> sealed text, last four characters
 *   digest     digest of a key, token -> (kind, id)
 *   change     seq, gap-free in the order of commits
 *
 * All functions run inside a job (store.h), with its `db`; what they answer lives in `a`. */
#ifndef STORE_RESOURCE_H
#define STORE_RESOURCE_H

#include "store/db.h"

struct resource {
    struct str kind, id;
    int64_t revision;
    struct str hash;     /* 8 hexadecimal digits over the canonical document */
    struct str document; /* JSON text of the kind's own fields, without id and metadata; empty in a
                            revision that is a deletion */
    struct str managers; /* JSON text: {"/pointer": "user:ana", ...} who owns which field */
    int64_t created_us, updated_us;
    struct str created_by, updated_by; /* "user:ana", "token:ci", "file:accord.yaml", "system" */
    struct str
        action; /* of a revision: create, replace, patch, merge, delete, restore, rotate ... */
};

struct resource_unique {
    struct str field; /* JSON pointer: "/email" */
    struct str value; /* as compared: folded by the caller where case does not count */
};

struct resource_reference {
    struct str pointer, kind, id;
};

struct resource_secret {
    struct str name;   /* JSON pointer of the field, or of the element by its merge key */
    struct str sealed; /* store_seal(); empty: remove it */
    struct str last4;  /* empty when the secret is too short to show any of it */
};

struct resource_digest {
    struct str digest;  /* bytes */
    int64_t expires_us; /* 0: never */
};

struct resource_write {
    struct resource r; /* kind, id, hash, document, managers, updated_us, updated_by, action; of an
                          update created_us and created_by are kept as they were */
    const struct resource_unique *uniques;
    size_t n_uniques;
    const struct resource_reference *references;
    size_t n_references;
    const struct resource_secret *secrets; /* only those that change */
    size_t n_secrets;
    const struct resource_digest *digests;
    size_t n_digests;
    bool same_index;   /* an update: uniques and references are as they were */
    bool keep_digests; /* the present ones stay (and `digests` come beside them); false: replaced */
};

/* Why a write was refused: written with -EEXIST, -ENOLINK, -EBUSY. */
struct resource_refusal {
    struct str
        pointer; /* -EEXIST: the unique field; empty: the id itself. -ENOLINK: the reference */
    struct str kind, id; /* -EEXIST: who holds the value. -ENOLINK: what is not there */
    struct str value;
    struct resource_reference *blocking; /* -EBUSY: who refers to it: kind and id, pointer in it */
    size_t n_blocking;                   /* at most 20 */
};

/* The live resource. -ENOENT. On PostgreSQL with `lock` the row is locked until the commit. */
__attribute__((warn_unused_result)) int resource_get(struct db *db, struct arena *a,
                                                     struct str kind, struct str id, bool lock,
                                                     struct resource *ret);
/* A state of the past; a deletion has an empty document. -ENOENT. */
__attribute__((warn_unused_result)) int resource_at(struct db *db, struct arena *a, struct str kind,
                                                    struct str id, int64_t revision,
                                                    struct resource *ret);
/* The last revision there ever was, live or deleted; 0: never existed. */
__attribute__((warn_unused_result)) int resource_last(struct db *db, struct str kind, struct str id,
                                                      int64_t *ret);

/* Live ones with id > `after`, by id, at most `limit`. */
__attribute__((warn_unused_result)) int resource_list(struct db *db, struct arena *a,
                                                      struct str kind, struct str after,
                                                      size_t limit, struct resource **ret,
                                                      size_t *ret_n);
/* The states of one, newest first, with revision < `before` (0: from the newest). */
__attribute__((warn_unused_result)) int resource_history(struct db *db, struct arena *a,
                                                         struct str kind, struct str id,
                                                         int64_t before, size_t limit,
                                                         struct resource **ret, size_t *ret_n);

/* Creates; `w->r.revision` and created fields are filled in. -EEXIST when the id or a unique value
 * is taken, -ENOLINK when what it refers to is not there: with `refusal`, and nothing written. */
__attribute__((warn_unused_result)) int resource_insert(struct db *db, struct arena *a,
                                                        struct resource_write *w,
                                                        struct resource_refusal *refusal);
/* Replaces the state `expected` (a revision) by the next one. -EAGAIN when it is not the state any
 * more: the job is run again. Else as resource_insert(). */
__attribute__((warn_unused_result)) int resource_update(struct db *db, struct arena *a,
                                                        struct resource_write *w, int64_t expected,
                                                        struct resource_refusal *refusal);
/* Deletes the state `expected`; its revision counts one further. -EBUSY when others refer to it. */
__attribute__((warn_unused_result)) int resource_delete(struct db *db, struct arena *a,
                                                        struct resource_write *w, int64_t expected,
                                                        struct resource_refusal *refusal);

/* Drops the states of the past but the last `keep`. */
__attribute__((warn_unused_result)) int resource_prune(struct db *db, struct str kind,
                                                       struct str id, int64_t keep);

/* Secrets and digests of one. */
__attribute__((warn_unused_result)) int resource_secrets(struct db *db, struct arena *a,
                                                         struct str kind, struct str id,
                                                         struct resource_secret **ret,
                                                         size_t *ret_n);
__attribute__((warn_unused_result)) int resource_digests(struct db *db, struct arena *a,
                                                         struct str kind, struct str id,
                                                         struct resource_digest **ret,
                                                         size_t *ret_n);
/* All digests of a kind with the ids they belong to, by id. */
struct kind_digest {
    struct str id, digest;
    int64_t expires_us;
};
__attribute__((warn_unused_result)) int kind_digests(struct db *db, struct arena *a,
                                                     struct str kind, struct kind_digest **ret,
                                                     size_t *ret_n);
/* Whose digest this is: kind and id of a live resource. -ENOENT; an expired one too. */
__attribute__((warn_unused_result)) int resource_by_digest(struct db *db, struct arena *a,
                                                           struct str digest, int64_t now_us,
                                                           struct str *ret_kind,
                                                           struct str *ret_id);
/* Who holds a unique value: its id. -ENOENT. */
__attribute__((warn_unused_result)) int resource_by_unique(struct db *db, struct arena *a,
                                                           struct str kind, struct str field,
                                                           struct str value, struct str *ret_id);
/* Live ones of `kind` that refer to (to_kind, to_id): members of a team, keys of an application. */
__attribute__((warn_unused_result)) int resource_referring(struct db *db, struct arena *a,
                                                           struct str kind, struct str to_kind,
                                                           struct str to_id, struct resource **ret,
                                                           size_t *ret_n);

/* ---- the change feed ---- */

struct change {
    int64_t seq;
    struct str kind, id;
    int64_t revision;
    struct str action, by;
    int64_t at_us;
};

/* Changes with seq > `after`, in order, at most `limit`; `kind` empty: of all kinds. */
__attribute__((warn_unused_result)) int change_list(struct db *db, struct arena *a, struct str kind,
                                                    int64_t after, size_t limit,
                                                    struct change **ret, size_t *ret_n);
__attribute__((warn_unused_result)) int change_last(struct db *db, int64_t *ret);

#endif
