/* One look at a text. Three finders run over it: Vectorscan for what is made of words (prefixes of secrets, the
 * users' words and patterns), a pass in wide registers for the bytes that the other detectors start from (@, colon,
 * bracket, digit), and PCRE2 for the exact place of a pattern. Detectors then read around these anchors. */
#include <errno.h>
#include <stdlib.h>

#include "json/wide.h"
#include "policy/mask_look.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* The bytes of p[0..64) that a detector starts from: of digits, the first of each run (`digit`: one stands in front). */
typedef uint64_t anchors(const char *p, bool digit);

/* `digits` and what else counts, without digits behind digits. */
static inline uint64_t first_ones(uint64_t digits, uint64_t others, bool digit)
{
    return others | (digits & ~(digits << 1 | digit));
}

static uint64_t anchors_plain(const char *p, bool digit)
{
    uint64_t digits = 0, others = 0;
    for (unsigned i = 0; i < WIDE_BLOCK; i++) {
        digits |= (uint64_t)is_digit((unsigned char)p[i]) << i;
        others |= (uint64_t)(p[i] == ':' || p[i] == '@' || p[i] == '[') << i;
    }
    return first_ones(digits, others, digit);
}

#ifdef __x86_64__
static uint64_t anchors_sse2(const char *p, bool digit)
{
    uint64_t digits = 0, others = 0;
    for (unsigned i = 0; i < WIDE_BLOCK; i += 16) {
        __m128i x = _mm_loadu_si128((const void *)(p + i));
        __m128i d = _mm_sub_epi8(x, _mm_set1_epi8('0'));
        __m128i m = _mm_cmpeq_epi8(x, _mm_set1_epi8(':'));
        d = _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(9)), d);
        m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('@')));
        m = _mm_or_si128(m, _mm_cmpeq_epi8(x, _mm_set1_epi8('[')));
        digits |= (uint64_t)(uint32_t)_mm_movemask_epi8(d) << i;
        others |= (uint64_t)(uint32_t)_mm_movemask_epi8(m) << i;
    }
    return first_ones(digits, others, digit);
}

__attribute__((target("avx2"))) static uint64_t anchors_avx2(const char *p, bool digit)
{
    uint64_t digits = 0, others = 0;
    for (unsigned i = 0; i < WIDE_BLOCK; i += 32) {
        __m256i x = _mm256_loadu_si256((const void *)(p + i));
        __m256i d = _mm256_sub_epi8(x, _mm256_set1_epi8('0'));
        __m256i m = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(':'));
        d = _mm256_cmpeq_epi8(_mm256_min_epu8(d, _mm256_set1_epi8(9)), d);
        m = _mm256_or_si256(m, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('@')));
        m = _mm256_or_si256(m, _mm256_cmpeq_epi8(x, _mm256_set1_epi8('[')));
        digits |= (uint64_t)(uint32_t)_mm256_movemask_epi8(d) << i;
        others |= (uint64_t)(uint32_t)_mm256_movemask_epi8(m) << i;
    }
    return first_ones(digits, others, digit);
}
#endif

static anchors *anchor_finder(void)
{
#ifdef __x86_64__
    return wide.level == WIDE_AVX2   ? anchors_avx2
           : wide.level == WIDE_SSE2 ? anchors_sse2
                                     : anchors_plain;
#else
    return anchors_plain;
#endif
}

bool scratch_room(struct mask_scratch *s, void **p, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap) {
        return true;
    }
    if (n > MASK_TEXT_MAX + (size_t)4096) {
        s->full = true;
        return false;
    }
    size_t want = *cap ? *cap : 256;
    while (want < n) {
        want *= 2;
    }
    *p = mem_realloc(*p, want * size);
    *cap = want;
    return true;
}

void scratch_shrink(void **p, size_t *cap, size_t size)
{
    enum { KEEP = 1 << 20, LEAST = 256 };
    if (*cap * size > KEEP) {
        free(*p);
        *p = mem_realloc(NULL, LEAST * size);
        *cap = LEAST;
    }
}

void look_found(struct look *l, enum source source, enum mask_kind kind, unsigned label,
                size_t from, size_t to)
{
    struct mask_scratch *s = l->scratch;
    if (!SCRATCH_ROOM(s, matches, s->n_matches + 1)) {
        return;
    }
    l->resume[source] = to;
    s->matches[s->n_matches++] = (struct match){.from = from,
                                                .to = to,
                                                .label = (uint16_t)label,
                                                .kind = (uint8_t)kind,
                                                .source = (uint8_t)source};
}

struct hit_run {
    struct mask_scratch *s;
    size_t base;
};

static int on_hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                  void *context)
{
    struct hit_run *run = context;
    struct mask_scratch *s = run->s;
    (void)from;
    (void)flags;
    if (!SCRATCH_ROOM(s, hits, s->n_hits + 1)) {
        return 1;
    }
    s->hits[s->n_hits++] = (struct hit){id, run->base + (size_t)to};
    return 0;
}

int mask_hits(struct mask_scratch *s, const hs_database_t *db, const char *p, size_t base, size_t n)
{
    s->n_hits = 0;
    if (!db || n == 0) {
        return 0;
    }
    struct hit_run run = {s, base};
    hs_error_t r = hs.scan(db, p + base, (unsigned)n, 0, s->hs, on_hit, &run);
    switch (r) {
    case HS_SUCCESS:
        return 0;
    case HS_SCAN_TERMINATED:
        return -E2BIG;
    case HS_NOMEM:
        return -ENOMEM;
    default:
        return -EBADMSG;
    }
}

void find_token(struct look *l, size_t i)
{
    size_t n;
    unsigned label;
    uint64_t number;
    struct text *t = &l->t;
    int r = mask_token_read(l->policy, t->p + i, t->hi - i, &n, &label, &number);
    if (r > 0) {
        /* It would be taken for one of ours in the answer: so it becomes one, with itself as the value. */
        look_found(l, SOURCE_TOKEN, MASK_KINDS, label, i, i + n);
    } else if (r < 0 && t->more) {
        t->starved = true;
        look_starved(l, i);
    }
}

static void at_colon(struct look *l, size_t i)
{
    /* two colons within five bytes, or it is no IPv6: a look at what is cheap to see */
    struct text *t = &l->t;
    for (size_t k = 1; k <= 5; k++) {
        if (text_at(t, i + k) == ':') {
            t->starved = false;
            find_ip6(l, i);
            return;
        }
    }
    size_t from = i;
    while (i - from < 4 && is_hex(text_back(t, from, 1))) {
        from--;
    }
    look_starved(l, from);
}

static void at_anchor(struct look *l, size_t i)
{
    const struct mask_policy *p = l->policy;
    char c = l->t.p[i];
    if (c == '@') {
        if (p->action[MASK_EMAIL] && i >= l->resume[SOURCE_EMAIL]) {
            find_email(l, i);
        }
    } else if (c == ':') {
        if (p->action[MASK_IP] && i >= l->resume[SOURCE_IP6]) {
            at_colon(l, i);
        }
    } else if (c == '[') {
        if (p->tokens && i >= l->resume[SOURCE_TOKEN]) {
            find_token(l, i);
        }
    } else if (p->numbers && i >= l->resume[SOURCE_NUMBER]) {
        find_number(l, i);
    }
}

static void find_anchors(struct look *l, size_t from)
{
    anchors *find = anchor_finder();
    const struct text *t = &l->t;
    bool digit = from > t->lo && is_digit((unsigned char)t->p[from - 1]);
    for (size_t i = from; i < t->hi; i += WIDE_BLOCK) {
        uint64_t bits = find(t->p + i, digit); /* there is room behind the text */
        if (t->hi - i < WIDE_BLOCK) {
            bits &= (1ULL << (t->hi - i)) - 1;
        }
        for (; bits; bits &= bits - 1) {
            at_anchor(l, i + (size_t)__builtin_ctzll(bits));
        }
        digit = is_digit((unsigned char)t->p[i + WIDE_BLOCK - 1]);
    }
}

/* What may begin at the very end, with no anchor in it yet: letters in front of a number, a plus sign, an opening
 * parenthesis, the first group of an IPv6 address. */
static size_t number_tail(const struct look *l, size_t from)
{
    const struct text *t = &l->t;
    size_t s = t->hi, i = t->hi;
    while (i > from && t->hi - i < 2 && (t->p[i - 1] == '+' || t->p[i - 1] == '(')) {
        s = --i;
    }
    for (i = t->hi; i > from && t->hi - i < 3 && is_letter((unsigned char)t->p[i - 1]);) {
        i--;
    }
    s = t->hi - i <= 2 && i < s && !is_alnum(text_back(t, i, 1)) ? i : s;
    for (i = t->hi; i > from && t->hi - i < 5 && is_hex((unsigned char)t->p[i - 1]);) {
        i--;
    }
    return t->hi - i <= 4 && i < s && !is_alnum(text_back(t, i, 1)) ? i : s;
}

static void look_tail(struct look *l, size_t from)
{
    const struct mask_policy *p = l->policy;
    size_t hold = l->hold, s;
    if (p->action[MASK_EMAIL]) {
        s = email_tail(l);
        hold = s < hold ? s : hold;
    }
    if (p->numbers) {
        s = number_tail(l, from);
        hold = s < hold ? s : hold;
    }
    if (p->action[MASK_SECRET]) {
        s = secret_tail(l, from);
        hold = s < hold ? s : hold;
    }
    if (p->n_words) {
        s = word_tail(l, from);
        hold = s < hold ? s : hold;
    }
    l->hold = hold > from ? hold : from;
}

/* By place; the longer of two first; then by rank. */
static bool comes_first(const struct match *a, const struct match *b)
{
    if (a->from != b->from) {
        return a->from < b->from;
    }
    return a->to != b->to ? a->to > b->to : a->source < b->source;
}

static int compare_matches(const void *x, const void *y)
{
    const struct match *a = x, *b = y;
    return comes_first(a, b) ? -1 : comes_first(b, a) ? 1 : 0;
}

static void sort_matches(struct match *m, size_t n)
{
    if (n > 32) {
        qsort(m, n, sizeof *m, compare_matches);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct match one = m[i];
        size_t k = i;
        for (; k && comes_first(&one, &m[k - 1]); k--) {
            m[k] = m[k - 1];
        }
        m[k] = one;
    }
}

int mask_find(struct look *l, size_t from, const struct hit *hits, size_t n_hits)
{
    const struct mask_policy *p = l->policy;
    struct mask_scratch *s = l->scratch;
    uint32_t secrets = p->action[MASK_SECRET] ? (uint32_t)secret_rows() : 0;
    size_t first = s->n_matches;
    int r = 0;
    l->hold = l->t.hi;
    l->t.starved = false;
    find_anchors(l, from);
    for (size_t i = 0; i < n_hits; i++) {
        if (hits[i].id < secrets) {
            find_secret(l, hits[i].id, hits[i].end);
        } else if (hits[i].id < secrets + p->n_words) {
            find_word(l, hits[i].id - secrets, hits[i].end);
        }
    }
    if (p->n_patterns) {
        r = find_patterns(l, from, hits, n_hits);
    }
    if (l->t.more) {
        look_tail(l, from);
    }
    sort_matches(s->matches + first, s->n_matches - first);
    return r < 0 ? r : s->full ? -E2BIG : 0;
}
