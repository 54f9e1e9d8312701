/* Vectors of float32 in the two spellings of embedding APIs: a JSON array of numbers, and base64 of the
 * floats' bytes, the lowest byte first. Both ways are exact: a number is read as the float32 that is nearest
 * to it (as strtof() does), and written in the fewest digits that read as the same float32 again. */
#ifndef DIALECT_VECTOR_H
#define DIALECT_VECTOR_H

#include "base/buf.h"

/* Adds the base64 (no quotes) of a JSON array as it stands. 0, or -EBADMSG when it holds anything but finite
 * numbers. */
__attribute__((warn_unused_result)) int vector_to_base64(struct buf *b, struct str numbers);
/* Adds the JSON array of what the base64 text (escaped) says. 0, or -EBADMSG when it is none, or holds what
 * JSON has no number for. */
__attribute__((warn_unused_result)) int vector_to_numbers(struct buf *b, struct arena *scratch,
                                                          struct str base64);

/* The float32 of the JSON number at `*p`; `*p` moves behind it. `end` is behind the document, whose last
 * byte is no part of a number. */
float vector_read_float(const char **p, const char *end);
/* Its shortest spelling, at most VECTOR_FLOAT_ROOM bytes; returns how many. `f` is finite. */
enum { VECTOR_FLOAT_ROOM = 24 };
size_t vector_print_float(char *to, float f);

#endif
