/* The users' words. They are told apart by their folded bytes; Vectorscan finds where they end. */
#include <errno.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "policy/mask_look.h"

/* Where a folded text would stand among the sorted words. */
static size_t word_at_or_behind(const struct mask_policy *p, const char *s, size_t n)
{
    size_t low = 0, high = p->n_words;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct str w = p->words[mid].folded;
        int c = memcmp(w.p, s, w.n < n ? w.n : n);
        if (c < 0 || (c == 0 && w.n < n)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

void find_word(struct look *l, uint32_t i, size_t end)
{
    struct text *t = &l->t;
    const struct word *w = &l->policy->words[i];
    size_t n = w->folded.n;
    char folded[MASK_WORD_BYTES_MAX];
    if (end - t->lo < n || end > t->hi) {
        return;
    }
    struct str here = str_make(t->p + end - n, n);
    mask_fold(here, folded);
    if (w->exact.n ? !str_eq(here, w->exact) : memcmp(folded, w->folded.p, n) != 0) {
        return;
    }
    if (!(w->first_wordy && wordy_before(t, end - n)) && !(w->last_wordy && wordy_after(t, end))) {
        look_found(l, SOURCE_WORD, MASK_WORD, w->label, end - n, end);
    }
    look_starved(l, end - n);
}

size_t word_tail(const struct look *l, size_t from)
{
    const struct text *t = &l->t;
    const struct mask_policy *p = l->policy;
    char folded[MASK_WORD_BYTES_MAX];
    size_t n = t->hi - from < p->word_max ? t->hi - from : p->word_max;
    const char *tail = t->p + t->hi - n;
    mask_fold(str_make(tail, n), folded);
    for (size_t k = 0; k < n; k++) {
        unsigned char c = (unsigned char)folded[k];
        if (!(p->word_first[c >> 6] >> (c & 63) & 1) || (c & 0xC0) == 0x80) {
            continue;
        }
        size_t i = word_at_or_behind(p, folded + k, n - k);
        if (i < p->n_words && p->words[i].folded.n >= n - k &&
            memcmp(p->words[i].folded.p, folded + k, n - k) == 0 &&
            !(p->words[i].first_wordy && wordy_before(t, t->hi - n + k))) {
            return t->hi - n + k;
        }
    }
    return t->hi;
}

static int compare_words(const void *x, const void *y)
{
    const struct word *a = x, *b = y;
    size_t n = a->folded.n < b->folded.n ? a->folded.n : b->folded.n;
    int c = memcmp(a->folded.p, b->folded.p, n);
    return c ? c : a->folded.n < b->folded.n ? -1 : a->folded.n > b->folded.n;
}

static const char *add_word(struct mask_policy *p, struct str s, bool exact, unsigned label)
{
    if (s.n == 0) {
        return "is empty";
    }
    if (s.n > MASK_WORD_BYTES_MAX) {
        return "is longer than 128 bytes";
    }
    for (size_t i = 0, k; i < s.n; i += k) {
        k = utf8_len(s.p + i, s.n - i);
        if (k == 0 || (unsigned char)s.p[i] < ' ') {
            return "is not UTF-8 text on one line";
        }
    }
    char *folded = arena_alloc(&p->arena, s.n);
    mask_fold(s, folded);
    struct text t = {.p = s.p, .hi = s.n};
    p->words[p->n_words++] = (struct word){
        .folded = str_make(folded, s.n),
        .exact = exact ? arena_dup(&p->arena, s) : (struct str){0},
        .label = (uint16_t)label,
        .first_wordy = wordy_after(&t, 0),
        .last_wordy = wordy_before(&t, s.n),
    };
    p->word_first[(unsigned char)folded[0] >> 6] |= 1ULL << (folded[0] & 63);
    p->word_max = s.n > p->word_max ? s.n : p->word_max;
    return NULL;
}

int mask_words_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors)
{
    size_t n = 0;
    int r = 0;
    for (size_t i = 0; i < o->n_lists; i++) {
        n += o->lists[i].n;
    }
    if (o->n_lists > MASK_LISTS_MAX || n > MASK_WORDS_MAX) {
        buf_printf(errors, "more than %d words, or %d lists of them\n", MASK_WORDS_MAX,
                   MASK_LISTS_MAX);
        return -EINVAL;
    }
    p->words = arena_alloc(&p->arena, (n + 1) * sizeof *p->words);
    for (size_t i = 0; i < o->n_lists; i++) {
        const struct mask_words *list = &o->lists[i];
        for (size_t k = 0; k < list->n; k++) {
            const char *why = add_word(p, list->words[k], list->exact_case,
                                       (unsigned)(MASK_KINDS + o->n_patterns + i));
            if (why) {
                buf_printf(errors, "word list \"%.*s\": word %zu %s\n", STR_ARG(list->name), k + 1,
                           why);
                r = -EINVAL;
            }
        }
    }
    qsort(p->words, p->n_words, sizeof *p->words, compare_words);
    return r;
}

/* A word as an expression over bytes, each letter in both cases. */
char *mask_word_expression(struct arena *a, struct str folded)
{
    struct buf b = {.arena = a};
    char other[2];
    for (size_t i = 0; i < folded.n; i++) {
        const char *c = folded.p + i;
        if ((*c & 0xE0) == 0xC0 && i + 1 < folded.n && mask_fold_other(c, other)) {
            buf_printf(&b, "(?:\\x%02x\\x%02x|\\x%02x\\x%02x)", (unsigned char)c[0],
                       (unsigned char)c[1], (unsigned char)other[0], (unsigned char)other[1]);
            i++;
        } else if (is_letter((unsigned char)*c)) {
            buf_printf(&b, "[%c%c]", *c, *c & ~0x20);
        } else {
            buf_printf(&b, "\\x%02x", (unsigned char)*c);
        }
    }
    buf_addc(&b, '\0');
    return b.p;
}
