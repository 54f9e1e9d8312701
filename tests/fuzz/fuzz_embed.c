/* Whatever a caller or an upstream sends as embeddings, rerank or a count of tokens: what is written of it in any
 * other dialect is valid JSON, the same each time. The first three bytes choose the dialects and what is read. */
#include <stdlib.h>

#include "base/must.h"
#include "dialect/embed.h"
#include "dialect/rerank.h"
#include "dialect/tokens.h"
#include "dialect/vector.h"
#include "json/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_object(const struct buf *b)
{
    enum json_type top;
    must(json_scan(buf_str(b), NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT);
}

static void must_be_names(const struct ir_call *c)
{
    for (const struct ir_list *l = c->dropped; l; l = l->next) {
        for (size_t i = 0; i < l->text.n; i++) {
            must(l->text.p[i] >= ' ' && l->text.p[i] < 0x7f); /* it becomes a header field */
        }
    }
}

/* ---- embeddings ---- */

static const struct embed_format *embed_pick(uint8_t byte)
{
    return byte % 8 == 7 ? embed_format_of(FAMILY_BEDROCK, STR("cohere.embed-v4:0"))
                         : embed_format_of((enum family)(byte % 8), STR("m"));
}

static int embed_read(struct arena *a, struct ir_call *call, struct embed_call *c,
                      const struct embed_format *f, struct str body)
{
    ir_call_init(call, a);
    embed_call_init(c, call);
    int r = f->read_request(c, body);
    must(r == 0 || call->bad.n);
    return r;
}

static void embed_request(struct arena *a, const struct embed_format *from,
                          const struct embed_format *to, struct str body)
{
    struct ir_call call;
    struct embed_call c;
    struct buf b = {.arena = a}, again = {.arena = a}, path = {.arena = a};
    struct ir_target t = {.model = STR("m"), .family = to->family};
    if (embed_read(a, &call, &c, from, body) < 0) {
        return;
    }
    must(c.n && c.types);
    to->write_request(&b, &c, &t);
    must_be_object(&b);
    must_be_names(&call);
    to->path(&path, &c, &t);
    must(path.n > 1 && path.p[0] == '/');
    must(embed_read(a, &call, &c, from, body) == 0);
    to->write_request(&again, &c, &t);
    must(str_eq(buf_str(&b), buf_str(&again)));
    must(embed_tokens_estimate(&c) >= 0);
    /* What a vendor is asked is a request of its dialect as well. */
    must(embed_read(a, &call, &c, to, buf_str(&b)) == 0);
}

static void embed_answer(struct arena *a, const struct embed_format *from,
                         const struct embed_format *to, struct str body, uint32_t types)
{
    struct ir_call call;
    struct embed_call c;
    struct embed_answer answer;
    struct embed_out o = {.model = STR("m"), .id = STR("7"), .spare = a};
    struct buf b = {.arena = a};
    ir_call_init(&call, a);
    embed_call_init(&c, &call);
    embed_answer_init(&answer, a);
    if (from->read_answer(&answer, body) < 0) {
        return;
    }
    c.types = types ? types : 1;
    for (unsigned i = 0; i < EMBED_TYPES; i++) {
        c.n = answer.sets[i].n > c.n ? answer.sets[i].n : c.n;
    }
    c.one = types & 4;
    if (embed_is_whole(&answer, c.n) && to->write_answer(&b, &c, &answer, &o) == 0) {
        must_be_object(&b);
    }
}

/* Whatever numbers: out and back again they are the same floats. */
static void vector(struct arena *a, struct str body)
{
    struct buf base64 = {.arena = a}, numbers = {.arena = a}, again = {.arena = a};
    if (vector_to_numbers(&numbers, a, body) == 0) {
        must(json_scan(buf_str(&numbers), NULL, 0, NULL, NULL) == 0);
        must(vector_to_base64(&base64, buf_str(&numbers)) == 0);
        must(vector_to_numbers(&again, a, buf_str(&base64)) == 0);
        must(str_eq(buf_str(&numbers), buf_str(&again)));
    }
}

/* ---- the others ---- */

static void rerank(struct arena *a, const struct rerank_format *f, const struct rerank_format *to,
                   struct str body)
{
    struct ir_call call;
    struct rerank_call c;
    struct rerank_answer answer;
    struct rerank_out o = {.model = STR("m"), .id = STR("7")};
    struct buf b = {.arena = a};
    struct ir_target t = {.model = STR("m"), .family = to->family};
    ir_call_init(&call, a);
    rerank_call_init(&c, &call);
    if (f->read_request(&c, body) == 0) {
        to->write_request(&b, &c, &t);
        must_be_object(&b);
        must_be_names(&call);
        must(rerank_tokens_estimate(&c) >= 0);
        return;
    }
    static struct rerank_document documents[] = {{{"a", 1}, {0}}, {{"b", 1}, {"{\"text\":1}", 10}}};
    c.documents = documents;
    c.n = 2;
    rerank_answer_init(&answer, a);
    if (f->read_answer(&answer, &c, body) == 0) {
        to->write_answer(&b, &c, &answer, &o);
        must_be_object(&b);
    }
}

static void tokens(struct arena *a, const struct tokens_format *f, const struct tokens_format *to,
                   struct str body)
{
    struct ir_call c;
    struct buf b = {.arena = a};
    struct ir_target t = {.model = STR("m"), .family = to->family};
    must(tokens_read_answer(f, body) >= -1);
    ir_call_init(&c, a);
    if (tokens_read_request(f, &c, body) == 0) {
        ir_call_finish(&c);
        must(tokens_estimate(&c) >= 0 && tokens_estimate_for(&c, to->family) >= 0);
        if (tokens_write_request(to, &b, &c, &t) == 0) {
            must_be_object(&b);
        }
    }
}

static void choose(struct arena *a, uint8_t one, uint8_t two, uint8_t what, struct str text)
{
    const struct embed_format *from = embed_pick(one), *to = embed_pick(two);
    const struct tokens_format *count = tokens_format_of_family((enum family)(one % FAMILY_COUNT)),
                               *count_to =
                                   tokens_format_of_family((enum family)(two % FAMILY_COUNT));
    enum json_type top;
    if (what % 4 == 3) {
        must(tokens_of_text(text) >= 0);
    }
    if (json_scan(text, NULL, 0, &top, NULL) < 0) {
        return;
    }
    if (top == JSON_STRING && what % 4 == 3) {
        vector(a, str_make(text.p + 1, text.n - 2));
    } else if (what % 4 == 0 && top == JSON_OBJECT && from && to) {
        embed_request(a, from, to, text);
    } else if (what % 4 == 1 && from && to) {
        embed_answer(a, from, to, text, what >> 2);
    } else if (what % 4 == 2 && top == JSON_OBJECT) {
        rerank(a, rerank_format_of(one % 2 ? FAMILY_COHERE : FAMILY_OPENAI),
               rerank_format_of(two % 2 ? FAMILY_COHERE : FAMILY_OPENAI), text);
    } else if (what % 4 == 3 && top == JSON_OBJECT && count && count_to) {
        tokens(a, count, count_to, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    struct arena a = {0};
    /* Its own memory, so that reading outside of it shows. */
    char *own = malloc(size - 3);
    must(own);
    memcpy(own, data + 3, size - 3);
    choose(&a, data[0], data[1], data[2], str_make(own, size - 3));
    free(own);
    arena_reset(&a);
    return 0;
}
