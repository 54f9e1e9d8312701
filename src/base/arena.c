#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

#if defined(__SANITIZE_ADDRESS__)
#define ACCORD_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ACCORD_ASAN 1
#endif
#endif
#ifdef ACCORD_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct pool_free {
    struct pool_free *next;
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole block, this header included */
};

enum { ALIGN = 16 };

static void *mem_or_die(void *p, size_t n)
{
    if (!p && n) {
        fprintf(stderr, "accord: out of memory (%zu bytes)\n", n);
        abort();
    }
    return p;
}

void *mem_zalloc(size_t n)
{
    return mem_or_die(calloc(1, n), n);
}

void *mem_realloc(void *p, size_t n)
{
    return mem_or_die(realloc(p, n), n);
}

static unsigned class_of(size_t n)
{
    if (n <= (size_t)1 << POOL_MIN_SHIFT) {
        return 0;
    }
    return (unsigned)(64 - __builtin_clzll((unsigned long long)n - 1)) - POOL_MIN_SHIFT;
}

void *pool_take(struct pool *p, size_t n, size_t *ret_size)
{
    unsigned c = class_of(n);
    if (c >= POOL_CLASSES) {
        *ret_size = n;
        if (p) {
            p->lent += n;
        }
        return mem_or_die(malloc(n), n);
    }
    size_t size = (size_t)1 << (c + POOL_MIN_SHIFT);
    *ret_size = size;
    if (!p) {
        return mem_or_die(malloc(size), size);
    }
    p->lent += size;
    struct pool_free *f = p->_free[c];
    if (!f) {
        return mem_or_die(malloc(size), size);
    }
    UNPOISON(f, size);
    p->_free[c] = f->next;
    p->kept -= size;
    return f;
}

void pool_give(struct pool *p, void *block, size_t size)
{
    unsigned c = class_of(size);
    if (!p) {
        free(block);
        return;
    }
    p->lent -= size;
    if (c >= POOL_CLASSES || p->kept + size > p->keep_max) {
        free(block);
        return;
    }
    struct pool_free *f = block;
    f->next = p->_free[c];
    p->_free[c] = f;
    p->kept += size;
    POISON((char *)block, size);
}

void pool_trim(struct pool *p, size_t keep)
{
    for (unsigned c = POOL_CLASSES; c-- > 0;) {
        size_t size = (size_t)1 << (c + POOL_MIN_SHIFT);
        while (p->_free[c] && p->kept > keep) {
            struct pool_free *f = p->_free[c];
            UNPOISON(f, size);
            p->_free[c] = f->next;
            p->kept -= size;
            free(f);
        }
    }
}

/* A new block in front; the rest of the old one is given up, which costs at most one small tail. */
static void *grow(struct arena *a, size_t n)
{
    size_t size;
    struct arena_block *b = pool_take(a->pool, n + sizeof *b, &size);
    b->size = size;
    b->next = a->_head;
    a->_head = b;
    a->_at = (char *)(b + 1) + n;
    a->_end = (char *)b + size;
    POISON(a->_at, (size_t)(a->_end - a->_at));
    return b + 1;
}

/* The block has no room for n bytes, or n is 0. */
static __attribute__((noinline)) void *alloc_slowly(struct arena *a, size_t n)
{
    must(n < SIZE_MAX / 2);
    return n == 0 && a->_at ? a->_at : grow(a, (n + ALIGN - 1) & ~(size_t)(ALIGN - 1));
}

void *arena_alloc(struct arena *a, size_t n)
{
    /* The room is whole multiples of ALIGN, so what is rounded up fits, too. */
    if (n - 1 >= (size_t)(a->_end - a->_at)) {
        return alloc_slowly(a, n);
    }
    void *p = a->_at;
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    a->_at += n;
    UNPOISON(p, n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

void arena_trim(struct arena *a, void *p, size_t n, size_t used)
{
    size_t full = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t kept = (used + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if ((char *)p + full == a->_at) {
        a->_at = (char *)p + kept;
        POISON(a->_at, full - kept);
    }
}

struct str arena_dup(struct arena *a, struct str s)
{
    return str_make(arena_dupz(a, s), s.n);
}

char *arena_dupz(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = 0;
    return p;
}

struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    must(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return str_make(p, (size_t)n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

void *arena_block_new(struct pool *p, size_t n, size_t *ret_n)
{
    size_t size;
    struct arena_block *b = pool_take(p, n + sizeof *b, &size);
    b->size = size;
    b->next = NULL;
    *ret_n = size - sizeof *b;
    return b + 1;
}

void arena_block_free(struct pool *p, void *block)
{
    if (block) {
        struct arena_block *b = (struct arena_block *)block - 1;
        pool_give(p, b, b->size);
    }
}

void arena_adopt(struct arena *a, void *block)
{
    struct arena_block *b = (struct arena_block *)block - 1;
    if (a->_head) {
        b->next = a->_head->next; /* behind the first: allocation goes on there */
        a->_head->next = b;
    } else {
        b->next = NULL;
        a->_head = b;
    }
}

void arena_rewind(struct arena *a)
{
    enum { KEPT_MAX = 4096 };
    struct arena_block *b = a->_head;
    if (!b || b->next || b->size > KEPT_MAX) {
        arena_reset(a);
        return;
    }
    a->_at = (char *)(b + 1);
    POISON(a->_at, (size_t)(a->_end - a->_at));
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->_head;
    while (b) {
        struct arena_block *next = b->next;
        UNPOISON(b, b->size);
        pool_give(a->pool, b, b->size);
        b = next;
    }
    a->_head = NULL;
    a->_at = a->_end = NULL;
}
