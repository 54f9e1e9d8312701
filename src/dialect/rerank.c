/* Sources: Cohere API reference, "Rerank" (v2, v1); Jina "Reranker API"; Voyage "Rerankers"; vLLM "Re-rank
 * API"; Together "Rerank"; text-embeddings-inference "/rerank". */
#include "dialect/rerank.h"

#include <errno.h>

#include "dialect/embed_rows.h"
#include "dialect/tokens.h"

void rerank_call_init(struct rerank_call *c, struct ir_call *call)
{
    *c = (struct rerank_call){
        .call = call, .top_n_name = "top_n", .max_tokens_name = "max_tokens_per_doc"};
}

void rerank_answer_init(struct rerank_answer *a, struct arena *arena)
{
    *a = (struct rerank_answer){.arena = arena, .tokens = -1, .search_units = -1};
}

int64_t rerank_tokens_estimate(const struct rerank_call *c)
{
    int64_t sum = 0, query = tokens_of_text(c->query);
    for (uint32_t i = 0; i < c->n; i++) { /* the model reads the query anew for each document */
        sum += query + tokens_of_text(c->documents[i].text);
    }
    return sum;
}

/* ---- requests: both dialects have one reader, since their members have the same names ---- */

static struct rerank_document *add_document(struct rerank_call *c)
{
    if (c->n == c->_room) {
        uint32_t room = c->_room ? c->_room * 2 : 32;
        struct rerank_document *at = arena_alloc(c->call->arena, room * sizeof *at);
        if (c->n) {
            memcpy(at, c->documents, c->n * sizeof *at);
        }
        c->documents = at;
        c->_room = room;
    }
    c->documents[c->n] = (struct rerank_document){0};
    return &c->documents[c->n++];
}

/* The text of {"text": ...}; p is NULL without one. */
static struct str text_of(struct str object)
{
    struct walk w = walk_at(object);
    struct str key, text = {0};
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("text"))) {
            text = walk_text(&w);
        } else {
            walk_value(&w);
        }
    }
    return text;
}

static int read_documents(struct rerank_call *c, struct walk *w)
{
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c->call, "must be an array of strings or objects", "documents");
    }
    walk_enter(w);
    while (walk_element(w)) {
        struct rerank_document *d = add_document(c);
        if (walk_type(w) == JSON_STRING) {
            d->text = walk_text(w);
        } else if (walk_type(w) == JSON_OBJECT) {
            d->object = walk_value(w);
            d->text = text_of(d->object);
            if (!d->text.p) { /* fields of their own: the whole object is what there is to rank */
                d->text = ir_args_out(c->call->arena, d->object);
            }
        } else {
            return ir_bad(c->call, "must be a string or an object", "documents[%u]", c->n - 1);
        }
    }
    return 0;
}

static int read_query(struct rerank_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_OBJECT) { /* Jina's, which may be an image as well */
        c->query = text_of(walk_value(w));
    } else {
        c->query = walk_text(w);
    }
    return c->query.p ? 0 : ir_bad(c->call, "must be a string", "query");
}

static int read_number(struct rerank_call *c, struct str key, struct walk *w, struct str *to)
{
    enum json_type type = walk_type(w);
    struct str value = walk_value(w);
    if (type != JSON_NULL && type != JSON_NUMBER) {
        return ir_bad(c->call, "must be a number", "%.*s", STR_ARG(key));
    }
    *to = type == JSON_NUMBER ? value : *to;
    return 0;
}

static int read_member(struct rerank_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("query"))) {
        return read_query(c, w);
    }
    if (str_eq(key, STR("documents"))) {
        return read_documents(c, w);
    }
    if (str_eq(key, STR("top_n"))) {
        return read_number(c, key, w, &c->top_n);
    }
    if (str_eq(key, STR("top_k"))) { /* Voyage's word */
        c->top_n_name = "top_k";
        return read_number(c, key, w, &c->top_n);
    }
    if (str_eq(key, STR("max_tokens_per_doc"))) {
        return read_number(c, key, w, &c->max_tokens);
    }
    if (str_eq(key, STR("truncate_prompt_tokens"))) { /* vLLM's */
        c->max_tokens_name = "truncate_prompt_tokens";
        return read_number(c, key, w, &c->max_tokens);
    }
    enum json_type type = walk_type(w);
    walk_value(w);
    if (str_eq(key, STR("return_documents")) && (type == JSON_TRUE || type == JSON_FALSE)) {
        c->with_documents = type == JSON_TRUE ? IR_YES : IR_NO;
    } else if (!str_eq(key, STR("model")) && type != JSON_NULL) {
        ir_drop_found(c->call, "", key, ""); /* priority, rank_fields, truncation, user ... */
    }
    return 0;
}

static int read_request(struct rerank_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = read_member(c, key, &w);
        if (r < 0) {
            return r;
        }
    }
    if (!c->query.p) {
        return ir_bad(c->call, "is missing", "query");
    }
    return c->n ? 0 : ir_bad(c->call, "must hold at least one document", "documents");
}

static void put_request(struct buf *b, const struct rerank_call *c, const struct ir_target *t)
{
    ir_put_plain(b, "model", t->model);
    ir_put_text(b, "query", c->query);
    ir_put_name(b, "documents");
    buf_addc(b, '[');
    for (uint32_t i = 0; i < c->n; i++) {
        buf_add(b, i ? STR(",\"") : STR("\""));
        buf_add(b, c->documents[i].text);
        buf_addc(b, '"');
    }
    buf_addc(b, ']');
    ir_put_value(b, "top_n", c->top_n);
}

static void write_cohere(struct buf *b, struct rerank_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    put_request(b, c, t);
    ir_put_value(b, "max_tokens_per_doc", c->max_tokens);
    buf_addc(b, '}');
}

/* Documents are put into the answer here, so they need not come back over the wire. */
static void write_openai(struct buf *b, struct rerank_call *c, const struct ir_target *t)
{
    buf_addc(b, '{');
    put_request(b, c, t);
    ir_put_bool(b, "return_documents", false);
    buf_addc(b, '}');
    if (c->max_tokens.n) {
        ir_drop(c->call, str_of(c->max_tokens_name));
    }
}

/* ---- answers ---- */

static int read_result(struct rerank_answer *a, const struct rerank_call *c, struct walk *w)
{
    struct str key, score = {0};
    int64_t index = -1;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("index"))) {
            embed_read_count(w, &index);
        } else if ((str_eq(key, STR("relevance_score")) || str_eq(key, STR("score"))) &&
                   walk_type(w) == JSON_NUMBER) {
            score = walk_value(w);
        } else {
            walk_value(w);
        }
    }
    if (index < 0 || index >= c->n || !score.n || a->n == c->n) {
        return -EBADMSG;
    }
    if (a->n == a->_room) {
        uint32_t room = a->_room ? a->_room * 2 : 32;
        struct rerank_result *at = arena_alloc(a->arena, room * sizeof *at);
        if (a->n) {
            memcpy(at, a->results, a->n * sizeof *at);
        }
        a->results = at;
        a->_room = room;
    }
    a->results[a->n++] = (struct rerank_result){(uint32_t)index, score};
    return 0;
}

static int read_results(struct rerank_answer *a, const struct rerank_call *c, struct walk *w)
{
    int r = 0;
    for (bool more = walk_array(w); r == 0 && more && walk_element(w);) {
        r = read_result(a, c, w);
    }
    return r;
}

/* The counts of `usage`, `meta.billed_units` and `meta.tokens`. */
static void read_counts(struct rerank_answer *a, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("total_tokens")) || str_eq(key, STR("input_tokens"))) {
            embed_read_count(w, &a->tokens);
        } else if (str_eq(key, STR("search_units"))) {
            embed_read_count(w, &a->search_units);
        } else {
            walk_value(w);
        }
    }
}

/* All shapes that are known: Cohere's and Jina's `results`, Voyage's `data`, a bare array. */
static int read_answer(struct rerank_answer *a, const struct rerank_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key, inner;
    bool found = false;
    if (walk_type(&w) == JSON_ARRAY) {
        return read_results(a, c, &w);
    }
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if ((str_eq(key, STR("results")) || str_eq(key, STR("data"))) &&
            walk_type(&w) == JSON_ARRAY && !found) {
            found = true;
            if (read_results(a, c, &w) < 0) {
                return -EBADMSG;
            }
        } else if (str_eq(key, STR("usage"))) {
            read_counts(a, &w);
        } else if (str_eq(key, STR("id"))) {
            a->id = walk_text(&w);
        } else if (str_eq(key, STR("meta"))) {
            for (bool deep = walk_object(&w); deep && walk_member(&w, &inner);) {
                if (str_eq(inner, STR("billed_units")) || str_eq(inner, STR("tokens"))) {
                    read_counts(a, &w);
                } else {
                    walk_value(&w);
                }
            }
        } else {
            walk_value(&w);
        }
    }
    return found ? 0 : -EBADMSG;
}

static void put_results(struct buf *b, const struct rerank_call *c, const struct rerank_answer *a,
                        bool documents)
{
    ir_put_name(b, "results");
    buf_addc(b, '[');
    for (uint32_t i = 0; i < a->n; i++) {
        const struct rerank_document *d = &c->documents[a->results[i].index];
        ir_comma(b);
        buf_addc(b, '{');
        ir_put_i64(b, "index", a->results[i].index);
        ir_put_value(b, "relevance_score", a->results[i].score);
        if (documents && d->object.n) {
            ir_put_value(b, "document", d->object);
        } else if (documents) {
            ir_put_name(b, "document");
            buf_addc(b, '{');
            ir_put_text(b, "text", d->text);
            buf_addc(b, '}');
        }
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void put_id(struct buf *b, const struct rerank_answer *a, const struct rerank_out *o)
{
    if (a->id.n) {
        ir_put_text(b, "id", a->id);
    } else {
        ir_put_plain(b, "id", o->id);
    }
}

static void put_cohere(struct buf *b, const struct rerank_call *c, const struct rerank_answer *a,
                       const struct rerank_out *o)
{
    buf_addc(b, '{');
    put_id(b, a, o);
    put_results(b, c, a, c->with_documents == IR_YES); /* version 1; version 2 never gives them */
    ir_put_value(b, "meta", STR("{\"api_version\":{\"version\":\"2\"}"));
    if (a->search_units >= 0) {
        ir_put_name(b, "billed_units");
        buf_addc(b, '{');
        ir_put_i64(b, "search_units", a->search_units);
        buf_addc(b, '}');
    }
    if (a->tokens >= 0) {
        ir_put_name(b, "tokens");
        buf_addc(b, '{');
        ir_put_i64(b, "input_tokens", a->tokens);
        buf_addc(b, '}');
    }
    buf_add(b, STR("}}"));
}

/* Jina and vLLM give documents unless they are told not to. */
static void put_openai(struct buf *b, const struct rerank_call *c, const struct rerank_answer *a,
                       const struct rerank_out *o)
{
    buf_addc(b, '{');
    put_id(b, a, o);
    ir_put_text(b, "model", o->model);
    put_results(b, c, a, c->with_documents != IR_NO);
    ir_put_name(b, "usage");
    buf_addc(b, '{');
    ir_put_i64(b, "total_tokens", a->tokens < 0 ? 0 : a->tokens);
    buf_add(b, STR("}}"));
}

/* ---- rows ---- */

static const struct rerank_format cohere = {
    .name = {"cohere.rerank", 13},
    .family = FAMILY_COHERE,
    .path = {"/v2/rerank", 10},
    .read_request = read_request,
    .write_request = write_cohere,
    .read_answer = read_answer,
    .write_answer = put_cohere,
};
static const struct rerank_format openai = {
    .name = {"openai.rerank", 13},
    .family = FAMILY_OPENAI,
    .path = {"/rerank", 7},
    .read_request = read_request,
    .write_request = write_openai,
    .read_answer = read_answer,
    .write_answer = put_openai,
};

const struct rerank_format *rerank_format_of(enum family f)
{
    return f == FAMILY_COHERE ? &cohere : f == FAMILY_OPENAI ? &openai : NULL;
}
