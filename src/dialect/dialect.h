/* What the wire formats of model APIs have in common, as tables: which paths they answer on, how
 * they say errors, usage, silence and the end of a stream. Pure: no sockets, no clock. One file per
 * family.
 *
 * Sources: the vendors' API references; field names as in their official SDKs. */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "base/buf.h"
#include "base/str.h"

enum family {
    FAMILY_OPENAI,
    FAMILY_ANTHROPIC,
    FAMILY_GEMINI,
    FAMILY_OLLAMA,
    FAMILY_COHERE,
    FAMILY_BEDROCK,
    FAMILY_COUNT
};

/* Tokens, normalised: `input` includes what came from or went into a prompt cache, `output`
 * includes reasoning, `cache_write` what is cached for an hour; audio is a part of both. -1: not told. */
struct usage {
    int64_t input, output, cache_read, cache_write, reasoning;
    int64_t cache_write_1h, input_audio, output_audio;
};
#define USAGE_NONE ((struct usage){-1, -1, -1, -1, -1, -1, -1, -1})

/* An error of our own, before it is put into a dialect's words. */
struct api_error {
    unsigned status;
    struct str code;    /* stable and machine-readable: "model_not_found" */
    struct str message; /* a sentence that says what happened and what to do */
    struct str param;   /* the request's field it is about, or empty */
    struct str request_id;
    int64_t sequence; /* of an event in a stream of Responses; -1 elsewhere */
    /* The earlier call that a repeat under its Idempotency-Key is about, or empty; and what trying again is good for. */
    struct str operation, retry_class;
    uint32_t retry_after_ms;
};

/* Adds what is said of `operation`, as members behind others; nothing when there is none. */
void api_error_operation(struct buf *b, const struct api_error *e);

enum { DIALECT_COUNTS = 2 };

struct dialect {
    enum family family;
    struct str name;         /* "openai" */
    struct str usage_member; /* the answer's top-level member with the tokens; empty: */
    struct str count_members[DIALECT_COUNTS]; /* the counts are such members themselves */
    struct str ping;                          /* a harmless event for silent gaps of a stream */

    /* The body of an error answer. */
    void (*error)(struct buf *b, const struct api_error *e);
    /* The same as a whole event of a stream. */
    void (*error_event)(struct buf *b, const struct api_error *e);
    /* The status this family's clients expect for an error of ours. */
    unsigned (*status)(unsigned status, struct str code);
    /* The name of an error that goes into a field of the answer; NULL: none. */
    struct str (*error_name)(unsigned status);
    /* Reads the usage object that `object` begins with; members that are absent leave `u` as it is, so that
     * what an earlier event told stays (the numbers are cumulative). */
    void (*usage)(struct str object, struct usage *u);
    /* Reads one event's data (validated JSON object) for usage; true when the event ends the
     * stream. */
    bool (*event)(struct str data, struct usage *u);
};

extern const struct dialect dialect_openai, dialect_anthropic, dialect_gemini, dialect_ollama,
    dialect_cohere, dialect_bedrock;
const struct dialect *dialect_of(enum family f);

/* Reads integers out of an object's text in one pass, trusting nothing about it, into the struct at `to`:
 * each row names a member and the int64_t it goes to. A member that is absent, negative or no integer leaves
 * its place as it is; one with `inside` is an object whose members are read by those rows. Ends with an
 * empty name. */
struct usage_row {
    struct str name; /* with its quotes: as it stands in JSON; 8 bytes at least */
    uint16_t at;     /* offset in the struct */
    const struct usage_row *inside;
};
void usage_read(struct str object, const struct usage_row *rows, void *to);
/* For `inside` of a row whose value is of no use: a number that is skipped, or an object. */
extern const struct usage_row usage_nothing[];
#define QUOTED(name)                                                                               \
    {                                                                                              \
        "\"" name "\"", sizeof(name) + 1                                                           \
    }

#endif
