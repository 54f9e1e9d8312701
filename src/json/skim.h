/* A skimmer for JSON that passes by in pieces: it follows strings and nesting across any split of
 * the bytes, validates nothing else, keeps a constant few bytes of state, and copies the value of
 * one top-level member into a small buffer when it comes by. The relay uses it to pick the usage
 * out of answers of any size without holding them. Text inside strings and deeper members of the
 * same name are not mistaken for it. */
#ifndef JSON_SKIM_H
#define JSON_SKIM_H

#include "base/str.h"

enum { JSON_SKIM_KEEP = 1024 };

struct json_skim {
    struct str name; /* set by the caller: the member's name, at most 63 bytes, no escapes in it */
    uint32_t _depth; /* of open containers; the document's own object is 1 */
    uint32_t _state;
    uint32_t _key_n;
    char _key[64];
    uint32_t n;    /* bytes of `keep` that are filled */
    bool found;    /* the value in keep[0..n) is whole, or stands at the front of `from_value` */
    bool too_long; /* it came by but did not fit */
    bool done;     /* the top-level value has ended */
    /* Of a document that came whole: the value, an object, and what follows it. Not copied. */
    struct str from_value;
    char keep[JSON_SKIM_KEEP];
};

/* Sets the state to the beginning; the name stays. */
static inline void json_skim_start(struct json_skim *s)
{
    struct str name = s->name;
    memset(s, 0, offsetof(struct json_skim, keep));
    s->name = name;
}

/* Takes the next piece. When the member stands there twice, the last one wins. Only members of the
 * top-level object count (of each element, when the top-level value is an array: Gemini streams
 * `[{...},{...}]`). Fast over long strings (wide registers). */
void json_skim(struct json_skim *s, struct str piece);

/* The same for a document that came whole, in the state of the beginning: it looks for the member from
 * the end, where APIs put their usage, and reads the rest only when it is not there. What is found in this way
 * is an object, of any length, and stands in `from_value`. */
void json_skim_whole(struct json_skim *s, struct str doc);

#endif
