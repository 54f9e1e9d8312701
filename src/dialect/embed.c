#include "dialect/embed_rows.h"

#include "dialect/tokens.h"

/* ---- paths ---- */

void embed_add_model(struct buf *b, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < model.n; i++) {
        unsigned char ch = (unsigned char)model.p[i];
        bool plain = (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
                     ch == '-' || ch == '.' || ch == '_' || ch == '~';
        if (plain) {
            buf_addc(b, (char)ch);
        } else {
            buf_addc(b, '%');
            buf_addc(b, hex[ch >> 4]);
            buf_addc(b, hex[ch & 15]);
        }
    }
}

static void openai_path(struct buf *b, const struct embed_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/embeddings"));
}

static void gemini_path(struct buf *b, const struct embed_call *c, const struct ir_target *t)
{
    const struct str front = STR("models/");
    buf_add(b, STR("/models/"));
    embed_add_model(b, str_starts(t->model, front) ? str_from(t->model, front.n) : t->model);
    buf_add(b, c->n == 1 ? STR(":embedContent") : STR(":batchEmbedContents"));
}

static void cohere_path(struct buf *b, const struct embed_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/v2/embed"));
}

static void ollama_path(struct buf *b, const struct embed_call *c, const struct ir_target *t)
{
    (void)c;
    (void)t;
    buf_add(b, STR("/api/embed"));
}

static void bedrock_path(struct buf *b, const struct embed_call *c, const struct ir_target *t)
{
    (void)c;
    buf_add(b, STR("/model/"));
    embed_add_model(b, t->model);
    buf_add(b, STR("/invoke"));
}

/* ---- rows ---- */

/* The limits are those of the vendors' references. */
static const struct embed_format openai = {
    .name = {"openai.embeddings", 17},
    .family = FAMILY_OPENAI,
    .max_batch = 2048,
    .read_request = embed_read_openai,
    .write_request = embed_write_openai,
    .path = openai_path,
    .read_answer = embed_take_openai,
    .write_answer = embed_put_openai,
};
static const struct embed_format gemini = {
    .name = {"gemini.embed", 12},
    .family = FAMILY_GEMINI,
    .version = {"/v1beta", 7},
    .max_batch = 100,
    .read_request = embed_read_gemini,
    .write_request = embed_write_gemini,
    .path = gemini_path,
    .read_answer = embed_take_gemini,
    .write_answer = embed_put_gemini,
};
static const struct embed_format cohere = {
    .name = {"cohere.embed", 12},
    .family = FAMILY_COHERE,
    .max_batch = 96,
    .read_request = embed_read_cohere,
    .write_request = embed_write_cohere,
    .path = cohere_path,
    .read_answer = embed_take_cohere,
    .write_answer = embed_put_cohere,
};
static const struct embed_format ollama = {
    .name = {"ollama.embed", 12},
    .family = FAMILY_OLLAMA,
    .read_request = embed_read_ollama,
    .write_request = embed_write_ollama,
    .path = ollama_path,
    .read_answer = embed_take_ollama,
    .write_answer = embed_put_ollama,
};
static const struct embed_format titan = {
    .name = {"bedrock.titan_embed", 19},
    .family = FAMILY_BEDROCK,
    .max_batch = 1,
    .read_request = embed_read_titan,
    .write_request = embed_write_titan,
    .path = bedrock_path,
    .read_answer = embed_take_titan,
    .write_answer = embed_put_titan,
};
static const struct embed_format bedrock_cohere = {
    .name = {"bedrock.cohere_embed", 20},
    .family = FAMILY_BEDROCK,
    .max_batch = 96,
    .read_request = embed_read_invoke,
    .write_request = embed_write_bedrock_cohere,
    .path = bedrock_path,
    .read_answer = embed_take_cohere,
    .write_answer = embed_put_cohere,
};

static const struct embed_format *const rows[FAMILY_COUNT] = {
    [FAMILY_OPENAI] = &openai, [FAMILY_GEMINI] = &gemini, [FAMILY_COHERE] = &cohere,
    [FAMILY_OLLAMA] = &ollama, [FAMILY_BEDROCK] = &titan,
};

const struct embed_format *embed_format_of(enum family f, struct str model)
{
    /* "cohere.embed-v4:0", behind a region, or within an ARN */
    bool of_cohere = f == FAMILY_BEDROCK && str_find(model, STR("cohere.embed")) >= 0;
    return f >= FAMILY_COUNT ? NULL : of_cohere ? &bedrock_cohere : rows[f];
}

const struct embed_format *embed_format_in(enum family f, struct str body)
{
    bool of_titan = f == FAMILY_BEDROCK && embed_member(body, STR("inputText")).n;
    return f >= FAMILY_COUNT ? NULL : f == FAMILY_BEDROCK && !of_titan ? &bedrock_cohere : rows[f];
}

struct str embed_member(struct str body, struct str name)
{
    struct walk w = walk_at(body);
    struct str key, found = {0};
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        struct str value = walk_value(&w);
        found = str_eq(key, name) ? value : found;
    }
    return found;
}

/* ---- the form ---- */

void embed_call_init(struct embed_call *c, struct ir_call *call)
{
    *c = (struct embed_call){
        .call = call, .purpose_name = "input_type", .dimensions_name = "dimensions"};
}

void embed_answer_init(struct embed_answer *a, struct arena *arena)
{
    *a = (struct embed_answer){.arena = arena, .tokens = -1};
}

struct str embed_type_word(enum embed_type t)
{
    static const struct str words[EMBED_TYPES] = {
        [EMBED_FLOAT] = {"float", 5},   [EMBED_BASE64] = {"base64", 6},
        [EMBED_INT8] = {"int8", 4},     [EMBED_UINT8] = {"uint8", 5},
        [EMBED_BINARY] = {"binary", 6}, [EMBED_UBINARY] = {"ubinary", 7},
    };
    return words[t];
}

bool embed_is_whole(const struct embed_answer *a, uint32_t n)
{
    bool any = false;
    for (unsigned t = 0; t < EMBED_TYPES; t++) {
        if (a->sets[t].n != 0 && a->sets[t].n != n) {
            return false;
        }
        any |= a->sets[t].n != 0;
    }
    return any;
}

int64_t embed_tokens_estimate(const struct embed_call *c)
{
    int64_t sum = 0;
    for (const struct ir_list *l = c->texts; l; l = l->next) {
        sum += tokens_of_text(l->text);
    }
    return sum;
}
