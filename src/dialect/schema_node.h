/* JSON Schema compiled to Gemini's subset: what the files of the compiler share (schema_fit.c, schema_node.c,
 * schema_type.c, schema_compile.c).
 *
 * A schema is read into a node: what it says itself, what its $ref says and what each of allOf says, as one.
 * anyOf with something beside it is its branches, each with that. A reference that leads into itself is cut
 * off, and what is left of it there is its type. */
#ifndef DIALECT_SCHEMA_NODE_H
#define DIALECT_SCHEMA_NODE_H

#include "dialect/ir.h"
#include "dialect/schema.h"
#include "json/walk.h"

enum {
    SCHEMA_DEPTH_MAX = 24,
    SCHEMA_NODES_MAX = 5000, /* references make trees out of graphs: they have a bound */
    SCHEMA_LAYERS_MAX = 16,
    SCHEMA_LOST_MAX = 16,
};

enum keyword {
    K_TYPE,
    K_FORMAT,
    K_TITLE,
    K_DESCRIPTION,
    K_NULLABLE,
    K_ENUM,
    K_MIN_LENGTH,
    K_MAX_LENGTH,
    K_PATTERN,
    K_MINIMUM,
    K_MAXIMUM,
    K_ITEMS,
    K_MIN_ITEMS,
    K_MAX_ITEMS,
    K_PROPERTIES,
    K_REQUIRED,
    K_MIN_PROPERTIES,
    K_MAX_PROPERTIES,
    K_ORDERING,
    K_DEFAULT,
    K_EXAMPLE,
    K_ANY_OF,
    K_LAST_KNOWN = K_ANY_OF, /* Gemini has these, up to here */
    K_ONE_OF,
    K_ALL_OF,
    K_REF,
    K_CONST,
    K_MORE_THAN,
    K_LESS_THAN,
    K_EXAMPLES,
    K_PREFIX_ITEMS,
    K_ADDITIONAL,
    K_COUNT,
};

extern const struct str schema_names[K_COUNT];
unsigned schema_keyword(struct str key); /* K_COUNT: none of them */

/* Whether Gemini takes the schema as it is; `depth` is how deep it stands. */
bool schema_fits(struct str schema, bool top_object, unsigned depth);
bool schema_fits_format(struct str type, struct str quoted);
/* The value of the member spelled as `key`, both the inside of their strings. */
bool schema_member(struct str object, struct str key, struct str *ret_value);
struct str schema_element(struct str array, uint64_t index); /* empty: there is none */

struct node {
    struct node *up; /* the schema it stands in */
    struct str v[K_COUNT];
    struct str properties[SCHEMA_LAYERS_MAX], required[SCHEMA_LAYERS_MAX];
    unsigned nproperties, nrequired, nlayers;
    const char *refs[SCHEMA_LAYERS_MAX]; /* what was referred to, to get here */
    unsigned nrefs;
    bool cut; /* leads into itself */
};

struct compile {
    struct buf b;
    struct arena *arena;
    struct str root;
    unsigned nodes, depth;
    size_t work, work_max; /* bytes looked at, some of them again and again */
    struct str lost[SCHEMA_LOST_MAX];
    unsigned nlost;
};

void schema_lose(struct compile *c, struct str name);
void schema_lose_keyword(struct compile *c, unsigned k);
/* Whether `n` more bytes may be looked at. */
bool schema_spend(struct compile *c, size_t n);
/* Adds what `schema` says to the node. */
void schema_read(struct compile *c, struct node *n, struct str schema);
/* A branch of the anyOf of `outer`: what it says itself, and what `outer` says besides. */
void schema_read_branch(struct compile *c, struct node *n, struct node *outer, struct str schema);
void schema_take(struct compile *c, struct node *n, unsigned k, struct str value);

enum type {
    T_NONE = 0,
    T_STRING = 1,
    T_NUMBER = 2,
    T_INTEGER = 4,
    T_BOOLEAN = 8,
    T_ARRAY = 16,
    T_OBJECT = 32,
    T_NULL = 64,
};

struct str schema_type_word(unsigned type);
unsigned schema_types_said(struct str type);      /* of the value of "type" */
unsigned schema_types_of_values(struct str list); /* of an enum */
/* What a schema without a type must be about. */
unsigned schema_guess_types(const struct node *n);
bool schema_is_null(struct str schema);
/* The one at place `i` of all types; T_NONE behind the last. */
unsigned schema_type_at(unsigned i);

#endif
