/* Base64 (RFC 4648, 4), with padding, written piece by piece. For what is public: it is fast, and takes no equal
 * time for all bytes (secrets are encoded by libsodium). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/str.h"

struct base64 {
    unsigned char _rest[3]; /* bytes that are no group of three yet */
    uint8_t _n;
};

/* What n bytes become. */
static inline size_t base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Encodes the next piece to `to`, where base64_size(piece.n + 2) bytes have room; returns how many it wrote. */
size_t base64_add(struct base64 *e, char *to, struct str piece);
/* What was left over, up to 4 bytes. */
size_t base64_end(struct base64 *e, char *to);

#endif
