/* Every loop here exists up to three times, for the machine at hand and for the tests that hold the
 * variants against each other. `start` is how far back a last, short block may be read. */
#include "json/wide.h"

#include "base/utf8.h"
#include "json/quote.h"

enum kind { TEXT, QUOTES, ODD };

/* Plain C: for machines without the registers below, and the yardstick of the tests. */

static inline bool is_marked(unsigned char c, enum kind k)
{
    return (c == '"' && k != ODD) || c == '\\' || (k != QUOTES && (c < 0x20 || c > 0x7F));
}

static inline struct window find_plain(const char *p, const char *end, enum kind k)
{
    while (p < end && !is_marked((unsigned char)*p, k)) {
        p++;
    }
    uint64_t bits = 0;
    for (size_t i = 0; i < WIDE_BLOCK && i < (size_t)(end - p); i++) {
        bits |= (uint64_t)is_marked((unsigned char)p[i], k) << i;
    }
    return (struct window){p, bits};
}

static struct window text_plain(const char *p, const char *start, const char *end)
{
    (void)start;
    return find_plain(p, end, TEXT);
}

static struct window quotes_plain(const char *p, const char *start, const char *end)
{
    (void)start;
    return find_plain(p, end, QUOTES);
}

static struct window odd_plain(const char *p, const char *start, const char *end)
{
    (void)start;
    return find_plain(p, end, ODD);
}

static const char *utf8_plain(const char *p, const char *end)
{
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == '"' || c == '\\') {
            return p;
        }
        size_t n = utf8_len(p, (size_t)(end - p));
        if (n == 0) {
            return NULL;
        }
        p += n;
    }
    return end;
}

#ifdef __x86_64__
#define INLINE static inline __attribute__((always_inline))
#define AVX2   __attribute__((target("avx2,pclmul,bmi,bmi2")))

/* Where to read the last block of a text, which is shorter than 64 bytes: a long text's last 64
 * bytes hold it (the bits of what is in front of `p` are then shifted out), a short text is copied.
 * 'x' is marked by nobody. */
INLINE const char *last_block(const char *p, const char *start, const char *end, char *copy,
                              unsigned *ret_shift)
{
    size_t n = (size_t)(end - p);
    if (end - start >= WIDE_BLOCK) {
        *ret_shift = (unsigned)(WIDE_BLOCK - n);
        return end - WIDE_BLOCK;
    }
    memset(copy, 'x', WIDE_BLOCK);
    memcpy(copy, p, n);
    *ret_shift = 0;
    return copy;
}

/* SSE2: every x86-64 has it. */

INLINE __m128i hits_sse2(const char *p, enum kind k)
{
    __m128i x = _mm_loadu_si128((const void *)p);
    __m128i hit = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    if (k != ODD) {
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    }
    if (k != QUOTES) { /* signed: bytes above 0x7F are negative */
        hit = _mm_or_si128(hit, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)));
    }
    return hit;
}

INLINE uint64_t block_sse2(const char *p, enum kind k)
{
    uint64_t a = (uint32_t)_mm_movemask_epi8(hits_sse2(p, k));
    uint64_t b = (uint32_t)_mm_movemask_epi8(hits_sse2(p + 16, k));
    uint64_t c = (uint32_t)_mm_movemask_epi8(hits_sse2(p + 32, k));
    uint64_t d = (uint32_t)_mm_movemask_epi8(hits_sse2(p + 48, k));
    return a | b << 16 | c << 32 | d << 48;
}

/* Not inlined: the copy's room on the stack would burden every call. */
static __attribute__((noinline)) struct window last_sse2(const char *p, const char *start,
                                                         const char *end, enum kind k)
{
    if (p == end) {
        return (struct window){end, 0};
    }
    char copy[WIDE_BLOCK];
    unsigned shift;
    const char *last = last_block(p, start, end, copy, &shift);
    uint64_t bits = (k == TEXT     ? block_sse2(last, TEXT)
                     : k == QUOTES ? block_sse2(last, QUOTES)
                                   : block_sse2(last, ODD)) >>
                    shift;
    return bits ? (struct window){p, bits} : (struct window){end, 0};
}

INLINE struct window find_sse2(const char *p, const char *start, const char *end, enum kind k)
{
    for (; end - p >= WIDE_BLOCK; p += WIDE_BLOCK) {
        uint64_t bits = block_sse2(p, k);
        if (bits) {
            return (struct window){p, bits};
        }
    }
    return last_sse2(p, start, end, k);
}

static struct window text_sse2(const char *p, const char *start, const char *end)
{
    return find_sse2(p, start, end, TEXT);
}

static struct window quotes_sse2(const char *p, const char *start, const char *end)
{
    return find_sse2(p, start, end, QUOTES);
}

static struct window odd_sse2(const char *p, const char *start, const char *end)
{
    return find_sse2(p, start, end, ODD);
}

/* AVX2. */

/* The upper bit of each marked byte of p[0..32). */
INLINE AVX2 __m256i hits_avx2(const char *p, enum kind k)
{
    __m256i x = _mm256_loadu_si256((const void *)p);
    return k == TEXT ? quote_stops_avx2(x) : k == QUOTES ? quote_marks_avx2(x) : quote_odd_avx2(x);
}

INLINE AVX2 uint64_t bits_avx2(__m256i low, __m256i high)
{
    uint64_t upper = (uint32_t)_mm256_movemask_epi8(high);
    return (uint32_t)_mm256_movemask_epi8(low) | upper << 32;
}

/* The first block is looked at by itself, because among short strings the search ends there; what
 * goes on is a long text, and goes by two blocks at a time. */
INLINE AVX2 struct window find_avx2(const char *p, const char *start, const char *end, enum kind k)
{
    if (end - p >= WIDE_BLOCK) {
        uint64_t bits = bits_avx2(hits_avx2(p, k), hits_avx2(p + 32, k));
        if (bits) {
            return (struct window){p, bits};
        }
        p += WIDE_BLOCK;
    }
    for (; end - p >= 2 * WIDE_BLOCK; p += 2 * WIDE_BLOCK) {
        __m256i a = hits_avx2(p, k), b = hits_avx2(p + 32, k);
        __m256i c = hits_avx2(p + 64, k), d = hits_avx2(p + 96, k);
        __m256i any = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
        if (_mm256_movemask_epi8(any)) {
            uint64_t bits = bits_avx2(a, b);
            if (bits) {
                return (struct window){p, bits};
            }
            return (struct window){p + WIDE_BLOCK, bits_avx2(c, d)};
        }
    }
    if (end - p >= WIDE_BLOCK) {
        uint64_t bits = bits_avx2(hits_avx2(p, k), hits_avx2(p + 32, k));
        if (bits) {
            return (struct window){p, bits};
        }
        p += WIDE_BLOCK;
    }
    if (end - start < WIDE_BLOCK || p == end) {
        return last_sse2(p, start, end, k);
    }
    const char *last = end - WIDE_BLOCK;
    uint64_t bits = bits_avx2(hits_avx2(last, k), hits_avx2(last + 32, k)) >> (p - last);
    return bits ? (struct window){p, bits} : (struct window){end, 0};
}

static AVX2 struct window text_avx2(const char *p, const char *start, const char *end)
{
    return find_avx2(p, start, end, TEXT);
}

static AVX2 struct window quotes_avx2(const char *p, const char *start, const char *end)
{
    return find_avx2(p, start, end, QUOTES);
}

static AVX2 struct window odd_avx2(const char *p, const char *start, const char *end)
{
    return find_avx2(p, start, end, ODD);
}

/* UTF-8 by three lookups (Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per
 * Byte", 2020): each of a byte's predecessor's two halves and the byte's own upper half names the
 * mistakes that it allows; a mistake that all three allow has happened. TWO_CONTS is no mistake by
 * itself: it must stand exactly where a sequence of three or four goes on. */
enum {
    TOO_SHORT = 1,       /* a lead or ASCII byte where a continuation is due */
    TOO_LONG = 2,        /* a continuation behind ASCII */
    OVERLONG_3 = 4,      /* E0 80..9F */
    TOO_LARGE = 8,       /* F4 90.., F5.. with 90..BF */
    SURROGATE = 16,      /* ED A0..BF */
    OVERLONG_2 = 32,     /* C0, C1 */
    LARGE_OR_SMALL = 64, /* F5.. with 80..8F; F0 80..8F */
    TWO_CONTS = 128,
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTS, /* not decided by the lead's lower half */
};

/* What the predecessor's upper half, its lower half and the byte's upper half allow. */
#define LARGE (ANY_LOW | TOO_LARGE | LARGE_OR_SMALL)
#define CONT  (TOO_LONG | OVERLONG_2 | TWO_CONTS)
static const uint8_t lead_upper[16] = {
    [0x0 ... 0x7] = TOO_LONG,
    [0x8 ... 0xB] = TWO_CONTS,
    [0xC] = TOO_SHORT | OVERLONG_2,
    [0xD] = TOO_SHORT,
    [0xE] = TOO_SHORT | OVERLONG_3 | SURROGATE,
    [0xF] = TOO_SHORT | TOO_LARGE | LARGE_OR_SMALL,
};
static const uint8_t lead_lower[16] = {
    [0x0] = ANY_LOW | OVERLONG_3 | OVERLONG_2 | LARGE_OR_SMALL,
    [0x1] = ANY_LOW | OVERLONG_2,
    [0x2 ... 0x3] = ANY_LOW,
    [0x4] = ANY_LOW | TOO_LARGE,
    [0x5 ... 0xC] = LARGE,
    [0xD] = LARGE | SURROGATE,
    [0xE ... 0xF] = LARGE,
};
static const uint8_t next_upper[16] = {
    [0x0 ... 0x7] = TOO_SHORT,
    [0x8] = CONT | OVERLONG_3 | LARGE_OR_SMALL,
    [0x9] = CONT | OVERLONG_3 | TOO_LARGE,
    [0xA ... 0xB] = CONT | SURROGATE | TOO_LARGE,
    [0xC ... 0xF] = TOO_SHORT,
};
#undef LARGE
#undef CONT

INLINE AVX2 __m256i lookup_avx2(const uint8_t *table, __m256i index)
{
    __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table));
    return _mm256_shuffle_epi8(t, index);
}

/* Non-zero at each byte of `x` that is wrong behind `before`, the 32 bytes in front of it. */
INLINE AVX2 __m256i utf8_errors_avx2(__m256i x, __m256i before)
{
    const __m256i low = _mm256_set1_epi8(0x0F);
    __m256i seam = _mm256_permute2x128_si256(before, x, 0x21);
    __m256i prev1 = _mm256_alignr_epi8(x, seam, 15);
    __m256i prev2 = _mm256_alignr_epi8(x, seam, 14);
    __m256i prev3 = _mm256_alignr_epi8(x, seam, 13);
    __m256i a = lookup_avx2(lead_upper, _mm256_and_si256(_mm256_srli_epi16(prev1, 4), low));
    __m256i b = lookup_avx2(lead_lower, _mm256_and_si256(prev1, low));
    __m256i c = lookup_avx2(next_upper, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
    __m256i mistakes = _mm256_and_si256(_mm256_and_si256(a, b), c);
    /* The upper bit is set where two bytes back stands E0.. or three back F0.. */
    __m256i third = _mm256_subs_epu8(prev2, _mm256_set1_epi8(0xE0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(prev3, _mm256_set1_epi8(0xF0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(due, mistakes);
}

/* The start of the sequence that the last bytes in front of `p` may have left open. */
static const char *step_back(const char *p)
{
    for (int i = 1; i <= 3; i++) {
        unsigned char c = (unsigned char)p[-i];
        if ((c & 0xC0) != 0x80) {
            return c < 0x80 ? p : p - i;
        }
    }
    return p;
}

static AVX2 const char *utf8_avx2(const char *p, const char *end)
{
    const char *first = p;
    __m256i before = _mm256_setzero_si256();
    uint32_t high_before = 0;
    for (; end - p >= 32; p += 32) {
        __m256i x = _mm256_loadu_si256((const void *)p);
        __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(0x1F)), x);
        uint32_t stop =
            (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(quote_marks_avx2(x), control));
        uint32_t high = (uint32_t)_mm256_movemask_epi8(x), bad = 0;
        if (high | high_before) {
            __m256i errors = utf8_errors_avx2(x, before);
            bad =
                ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(errors, _mm256_setzero_si256()));
        }
        if (stop | bad) {
            /* The stop is ASCII: what was left open in front of it is an error at its place. */
            bool ok = stop && (bad & (stop ^ (stop - 1))) == 0;
            return ok ? p + __builtin_ctz(stop) : NULL;
        }
        before = x;
        high_before = high;
    }
    return utf8_plain(p > first ? step_back(p) : p, end);
}
#endif

struct wide wide = {WIDE_PLAIN, text_plain, quotes_plain, odd_plain, utf8_plain};

#ifdef __x86_64__
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#endif

bool wide_choose(enum wide_level level)
{
    switch (level) {
    case WIDE_PLAIN:
        wide = (struct wide){WIDE_PLAIN, text_plain, quotes_plain, odd_plain, utf8_plain};
        return true;
#ifdef __x86_64__
    case WIDE_SSE2:
        wide = (struct wide){WIDE_SSE2, text_sse2, quotes_sse2, odd_sse2, utf8_plain};
        return true;
    case WIDE_AVX2:
        if (has_avx2()) {
            wide = (struct wide){WIDE_AVX2, text_avx2, quotes_avx2, odd_avx2, utf8_avx2};
            return true;
        }
        return false;
#endif
    default:
        return false;
    }
}

__attribute__((constructor)) static void choose_at_start(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
#endif
    if (!wide_choose(WIDE_AVX2)) {
        (void)!wide_choose(WIDE_SSE2);
    }
}
