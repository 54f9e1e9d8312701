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

/* Makes room for `n` more bytes and returns where they go, or NULL (and sets overflow). */
char *buf_room(struct buf *b, size_t n);
void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
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
