/* Embeddings of OpenAI and Gemini, and reranking by them. A vector counts words: each falls by its hash into one
 * dimension, up or down, and the whole has length 1. So the same text has the same vector
 * everywhere, and texts that share words are near each other. */
#include <stdlib.h>

#include "gateway/sim_call.h"

enum { DIMS_DEFAULT = 8, DIMS_MAX = 3072, ITEMS_MAX = 2048 };

/* ---- vectors ---- */

/* FNV-1a, 64 bits, and a stir so that short words differ in all bits. */
static uint64_t hash(struct str word)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < word.n; i++) {
        h = (h ^ (unsigned char)word.p[i]) * 0x100000001b3;
    }
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    return h ^ h >> 32;
}

static void count_word(float *v, int64_t dims, struct str word)
{
    uint64_t h = hash(word);
    v[(h >> 1) % (uint64_t)dims] += h & 1 ? 1.0f : -1.0f;
}

static void count_text(float *v, int64_t dims, struct str s)
{
    size_t at = 0;
    while (at < s.n) {
        size_t end = at;
        while (end < s.n && !sim_is_space(s.p[end])) {
            end++;
        }
        if (end > at) {
            count_word(v, dims, str_make(s.p + at, end - at));
        }
        at = end + 1;
    }
}

/* By Newton's method: libm is not worth linking for this. */
static double root(double x)
{
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 64; i++) {
        r = (r + x / r) / 2;
    }
    return r;
}

static void normalise(float *v, int64_t dims)
{
    double sum = 0;
    for (int64_t i = 0; i < dims; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    if (sum == 0) { /* no words, or each against another */
        v[0] = 1;
        return;
    }
    double length = root(sum);
    for (int64_t i = 0; i < dims; i++) {
        v[i] = (float)((double)v[i] / length);
    }
}

/* An input is a text, an array of tokens, or Gemini's content with parts. */
static void make_vector(float *v, int64_t dims, const struct json *item)
{
    const struct json *parts = item->type == JSON_OBJECT ? json_get(item, STR("parts")) : NULL;
    memset(v, 0, (size_t)dims * sizeof *v);
    if (item->type == JSON_STRING) {
        count_text(v, dims, item->text);
    }
    for (const struct json *t = item->type == JSON_ARRAY ? item->first : NULL; t; t = t->next) {
        count_word(v, dims, t->text);
    }
    for (const struct json *p = parts ? parts->first : NULL; p; p = p->next) {
        count_text(v, dims, sim_text(json_get(p, STR("text"))));
    }
    normalise(v, dims);
}

/* ---- writing them ---- */

static void write_floats(struct buf *b, const float *v, int64_t dims)
{
    buf_addc(b, '[');
    for (int64_t i = 0; i < dims; i++) {
        buf_add(b, i ? STR(",") : STR(""));
        if (v[i] > 0 || v[i] < 0) {
            buf_printf(b, "%.9g", (double)v[i]); /* enough digits for the same float32 again */
        } else {
            buf_addc(b, '0');
        }
    }
    buf_addc(b, ']');
}

/* RFC 4648, of the floats' bytes, the lowest first. */
static void write_base64(struct buf *b, const float *v, int64_t dims)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t held = 0;
    unsigned bits = 0, out = 0;
    buf_addc(b, '"');
    for (int64_t i = 0; i < dims; i++) {
        uint32_t word;
        memcpy(&word, &v[i], sizeof word);
        for (int byte = 0; byte < 4; byte++, word >>= 8) {
            held = held << 8 | (word & 0xff);
            for (bits += 8; bits >= 6; bits -= 6, out++) {
                buf_addc(b, digits[held >> (bits - 6) & 63]);
            }
        }
    }
    if (bits) {
        buf_addc(b, digits[held << (6 - bits) & 63]);
        out++;
    }
    buf_add(b, str_first(STR("==="), (4 - out % 4) % 4));
    buf_addc(b, '"');
}

static void write_vector(struct sim_call *c, struct buf *b)
{
    float v[DIMS_MAX];
    make_vector(v, c->dims, c->item);
    if (c->base64) {
        write_base64(b, v, c->dims);
    } else {
        write_floats(b, v, c->dims);
    }
}

/* ---- OpenAI ---- */

static void list_open(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "{\"object\":\"list\",\"id\":\"sim-embd-%.*s\",\"data\":[", STR_ARG(c->id));
}

static void list_item(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "%s{\"object\":\"embedding\",\"index\":%llu,\"embedding\":",
               c->word_at > 1 ? "," : "", (unsigned long long)c->word_at - 1);
    write_vector(c, b);
    buf_addc(b, '}');
}

static void list_close(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "],\"model\":\"%.*s\"", STR_ARG(c->name));
    if (sim_tells_usage(c)) {
        buf_printf(b, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}",
                   (unsigned long long)c->input_tokens, (unsigned long long)c->input_tokens);
    }
    buf_addc(b, '}');
}

static const struct sim_part list_whole[] = {
    {SIM_ONCE, list_open}, {SIM_FILL, list_item}, {SIM_END, list_close}};

static bool wrong_input(struct sim_call *c)
{
    return sim_refuse(
        c, 400, "invalid_value", "input",
        "\"input\" must be a string, an array of tokens, or an array of at most %d of these.",
        ITEMS_MAX);
}

/* One input: a text or an array of tokens. The first one may hold directives. */
static bool add_item(struct sim_call *c, const struct json *item)
{
    if (item->type == JSON_STRING) {
        sim_hear(c, item->text, c->n_items == 0);
    } else if (item->type == JSON_ARRAY) {
        c->input_tokens += json_count(item);
    } else {
        return wrong_input(c);
    }
    c->items[c->n_items++] = item;
    return true;
}

static bool read_input(struct sim_call *c, const struct json *input)
{
    bool tokens =
        input && input->type == JSON_ARRAY && input->first && input->first->type == JSON_NUMBER;
    size_t n = input && input->type == JSON_ARRAY && !tokens ? json_count(input) : 1;
    if (!input || n == 0 || n > ITEMS_MAX) {
        return wrong_input(c);
    }
    c->items = arena_alloc(&c->req->arena, n * sizeof *c->items);
    c->keep_input = true;
    sim_turn(c, false);
    if (input->type != JSON_ARRAY || tokens) {
        return add_item(c, input);
    }
    for (const struct json *item = input->first; item; item = item->next) {
        if (!add_item(c, item)) {
            return false;
        }
    }
    return true;
}

static bool read_embeddings(struct sim_call *c, const struct json *body)
{
    const struct json *format = json_get(body, STR("encoding_format"));
    c->dims = DIMS_DEFAULT;
    c->base64 = sim_is(format, STR("base64"));
    if (format && format->type != JSON_NULL && !c->base64 && !sim_is(format, STR("float"))) {
        return sim_refuse(c, 400, "invalid_value", "encoding_format",
                          "\"encoding_format\" must be \"float\" or \"base64\".");
    }
    sim_answer(c, SIM_WHOLE, list_whole);
    return sim_read_count(c, body, "dimensions", DIMS_MAX, &c->dims) &&
           read_input(c, json_get(body, STR("input")));
}

const struct sim_format sim_embeddings = {.path = {"/embeddings", 11}, .read = read_embeddings};

/* ---- reranking, which others have put beside OpenAI's ---- */

struct ranked {
    double score;
    size_t index;
};

static int best_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->score > y->score   ? -1
           : x->score < y->score ? 1
                                 : (x->index > y->index) - (x->index < y->index);
}

/* The document's text: it is a string, or an object with one. */
static const struct json *text_in(const struct json *document)
{
    const struct json *text =
        document->type == JSON_OBJECT ? json_get(document, STR("text")) : document;
    return text && text->type == JSON_STRING ? text : NULL;
}

/* The cosine, as far as it is above 0: both have length 1. */
static double likeness(const float *query, const struct json *document)
{
    float v[DIMS_MAX];
    double sum = 0;
    make_vector(v, DIMS_MAX, text_in(document));
    for (int i = 0; i < DIMS_MAX; i++) {
        sum += (double)v[i] * (double)query[i];
    }
    return sum < 0 ? 0 : sum > 1 ? 1 : sum;
}

/* items[0] is the query. */
static void write_ranking(struct sim_call *c, struct buf *b)
{
    float query[DIMS_MAX];
    size_t n = c->n_items - 1;
    struct ranked *order = arena_alloc(&c->req->arena, n * sizeof *order);
    make_vector(query, DIMS_MAX, c->items[0]);
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct ranked){likeness(query, c->items[i + 1]), i};
    }
    qsort(order, n, sizeof *order, best_first);
    buf_printf(b, "{\"id\":\"sim-rank-%.*s\",\"model\":\"%.*s\",\"results\":[", STR_ARG(c->id),
               STR_ARG(c->name));
    for (size_t i = 0; i < n && i < (size_t)c->top_n; i++) {
        buf_printf(b, "%s{\"index\":%zu,\"relevance_score\":%.6g", i ? "," : "", order[i].index,
                   order[i].score);
        if (c->with_documents) {
            buf_add(b, STR(",\"document\":{\"text\":"));
            sim_string(b, text_in(c->items[order[i].index + 1])->text);
            buf_addc(b, '}');
        }
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    if (sim_tells_usage(c)) {
        buf_printf(b, ",\"usage\":{\"total_tokens\":%llu}", (unsigned long long)c->input_tokens);
    }
    buf_addc(b, '}');
}

static const struct sim_part ranking_whole[] = {{SIM_ONCE, write_ranking}};

static bool read_rerank(struct sim_call *c, const struct json *body)
{
    const struct json *query = json_get(body, STR("query")), *document;
    if (!query || query->type != JSON_STRING) {
        return sim_refuse(c, 400, "invalid_value", "query", "\"query\" must be a string.");
    }
    if (!sim_read_array(c, body, "documents", &document)) {
        return false;
    }
    size_t n = json_count(json_get(body, STR("documents")));
    if (n == 0 || n > ITEMS_MAX) {
        return sim_refuse(c, 400, "invalid_value", "documents",
                          "\"documents\" must hold 1 to %d documents.", ITEMS_MAX);
    }
    c->keep_input = true;
    c->items = arena_alloc(&c->req->arena, (n + 1) * sizeof *c->items);
    c->items[c->n_items++] = query;
    sim_turn(c, false);
    sim_hear(c, query->text, true);
    for (; document; document = document->next) {
        if (!text_in(document)) {
            return sim_refuse(c, 400, "invalid_value", "documents",
                              "A document must be a string, or an object with a \"text\".");
        }
        sim_hear(c, text_in(document)->text, false);
        c->items[c->n_items++] = document;
    }
    c->top_n = ITEMS_MAX;
    c->with_documents = sim_true(json_get(body, STR("return_documents")));
    sim_answer(c, SIM_WHOLE, ranking_whole);
    return sim_read_count(c, body, "top_n", INT32_MAX, &c->top_n);
}

const struct sim_format sim_rerank = {.path = {"/rerank", 7}, .read = read_rerank};

/* ---- Gemini ---- */

static void values_usage(struct sim_call *c, struct buf *b)
{
    if (sim_tells_usage(c)) {
        buf_printf(b, ",\"usageMetadata\":{\"promptTokenCount\":%llu,\"totalTokenCount\":%llu}",
                   (unsigned long long)c->input_tokens, (unsigned long long)c->input_tokens);
    }
    buf_addc(b, '}');
}

static void values_item(struct sim_call *c, struct buf *b)
{
    buf_add(b, c->word_at > 1 ? STR(",{\"values\":") : STR("{\"values\":"));
    write_vector(c, b);
    buf_addc(b, '}');
}

static void one_open(struct sim_call *c, struct buf *b)
{
    (void)c;
    buf_add(b, STR("{\"embedding\":"));
}

static void batch_open(struct sim_call *c, struct buf *b)
{
    (void)c;
    buf_add(b, STR("{\"embeddings\":["));
}

static void batch_close(struct sim_call *c, struct buf *b)
{
    buf_addc(b, ']');
    values_usage(c, b);
}

static const struct sim_part one_whole[] = {
    {SIM_ONCE, one_open}, {SIM_FILL, values_item}, {SIM_END, values_usage}};
static const struct sim_part batch_whole[] = {
    {SIM_ONCE, batch_open}, {SIM_FILL, values_item}, {SIM_END, batch_close}};

static bool add_content(struct sim_call *c, const struct json *request)
{
    const struct json *content = json_get(request, STR("content"));
    if (!content || content->type != JSON_OBJECT) {
        return sim_refuse(c, 400, "invalid_value", "content",
                          "\"content\" must be an object with parts.");
    }
    if (c->n_items == 0) {
        sim_turn(c, false);
    }
    sim_hear_content(c, json_get(content, STR("parts")), c->n_items == 0);
    c->items[c->n_items++] = content;
    return sim_read_count(c, request, "outputDimensionality", DIMS_MAX, &c->dims) &&
           sim_read_count(c, request, "output_dimensionality", DIMS_MAX, &c->dims);
}

static bool read_one(struct sim_call *c, const struct json *body)
{
    c->dims = DIMS_DEFAULT;
    c->keep_input = true;
    c->items = arena_alloc(&c->req->arena, sizeof *c->items);
    sim_answer(c, SIM_WHOLE, one_whole);
    return add_content(c, body);
}

/* All vectors of a batch are of the length that its last request asks for. */
static bool read_batch(struct sim_call *c, const struct json *body)
{
    const struct json *request;
    if (!sim_read_array(c, body, "requests", &request)) {
        return false;
    }
    size_t n = json_count(json_get(body, STR("requests")));
    if (n == 0 || n > ITEMS_MAX) {
        return sim_refuse(c, 400, "invalid_value", "requests",
                          "\"requests\" must hold 1 to %d requests.", ITEMS_MAX);
    }
    c->dims = DIMS_DEFAULT;
    c->keep_input = true;
    c->items = arena_alloc(&c->req->arena, n * sizeof *c->items);
    sim_answer(c, SIM_WHOLE, batch_whole);
    for (; request; request = request->next) {
        if (!add_content(c, request)) {
            return false;
        }
    }
    return true;
}

const struct sim_format sim_embed_content = {.path = {"embedContent", 12}, .read = read_one};
const struct sim_format sim_batch_embed = {.path = {"batchEmbedContents", 18}, .read = read_batch};
