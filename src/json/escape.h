/* Below json/scan.h: what an escape in a string looks like. */
#ifndef JSON_ESCAPE_H
#define JSON_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

/* What may follow a backslash, and what \u takes four of. */
enum { ESCAPE_SIMPLE = 1, ESCAPE_HEX = 2 };
static const uint8_t escape_classes[256] = {
    ['"'] = ESCAPE_SIMPLE,
    ['\\'] = ESCAPE_SIMPLE,
    ['/'] = ESCAPE_SIMPLE,
    ['n'] = ESCAPE_SIMPLE,
    ['r'] = ESCAPE_SIMPLE,
    ['t'] = ESCAPE_SIMPLE,
    ['b'] = ESCAPE_SIMPLE | ESCAPE_HEX,
    ['f'] = ESCAPE_SIMPLE | ESCAPE_HEX,
    ['0' ... '9'] = ESCAPE_HEX,
    ['A' ... 'F'] = ESCAPE_HEX,
    ['a'] = ESCAPE_HEX,
    ['c' ... 'e'] = ESCAPE_HEX,
};

static inline unsigned escape_class(char c)
{
    return escape_classes[(unsigned char)c];
}

/* The length of the escape at `p`, 0 when it is none. */
static inline size_t escape_len(const char *p, const char *end)
{
    if (end - p > 1 && escape_class(p[1]) & ESCAPE_SIMPLE) {
        return 2;
    }
    if (end - p > 5 && p[1] == 'u' &&
        escape_class(p[2]) & escape_class(p[3]) & escape_class(p[4]) & escape_class(p[5]) &
            ESCAPE_HEX) {
        return 6;
    }
    return 0;
}

#endif
