/* The chunked coding: any split gives the same content and the same end, and content that is coded again
 * comes out the same. The first byte seeds the cuts. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct buf content;
    size_t used;
    int last;
};

static bool feed(struct h1_chunked *c, struct result *r, const char *p, size_t n)
{
    char *own = malloc(n);
    must(own);
    memcpy(own, p, n);
    const char *at = own, *end = own + n;
    do {
        struct str piece = {0};
        const char *before = at;
        r->last = h1_chunked(c, &at, end, &piece);
        r->used += (size_t)(at - before);
        must(at >= before && at <= end);
        must((r->last == CHUNK_DATA) == (piece.n > 0));
        must(piece.n == 0 || (piece.p >= before && piece.p + piece.n <= at));
        buf_add(&r->content, piece);
    } while (r->last == CHUNK_DATA);
    must(r->last != CHUNK_MORE || at == end);
    free(own);
    return r->last == CHUNK_MORE;
}

static void decode(struct result *r, struct str text, uint32_t seed)
{
    struct h1_chunked c = {0};
    bool more = true;
    while (text.n && more) {
        seed = seed * 1664525 + 1013904223;
        size_t n = (seed >> 28) < 10 ? 1 + (seed >> 8) % 3 : 1 + (seed >> 8) % 300;
        struct str piece = str_first(text, n);
        more = feed(&c, r, piece.p, piece.n);
        text = str_from(text, n);
    }
}

static void code_again(struct str content, uint32_t seed)
{
    struct buf coded = {0};
    struct result r = {0};
    for (struct str rest = content; rest.n;) {
        seed = seed * 1664525 + 1013904223;
        struct str piece = str_first(rest, 1 + (seed >> 8) % 40);
        buf_printf(&coded, seed >> 31 ? "%zx\r\n" : "0%zX;e=\"f\"\r\n", piece.n);
        buf_add(&coded, piece);
        buf_add(&coded, STR("\r\n"));
        rest = str_from(rest, piece.n);
    }
    buf_add(&coded, STR("0\r\n\r\n"));
    decode(&r, buf_str(&coded), seed);
    must(r.last == CHUNK_END && r.used == coded.n && str_eq(buf_str(&r.content), content));
    buf_free(&coded);
    buf_free(&r.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result whole = {0}, pieces = {0};
    struct h1_chunked c = {0};
    if (size < 2) {
        return 0;
    }
    struct str text = str_make((const char *)data + 1, size - 1);
    feed(&c, &whole, text.p, text.n);
    decode(&pieces, text, data[0] * 2654435761U);
    must(whole.last == pieces.last);
    must(whole.last < 0 ||
         whole.used == pieces.used); /* how far into a fault one sees may differ */
    must(str_eq(buf_str(&whole.content), buf_str(&pieces.content)));
    code_again(text, data[0]);
    buf_free(&whole.content);
    buf_free(&pieces.content);
    return 0;
}
