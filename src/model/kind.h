/* A kind of resource as a table: its fields, what each may hold, and where it goes in the decoded
 * struct. The table is the only description there is: the file's reader, the printer of the
 * effective configuration, the JSON Schema and the field tables of the documentation all walk it.
 *
 * To add a field is to add a row; to add a kind is to add a file with a table, and to name it in
 * the table that contains it. */
#ifndef MODEL_KIND_H
#define MODEL_KIND_H

#include "base/secret.h"
#include "json/tree.h"
#include "model/expand.h"
#include "model/mistake.h"
#include "model/rule.h"

enum { FIELD_LIST_MAX = 1000 }; /* elements, where a row does not say another number */

enum field_type {                  /* decoded as */
                  FIELD_TEXT,      /* struct str */
                  FIELD_TEXTS,     /* struct str *, size_t */
                  FIELD_INT,       /* int64_t */
                  FIELD_BOOL,      /* bool */
                  FIELD_CHOICE,    /* enum: the position in `choices` */
                  FIELD_SECRET,    /* struct secret */
                  FIELD_REFERENCE, /* struct str: the id of a resource of kind `kind`; size_t: its
                                      index */
                  FIELD_OBJECT,    /* the nested struct itself */
                  FIELD_OBJECTS,   /* pointer to an array of nested structs, size_t */
                  FIELD_ORIGIN,    /* struct str; not in a document: where it was declared */
                  FIELD_LATER,     /* a name of the product that this version does not know to do;
                                      refused */
};

struct kind;

struct field {
    const char *name;
    const char *help; /* one sentence for the schema and the documentation */
    enum field_type type;
    bool required;
    bool unique;                /* among the elements of the list that contains it */
    bool one_or_many;           /* FIELD_TEXTS, FIELD_OBJECTS: one alone stands for a list of one */
    bool number;                /* FIELD_TEXT: a number stands for its spelling */
    const struct rule *rule;    /* texts and secrets; NULL: any text */
    int64_t min, max;           /* FIELD_INT: its value; lists: how many (max 0: 1000) */
    const char *const *choices; /* NULL-terminated */
    const char *fallback;       /* the default, as text */
    const char *example;        /* JSON; NULL: made from what the row says */
    const char *may_be_unset;   /* FIELD_SECRET: ${this} alone, not set, means that none is given */
    const char
        *fallback_help; /* what the documentation says of the default when it is not `fallback` */
    const struct kind *kind; /* nested or referred to */
    const char *shorthand;   /* FIELD_OBJECTS: what is no list is this member of a single element */
    const char *merge_key;   /* FIELD_OBJECTS: by which elements of two versions are matched */
    size_t at, at_n;         /* offsets in the decoded struct; at_n of the count or index */
    bool indexed;            /* FIELD_REFERENCE: at_n is set */
    bool
        optional; /* FIELD_OBJECT: absence is not the same as an empty one; at_n: a bool, it was given */
    bool platform;  /* belongs to the platform's resources: refused in a file */
    bool read_only; /* platform: set by the server; a write may only repeat it */
    bool immutable; /* platform: as it was created */
    bool hashed;    /* platform, secret: kept as a digest, never shown, not even masked */
    bool folded;    /* platform, unique: compared without regard to ASCII case */
};

struct kind_reader;

struct kind {
    const char *name; /* "provider" */
    const char *help;
    size_t size; /* of the decoded struct */
    const struct field *fields;
    size_t n_fields;
    /* Rules over several fields, called after they were decoded without a mistake; may be NULL. */
    void (*finish)(struct kind_reader *r, const struct json *j, const struct path *path, void *to);
};

#define KIND_FIELDS(table) .fields = (table), .n_fields = sizeof(table) / sizeof *(table)
#define AT(type, member)   offsetof(struct type, member)

/* A reference that waits until all resources are known. */
struct reference {
    struct reference *next;
    const struct kind *kind;
    struct str id;
    size_t *index; /* may be NULL */
    const struct json *at;
    struct str path;
};

struct kind_reader {
    struct arena *arena;
    struct mistakes *mistakes;
    const struct expander *expander; /* NULL: texts are taken as they stand */
    bool platform;                   /* a resource of the platform, not a part of a file */
    struct str source;               /* name of the document, for origins */
    struct reference *references;
};

/* Checks `j` against the table and decodes it into `to` (k->size bytes, zeroed). Mistakes are
 * added; a field with one keeps its default. */
void kind_decode(struct kind_reader *r, const struct kind *k, const struct json *j,
                 const struct path *path, void *to);

/* The decoded struct as a tree again, with all defaults. Secrets are masked. */
struct json *kind_encode(struct arena *a, const struct kind *k, const void *from);

/* Whether the field may stand in a resource of the platform, or in a file. */
bool field_is_here(const struct field *f, bool platform);

/* "…" and the last four characters of a secret that has at least 12. */
struct str secret_mask(struct arena *a, struct secret s);

/* What a client might send to create one: every field that must be there, and the texts. */
struct json *kind_example(struct arena *a, const struct kind *k);

/* The JSON Schema (2020-12) of a kind: as a part of a file, where values may be taken from
 * variables; or as a resource of the platform. */
struct json *kind_schema(struct arena *a, const struct kind *k, bool platform);

#endif
