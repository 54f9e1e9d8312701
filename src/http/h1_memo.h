/* Below http/h1.h: what of a head stands there as it did in the last one. What that means is known then, and is in
 * the caller's struct h1_head still. */
#ifndef HTTP_H1_MEMO_H
#define HTTP_H1_MEMO_H

#include "base/same.h"
#include "http/h1.h"

/* So much of the head at hand is the last one's, byte for byte. */
struct h1_known {
    bool all;       /* to the end of the empty line */
    bool first;     /* the request line or status line */
    uint32_t lines; /* of fields, behind the first line */
};

/* What is known of the head at p. */
static inline struct h1_known memo_known(const struct h1_head *h, const char *p, size_t n)
{
    struct h1_memo *memo = h->memo;
    struct h1_known k = {0};
    if (!memo || memo->n == 0 || n < SAME_FRONT_MIN) {
        return k;
    }
    size_t same = same_front(memo->bytes, p, n < memo->n ? n : memo->n);
    k.all = same == memo->n;
    k.first = same >= h->fields[0].name;
    while (k.lines < memo->n_fields && h->fields[k.lines].end <= same) {
        k.lines++;
    }
    return k;
}

/* There is no last head while another one is parsed; only its lines serve still, if its fields are there. */
static inline void memo_forget(const struct h1_head *h)
{
    struct h1_memo *memo = h->memo;
    if (memo) {
        memo->n_fields = memo->n ? memo->n_fields : 0;
        memo->n = 0;
    }
}

/* Forgets the lines behind the first `lines`, which are looked at anew; their fields stay for memo_line(). */
static inline void memo_take(struct h1_head *h, uint32_t lines)
{
    for (uint32_t i = lines; i < h->memo->n_fields; i++) {
        uint16_t *at = &h->at[h->fields[i].id];
        *at = *at == i + 1 ? 0 : *at;
    }
}

/* The line at `p` as field number `i` of the last head, which `f` is: behind it, or NULL when it is another line. */
static inline const char *memo_line(const struct h1_memo *memo, uint32_t i, const char *base,
                                    const char *p, const char *end, struct h1_field *f)
{
    if (!memo || i >= memo->n_fields) { /* `f` is none of its */
        return NULL;
    }
    size_t n = f->end - f->name;
    if ((size_t)(end - p) < n || !same_bytes(memo->bytes + f->name, p, n)) {
        return NULL;
    }
    uint32_t by = (uint32_t)(p - base) - f->name; /* modulo 2^32, so that it may be backwards */
    f->name += by;
    f->value += by;
    f->end += by;
    return p + n;
}

/* Keeps a head for the next one; a very long one is not worth it. */
static inline void memo_keep(const struct h1_head *h)
{
    struct h1_memo *memo = h->memo;
    if (!memo || h->n > H1_MEMO_BYTES || h->n < SAME_FRONT_MIN || h->n_fields == 0) {
        return;
    }
    memcpy(memo->bytes, h->base, h->n);
    memo->n = h->n;
    memo->n_fields = h->n_fields;
    memo->body = h->body;
    memo->keep_alive = h->keep_alive;
}

#endif
