/* The kinds of resources of the platform: a table of fields (kind.h) with what the platform must
 * know besides: the name of its path, its states and actions, whose it is. To add a kind is to add
 * a file and its line in the list of src/meson.build. */
#ifndef MODEL_RESOURCE_KIND_H
#define MODEL_RESOURCE_KIND_H

#include "model/kinds.h"

/* What an action does besides setting the state. */
enum action_effect {
    EFFECT_STATE,  /* nothing */
    EFFECT_ROTATE, /* a new secret; the old one lives on for `overlap_s` of the body */
    EFFECT_REVOKE, /* its secrets are dead from now on */
};

/* POST /api/v1/PLURAL/ID/NAME */
struct action {
    const char *name;
    const char *help;
    const char *const *from; /* states that allow it, NULL-terminated; NULL: any */
    const char *to;          /* the state after; NULL: the same */
    enum action_effect effect;
    bool note;         /* the body may have `note`, which goes into the audit trail */
    const char *owner; /* the reference that leads to the team whose people may do it; NULL: as the
                          kind says */
};

/* Secrets that the platform makes, shows once and keeps as a digest. */
enum issued { ISSUED_NONE, ISSUED_KEY, ISSUED_TOKEN };

/* "a" or "an", for messages. */
static inline const char *article_of(const char *kind)
{
    return strchr("aeio", kind[0]) ? "an" : "a"; /* a user */
}

struct resource_kind {
    const struct kind *kind;
    const char *plural;    /* its path under /api/v1, and the member of accord.yaml */
    const char *id_prefix; /* of ids that the platform makes */
    const struct rule *id_rule;
    const char *const *states; /* NULL-terminated, the first of a new one; NULL: it has none */
    const struct action *actions;
    size_t n_actions;
    const char *owner; /* the reference that leads to its team, directly or through others; NULL:
                          the whole organisation's; "id": it is the team */
    const char *self;  /* the reference to the user who may act on it besides; NULL: none */
    const char *const *together; /* fields whose values together are unique; NULL-terminated */
    const char *also_named;      /* a list of further names: they and the ids are one set of unique
                                    ones; NULL: none */
    const char *const *while_in; /* ... while in one of these states; NULL: always */
    enum issued issues;
    bool single;  /* there is one, with the id "org", and it cannot be deleted */
    bool in_file; /* accord.yaml may declare it */
};

extern const struct resource_kind *const resource_kinds[]; /* NULL-terminated */

const struct resource_kind *resource_kind_named(struct str name);     /* "team", or NULL */
const struct resource_kind *resource_kind_by_path(struct str plural); /* "teams", or NULL */

/* An application, decoded. */
struct application {
    struct str name, team, description;
};

/* A credential that is a resource of its own, decoded. */
struct pool_credential {
    struct str provider;
    struct secret secret;
    int64_t priority;
};

/* ---- documents: a resource's own fields as JSON, in the order of the table, with defaults,
 * without its id; secrets masked ---- */

struct document_unique {
    struct str field, value; /* "/email", as compared */
};

struct document_reference {
    struct str pointer;
    const struct kind *kind;
    struct str id;
};

struct document_secret {
    struct str name;      /* pointer, with list elements named by their merge key */
    struct secret secret; /* as it stands in the document: the secret, or its mask */
    bool hashed;          /* not in the tree: only a digest or a hash of it is kept */
};

struct document {
    struct json *tree;
    void *decoded; /* kind->size bytes */
    struct document_unique *uniques;
    size_t n_uniques;
    struct document_reference *references;
    size_t n_references;
    struct document_secret *secrets;
    size_t n_secrets;
};

/* Checks what a client sent (its own fields only, the id aside) and brings it into its one form.
 * Mistakes are added with pointers; then the answer is -EINVAL. */
__attribute__((warn_unused_result)) int
document_read(struct arena *a, const struct resource_kind *k, struct str id,
              const struct json *from, struct mistakes *mistakes, struct document *ret);

/* Whether a text is a mask that document_read() made, "****" and up to four characters. */
bool secret_is_mask(struct str s);

/* The schema of a resource as clients see it, `id`, `revision` and the other members that every
 * resource has included. */
struct json *resource_schema(struct arena *a, const struct resource_kind *k);
/* The same as a merge patch. */
struct json *patch_schema(struct arena *a, const struct resource_kind *k);
/* One as it could be answered. */
struct json *resource_example(struct arena *a, const struct resource_kind *k);

/* States and actions of what is a secret of somebody: keys, tokens. */
enum { SECRET_ACTIONS = 2 };
extern const char *const secret_states[];
extern const struct action secret_actions[SECRET_ACTIONS];

extern const struct kind kind_team, kind_user, kind_application, kind_service;
/* resource_settings, resource_team ... */
#define KIND(name) extern const struct resource_kind resource_##name;
#include "kinds_list.h"
#undef KIND

#endif
