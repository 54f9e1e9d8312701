/* Embeddings: answers as callers expect them. */
#include <errno.h>

#include "dialect/embed_rows.h"
#include "dialect/vector.h"

static int64_t tokens_of(const struct embed_answer *a)
{
    return a->tokens < 0 ? 0 : a->tokens;
}

/* Which spelling is sent to a caller whose dialect knows one at a time. */
static enum embed_type one_type(const struct embed_call *c)
{
    return c->types & 1 << EMBED_FLOAT || !(c->types & 1 << EMBED_BASE64) ? EMBED_FLOAT
                                                                          : EMBED_BASE64;
}

static uint32_t count(const struct embed_answer *a)
{
    return a->sets[EMBED_FLOAT].n ? a->sets[EMBED_FLOAT].n : a->sets[EMBED_BASE64].n;
}

/* The vector `i` in a spelling: as it came, or out of the other one. */
static int put_vector(struct buf *b, const struct embed_answer *a, enum embed_type t, uint32_t i,
                      struct arena *spare)
{
    const struct embed_set *s = &a->sets[t], *floats = &a->sets[EMBED_FLOAT],
                           *base64 = &a->sets[EMBED_BASE64];
    int r = 0;
    if (t == EMBED_BASE64) {
        buf_addc(b, '"');
        if (i < s->n) {
            buf_add(b, s->at[i]);
        } else {
            r = i < floats->n ? vector_to_base64(b, floats->at[i]) : -EBADMSG;
        }
        buf_addc(b, '"');
    } else if (i < s->n) {
        buf_add(b, s->at[i]);
    } else if (t == EMBED_FLOAT && i < base64->n) {
        r = vector_to_numbers(b, spare, base64->at[i]);
    } else {
        r = -EBADMSG;
    }
    return r;
}

static int put_vectors(struct buf *b, const struct embed_answer *a, enum embed_type t, uint32_t n,
                       struct arena *spare)
{
    int r = 0;
    buf_addc(b, '[');
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        if (i) {
            buf_addc(b, ',');
        }
        r = put_vector(b, a, t, i, spare);
    }
    buf_addc(b, ']');
    return r;
}

/* ---- openai.embeddings ---- */

int embed_put_openai(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o)
{
    uint32_t n = count(a);
    int r = 0;
    buf_add(b, STR("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        buf_add(b, i ? STR(",{\"object\":\"embedding\",\"index\":")
                     : STR("{\"object\":\"embedding\",\"index\":"));
        buf_add_u64(b, i);
        buf_add(b, STR(",\"embedding\":"));
        r = put_vector(b, a, one_type(c), i, o->spare);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    ir_put_plain(b, "id", o->id); /* Mistral's, whose SDKs insist on one */
    ir_put_text(b, "model", o->model);
    ir_put_name(b, "usage");
    buf_addc(b, '{');
    ir_put_i64(b, "prompt_tokens", tokens_of(a));
    ir_put_i64(b, "total_tokens", tokens_of(a));
    buf_add(b, STR("}}"));
    return r;
}

/* ---- gemini.embed ---- */

static int put_values(struct buf *b, const struct embed_answer *a, uint32_t i, struct arena *spare)
{
    buf_add(b, STR("{\"values\":"));
    int r = put_vector(b, a, EMBED_FLOAT, i, spare);
    buf_addc(b, '}');
    return r;
}

int embed_put_gemini(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o)
{
    uint32_t n = count(a);
    int r = 0;
    if (c->one) {
        buf_add(b, STR("{\"embedding\":"));
        r = put_values(b, a, 0, o->spare);
    } else {
        buf_add(b, STR("{\"embeddings\":["));
        for (uint32_t i = 0; r == 0 && i < n; i++) {
            if (i) {
                buf_addc(b, ',');
            }
            r = put_values(b, a, i, o->spare);
        }
        buf_addc(b, ']');
    }
    if (a->tokens >= 0) {
        ir_put_name(b, "usageMetadata");
        buf_addc(b, '{');
        ir_put_i64(b, "promptTokenCount", a->tokens);
        ir_put_i64(b, "totalTokenCount", a->tokens);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
    return r;
}

/* ---- cohere.embed ---- */

int embed_put_cohere(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o)
{
    uint32_t n = count(a);
    int r = 0;
    bool any = false;
    buf_addc(b, '{');
    if (a->id.n) {
        ir_put_text(b, "id", a->id);
    } else {
        ir_put_plain(b, "id", o->id);
    }
    ir_put_name(b, "embeddings");
    buf_addc(b, '{');
    for (unsigned t = 0; r == 0 && t < EMBED_TYPES; t++) {
        bool have = t <= EMBED_BASE64 ? n > 0 : a->sets[t].n > 0;
        if (have && c->types & 1U << t) {
            ir_put_name(b, embed_type_word((enum embed_type)t).p);
            r = put_vectors(b, a, (enum embed_type)t, t <= EMBED_BASE64 ? n : a->sets[t].n,
                            o->spare);
            any = true;
        }
    }
    if (!any && r == 0) { /* none of those that were wanted: that was told as a loss */
        ir_put_name(b, "float");
        r = put_vectors(b, a, EMBED_FLOAT, n, o->spare);
    }
    buf_addc(b, '}');
    ir_put_list(b, "texts", c->texts);
    ir_put_value(b, "meta", STR("{\"api_version\":{\"version\":\"2\"}"));
    if (a->tokens >= 0) {
        ir_put_name(b, "billed_units");
        buf_addc(b, '{');
        ir_put_i64(b, "input_tokens", a->tokens);
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
    ir_put_text(b, "response_type", STR("embeddings_by_type"));
    buf_addc(b, '}');
    return r;
}

/* ---- ollama.embed ---- */

int embed_put_ollama(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                     const struct embed_out *o)
{
    int r;
    buf_addc(b, '{');
    if (c->one) {
        ir_put_name(b, "embedding");
        r = put_vector(b, a, EMBED_FLOAT, 0, o->spare);
    } else {
        ir_put_text(b, "model", o->model);
        ir_put_name(b, "embeddings");
        r = put_vectors(b, a, EMBED_FLOAT, count(a), o->spare);
        if (a->tokens >= 0) {
            ir_put_i64(b, "prompt_eval_count", a->tokens);
        }
    }
    buf_addc(b, '}');
    return r;
}

/* ---- Amazon's Titan ---- */

int embed_put_titan(struct buf *b, const struct embed_call *c, const struct embed_answer *a,
                    const struct embed_out *o)
{
    buf_add(b, STR("{\"embedding\":"));
    int r = put_vector(b, a, EMBED_FLOAT, 0, o->spare);
    ir_put_i64(b, "inputTextTokenCount", tokens_of(a));
    ir_put_name(b, "embeddingsByType");
    buf_addc(b, '{');
    if (r == 0 && c->types & 1 << EMBED_BINARY && a->sets[EMBED_BINARY].n) {
        ir_put_value(b, "binary", a->sets[EMBED_BINARY].at[0]);
    }
    if (r == 0) {
        ir_put_name(b, "float");
        r = put_vector(b, a, EMBED_FLOAT, 0, o->spare);
    }
    buf_add(b, STR("}}"));
    return r;
}
