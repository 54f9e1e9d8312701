/* Below policy/mask.h: how a text is looked at. Text here is decoded ("plain") and valid UTF-8.
 *
 * A detector decides about a candidate from the bytes between MASK_BACK in front of its start and the end of what
 * it reads, and reads through text_at(). When that runs off the end of a text that goes on, the text is "starved":
 * the candidate is undecided, and nothing from its start on may go. So a detector never sees where a text was cut,
 * and needs no code of its own for streams (but for what may begin at the very end: look_tail() in mask_find.c). */
#ifndef POLICY_MASK_LOOK_H
#define POLICY_MASK_LOOK_H

#include "base/must.h"
#include "policy/mask.h"
#include "policy/mask_lib.h"

enum { MASK_BACK = MASK_CONTEXT - 8, MASK_MATCH_LIMIT = 100000 /* steps of PCRE2 */ };

struct text {
    const char *p;
    size_t lo, hi; /* p[lo..hi) is the text, or with `more` what is there of it */
    bool more;     /* it goes on behind hi */
    bool starved;
};

/* The byte at i, -1 behind the end. */
static inline int text_at(struct text *t, size_t i)
{
    if (__builtin_expect(i < t->hi, 1)) {
        return (unsigned char)t->p[i];
    }
    t->starved |= t->more;
    return -1;
}

/* The byte k in front of i, -1 in front of the text. */
static inline int text_back(const struct text *t, size_t i, size_t k)
{
    return i - t->lo >= k ? (unsigned char)t->p[i - k] : -1;
}

static inline bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_letter(int c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool is_alnum(int c)
{
    return is_digit(c) || is_letter(c);
}

static inline bool is_hex(int c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static inline int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Whose matches do not overlap among themselves. In the order of rank: of two that are found at one place and are
 * as long, the first is taken. */
enum source {
    SOURCE_SECRET,
    SOURCE_PATTERN,
    SOURCE_WORD,
    SOURCE_TOKEN,
    SOURCE_EMAIL,
    SOURCE_IP6,
    SOURCE_NUMBER,
    SOURCES,
};
_Static_assert((int)SOURCES == (int)MASK_SOURCES, "the stream has room for each");

struct match {
    size_t from, to;
    uint16_t label; /* index into the policy's labels; the first MASK_KINDS are the kinds' own */
    uint8_t kind;   /* MASK_KINDS: what looks like a token of ours */
    uint8_t source;
    uint8_t level; /* 1: in a document within a string */
    bool number;   /* a number of the document, from and to are its place there */
};

struct hit {
    uint32_t id; /* what mask_compile() gave Vectorscan */
    size_t end;
};

struct word {
    struct str folded; /* mask_fold() */
    struct str exact;  /* as it was given, when its case matters */
    uint16_t label;
    bool first_wordy, last_wordy; /* no letter may touch this end */
};

struct mask_policy {
    struct arena arena;
    enum mask_action action[MASK_KINDS];
    bool any;
    bool numbers; /* any detector that starts at a digit */
    unsigned char hash_key
        [16];    /* of the tables of values: what stands in texts must not choose their places */
    bool tokens; /* something is tokenised: what looks like a token is one too */
    struct str *labels, *places; /* EMAIL, [EMAIL] */
    enum mask_action *actions;   /* of each label */
    uint16_t n_labels;

    /* Hits below SECRET_IDS are secrets, below that and n_words are words, then patterns. */
    hs_database_t *whole; /* all of them */
    hs_database_t *
        stream; /* without patterns: there PCRE2 finds them, as it must know what may begin anyway */
    struct word *words; /* by folded text */
    uint32_t n_words;
    size_t word_max;
    uint64_t word_first[4]; /* bit: a word starts with this folded byte */

    uint64_t secret_first[4], secret_pairs[16]; /* bytes that a prefix starts with */

    pcre2_code *pattern;     /* (first)|(second)|... */
    uint16_t *pattern_group; /* of each: its group's number */
    uint32_t n_patterns;
    size_t pattern_width; /* bytes, the widest of all; at most MASK_WIDTH_MAX */
    bool pattern_cut;     /* one could be wider */

    struct str *names; /* normalised, of mask_field.c */
    size_t n_names;
    uint64_t name_ends[16];
};

/* From a plain offset on, raw == raw_at + (plain - plain_at), until the next row. */
struct row {
    uint32_t plain_at, raw_at;
};

/* A string of a body. */
struct segment {
    size_t lo, hi; /* of scratch->plain; lo > hi: a number, whose place in its document they are */
    uint8_t level;
    bool sensitive;
};

struct mask_scratch {
    hs_scratch_t *hs;
    pcre2_match_data *match_data;
    uint32_t match_groups;
    pcre2_match_context *match_context; /* of the worker, as the stack is */
    pcre2_jit_stack *jit_stack;
    struct hit *hits;
    size_t n_hits, hits_cap;
    struct match *matches;
    size_t n_matches, matches_cap;
    char *plain;
    size_t plain_cap;
    struct row *rows;
    size_t n_rows, rows_cap;
    char *raw;
    size_t raw_cap;
    struct segment *segments;
    size_t n_segments, segments_cap;
    bool full; /* a limit was met */
};

/* One look at a text, from `from` on: what starts in front of it is known already. */
struct look {
    const struct mask_policy *policy;
    struct mask_scratch *scratch;
    struct text t;
    bool unhit;             /* `hits` has no patterns: they are looked for everywhere */
    size_t resume[SOURCES]; /* where each source goes on: behind its last match */
    size_t hold;            /* out: all matches that start in front of it are known */
};

/* Grows `*p` to hold at least n elements of `size` bytes; false beyond the limits. */
bool scratch_room(struct mask_scratch *s, void **p, size_t *cap, size_t n, size_t size);
#define SCRATCH_ROOM(s, name, n)                                                                   \
    scratch_room(s, (void **)&(s)->name, &(s)->name##_cap, n, sizeof *(s)->name)

/* Gives back what takes more than a megabyte. */
void scratch_shrink(void **p, size_t *cap, size_t size);

/* Adds to scratch->matches. */
void look_found(struct look *l, enum source source, enum mask_kind kind, unsigned label,
                size_t from, size_t to);
static inline bool look_wants(const struct look *l, enum mask_kind kind)
{
    return l->policy->action[kind] != MASK_OFF;
}
/* What started at `from` is undecided, when the text starved. */
static inline void look_starved(struct look *l, size_t from)
{
    if (__builtin_expect(l->t.starved, 0)) {
        l->t.starved = false;
        l->hold = from < l->hold ? from : l->hold;
    }
}

/* Runs Vectorscan over p[0..n) into scratch->hits, ends counted from p + `base`. 0, -ENOMEM, -E2BIG, -EBADMSG. */
__attribute__((warn_unused_result)) int mask_hits(struct mask_scratch *s, const hs_database_t *db,
                                                  const char *p, size_t base, size_t n);
/* Finds all that starts in l->t from `from` on into scratch->matches, sorted, and where to go on. `hits`: those
 * that end in the text. */
__attribute__((warn_unused_result)) int mask_find(struct look *l, size_t from,
                                                  const struct hit *hits, size_t n_hits);

/* ---- the detectors; each finds at most one match from its anchor ---- */

/* From the @ at i. */
void find_email(struct look *l, size_t i);
/* The first byte of what may be the local part of an address whose @ is not there yet; t->hi: none. */
size_t email_tail(const struct look *l);
/* From the colon at i. */
void find_ip6(struct look *l, size_t i);
/* From the first digit of a run, at i. */
void find_number(struct look *l, size_t i);
/* From the bracket at i. */
void find_token(struct look *l, size_t i);
/* From the end of a prefix, which Vectorscan found. */
void find_secret(struct look *l, uint32_t id, size_t end);
size_t secret_tail(const struct look *l, size_t from);
void find_word(struct look *l, uint32_t i, size_t end);
size_t word_tail(const struct look *l, size_t from);
__attribute__((warn_unused_result)) int find_patterns(struct look *l, size_t from,
                                                      const struct hit *hits, size_t n_hits);

/* A trial of find_number() at the digit s; true with the match in *ret_from, *ret_to. */
struct shape;
bool number_iban(struct look *l, size_t s, size_t *ret_from, size_t *ret_to);
bool number_ip4(struct look *l, const struct shape *h, size_t *ret_to);
bool number_phone(struct look *l, const struct shape *h, size_t *ret_from, size_t *ret_to);
bool number_postal(struct look *l, const struct shape *h, size_t *ret_from, size_t *ret_to);
/* Codes that start with letters, behind which the digit at s stands. */
bool number_postal_letters(struct look *l, size_t s, size_t *ret_from, size_t *ret_to);

/* Compares p[i..) with a text. */
bool text_is(struct text *t, size_t i, struct str s);

/* A letter, digit or underscore ends at (starts at) i: of ASCII, or of a script that is written with spaces
 * (U+00C0 to U+1FFF). */
bool wordy_before(const struct text *t, size_t i);
bool wordy_after(struct text *t, size_t i);

/* The rows of secrets, for the compiler of policies. */
size_t secret_rows(void);
struct str secret_prefix(size_t i);
void secret_compile(struct mask_policy *p);

/* Case folded, in as many bytes: ASCII, Latin, Greek, Cyrillic. `to` has s.n bytes. */
void mask_fold(struct str s, char *to);
/* The upper-case form of the (folded) two-byte character at p, or false. */
bool mask_fold_other(const char *p, char other[2]);

/* ---- mask_decode.c ---- */

/* Decodes escaped text to `to` (at least text.n + 64 bytes), as plain offsets from `plain_at` on and raw ones from
 * `raw_at` on, with a first row and one behind each escape. Half a surrogate pair and what is no UTF-8 come out as
 * question marks. With `more`, an escape or character that is not whole is left; *ret_used is what was taken. */
__attribute__((warn_unused_result)) int mask_decode(struct mask_scratch *s, struct str text,
                                                    char *to, size_t plain_at, size_t raw_at,
                                                    bool more, size_t *ret_n, size_t *ret_used);
size_t mask_raw_at(const struct mask_scratch *s, size_t plain);

/* ---- mask_field.c ---- */
__attribute__((warn_unused_result)) int
mask_names_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors);
/* Whether the value of a member with this name (escaped text) is masked. */
bool mask_name_is_sensitive(const struct mask_policy *p, struct str name);

/* ---- mask_word.c, mask_pattern.c, mask_user.c ---- */
__attribute__((warn_unused_result)) int
mask_words_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors);
/* A word as an expression over bytes, each letter in both cases. */
char *mask_word_expression(struct arena *a, struct str folded);
__attribute__((warn_unused_result)) int
mask_patterns_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors);
/* Writes the line of a mistake; -EINVAL. */
int mask_pattern_mistake(struct buf *errors, const struct mask_pattern *m, size_t at,
                         const char *why);
unsigned mask_pattern_flags(const struct mask_pattern *m);
/* The offset that a message of Vectorscan names: "... at index 5." */
size_t mask_offset_in(const char *message);
__attribute__((warn_unused_result)) int
mask_user_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors);

/* ---- mask_vault.c ---- */

/* What to put in place of a match. Empty: leave it (REPORT). *ret is in the call's arena or static. -E2BIG. */
__attribute__((warn_unused_result)) int mask_place(struct mask_call *c, const struct match *m,
                                                   struct str plain, struct str *ret);
/* The value of token `label`_`number`; false: the call has none. */
bool mask_value(const struct mask_call *c, unsigned label, uint64_t number, struct str *ret);
/* Reads a token at p[0..n) that starts with '['. 1: whole, and its length, label and number. 0: none. -1: it may
 * become one when there is more. `escaped`: backslashes are doubled. */
int mask_token_read(const struct mask_policy *p, const char *s, size_t n, size_t *ret_n,
                    unsigned *ret_label, uint64_t *ret_number);

#endif
