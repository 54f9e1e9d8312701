/* Text that grows: a buffer with a limit given at init, checked in one place. What does not fit is
 * not added, and `overflow` stays set, so that a printer may add a hundred pieces and check once.
 *
 * With an arena the memory is the arena's; without one it is malloc's and buf_free() returns it. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap;
    size_t limit; /* bytes; 0 means 64 MiB */
    struct arena *arena;
    bool overflow;
};

/* buf_room() and buf_add() where there is no room, or a text whose length only the caller's data tells. */
char *buf_grow(struct buf *b, size_t n);
void buf_add_slice(struct buf *b, struct str s);

/* Makes room for `n` more bytes and returns where they go, or NULL (and sets overflow). */
static inline __attribute__((always_inline)) char *buf_room(struct buf *b, size_t n)
{
    /* A buffer that stands on foreign memory has a text and no capacity. */
    if (__builtin_expect(b->n > b->cap || n > b->cap - b->n || b->overflow, 0)) {
        return buf_grow(b, n);
    }
    char *at = b->p + b->n;
    b->n += n;
    return at;
}

static inline __attribute__((always_inline)) void buf_add(struct buf *b, struct str s)
{
    /* Printers add literals more than anything else: those are a few stores, and no call. */
    if (__builtin_constant_p(s.n)) {
        char *at = s.n ? buf_room(b, s.n) : NULL;
        if (at) {
            memcpy(at, s.p, s.n);
        }
    } else {
        buf_add_slice(b, s);
    }
}

static inline void buf_addc(struct buf *b, char c)
{
    buf_add(b, str_make(&c, 1));
}

void buf_addz(struct buf *b, const char *z);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_i64(struct buf *b, int64_t v);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *fmt, ...);
__attribute__((format(printf, 2, 0))) void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Adds `s` as the inside of a JSON string (RFC 8259, 7): quotes, backslashes and control characters
 * escaped, bytes that are not UTF-8 replaced by U+FFFD. No quotes around it. */
void buf_add_json(struct buf *b, struct str s);

static inline struct str buf_str(const struct buf *b)
{
    return str_make(b->p, b->n);
}

void buf_free(struct buf *b);

/* Decimal digits of v at `to` (at most 20 bytes, no NUL); returns how many. */
size_t u64_print(char *to, uint64_t v);

#endif
