/* Embeddings: requests as callers send them. Sources: the vendors' API references; the members of other
 * vendors that speak openai.embeddings (input_type, output_dimension, truncate) as theirs have them. */
#include <errno.h>

#include "dialect/embed_rows.h"

static void add_text(struct embed_call *c, struct str text)
{
    struct ir_list *l = arena_zalloc(c->call->arena, sizeof *l);
    l->text = text;
    if (c->_last) {
        c->_last->next = l;
    } else {
        c->texts = l;
    }
    c->_last = l;
    c->n++;
}

/* The member is known, but nobody else can be told it. null is as absent. */
static void pass_over(struct embed_call *c, struct str key, struct walk *w)
{
    bool nothing = walk_type(w) == JSON_NULL;
    walk_value(w);
    if (!nothing) {
        ir_drop_found(c->call, "", key, "");
    }
}

static int read_number(struct embed_call *c, struct str key, struct walk *w, struct str *to)
{
    enum json_type type = walk_type(w);
    struct str value = walk_value(w);
    if (type == JSON_NULL) {
        return 0;
    }
    if (type != JSON_NUMBER) {
        return ir_bad(c->call, "must be a number", "%.*s", STR_ARG(key));
    }
    *to = value;
    return 0;
}

/* A string, or an array of them. */
static int read_texts(struct embed_call *c, struct str key, struct walk *w)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) == JSON_STRING) {
        add_text(c, walk_text(w));
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c->call, "must be a string or an array of strings", "%.*s", STR_ARG(key));
    }
    walk_enter(w);
    while (walk_element(w)) {
        enum json_type type = walk_type(w);
        if (type == JSON_NUMBER || type == JSON_ARRAY) {
            return ir_bad(c->call,
                          "holds token numbers, which only the provider whose tokenizer made them "
                          "understands: send the texts themselves",
                          "%.*s", STR_ARG(key));
        }
        if (type != JSON_STRING) {
            return ir_bad(c->call, "must hold strings only", "%.*s", STR_ARG(key));
        }
        add_text(c, walk_text(w));
    }
    return 0;
}

/* The end of every reader: something to embed is there. */
static int must_hold_text(struct embed_call *c, const char *name)
{
    if (c->n == 0) {
        return ir_bad(c->call, "must hold at least one text", "%s", name);
    }
    if (!c->types) {
        c->types = 1 << EMBED_FLOAT;
    }
    return 0;
}

/* ---- words ---- */

static const struct {
    struct str word;
    enum embed_purpose purpose;
} purposes[] = {
    {{"search_query", 12}, EMBED_QUERY},
    {{"search_document", 15}, EMBED_DOCUMENT},
    {{"query", 5}, EMBED_QUERY},
    {{"document", 8}, EMBED_DOCUMENT},
    {{"passage", 7}, EMBED_DOCUMENT},
    {{"classification", 14}, EMBED_CLASSIFICATION},
    {{"clustering", 10}, EMBED_CLUSTERING},
    {{"RETRIEVAL_QUERY", 15}, EMBED_QUERY},
    {{"RETRIEVAL_DOCUMENT", 18}, EMBED_DOCUMENT},
    {{"SEMANTIC_SIMILARITY", 19}, EMBED_SIMILARITY},
    {{"CLASSIFICATION", 14}, EMBED_CLASSIFICATION},
    {{"CLUSTERING", 10}, EMBED_CLUSTERING},
    {{"CODE_RETRIEVAL_QUERY", 20}, EMBED_CODE_QUERY},
    {{"QUESTION_ANSWERING", 18}, EMBED_QUESTION},
    {{"FACT_VERIFICATION", 17}, EMBED_FACT},
    {{"TASK_TYPE_UNSPECIFIED", 21}, EMBED_UNSAID},
};

/* A word that is not known is a loss, not a mistake: vendors add to them. */
static void read_purpose(struct embed_call *c, struct str key, struct walk *w)
{
    struct str word = walk_text(w);
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++) {
        if (ir_is(word, purposes[i].word)) {
            c->purpose = purposes[i].purpose;
            return;
        }
    }
    if (word.n) {
        ir_drop_found(c->call, "", key, "");
    }
}

/* A word of Cohere's (NONE, START, END), or whether to cut at all. */
static void read_truncate(struct embed_call *c, struct str key, struct walk *w)
{
    enum json_type type = walk_type(w);
    if (type == JSON_TRUE || type == JSON_FALSE) {
        walk_value(w);
        c->truncate = type == JSON_TRUE ? EMBED_CUT_END : EMBED_REFUSE;
        return;
    }
    struct str word = walk_text(w);
    if (ir_is(word, STR("NONE"))) {
        c->truncate = EMBED_REFUSE;
    } else if (ir_is(word, STR("START"))) {
        c->truncate = EMBED_CUT_START;
    } else if (ir_is(word, STR("END"))) {
        c->truncate = EMBED_CUT_END;
    } else if (type != JSON_NULL) {
        ir_drop_found(c->call, "", key, "");
    }
}

static int read_type(struct embed_call *c, struct str key, struct str word)
{
    for (unsigned t = 0; t < EMBED_TYPES; t++) {
        if (ir_is(word, embed_type_word((enum embed_type)t))) {
            c->types |= 1U << t;
            return 0;
        }
    }
    return ir_bad(c->call, "must be of float, base64, int8, uint8, binary, ubinary", "%.*s",
                  STR_ARG(key));
}

static int read_types(struct embed_call *c, struct str key, struct walk *w)
{
    int r = 0;
    for (bool more = walk_array(w); r == 0 && more && walk_element(w);) {
        r = read_type(c, key, walk_text(w));
    }
    return r;
}

/* ---- openai.embeddings ---- */

static int openai_member(struct embed_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("input"))) {
        return read_texts(c, key, w);
    }
    if (str_eq(key, STR("encoding_format"))) {
        if (walk_type(w) == JSON_NULL) {
            walk_value(w);
            return 0;
        }
        struct str word = walk_text(w);
        if (!ir_is(word, STR("float")) && !ir_is(word, STR("base64"))) {
            return ir_bad(c->call, "must be \"float\" or \"base64\"", "encoding_format");
        }
        return read_type(c, key, word);
    }
    if (str_eq(key, STR("dimensions")) || str_eq(key, STR("output_dimension"))) {
        return read_number(c, key, w, &c->dimensions);
    }
    if (str_eq(key, STR("user"))) {
        c->call->end_user = walk_text(w);
    } else if (str_eq(key, STR("input_type"))) {
        read_purpose(c, key, w);
    } else if (str_eq(key, STR("truncate"))) {
        read_truncate(c, key, w);
    } else if (str_eq(key, STR("model"))) {
        walk_value(w);
    } else {
        pass_over(c, key, w);
    }
    return 0;
}

int embed_read_openai(struct embed_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = openai_member(c, key, &w);
        if (r < 0) {
            return r;
        }
    }
    return must_hold_text(c, "input");
}

/* ---- gemini.embed ---- */

/* One text out of several parts, a line each. */
struct joined {
    struct str text; /* p is NULL without any */
    struct buf lines;
};

static void join(struct joined *j, struct arena *a, struct str text)
{
    if (!text.p) {
        return;
    }
    if (!j->text.p) {
        j->text = text;
        return;
    }
    if (!j->lines.n) {
        j->lines = (struct buf){.arena = a};
        buf_add(&j->lines, j->text);
    }
    buf_add(&j->lines, STR("\\n"));
    buf_add(&j->lines, text);
    j->text = buf_str(&j->lines);
}

/* {parts: [{text}]}; what is no text is a loss as long as a text stands beside it. */
static int read_content(struct embed_call *c, struct walk *w)
{
    struct str key;
    struct joined text = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (!str_eq(key, STR("parts"))) {
            walk_value(w); /* role */
            continue;
        }
        for (bool more = walk_array(w); more && walk_element(w);) {
            for (bool part = walk_object(w); part && walk_member(w, &key);) {
                if (str_eq(key, STR("text"))) {
                    join(&text, c->call->arena, walk_text(w));
                } else {
                    walk_value(w);
                    ir_drop_found(c->call, "content.parts[", key, "]");
                }
            }
        }
    }
    if (!text.text.p) {
        return ir_bad(c->call, "must hold a part with a text: nothing else can be carried",
                      "content.parts");
    }
    add_text(c, text.text);
    return 0;
}

/* What a request of a batch says besides its text must be the same in all of them: the form has one. */
struct gemini_say {
    enum embed_purpose purpose;
    struct str dimensions;
    enum embed_truncate truncate;
};

static int gemini_request(struct embed_call *c, struct walk *w);

static int gemini_member(struct embed_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("content"))) {
        return read_content(c, w);
    }
    if (str_eq(key, STR("outputDimensionality")) || str_eq(key, STR("output_dimensionality"))) {
        return read_number(c, key, w, &c->dimensions);
    }
    if (str_eq(key, STR("embedContentConfig")) || str_eq(key, STR("embed_content_config"))) {
        return gemini_request(c, w);
    }
    if (str_eq(key, STR("taskType")) || str_eq(key, STR("task_type"))) {
        read_purpose(c, STR("taskType"), w);
    } else if (str_eq(key, STR("autoTruncate")) || str_eq(key, STR("auto_truncate"))) {
        read_truncate(c, STR("autoTruncate"), w);
    } else if (str_eq(key, STR("model"))) {
        walk_value(w);
    } else {
        pass_over(c, key, w); /* title */
    }
    return 0;
}

static int gemini_request(struct embed_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        int r = gemini_member(c, key, w);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static int gemini_batch(struct embed_call *c, struct walk *w)
{
    struct gemini_say first = {0};
    for (bool more = walk_array(w); more && walk_element(w);) {
        uint32_t n = c->n;
        c->purpose = EMBED_UNSAID;
        c->truncate = EMBED_TRUNCATE_UNSAID;
        c->dimensions = (struct str){0};
        int r = gemini_request(c, w);
        if (r < 0) {
            return r;
        }
        if (c->n != n + 1) {
            return ir_bad(c->call, "must have a content with a text", "requests[%u]", n);
        }
        if (n == 0) {
            first = (struct gemini_say){c->purpose, c->dimensions, c->truncate};
        } else if (c->purpose != first.purpose || c->truncate != first.truncate ||
                   !str_eq(c->dimensions, first.dimensions)) {
            return ir_bad(c->call,
                          "asks for another taskType or outputDimensionality than the first one: "
                          "the provider takes one for the whole batch",
                          "requests[%u]", n);
        }
    }
    return 0;
}

int embed_read_gemini(struct embed_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    c->purpose_name = "taskType";
    c->dimensions_name = "outputDimensionality";
    c->one = true;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r;
        if (str_eq(key, STR("requests"))) {
            c->one = false;
            r = gemini_batch(c, &w);
        } else {
            r = gemini_member(c, key, &w);
        }
        if (r < 0) {
            return r;
        }
    }
    if (c->one && c->n > 1) {
        return ir_bad(c->call, "must stand there once", "content");
    }
    return must_hold_text(c, c->one ? "content" : "requests");
}

/* ---- cohere.embed, also on Bedrock ---- */

/* {content: [{type: text, text}, {type: image_url, image_url}]} */
static int read_input(struct embed_call *c, struct walk *w)
{
    struct str key;
    struct joined text = {0};
    uint32_t at = c->n;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (!str_eq(key, STR("content"))) {
            walk_value(w);
            continue;
        }
        for (bool more = walk_array(w); more && walk_element(w);) {
            for (bool part = walk_object(w); part && walk_member(w, &key);) {
                if (str_eq(key, STR("text"))) {
                    join(&text, c->call->arena, walk_text(w));
                } else if (str_eq(key, STR("type"))) {
                    walk_value(w);
                } else {
                    walk_value(w);
                    ir_drop_found(c->call, "inputs.content[", key, "]");
                }
            }
        }
    }
    if (!text.text.p) {
        return ir_bad(c->call, "must hold a text: images alone cannot be carried", "inputs[%u]",
                      at);
    }
    add_text(c, text.text);
    return 0;
}

static int read_inputs(struct embed_call *c, struct walk *w)
{
    int r = 0;
    for (bool more = walk_array(w); r == 0 && more && walk_element(w);) {
        r = read_input(c, w);
    }
    return r;
}

static int cohere_member(struct embed_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("texts"))) {
        return read_texts(c, key, w);
    }
    if (str_eq(key, STR("inputs"))) {
        return read_inputs(c, w);
    }
    if (str_eq(key, STR("images")) && walk_type(w) == JSON_ARRAY) {
        return ir_bad(c->call, "cannot be carried to a provider of another kind: only texts can",
                      "images");
    }
    if (str_eq(key, STR("embedding_types"))) {
        return read_types(c, key, w);
    }
    if (str_eq(key, STR("output_dimension"))) {
        return read_number(c, key, w, &c->dimensions);
    }
    if (str_eq(key, STR("input_type"))) {
        read_purpose(c, key, w);
    } else if (str_eq(key, STR("truncate"))) {
        read_truncate(c, key, w);
    } else if (str_eq(key, STR("model"))) {
        walk_value(w);
    } else {
        pass_over(c, key, w); /* max_tokens, priority */
    }
    return 0;
}

int embed_read_cohere(struct embed_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    c->dimensions_name = "output_dimension";
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = cohere_member(c, key, &w);
        if (r < 0) {
            return r;
        }
    }
    return must_hold_text(c, "texts");
}

/* What InvokeModel carries is the model's own; of those only embeddings are known here. */
int embed_read_invoke(struct embed_call *c, struct str body)
{
    if (!embed_member(body, STR("texts")).n && !embed_member(body, STR("images")).n) {
        return ir_bad(c->call,
                      "must hold inputText or texts: only embeddings are translated from "
                      "InvokeModel; send conversations to /converse or /converse-stream",
                      "body");
    }
    return embed_read_cohere(c, body);
}

/* ---- ollama.embed, and the older /api/embeddings with its one prompt ---- */

int embed_read_ollama(struct embed_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = 0;
        if (str_eq(key, STR("input"))) {
            r = read_texts(c, key, &w);
        } else if (str_eq(key, STR("prompt"))) {
            if (walk_type(&w) != JSON_STRING) {
                return ir_bad(c->call, "must be a string", "prompt");
            }
            c->one = true;
            add_text(c, walk_text(&w));
        } else if (str_eq(key, STR("dimensions"))) {
            r = read_number(c, key, &w, &c->dimensions);
        } else if (str_eq(key, STR("truncate"))) {
            read_truncate(c, key, &w);
        } else if (str_eq(key, STR("model"))) {
            walk_value(&w);
        } else {
            pass_over(c, key, &w); /* options, keep_alive */
        }
        if (r < 0) {
            return r;
        }
    }
    if (c->one && c->n > 1) {
        return ir_bad(c->call, "must stand alone, without \"input\"", "prompt");
    }
    return must_hold_text(c, "input");
}

/* ---- Amazon's Titan ---- */

int embed_read_titan(struct embed_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = 0;
        if (str_eq(key, STR("inputText"))) {
            if (walk_type(&w) != JSON_STRING || c->n) {
                return ir_bad(c->call, "must be one string", "inputText");
            }
            add_text(c, walk_text(&w));
        } else if (str_eq(key, STR("dimensions"))) {
            r = read_number(c, key, &w, &c->dimensions);
        } else if (str_eq(key, STR("embeddingTypes"))) {
            r = read_types(c, key, &w);
        } else if (str_eq(key, STR("normalize")) && walk_type(&w) == JSON_TRUE) {
            walk_value(&w); /* others' vectors have length 1 */
        } else {
            pass_over(c, key, &w);
        }
        if (r < 0) {
            return r;
        }
    }
    return must_hold_text(c, "inputText");
}
