/* Below json/scan.h: what the scanner and its readers share about validated spans. */
#ifndef JSON_SPAN_H
#define JSON_SPAN_H

#include "json/scan.h"

/* The type of a valid value by its first byte. */
enum json_type json_type_of(char first);

/* The byte behind the validated string that starts (with its quote) at `p`. */
const char *json_string_end(const char *p);

/* Whether the quoted (and validated) string says `name`, its escapes decoded. */
bool json_quoted_is(struct str quoted, struct str name);

#endif
