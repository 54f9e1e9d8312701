/* What calls depend on, decoded: the resources of six kinds, kept from one compilation to the next,
 * so that a change costs what it changed and not what there is. Belongs to the control thread; an
 * item is shared with the snapshots that were compiled from it. */
#ifndef PLATFORM_IMAGE_H
#define PLATFORM_IMAGE_H

#include <stdatomic.h>

#include "auth/key.h"
#include "model/resource_kind.h"
#include "store/store.h"

/* In the order in which they refer to each other. */
enum image_kind {
    IMAGE_PROVIDERS,
    IMAGE_CREDENTIALS,
    IMAGE_MODELS,
    IMAGE_APPLICATIONS,
    IMAGE_KEYS,
    IMAGE_POLICIES,
    IMAGE_KINDS
};

struct image_digest {
    uint8_t digest[KEY_DIGEST_SIZE];
    uint64_t expires_us; /* wall clock; 0: never */
};

struct image_item {
    _Atomic uint32_t _refs;
    struct arena _arena; /* of keys and applications: empty, everything lies behind the item */
    struct str id;
    bool declared; /* elsewhere: world.h */
    void *
        decoded; /* the kind's struct, secrets unsealed, of keys and applications what calls depend on; NULL: it
                      cannot be used */
    const struct image_digest *digests; /* of a key: none once it is revoked, two while a rotation
                                           overlaps */
    size_t n_digests;
};

struct image_list {
    struct image_item **items; /* by id, in the order of bytes */
    size_t n, _cap;
};

struct image {
    struct image_list all[IMAGE_KINDS];
    int64_t seq; /* of the last change that is in it */
    bool _filled;
};

/* Brings the image up to date with the store: everything the first time, from then on what the
 * change feed names. `*ret_matters`: something of these kinds has changed. Resources that cannot be
 * used are named in `errors` once, when they are read. 0, or the store's error and nothing has
 * changed. */
__attribute__((warn_unused_result)) int image_refresh(struct image *m, struct store *s,
                                                      bool *ret_matters, struct buf *errors);
void image_free(struct image *m);
/* The item with that id, or NULL. */
const struct image_item *image_find(const struct image *m, enum image_kind kind, struct str id);

/* A snapshot holds the items that it points into. Dropping is for any thread. */
struct image_item *image_hold(struct image_item *i);
void image_drop(struct image_item *i);

#endif
