/* Which media a model call may be given, told from an HTTP answer: by its Content-Type, which is checked against
 * the first bytes. Pure. */
#ifndef DIALECT_MEDIA_H
#define DIALECT_MEDIA_H

#include "dialect/ir.h"

enum { MEDIA_FRONT = 32 }; /* bytes that tell all there is to tell */

enum media {
    MEDIA_REFUSED,
    MEDIA_BINARY,
    MEDIA_TEXT, /* documents only: its text is what counts */
};

/* What an answer of this Content-Type may be for a part of this kind. `wanted` is the type that the caller has
 * said; empty: none. */
enum media media_declared(enum ir_kind kind, struct str wanted, struct str content_type);
/* The type of a MEDIA_BINARY that begins with `front` (MEDIA_FRONT bytes, or all there are); empty: it is not what
 * it is said to be. Images are often declared as another format than they have, so their bytes decide. */
struct str media_found(enum ir_kind kind, struct str content_type, struct str front);
/* What is taken for this kind, to be read by people and in an Accept field. */
struct str media_taken(enum ir_kind kind);

/* The bytes as escaped text, without a byte order mark; p NULL: they are no text in UTF-8. */
struct str media_text(struct arena *a, struct str bytes);

#endif
