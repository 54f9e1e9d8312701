/* Below json/scan.h: what the scanner and its readers share about validated spans. */
#ifndef JSON_SPAN_H
#define JSON_SPAN_H

#include "json/scan.h"

/* The type of a valid value by its first byte. */
extern const uint8_t json_types[256];
static inline enum json_type json_type_of(char first)
{
    return (enum json_type)json_types[(unsigned char)first];
}

/* The byte behind the validated string that starts (with its quote) at `p` in `span`. */
const char *json_string_end(const char *p, struct str span);

/* The byte behind the closing quote of the string whose text starts at `p`; p[-1] is its opening one. NULL when none
 * stands in front of `end`, which a validated string does not have. */
const char *json_text_end(const char *p, const char *end);

/* The byte behind the validated array or object at `p`. */
const char *json_container_end(const char *p, const char *end);

/* The byte behind the bracket that closes the container in which `p` stands, outside of strings, in bytes that
 * nobody has looked at; NULL when none does. [start, end) is readable. */
const char *json_closing(const char *start, const char *p, const char *end);

/* Whether the quoted (and validated) string says `name`, its escapes decoded. */
bool json_quoted_is(struct str quoted, struct str name);

#endif
