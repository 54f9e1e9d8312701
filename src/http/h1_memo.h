/* Below http/h1.h: field lines that stand there as they did in the head before. What they mean is known then,
 * and the parser takes it over (struct h1_memo). */
#ifndef HTTP_H1_MEMO_H
#define HTTP_H1_MEMO_H

#include "base/same.h"
#include "http/h1.h"

/* The field, its offsets moved by `by` (modulo 2^32, so that it may be backwards). */
static inline struct h1_field moved(const struct h1_field *f, uint32_t by)
{
    struct h1_field m = *f;
    m.name += by;
    m.value += by;
    m.end += by;
    return m;
}

/* Takes the lines at `p` over, up to the first that is not the last head's; returns how many they are. They need
 * no further checks: that head was good. */
static inline uint32_t memo_front(struct h1_head *h, const char *p, const char *end)
{
    const struct h1_memo *memo = h->memo;
    uint32_t by = (uint32_t)(p - h->base), n = 0;
    size_t have = (size_t)(end - p);
    for (; n < memo->n_fields; n++) {
        const struct h1_field *was = &memo->fields[n];
        if (was->end > have ||
            !same_bytes(memo->bytes + was->name, p + was->name, was->end - was->name)) {
            break;
        }
        h->fields[n] = moved(was, by);
        if (was->id && !h->at[was->id]) {
            h->at[was->id] = (uint16_t)(n + 1);
        }
    }
    return n;
}

/* The line at `p` as field number `i` of the last head: behind it, or NULL when it is another line. */
static inline const char *memo_line(const struct h1_memo *memo, uint32_t i, const char *base,
                                    const char *p, const char *end, struct h1_field *f)
{
    if (!memo || i >= memo->n_fields) {
        return NULL;
    }
    const struct h1_field *was = &memo->fields[i];
    size_t n = was->end - was->name;
    if ((size_t)(end - p) < n || !same_bytes(memo->bytes + was->name, p, n)) {
        return NULL;
    }
    *f = moved(was, (uint32_t)(p - base) - was->name);
    return p + n;
}

/* Keeps the lines of a head for the next one; those of a very long head are not worth it. */
static inline void memo_keep(const struct h1_head *h)
{
    struct h1_memo *memo = h->memo;
    if (h->n_fields == 0 || h->n_fields > H1_MEMO_FIELDS) {
        return;
    }
    uint32_t from = h->fields[0].name, n = h->fields[h->n_fields - 1].end - from;
    if (n > H1_MEMO_BYTES) {
        return;
    }
    memcpy(memo->bytes, h->base + from, n);
    for (uint32_t i = 0; i < h->n_fields; i++) {
        memo->fields[i] = moved(&h->fields[i], 0 - from);
    }
    memo->n_fields = h->n_fields;
}

#endif
