/* Sealing: XChaCha20-Poly1305 (libsodium) under the master key. A sealed text is a version byte,
 * 24 bytes of nonce, the ciphertext and 16 bytes of tag; the context is authenticated with it. */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "store/driver.h"
#include "store/store.h"

enum { MASTER_KEY_SIZE = 32 };

struct sealer {
    uint8_t *key; /* MASTER_KEY_SIZE bytes, locked in memory */
};

/* The key of the options, of DATA/master.key, or a new one kept there with mode 0600. A check value
 * in the database tells a wrong one: -EINVAL with a line in `errors`. */
__attribute__((warn_unused_result)) int
seal_open(struct sealer *s, struct db *db, const struct store_options *o, struct buf *errors);
/* Makes a new key, seals everything under it in one transaction, and keeps it in place of the file's.
 * While no server runs. `*ret_n`: how many secrets there are. */
__attribute__((warn_unused_result)) int seal_rotate(struct sealer *s, struct db *db,
                                                    const struct store_options *o, size_t *ret_n);
void seal_close(struct sealer *s);

/* A key for one purpose, kept in the database sealed under the master key: what it seals stays as it is when the master
 * key becomes another one. In a job; made there when it is to be (`make`) and is not, else -ENOENT. The key in `ret`,
 * made when it is NULL, is the caller's to seal_close(). */
__attribute__((warn_unused_result)) int seal_data_key(const struct sealer *s, struct db *db,
                                                      struct str purpose, bool make,
                                                      struct sealer *ret);

struct str seal(const struct sealer *s, struct arena *a, struct str context, struct str plain);
__attribute__((warn_unused_result)) int unseal(const struct sealer *s, struct arena *a,
                                               struct str context, struct str sealed,
                                               struct str *ret);

#endif
