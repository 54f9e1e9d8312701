/* size [ext] CRLF data CRLF ... 0 [ext] CRLF [trailer fields] CRLF           (RFC 9112, 7.1)
 *
 *   SIZE -> (EXT) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                       \ size 0 -> TRAILER (start of line) -> TRAILER_LINE -> TRAILER_LF -> ...
 *                                      \ CR -> LAST_LF -> DONE */
#include <errno.h>

#include "http/h1.h"

enum state {
    SIZE_FIRST,
    SIZE,
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_LINE,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

enum { SIZE_LINE_MAX = 256, TRAILER_MAX = 8192 };

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c)
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

/* One byte of a size line. */
static int size_line(struct h1_chunked *c, char ch)
{
    int d = hex(ch);
    if (++c->line > SIZE_LINE_MAX) {
        return -EBADMSG;
    }
    if (c->state != EXT && d >= 0) {
        if (c->left >> 56) {
            return -EBADMSG;
        }
        c->left = c->left << 4 | (unsigned)d;
        c->state = SIZE;
    } else if (c->state != SIZE_FIRST && ch == '\r') {
        c->state = SIZE_LF;
    } else if (c->state == SIZE && ch == ';') {
        c->state = EXT;
    } else if (c->state != EXT || !is_text(ch)) {
        return -EBADMSG;
    }
    return 0;
}

/* One byte of the trailer section. */
static int trailer(struct h1_chunked *c, char ch)
{
    if (++c->line > TRAILER_MAX) {
        return -EBADMSG;
    }
    switch (c->state) {
    case TRAILER:
        if (ch == '\r') {
            c->state = LAST_LF;
            return 0;
        }
        c->state = TRAILER_NAME;
        return (unsigned char)ch > ' ' && ch != ':' && ch != 0x7f ? 0 : -EBADMSG;
    case TRAILER_NAME:
        c->state = ch == ':' ? TRAILER_LINE : TRAILER_NAME;
        return (unsigned char)ch > ' ' && ch != 0x7f ? 0 : -EBADMSG;
    case TRAILER_LINE:
        if (ch == '\r') {
            c->state = TRAILER_LF;
            return 0;
        }
        return is_text(ch) ? 0 : -EBADMSG;
    default: /* TRAILER_LF, LAST_LF */
        c->state = c->state == LAST_LF ? DONE : TRAILER;
        return ch == '\n' ? 0 : -EBADMSG;
    }
}

static int step(struct h1_chunked *c, char ch)
{
    switch (c->state) {
    case SIZE_FIRST:
    case SIZE:
    case EXT:
        return size_line(c, ch);
    case SIZE_LF:
        c->state = c->left ? DATA : TRAILER;
        c->line = 0;
        return ch == '\n' ? 0 : -EBADMSG;
    case DATA_CR:
        c->state = DATA_LF;
        return ch == '\r' ? 0 : -EBADMSG;
    case DATA_LF:
        c->state = SIZE_FIRST;
        return ch == '\n' ? 0 : -EBADMSG;
    default:
        return trailer(c, ch);
    }
}

/* The usual case, all in one read: [CR LF] size CR LF. Nothing is consumed unless all of it is
 * there and plain; whatever else goes byte by byte. */
static void fast_size_line(struct h1_chunked *c, const char **p, const char *end)
{
    const char *at = *p;
    uint64_t size = 0;
    int digits = 0, d;
    if (c->state == DATA_CR) {
        if (end - at < 2 || at[0] != '\r' || at[1] != '\n') {
            return;
        }
        at += 2;
        if (at == end) {
            *p = at;
            c->state = SIZE_FIRST;
            return;
        }
    } else if (c->state != SIZE_FIRST) {
        return;
    }
    while (digits < 8 && at < end && (d = hex(*at)) >= 0) {
        size = size << 4 | (unsigned)d;
        at++;
        digits++;
    }
    if (size && end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
        *p = at + 2;
        c->left = size;
        c->line = 0;
        c->state = DATA;
    }
}

int h1_chunked(struct h1_chunked *c, const char **p, const char *end, struct str *ret_piece)
{
    if (*p < end) {
        fast_size_line(c, p, end);
    }
    while (*p < end && c->state != DONE) {
        if (c->state == DATA) {
            size_t have = (size_t)(end - *p);
            size_t n = have < c->left ? have : (size_t)c->left;
            *ret_piece = str_make(*p, n);
            *p += n;
            c->left -= n;
            c->state = c->left ? DATA : DATA_CR;
            if (c->state == DATA_CR && end - *p >= 2 && (*p)[0] == '\r' && (*p)[1] == '\n') {
                *p += 2; /* so that a reader with all of a chunk need not ask again */
                c->state = SIZE_FIRST;
            }
            return CHUNK_DATA;
        }
        if (step(c, *(*p)++) < 0) {
            return -EBADMSG;
        }
    }
    return c->state == DONE ? CHUNK_END : CHUNK_MORE;
}
