/* However the bytes are cut, the skimmer comes to the same result; and what it finds in a valid
 * document is what the scanner finds. The first byte seeds the cuts. */
#include <stdlib.h>

#include "base/must.h"
#include "json/scan.h"
#include "json/skim.h"
#include "json/wide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str name = {"usage", 5};

static void skim_in_pieces(struct json_skim *s, struct str doc, uint32_t seed)
{
    while (doc.n > 0) {
        seed = seed * 1664525 + 1013904223;
        size_t n = (seed >> 28) < 8 ? 1 + (seed >> 8) % 4 : (seed >> 8) % 200;
        struct str piece = str_first(doc, n);
        char *own = malloc(piece.n ? piece.n : 1); /* shows reads outside of the piece */
        must(own);
        memcpy(own, piece.p, piece.n);
        json_skim(s, str_make(own, piece.n));
        free(own);
        doc = str_from(doc, n);
    }
}

static void same(const struct json_skim *a, const struct json_skim *b)
{
    must(a->found == b->found && a->too_long == b->too_long && a->done == b->done);
    must(a->n <= JSON_SKIM_KEEP);
    must(!a->found || (a->n == b->n && memcmp(a->keep, b->keep, a->n) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct str doc = str_make((const char *)data + 1, size - 1);
    struct json_skim whole = {.name = name};
    json_skim(&whole, doc);
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        if (wide_choose(level)) {
            struct json_skim pieces = {.name = name};
            skim_in_pieces(&pieces, doc, data[0] * 2654435761U + level);
            same(&whole, &pieces);
        }
    }

    struct json_want want = {.name = name};
    enum json_type top;
    if (json_scan(doc, &want, 1, &top, NULL) == 0 && top == JSON_OBJECT && !want.escaped) {
        must(whole.done);
        must(whole.found == (want.type != JSON_NONE && want.value.n <= JSON_SKIM_KEEP));
        must(whole.too_long == (want.type != JSON_NONE && want.value.n > JSON_SKIM_KEEP));
        must(!whole.found || str_eq(str_make(whole.keep, whole.n), want.value));
        struct json_skim from_end = {.name = name};
        json_skim_whole(&from_end, doc);
        if (from_end.from_value.n) {
            must(want.type == JSON_OBJECT && from_end.found && from_end.done);
            must(from_end.from_value.p == want.value.p);
        } else {
            same(&whole, &from_end);
        }
    } else {
        struct json_skim from_end = {.name = name};
        json_skim_whole(&from_end, doc); /* whatever it finds, within bounds */
    }
    return 0;
}
