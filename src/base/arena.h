/* Memory in two storeys.
 *
 * A pool keeps freed blocks in power-of-two classes (1 KiB to 2 MiB) for the thread that owns it,
 * up to a cap in bytes; larger blocks go to malloc and back. A worker has one pool.
 *
 * An arena bumps through blocks of a pool and gives them all back in one arena_reset(): a call owns
 * one. An arena without a pool (pool == NULL) takes its blocks from malloc: start-up, snapshots,
 * tests.
 *
 * Neither is thread-safe. Freed memory is poisoned under AddressSanitizer. Zero is a valid arena.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

enum { POOL_CLASSES = 11, POOL_MIN_SHIFT = 11 };

struct pool {
    struct pool_free *_free[POOL_CLASSES];
    size_t kept;     /* bytes in the free lists */
    size_t keep_max; /* cap of `kept`; beyond it blocks go back to malloc */
    size_t lent;     /* bytes out in arenas and buffers: what is in flight */
};

/* A block of at least `n` bytes; `*ret_size` is what it really holds. Ends the process when memory
 * is out: callers bound what they ask for by configuration (STYLE: a limit for every buffer). */
void *pool_take(struct pool *p, size_t n, size_t *ret_size);
void pool_give(struct pool *p, void *block, size_t size);

/* Gives kept blocks back to malloc until at most `keep` bytes stay. */
void pool_trim(struct pool *p, size_t keep);

struct arena {
    struct arena_block *_head;
    char *_at, *_end;
    struct pool *pool;
};

/* `n` bytes, aligned to 16, not zeroed. Never NULL. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);

/* Gives back the last allocation's tail: the allocation at `p` shrinks from `n` to `used`. */
void arena_trim(struct arena *a, void *p, size_t n, size_t used);

/* A block by itself, with room for `*ret_n` bytes (at least n), that an arena may take over later.
 */
void *arena_block_new(struct pool *p, size_t n, size_t *ret_n);
void arena_block_free(struct pool *p, void *block); /* NULL is allowed */
/* The arena owns the block from now on: it goes back with the rest. Both have the same pool. */
void arena_adopt(struct arena *a, void *block);

struct str arena_dup(struct arena *a, struct str s);
/* The same with a NUL behind it, for the edges of the system. */
char *arena_dupz(struct arena *a, struct str s);
__attribute__((format(printf, 2, 3))) struct str arena_printf(struct arena *a, const char *fmt,
                                                              ...);
__attribute__((format(printf, 2, 0))) struct str arena_vprintf(struct arena *a, const char *fmt,
                                                               va_list ap);

/* Everything allocated is gone; blocks return to the pool. The arena stays usable. */
void arena_reset(struct arena *a);

/* The same, but a single block of at most 4 KiB stays: for an arena that is used again at once. */
void arena_rewind(struct arena *a);

/* Allocates outside of arenas; both end the process when memory is out. */
__attribute__((malloc)) void *mem_zalloc(size_t n);
void *mem_realloc(void *p, size_t n);

#endif
