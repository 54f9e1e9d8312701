/* JSON Schema in the words that a vendor accepts. Most vendors take it as it is; Gemini's `parameters` and
 * `responseSchema` are a subset of OpenAPI 3.0: no references, no combination but anyOf, one type per schema.
 *
 * A schema that needs no change comes back as it is, byte for byte. The same schema always gives the same
 * bytes. What could not be said is named, keyword by keyword. */
#ifndef DIALECT_SCHEMA_H
#define DIALECT_SCHEMA_H

#include "base/arena.h"
#include "base/str.h"

enum schema_use {
    SCHEMA_PARAMETERS, /* of a function: an object at the top */
    SCHEMA_ANSWER,     /* of an answer: anything */
};

struct schema {
    struct str text; /* a JSON object; empty: parameters of a function that takes none */
    struct str lost; /* the keywords that were lost, with commas between; empty: none */
};

/* What was compiled before, found by a hash of the source. Belongs to one thread; bounded. */
struct schema_cache;
struct schema_cache *schema_cache_new(void);
struct schema_cache *schema_cache_free(struct schema_cache *c); /* NULL is allowed, and returned */

/* Compiles for Gemini. `source` is an object that json_scan() accepts. The slices are the source's, the
 * arena's or the cache's (may be NULL): valid until the next call with that cache. */
struct schema schema_for_gemini(struct arena *a, struct schema_cache *cache, struct str source,
                                enum schema_use use);
/* The same, always compiled anew. */
struct schema schema_compile(struct arena *a, struct str source, enum schema_use use);

/* The way back: a schema in Gemini's words ("type":"STRING", nullable) as JSON Schema; the source itself when
 * it already is. */
struct str schema_from_gemini(struct arena *a, struct str source);

#endif
