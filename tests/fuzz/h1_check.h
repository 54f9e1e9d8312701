/* What holds for every head that was accepted, request or answer. */
#ifndef FUZZ_H1_CHECK_H
#define FUZZ_H1_CHECK_H

#include <stdlib.h>

#include "base/must.h"
#include "http/h1.h"

/* Memory that ends where the bytes end, to show reads beyond. The caller frees it. */
static char *own_copy(const uint8_t *data, size_t n)
{
    char *own = malloc(n ? n : 1);
    must(own);
    if (n) {
        memcpy(own, data, n);
    }
    return own;
}

static void check_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        must(((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f) || s.p[i] == '\t');
    }
    must(s.n == 0 || (s.p[0] != ' ' && s.p[0] != '\t'));
    must(s.n == 0 || (s.p[s.n - 1] != ' ' && s.p[s.n - 1] != '\t'));
}

static void check_name(struct str s)
{
    must(s.n > 0);
    for (size_t i = 0; i < s.n; i++) {
        must(s.p[i] > 0x20 && s.p[i] < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", s.p[i]));
    }
}

/* Lines follow one another up to the empty one, and are known by the right number. */
static void check_fields(const struct h1_head *h)
{
    uint32_t seen[H_COUNT] = {0};
    must(h->n_fields <= H1_FIELDS_MAX);
    for (uint32_t i = 0; i < h->n_fields; i++) {
        const struct h1_field *f = &h->fields[i];
        must(i == 0 || f->name == h->fields[i - 1].end);
        must(f->value >= f->name + f->name_n + 1 && f->value + f->value_n + 2 <= f->end);
        must(f->end <= h->n - 2 && memcmp(h->base + f->end - 2, "\r\n", 2) == 0);
        check_name(h1_name(h, f));
        check_text(h1_value(h, f));
        must(f->id == header_id(h1_name(h, f)));
        must(f->id == H_OTHER || str_ieq(h1_name(h, f), header_name[f->id]));
        if (seen[f->id]++ == 0 && f->id) {
            must(h->at[f->id] == i + 1);
        }
    }
    must(h->n_fields == 0 || h->fields[h->n_fields - 1].end == h->n - 2);
    must(memcmp(h->base + h->n - 2, "\r\n", 2) == 0);
    for (unsigned id = 1; id < H_COUNT; id++) {
        must((seen[id] > 0) == (h->at[id] > 0));
    }
    must(seen[H_HOST] <= 1 && seen[H_CONTENT_LENGTH] <= 1 && seen[H_TRANSFER_ENCODING] <= 1);
    must(!seen[H_CONTENT_LENGTH] || !seen[H_TRANSFER_ENCODING]);
    must(h->upgrade == h1_has_token(h, H_CONNECTION, STR("upgrade")));
    must(!h->keep_alive || !h1_has_token(h, H_CONNECTION, STR("close")));
}

/* Both parses saw the same. */
static void check_same(const struct h1_head *a, const struct h1_head *b)
{
    must(a->n == b->n && a->n_fields == b->n_fields && a->body == b->body);
    must(a->length == b->length && a->keep_alive == b->keep_alive);
    must(a->status == b->status && a->minor == b->minor && a->upgrade == b->upgrade);
    must(a->nominates == b->nominates && a->expect_continue == b->expect_continue);
    must(a->method == b->method && a->method_at == b->method_at && a->method_n == b->method_n);
    must(a->target == b->target && a->target_n == b->target_n && a->path == b->path);
    must(a->path_n == b->path_n && a->query == b->query && a->query_n == b->query_n);
    must(memcmp(a->at, b->at, sizeof a->at) == 0);
    for (uint32_t i = 0; i < a->n_fields; i++) {
        must(memcmp(&a->fields[i], &b->fields[i], sizeof a->fields[i]) == 0);
    }
}

/* Which parts of `n` bytes are tried: all of a short text, some of a long one. */
static size_t next_part(size_t part, size_t n)
{
    return part + 1 + (n > 600 ? part * 7 % (n / 100) : 0);
}

#endif
