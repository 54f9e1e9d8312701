/* Embeddings: requests as vendors take them. What a vendor has no word for is named as lost. */
#include "dialect/embed_rows.h"

/* ---- what cannot be said ---- */

static void drop_purpose(struct embed_call *c)
{
    if (c->purpose) {
        ir_drop(c->call, str_of(c->purpose_name));
    }
}

static void drop_dimensions(struct embed_call *c)
{
    if (c->dimensions.n) {
        ir_drop(c->call, str_of(c->dimensions_name));
    }
}

/* Of a vendor that refuses texts that are too long: that is what `truncate: NONE` asks for. */
static void drop_truncate(struct embed_call *c)
{
    if (c->truncate > EMBED_REFUSE) {
        ir_drop(c->call, STR("truncate"));
    }
}

static void drop_user(struct embed_call *c)
{
    if (c->call->end_user.n) {
        ir_drop(c->call, STR("user"));
    }
}

/* Spellings that a vendor has not and that cannot be made of its floats. */
static void drop_types(struct embed_call *c, uint32_t known)
{
    for (unsigned t = EMBED_INT8; t < EMBED_TYPES; t++) {
        if (c->types & ~known & 1U << t) {
            ir_drop(c->call, arena_printf(c->call->arena, "embedding_types[%.*s]",
                                          STR_ARG(embed_type_word((enum embed_type)t))));
        }
    }
}

/* ---- openai.embeddings ---- */

void embed_write_openai(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    ir_put_list(b, "input", c->texts);
    /* Floats pass as they stand to whoever wants them; base64 is asked for only when it passes as well. */
    ir_put_plain(b, "encoding_format",
                 c->types == 1 << EMBED_BASE64 ? STR("base64") : STR("float"));
    ir_put_value(b, "dimensions", c->dimensions);
    ir_put_text(b, "user", c->call->end_user);
    buf_addc(b, '}');
    drop_purpose(c);
    drop_truncate(c);
    drop_types(c, 0);
}

/* ---- gemini.embed ---- */

static struct str task_type(enum embed_purpose p)
{
    static const struct str words[] = {
        [EMBED_UNSAID] = {0},
        [EMBED_QUERY] = {"RETRIEVAL_QUERY", 15},
        [EMBED_DOCUMENT] = {"RETRIEVAL_DOCUMENT", 18},
        [EMBED_SIMILARITY] = {"SEMANTIC_SIMILARITY", 19},
        [EMBED_CLASSIFICATION] = {"CLASSIFICATION", 14},
        [EMBED_CLUSTERING] = {"CLUSTERING", 10},
        [EMBED_CODE_QUERY] = {"CODE_RETRIEVAL_QUERY", 20},
        [EMBED_QUESTION] = {"QUESTION_ANSWERING", 18},
        [EMBED_FACT] = {"FACT_VERIFICATION", 17},
    };
    return words[p];
}

static void gemini_request(struct buf *b, const struct embed_call *c, struct str text)
{
    ir_put_name(b, "content");
    buf_add(b, STR("{\"parts\":[{"));
    ir_put_text(b, "text", text);
    buf_add(b, STR("}]}"));
    ir_put_text(b, "taskType", task_type(c->purpose));
    ir_put_value(b, "outputDimensionality", c->dimensions);
}

static void put_gemini_model(struct buf *b, const struct ir_target *t)
{
    ir_put_name(b, "model");
    buf_add(b, str_starts(t->model, STR("models/")) ? STR("\"") : STR("\"models/"));
    buf_add_json(b, t->model);
    buf_addc(b, '"');
}

void embed_write_gemini(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    if (c->n == 1) { /* the path says which: embedContent, batchEmbedContents */
        gemini_request(b, c, c->texts->text);
    } else {
        ir_put_name(b, "requests");
        buf_addc(b, '[');
        for (const struct ir_list *l = c->texts; l; l = l->next) {
            ir_comma(b);
            buf_addc(b, '{');
            put_gemini_model(b, t);
            gemini_request(b, c, l->text);
            buf_addc(b, '}');
        }
        buf_addc(b, ']');
    }
    buf_addc(b, '}');
    if (c->truncate == EMBED_REFUSE || c->truncate == EMBED_CUT_START) {
        ir_drop(c->call, STR("truncate")); /* it cuts the end, unasked */
    }
    drop_user(c);
    drop_types(c, 0);
}

/* ---- cohere.embed ---- */

/* It must be told one. Of those that it has not the nearest: a question, code or a claim to look up is a query;
 * texts that are only compared with each other are what it makes clusters of. */
static struct str input_type(enum embed_purpose p)
{
    switch (p) {
    case EMBED_QUERY:
    case EMBED_CODE_QUERY:
    case EMBED_QUESTION:
    case EMBED_FACT:
        return STR("search_query");
    case EMBED_CLASSIFICATION:
        return STR("classification");
    case EMBED_SIMILARITY:
    case EMBED_CLUSTERING:
        return STR("clustering");
    default:
        return STR("search_document");
    }
}

static void put_types(struct buf *b, uint32_t types)
{
    ir_put_name(b, "embedding_types");
    buf_addc(b, '[');
    for (unsigned t = 0; t < EMBED_TYPES; t++) {
        /* base64 is made here, of the floats */
        bool wanted = t == EMBED_FLOAT ? types & (1 << EMBED_FLOAT | 1 << EMBED_BASE64)
                                       : t != EMBED_BASE64 && types & 1U << t;
        if (wanted) {
            ir_comma(b);
            buf_addc(b, '"');
            buf_add(b, embed_type_word((enum embed_type)t));
            buf_addc(b, '"');
        }
    }
    buf_addc(b, ']');
}

static void put_cohere(struct buf *b, struct embed_call *c)
{
    static const struct str words[] = {[EMBED_REFUSE] = {"NONE", 4},
                                       [EMBED_CUT_START] = {"START", 5},
                                       [EMBED_CUT_END] = {"END", 3}};
    ir_put_list(b, "texts", c->texts);
    ir_put_text(b, "input_type", input_type(c->purpose));
    put_types(b, c->types);
    ir_put_value(b, "output_dimension", c->dimensions);
    ir_put_text(b, "truncate", words[c->truncate]);
    drop_user(c);
}

void embed_write_cohere(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    put_cohere(b, c);
    buf_addc(b, '}');
}

/* The model stands in the path, and another member is refused. */
void embed_write_bedrock_cohere(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    (void)t;
    buf_addc(b, '{');
    put_cohere(b, c);
    buf_addc(b, '}');
}

/* ---- ollama.embed ---- */

void embed_write_ollama(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    ir_put_plain(b, "model", t->model);
    ir_put_list(b, "input", c->texts);
    if (c->truncate == EMBED_REFUSE || c->truncate == EMBED_CUT_END) {
        ir_put_bool(b, "truncate", c->truncate == EMBED_CUT_END);
    } else if (c->truncate == EMBED_CUT_START) {
        ir_drop(c->call, STR("truncate"));
    }
    ir_put_value(b, "dimensions", c->dimensions);
    buf_addc(b, '}');
    drop_purpose(c);
    drop_user(c);
    drop_types(c, 0);
}

/* ---- Amazon's Titan ---- */

/* The first generation takes a text and nothing else. */
static bool is_first_titan(struct str model)
{
    return str_find(model, STR("titan-embed-text-v1")) >= 0 ||
           str_find(model, STR("titan-embed-g1")) >= 0;
}

void embed_write_titan(struct buf *b, struct embed_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    ir_put_text(b, "inputText", c->texts->text);
    if (is_first_titan(t->model)) {
        drop_dimensions(c);
        drop_types(c, 0);
    } else {
        ir_put_value(b, "dimensions", c->dimensions);
        if (c->types & 1 << EMBED_BINARY) {
            ir_put_value(b, "embeddingTypes", STR("[\"float\",\"binary\"]"));
        }
        drop_types(c, 1 << EMBED_BINARY);
    }
    buf_addc(b, '}');
    drop_purpose(c);
    drop_truncate(c);
    drop_user(c);
}
