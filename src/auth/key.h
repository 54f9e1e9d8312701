/* Keys of applications: "sk-accord-" and 43 characters of base64url (256 random bits). Only a
 * digest is kept: BLAKE2b-256 (RFC 7693), unkeyed, because the secret itself has full entropy. */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/secret.h"

enum { KEY_SECRET_MAX = 512, KEY_DIGEST_SIZE = 32 };

void key_digest(struct str secret, uint8_t ret[KEY_DIGEST_SIZE]);
struct secret key_make(struct arena *a);
/* The same with another prefix: access tokens, sessions, one-time links. */
struct secret key_make_as(struct arena *a, struct str prefix);
#define TOKEN_PREFIX   STR("at-accord-")
#define SESSION_PREFIX STR("se-accord-")
#define LINK_PREFIX    STR("ln-accord-")
#define CSRF_PREFIX    STR("cs-accord-")

/* The key file: DATA/keys.jsonl, mode 0600, one JSON object per line:
 * {"id":"first","digest":"<64 hex>","models":["*"],"created_at":"2026-11-22T10:00:00Z"} */
struct keyfile_entry {
    struct str id;
    uint8_t digest[KEY_DIGEST_SIZE];
    struct str *models;
    size_t n_models;
    uint64_t expires_us;          /* wall clock; 0: never. Not of the file, */
    struct str application, team; /* nor are these; empty: of nobody on the platform */
};

/* Reads all entries; a file that is not there is an empty one. -EBADMSG with a line in `errors`. */
__attribute__((warn_unused_result)) int keyfile_read(struct arena *a, struct str data_dir,
                                                     struct keyfile_entry **ret, size_t *ret_n,
                                                     struct buf *errors);
/* Adds a key durably (write, fsync, under a lock of the file). -EEXIST when the id is taken. */
__attribute__((warn_unused_result)) int keyfile_add(struct str data_dir, struct str id,
                                                    struct str secret, const struct str *models,
                                                    size_t n_models);

#endif
