/* The one world that calls see: what the file, the environment and the key file declare, and the
 * resources of the platform. It is compiled into a snapshot at the start, at each reload, and after
 * each committed change that matters to calls. Belongs to the control thread. */
#ifndef PLATFORM_WORLD_H
#define PLATFORM_WORLD_H

#include "gateway/snapshot.h"
#include "platform/image.h"
#include "platform/platform.h"
#include "store/resource.h"

struct world {
    struct platform *platform;
    struct config_base *base;
    struct tls_ctx *client_tls;
    struct image image;
    bool _stale; /* changes were read that are not compiled yet */
};

/* What was read at the start or a reload is declared from now on: it is mirrored into the store, so
 * that it can be listed, referred to and looked at there; what is not declared any more goes, unless
 * others refer to it (a line in `errors` says so). `base` is taken over. 0, or the store's error. */
__attribute__((warn_unused_result)) int world_declare(struct world *w, struct config_base *base,
                                                      struct buf *errors);

/* Reads what has changed since; `*ret_matters`: calls depend on it, it is to be compiled. Then
 * `w->image.seq` is the last change that was seen. 0, or the store's error. */
__attribute__((warn_unused_result)) int world_refresh(struct world *w, bool *ret_matters,
                                                      struct buf *errors);

/* Compiles what is declared and what was read. A resource that cannot be used is left out, and
 * `errors` says why. */
__attribute__((warn_unused_result)) int world_compile(struct world *w, uint64_t generation,
                                                      struct snapshot **ret, struct buf *errors);

/* Whether a resource is declared by a file, the environment or the program itself: its managers begin
 * with the mark. What was applied is its manager's field by field, and is not declared. */
#define DECLARED_MARK "{\"declared\":true,"
bool is_declared(const struct resource *r);
void world_free(struct world *w);

#endif
