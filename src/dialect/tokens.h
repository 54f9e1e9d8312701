/* Counting the tokens of a request without making the call: the vendors' own endpoints, in four dialects, and an
 * estimate for all the others.
 *
 * The request of each is a conversation in the dialect's usual shape (format.h), so it is read into, and written
 * from, the same struct ir_call. */
#ifndef DIALECT_TOKENS_H
#define DIALECT_TOKENS_H

#include "dialect/format_id.h"
#include "dialect/ir.h"

struct tokens_format {
    struct str name; /* as a route: "anthropic.count_tokens" */
    enum family family;
    struct str version;    /* what stands before its paths when a base URL has none */
    enum format_id format; /* of the conversation */
    struct str model_path; /* what stands before the model in the path; empty: it is not there */
    struct str path;       /* ... and behind it, or all of it */
    struct str wrap, wrap_end; /* what stands around the conversation in a request */
    struct str members; /* of the conversation that count, a space between them; empty: all */
    struct str count;   /* the answer's member, quoted */
    struct str answer;  /* what stands before the count in an answer */
};

/* Of a route ("gemini.count_tokens") or of a provider; NULL: there is none. FAMILY_OPENAI is that of Responses,
 * which few of those that speak OpenAI's dialects have. */
const struct tokens_format *tokens_format_of_route(struct str route);
const struct tokens_format *tokens_format_of_family(enum family f);

/* Reads a request that json_scan() accepts and whose top level is an object: 0, -EINVAL with c->bad, or -ENOSYS
 * when the dialect's conversations cannot be read. */
int tokens_read_request(const struct tokens_format *f, struct ir_call *c, struct str body);
/* Writes the vendor's request: 0, or -ENOSYS. What has no weight (limits, sampling) is left out and no loss. */
int tokens_write_request(const struct tokens_format *f, struct buf *b, struct ir_call *c,
                         const struct ir_target *t);
void tokens_path(const struct tokens_format *f, struct buf *b, const struct ir_target *t);
/* The count in the vendor's answer (checked JSON); -1: none is there. */
int64_t tokens_read_answer(const struct tokens_format *f, struct str body);
void tokens_write_answer(const struct tokens_format *f, struct buf *b, int64_t n);

/* ---- the estimate ---- */

/* What a request of this form may cost a model of OpenAI's, whose tokenizer (o200k_base) the rule was fitted to;
 * the caller is told that it is an estimate. How far it is off on average, on texts of 1500 characters that it was
 * not fitted to: English prose 3 %, code 4 %, JSON 3 %, Chinese 4 %, German 7 %, French 6 %, Spanish 5 %, Russian 8 %,
 * Japanese and Korean 4 %; Italian and Polish come out 13 and 18 % too low, Portuguese 20 % too high. Of twenty such
 * texts of English, code or JSON nineteen are within 8 %. Claude's tokenizer as it was last published makes 5 %
 * more of English than OpenAI's, 13 % more of code, 25 % more of German and French, and several times as many of
 * scripts that are neither Latin nor Chinese. */
int64_t tokens_estimate(const struct ir_call *c);
/* The same with the weight that the vendor documents for images, pages, sounds and the tools' frame. */
int64_t tokens_estimate_for(const struct ir_call *c, enum family f);
/* Of one text: escaped, or any JSON value as it stands. */
int64_t tokens_of_text(struct str escaped);

#endif
