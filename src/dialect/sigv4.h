/* AWS Signature Version 4: what Amazon takes in place of a bearer token. Source: AWS IAM User Guide, "Create a
 * signed AWS API request". Pure; the clock is the caller's. */
#ifndef DIALECT_SIGV4_H
#define DIALECT_SIGV4_H

#include "base/buf.h"
#include "base/secret.h"

enum { SIGV4_KEY_N = 32, SIGV4_HASH_N = 64, SIGV4_DATE_N = 16 };

struct sigv4 {
    struct str method;
    struct str
        path; /* as it stands on the wire; it is escaped once more here, as all but S3 want it */
    struct str query; /* as it stands on the wire, without '?'; may be empty */
    struct str host;  /* as the field says it, with a port that is not the scheme's own */
    struct str region, service;
    struct str access_key;
    struct str session_token; /* of temporary credentials; may be empty */
    struct str body_hash;     /* sigv4_hash() of the body */
    int64_t at_s;             /* wall clock; servers allow for 5 minutes */
    bool tell_hash; /* the hash stands in a field of its own, too (x-amz-content-sha256) */
};

/* "20150830T123600Z"; its first 8 bytes are the day that a key is good for. */
void sigv4_date(int64_t at_s, char ret[SIGV4_DATE_N]);

/* The key that signs, of one day, region and service: worth keeping, as it costs four of five rounds. 0, or
 * -EMSGSIZE for a secret that is longer than any. */
__attribute__((warn_unused_result)) int sigv4_key(struct secret secret_key, struct str day,
                                                  struct str region, struct str service,
                                                  unsigned char ret[SIGV4_KEY_N]);

/* SHA-256 in hexadecimal. */
void sigv4_hash(struct str body, char ret[SIGV4_HASH_N]);

/* Adds the field lines that sign the request: authorization, x-amz-date, with them x-amz-security-token and
 * x-amz-content-sha256 where there are any. `scratch` is for what is needed until it returns. */
void sigv4_add_fields(struct buf *b, struct arena *scratch, const struct sigv4 *s,
                      const unsigned char key[SIGV4_KEY_N]);

/* The access key id of a signed request, out of its field `authorization`; empty when it is none. It may
 * hold slashes. */
struct str sigv4_access_key(struct str authorization);

#endif
