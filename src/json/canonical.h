/* Canonical JSON: one text for each value, to hash and to compare (RFC 8785, with one difference:
 * numbers keep all their digits, because the standard's doubles would make two different large
 * numbers look alike). Members stand in the order of their names' UTF-16 code units; a number is
 * its shortest decimal: 1.0, 1e0 and 1 are `1`, 1e30 is `1e30`, 0.00120 is `12e-4`. */
#ifndef JSON_CANONICAL_H
#define JSON_CANONICAL_H

#include "json/tree.h"

void json_canonical(struct buf *b, const struct json *j);

#endif
