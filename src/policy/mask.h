/* Masking: personal data and secrets are found in the texts of a call and replaced before they leave the house,
 * and put back into the answer.
 *
 *     at a reload:   mask_compile() -> struct mask_policy, immutable, shared by all workers
 *     per worker:    struct mask_scratch, mask_scratch_fit() once for each policy that it will meet
 *     per call:      struct mask_call (counts, tokens), mask_body() over the request, and for streamed texts
 *                    struct mask_stream (finding) or struct mask_restore (putting back), one per text
 *
 * Text is escaped text everywhere: the inside of a JSON string as it stands (dialect/ir.h). Detectors see what
 * it says ("\u0040" is an @), and what is not replaced keeps its bytes. What is put in its place is made of
 * A-Z, 0-9, _ and brackets, and fits any string.
 *
 * Detectors never fail open: every function that can fail says so, and then nothing of its output may be used.
 *   -ENOMEM    a library is out of memory
 *   -E2BIG     more than a limit below, or the caller's buffer, holds; a pattern that takes too many steps
 *   -EBADMSG   a library refused (a scratch that does not fit the policy)
 * (The C library out of memory ends the process, as everywhere: callers bound their bodies.)
 * What was found is counted and never told; decoded texts stay in the scratch until others take their place. No clock, no file (but for the libraries, when a policy is compiled),
 * no lock. */
#ifndef POLICY_MASK_H
#define POLICY_MASK_H

#include "base/arena.h"
#include "base/buf.h"
#include "model/detector.h"

/* MASK_OFF: not looked for. Otherwise it is counted, and: REPORT leaves it; REPLACE puts [EMAIL] there; TOKENISE
 * puts [EMAIL_1] there, the same for the same value within a call; BLOCK does as REPLACE does and tells the
 * caller to refuse. */
enum mask_action { MASK_OFF, MASK_REPORT, MASK_REPLACE, MASK_TOKENISE, MASK_BLOCK, MASK_ACTIONS };

enum {
    MASK_PATTERNS_MAX = 64,
    MASK_PATTERN_BYTES_MAX = 1024,
    MASK_WIDTH_MAX =
        512, /* bytes of decoded text that a user's pattern can match, whatever it says */
    MASK_WORDS_MAX = 10000,
    MASK_WORD_BYTES_MAX = 128,
    MASK_LISTS_MAX = 64,
    MASK_NAMES_MAX = 256,
    MASK_LABEL_MAX = 32,
    MASK_LONG_MAX =
        8192, /* bytes of a private key block or a JWT; the most that a stream holds back */
    MASK_VALUES_MAX = 100000, /* different values that a call holds tokens for */
    MASK_TEXT_MAX = 1 << 30,  /* bytes of a body */
    MASK_BASE64_MIN = 256,
};

/* A user's regular expression, in the syntax of PCRE2 without what looks around or back (look-around, back
 * references, atomic groups, \A \z \Z \G \K). Its text is UTF-8; \w, \d and \b are ASCII; ^ and $ are line ends.
 * `name` becomes the label: "employee id" is [EMPLOYEE_ID]. */
struct mask_pattern {
    struct str name, regex;
    bool any_case;
};

/* Words and phrases that are found where no letter or digit touches them. Case of ASCII, Latin, Greek and
 * Cyrillic letters does not matter unless `exact_case`. */
struct mask_words {
    struct str name;
    const struct str *words;
    size_t n;
    bool exact_case;
};

/* All zero: finds nothing. */
struct mask_options {
    enum mask_action action[MASK_KINDS];
    const struct mask_pattern *patterns;
    size_t n_patterns;
    const struct mask_words *lists;
    size_t n_lists;
    /* Of each pattern and list, in place of their kind's, which must be on in any case. NULL: none has its own. */
    const enum mask_action *pattern_actions, *list_actions;
    const struct str
        *names; /* of JSON members whose value is masked, besides those of mask_field.c */
    size_t n_names;
};

struct mask_policy;
struct mask_scratch;

/* The action is called off, report, mask, tokenise or block in the configuration; -EINVAL for another word. */
__attribute__((warn_unused_result)) int mask_action_of(struct str word, enum mask_action *ret);
__attribute__((warn_unused_result)) int mask_kind_of(struct str word, enum mask_kind *ret);
const char *mask_kind_word(enum mask_kind kind);
const char *mask_action_word(enum mask_action action);

/* Compiles; takes milliseconds. -EINVAL with a line for each mistake in `errors`, that names the pattern, the
 * offset and the reason; -ENOENT (and a line) when a library is not there; -ENOMEM. Nothing of `o` is kept.
 * Call it from one thread at a time. */
__attribute__((warn_unused_result)) int mask_compile(const struct mask_options *o,
                                                     struct mask_policy **ret, struct buf *errors);
struct mask_policy *mask_policy_free(struct mask_policy *p); /* NULL is allowed; returns NULL */
/* Whether anything is looked for. */
bool mask_policy_is_on(const struct mask_policy *p);
/* Whether it does more than report. */
bool mask_policy_acts(const struct mask_policy *p);

/* Makes the scratch (*s == NULL) or lets it grow until it fits the policy: before the policy's first call on
 * this worker, off the path of calls. 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int mask_scratch_fit(struct mask_scratch **s,
                                                         const struct mask_policy *p);
struct mask_scratch *mask_scratch_free(struct mask_scratch *s);

/* What a call has of it. `arena` is the call's: values that have tokens are kept in it, and splices. */
struct mask_call {
    const struct mask_policy *policy;
    struct mask_scratch *scratch; /* of the worker that runs the call */
    struct arena *arena;
    bool one_way;   /* nothing comes back: what is to be tokenised is replaced, [EMAIL] */
    uint32_t first; /* tokens are counted from here on; 0: from 1 */
    uint64_t counts[MASK_KINDS]; /* what was found; where two overlap, what was acted on */
    uint32_t acted[MASK_KINDS][MASK_ACTIONS]; /* the same by what was done */
    uint32_t blocked;                         /* bit 1 << kind: found, and its action is BLOCK */
    size_t blocked_at;         /* where in the body the first of them stands; of mask_body() */
    struct mask_vault *_vault; /* values and tokens; NULL: none yet */
};

/* Which strings of a body are looked at: those below a member of `only` (empty: all), but not those below a
 * member of `skip` at any depth, or of `top` of the outermost object (the model's name). Names as they are
 * spelled, without escapes. */
struct mask_members {
    const struct str *only, *skip, *top;
    size_t n_only, n_skip, n_top;
};

/* In place of body[at .. at+n) stands `with` (in the call's arena, or static). */
struct mask_splice {
    size_t at, n;
    struct str with;
};

/* Looks at a whole JSON document (that json_scan() or json_scan_members() has found valid; `members` may be
 * NULL) and says what to splice, in order, without overlaps, inside of strings. A string that is itself a JSON
 * object or array (the arguments of a tool) is read as one. A number is replaced, by a string, only where its
 * member's name asks for it. Names themselves are not looked at, nor base64: of data: URLs, and strings of
 * MASK_BASE64_MIN bytes and more that are nothing else (images, audio, signatures).
 * 0, or 1 when `c->blocked` has become non-zero: refuse the call. -E... : nothing is known about the body. */
__attribute__((warn_unused_result)) int mask_body(struct mask_call *c, struct str body,
                                                  const struct mask_members *members,
                                                  struct mask_splice **ret, size_t *ret_n);
/* The same for one whole escaped text. */
__attribute__((warn_unused_result)) int mask_text(struct mask_call *c, struct str text,
                                                  struct mask_splice **ret, size_t *ret_n);

/* A text that comes in pieces, cut anywhere, also within an escape or a character. What comes out, put together,
 * is what the whole text would have become, and each piece of it is escaped text by itself. Held back is only
 * what may still become a match (a word at the end may become an address); never more than MASK_LONG_MAX bytes
 * of text behind the start of what may be one. */
enum { MASK_SOURCES = 7, MASK_CONTEXT = 128 };
struct mask_stream {
    struct mask_call *call; /* set by the caller; the rest is zero at the start */
    struct pool *pool;      /* for what does not fit below */
    char *_held;            /* escaped text that has not been let go; NULL: in _small */
    size_t _held_size;
    uint32_t _held_n;
    uint32_t
        _out; /* decoded bytes at the front of _held that are out already, as a part of a match */
    uint64_t _base; /* decoded bytes in front of _context */
    uint64_t _resume[MASK_SOURCES];
    uint8_t _context_n;
    bool _failed;
    char _context[MASK_CONTEXT]; /* decoded text in front of _held */
    char _small[160];
};

/* Takes the next piece and adds to `out` what may go. 0, or 1 when `call->blocked` has become non-zero (what is
 * added may go: it was replaced). After an error the stream stays failed; `out` may have grown by nothing. */
__attribute__((warn_unused_result)) int mask_stream_add(struct mask_stream *s, struct str piece,
                                                        struct buf *out);
/* The text has ended: adds what was held. The stream is as new then, and holds no memory. */
__attribute__((warn_unused_result)) int mask_stream_end(struct mask_stream *s, struct buf *out);
/* Gives up without an end; the stream is as new. */
void mask_stream_drop(struct mask_stream *s);

/* Puts values back into a text that comes in pieces: [EMAIL_1] (in any case, with or without a backslash in front
 * of its underscores, as Markdown has it) becomes the value that the call has under it, every byte as it was.
 * A token that the call does not have stays. At most MASK_TOKEN_BYTES_MAX bytes are held back. */
enum { MASK_TOKEN_BYTES_MAX = 2 * MASK_LABEL_MAX + 16 };
struct mask_restore {
    const struct mask_call *call; /* set by the caller; the rest is zero at the start */
    bool nested; /* the text is JSON inside of a string: values are escaped twice */
    uint8_t _n;
    char _held[MASK_TOKEN_BYTES_MAX];
};
void mask_restore_add(struct mask_restore *r, struct str piece, struct buf *out);
void mask_restore_end(struct mask_restore *r, struct buf *out);
/* The same for a whole answer, valid JSON: what to splice. Values within strings that are JSON themselves are
 * escaped twice. 0 or -E2BIG. */
__attribute__((warn_unused_result)) int mask_restore_body(struct mask_call *c, struct str body,
                                                          struct mask_splice **ret, size_t *ret_n);

/* The values that the call has tokens for, one after the other; `*at` is NULL ahead of the first. False: no more. Both as
 * texts, without escapes. */
bool mask_each(const struct mask_call *c, const void **at, struct str *ret_plain,
               struct str *ret_token);

/* The body with its splices, as one text in `out`. */
void mask_splice(struct str body, const struct mask_splice *s, size_t n, struct buf *out);

#endif
