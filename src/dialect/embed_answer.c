/* Embeddings: answers as vendors send them. Nothing is trusted about their shape; vectors stay as they stand. */
#include <errno.h>

#include "dialect/embed_rows.h"

static void add(struct embed_answer *a, enum embed_type t, struct str vector)
{
    struct embed_set *s = &a->sets[t];
    if (s->n == s->_room) {
        uint32_t room = s->_room ? s->_room * 2 : 16;
        struct str *at = arena_alloc(a->arena, room * sizeof *at);
        if (s->n) {
            memcpy(at, s->at, s->n * sizeof *at);
        }
        s->at = at;
        s->_room = room;
    }
    s->at[s->n++] = vector;
}

/* Whether there is something in an array, and nothing but numbers: what else it could hold has one of these
 * in it (the l is that of null and false, the u that of true). */
static bool is_vector(struct str array)
{
    bool other = false, any = false;
    for (size_t i = 1; i + 1 < array.n; i++) {
        char c = array.p[i];
        other |= (c == '"') | (c == '[') | (c == '{') | (c == 'l') | (c == 'u');
        any |= c >= '0';
    }
    return any && !other;
}

/* An array of numbers, or base64 where that was asked for. False: neither. */
static bool take_vector(struct embed_answer *a, enum embed_type array, struct walk *w)
{
    if (walk_type(w) == JSON_ARRAY) {
        struct str vector = walk_value(w);
        bool sound = is_vector(vector);
        if (sound) {
            add(a, array, vector);
        }
        return sound;
    }
    if (walk_type(w) == JSON_STRING) {
        add(a, EMBED_BASE64, walk_text(w));
        return true;
    }
    walk_value(w);
    return false;
}

static int take_vectors(struct embed_answer *a, enum embed_type array, struct walk *w)
{
    for (bool more = walk_array(w); more && walk_element(w);) {
        if (!take_vector(a, array, w)) {
            return -EBADMSG;
        }
    }
    return 0;
}

void embed_read_count(struct walk *w, int64_t *to)
{
    int64_t n;
    bool number = walk_type(w) == JSON_NUMBER;
    struct str value = walk_value(w);
    if (!number) {
        return;
    }
    ptrdiff_t point = str_chr(value, '.'); /* Cohere's SDKs call their counts floats */
    if (json_int(point > 0 ? str_first(value, (size_t)point) : value, &n) == 0 && n >= 0) {
        *to = n;
    }
}

/* Of several calls whose answers become one. */
static void add_tokens(struct embed_answer *a, int64_t n)
{
    if (n >= 0) {
        a->tokens = a->tokens < 0 ? n : n > INT64_MAX - a->tokens ? INT64_MAX : a->tokens + n;
    }
}

/* ---- openai.embeddings ---- */

/* The place of each vector is told by its index; nearly always they come in order. */
struct placed {
    uint32_t *at; /* of each vector the index that it told */
    uint32_t n, room;
    bool in_order;
};

static void place(struct arena *a, struct placed *p, int64_t index)
{
    if (p->n == p->room) {
        uint32_t room = p->room ? p->room * 2 : 64;
        uint32_t *at = arena_alloc(a, room * sizeof *at);
        if (p->n) {
            memcpy(at, p->at, p->n * sizeof *at);
        }
        p->at = at;
        p->room = room;
    }
    p->in_order = p->in_order && (index < 0 || index == p->n);
    p->at[p->n++] = index >= 0 && index < UINT32_MAX ? (uint32_t)index : UINT32_MAX;
}

/* The last p->n vectors of the set into the places they told; what is no permutation is refused. */
static int reorder(struct arena *a, const struct placed *p, struct embed_set *s)
{
    if (p->in_order) {
        return 0;
    }
    if (s->n < p->n) {
        return -EBADMSG;
    }
    struct str *from = &s->at[s->n - p->n], *to = arena_zalloc(a, p->n * sizeof *to);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->at[i] >= p->n || to[p->at[i]].p) {
            return -EBADMSG;
        }
        to[p->at[i]] = from[i];
    }
    memcpy(from, to, p->n * sizeof *to);
    return 0;
}

static int openai_item(struct embed_answer *a, struct placed *p, struct walk *w)
{
    struct str key;
    int64_t index = -1;
    bool found = false;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("embedding")) && !found) {
            found = take_vector(a, EMBED_FLOAT, w);
        } else if (str_eq(key, STR("index"))) {
            embed_read_count(w, &index);
        } else {
            walk_value(w);
        }
    }
    place(a->arena, p, index);
    return found ? 0 : -EBADMSG;
}

static void openai_usage(struct walk *w, int64_t *tokens)
{
    struct str key;
    int64_t total = -1;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("prompt_tokens"))) {
            embed_read_count(w, tokens);
        } else if (str_eq(key, STR("total_tokens"))) {
            embed_read_count(w, &total);
        } else {
            walk_value(w);
        }
    }
    *tokens = *tokens < 0 ? total : *tokens; /* some tell only the total */
}

int embed_take_openai(struct embed_answer *a, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    struct placed p = {.in_order = true};
    int64_t tokens = -1;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("data"))) {
            for (bool more = walk_array(&w); more && walk_element(&w);) {
                if (openai_item(a, &p, &w) < 0) {
                    return -EBADMSG;
                }
            }
        } else if (str_eq(key, STR("usage"))) {
            openai_usage(&w, &tokens);
        } else if (str_eq(key, STR("id"))) {
            a->id = walk_text(&w);
        } else {
            walk_value(&w);
        }
    }
    add_tokens(a, tokens);
    return p.n == 0 ? -EBADMSG
                    : reorder(a->arena, &p,
                              &a->sets[a->sets[EMBED_FLOAT].n ? EMBED_FLOAT : EMBED_BASE64]);
}

/* ---- gemini.embed ---- */

static int gemini_item(struct embed_answer *a, struct walk *w, int64_t *counted)
{
    struct str key;
    bool found = false;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("values")) && !found && walk_type(w) == JSON_ARRAY) {
            found = take_vector(a, EMBED_FLOAT, w);
        } else if (str_eq(key, STR("statistics"))) {
            int64_t n = -1;
            for (bool inner = walk_object(w); inner && walk_member(w, &key);) {
                if (str_eq(key, STR("tokenCount")) || str_eq(key, STR("token_count"))) {
                    embed_read_count(w, &n);
                } else {
                    walk_value(w);
                }
            }
            *counted = n < 0 || n > INT32_MAX ? *counted : n + (*counted < 0 ? 0 : *counted);
        } else {
            walk_value(w);
        }
    }
    return found ? 0 : -EBADMSG;
}

static void gemini_usage(struct walk *w, int64_t *tokens)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("promptTokenCount"))) {
            embed_read_count(w, tokens);
        } else {
            walk_value(w);
        }
    }
}

int embed_take_gemini(struct embed_answer *a, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    int64_t tokens = -1, counted = -1;
    uint32_t before = a->sets[EMBED_FLOAT].n;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("embedding"))) {
            if (gemini_item(a, &w, &counted) < 0) {
                return -EBADMSG;
            }
        } else if (str_eq(key, STR("embeddings"))) {
            for (bool more = walk_array(&w); more && walk_element(&w);) {
                if (gemini_item(a, &w, &counted) < 0) {
                    return -EBADMSG;
                }
            }
        } else if (str_eq(key, STR("usageMetadata"))) {
            gemini_usage(&w, &tokens);
        } else {
            walk_value(&w);
        }
    }
    add_tokens(a, tokens >= 0 ? tokens : counted);
    return a->sets[EMBED_FLOAT].n > before ? 0 : -EBADMSG;
}

/* ---- cohere.embed ---- */

/* {"float": [[...]], "int8": [[...]], "base64": ["..."]}, or before version 2 and on Bedrock [[...]] */
static int cohere_vectors(struct embed_answer *a, struct walk *w)
{
    struct str key;
    if (walk_type(w) == JSON_ARRAY) {
        return take_vectors(a, EMBED_FLOAT, w);
    }
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        unsigned t = 0;
        while (t < EMBED_TYPES && !str_eq(key, embed_type_word((enum embed_type)t))) {
            t++;
        }
        if (t == EMBED_TYPES) {
            walk_value(w);
        } else if (take_vectors(a, (enum embed_type)t, w) < 0) {
            return -EBADMSG;
        }
    }
    return 0;
}

static void cohere_meta(struct walk *w, int64_t *tokens)
{
    struct str key, inner;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (!str_eq(key, STR("billed_units")) && !str_eq(key, STR("tokens"))) {
            walk_value(w);
            continue;
        }
        for (bool deep = walk_object(w); deep && walk_member(w, &inner);) {
            if (str_eq(inner, STR("input_tokens"))) {
                embed_read_count(w, tokens);
            } else {
                walk_value(w);
            }
        }
    }
}

int embed_take_cohere(struct embed_answer *a, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    int64_t tokens = -1;
    bool found = false;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("embeddings"))) {
            found = true;
            if (cohere_vectors(a, &w) < 0) {
                return -EBADMSG;
            }
        } else if (str_eq(key, STR("meta"))) {
            cohere_meta(&w, &tokens);
        } else if (str_eq(key, STR("id"))) {
            a->id = walk_text(&w);
        } else {
            walk_value(&w);
        }
    }
    add_tokens(a, tokens);
    return found ? 0 : -EBADMSG;
}

/* ---- ollama.embed ---- */

int embed_take_ollama(struct embed_answer *a, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    int64_t tokens = -1;
    uint32_t before = a->sets[EMBED_FLOAT].n;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("embeddings"))) {
            if (take_vectors(a, EMBED_FLOAT, &w) < 0) {
                return -EBADMSG;
            }
        } else if (str_eq(key, STR("embedding")) && walk_type(&w) == JSON_ARRAY) {
            take_vector(a, EMBED_FLOAT, &w);
        } else if (str_eq(key, STR("prompt_eval_count"))) {
            embed_read_count(&w, &tokens);
        } else {
            walk_value(&w);
        }
    }
    add_tokens(a, tokens);
    return a->sets[EMBED_FLOAT].n > before ? 0 : -EBADMSG;
}

/* ---- Amazon's Titan ---- */

int embed_take_titan(struct embed_answer *a, struct str body)
{
    struct walk w = walk_at(body);
    struct str key, inner;
    int64_t tokens = -1;
    bool found = false;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, STR("embedding")) && walk_type(&w) == JSON_ARRAY && !found) {
            found = take_vector(a, EMBED_FLOAT, &w);
        } else if (str_eq(key, STR("inputTextTokenCount"))) {
            embed_read_count(&w, &tokens);
        } else if (str_eq(key, STR("embeddingsByType"))) {
            for (bool in2 = walk_object(&w); in2 && walk_member(&w, &inner);) {
                if (str_eq(inner, STR("binary")) && walk_type(&w) == JSON_ARRAY) {
                    take_vector(a, EMBED_BINARY, &w);
                } else {
                    walk_value(&w);
                }
            }
        } else {
            walk_value(&w);
        }
    }
    add_tokens(a, tokens);
    return found ? 0 : -EBADMSG;
}
