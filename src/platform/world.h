/* The one world that calls see: what the file, the environment and the key file declare, and the
 * resources of the platform. It is compiled into a snapshot at the start, at each reload, and after
 * each committed change that matters to calls. Belongs to the control thread. */
#ifndef PLATFORM_WORLD_H
#define PLATFORM_WORLD_H

#include "gateway/snapshot.h"
#include "platform/platform.h"
#include "store/resource.h"

struct world {
    struct platform *platform;
    struct config_base *base;
    struct tls_ctx *client_tls;
    int64_t seq; /* of the last change that was looked at */
};

/* What was read at the start or a reload is declared from now on: it is mirrored into the store, so
 * that it can be listed, referred to and looked at there; what is not declared any more goes, unless
 * others refer to it (a line in `errors` says so). `base` is taken over. 0, or the store's error. */
__attribute__((warn_unused_result)) int world_declare(struct world *w, struct config_base *base,
                                                      struct buf *errors);

/* Whether changes since the last compilation matter to calls; `*ret_seq` is the last change. */
__attribute__((warn_unused_result)) int world_changed(struct world *w, bool *ret, int64_t *ret_seq);

/* Compiles everything; `w->seq` is then the last change that is in it. A resource that cannot be
 * used is left out, and `errors` says why. */
__attribute__((warn_unused_result)) int world_compile(struct world *w, uint64_t generation,
                                                      struct snapshot **ret, struct buf *errors);
/* Whether a resource is declared by a file, the environment or the program itself: its managers begin
 * with the mark. What was applied is its manager's field by field, and is not declared. */
#define DECLARED_MARK "{\"declared\":true,"
bool is_declared(const struct resource *r);
void world_free(struct world *w);

#endif
