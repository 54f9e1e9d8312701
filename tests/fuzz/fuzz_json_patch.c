/* JSON Patch, merge patch, JSON Pointer, diff and merge: the first line is a document, the second a
 * patch, the third another document. What a diff says must make the one of the other. */
#include "base/must.h"
#include "conflict/diff.h"
#include "json/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void patch_it(struct arena *a, const struct json *doc, const struct json *patch)
{
    struct json_patch_error e = {0};
    struct json *result = NULL, *before = json_clone(a, doc);
    int r = json_patch(a, doc, patch, &result, &e);
    must(json_equal(before, doc));
    must((r == 0) == (result != NULL));
    must(r == 0 || e.message.n);
    struct json *merged = json_merge_patch(a, doc, patch);
    must(json_equal(json_merge_patch(a, merged, patch), merged)); /* it is idempotent */
}

static void diff_it(struct arena *a, const struct json *from, const struct json *to)
{
    struct json_patch_error e = {0};
    struct json *made = NULL;
    must(json_patch(a, from, diff_patch(a, from, to), &made, &e) == 0);
    must(json_equal(made, to));
    struct merge m;
    merge3(a, from, from, to, NULL, &m);
    must(m.n_conflicts == 0 && json_equal(m.merged, to));
    merge3(a, from, to, from, NULL, &m);
    must(m.n_conflicts == 0 && json_equal(m.merged, to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = {0};
    struct str rest = str_make((const char *)data, n), lines[3] = {{0}};
    struct json *trees[3];
    size_t k = 0;
    while (k < 2 && str_cut(&rest, '\n', &lines[k])) {
        k++;
    }
    lines[k] = k == 2 ? rest : lines[k];
    if (k == 2 && n < 4096 && json_parse(&a, lines[0], &trees[0], NULL) == 0 &&
        json_parse(&a, lines[1], &trees[1], NULL) == 0 &&
        json_parse(&a, lines[2], &trees[2], NULL) == 0) {
        patch_it(&a, trees[0], trees[1]);
        if (trees[0]->type == JSON_OBJECT && trees[2]->type == JSON_OBJECT) {
            diff_it(&a, trees[0], trees[2]);
        }
    }
    arena_reset(&a);
    return 0;
}
