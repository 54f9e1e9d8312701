/* What makes two calls the same question. */
#include <sodium.h>

#include "conflict/rate_limit.h"
#include "gateway/mask_rules.h"
#include "gateway/masking_call.h"
#include "gateway/memory.h"
#include "json/canonical.h"
#include "json/decimal.h"
#include "json/scan.h"

/* ---- the body ---- */

/* Members that say who asks and what to remember of it, not what to answer. Responses tells them in its answer. */
static bool is_aside(const struct endpoint *ep, struct str name)
{
    static const struct str chat[] = {{"user", 4},
                                      {"metadata", 8},
                                      {"safety_identifier", 17},
                                      {"prompt_cache_key", 16},
                                      {"prompt_cache_retention", 22}};
    if (ep->format == FORMAT_MESSAGES) {
        return str_eq(name, STR("metadata"));
    }
    for (size_t i = 0; ep->format == FORMAT_CHAT && i < sizeof chat / sizeof *chat; i++) {
        if (str_eq(name, chat[i])) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const struct json *j)
{
    if (!j || j->type != JSON_NUMBER) {
        return false;
    }
    struct decimal d = decimal_of(j->text);
    return d.from == d.to;
}

static bool is_type(const struct json *j, enum json_type type)
{
    return j && j->type == type;
}

/* What the vendor is to keep has an id of its own; and a conversation that is kept belongs to one key. */
static bool may_be_kept(const struct endpoint *ep, const struct json *body)
{
    if (ep->format == FORMAT_RESPONSES) {
        return is_type(json_get(body, STR("store")), JSON_FALSE) &&
               !json_get(body, STR("previous_response_id")) && !json_get(body, STR("conversation"));
    }
    return !is_type(json_get(body, STR("store")), JSON_TRUE);
}

static bool is_repeatable(const struct json *body)
{
    const struct json *options = json_get(body, STR("options")); /* Ollama */
    options = options ? options : json_get(body, STR("generationConfig"));
    options = options ? options : body;
    return is_zero(json_get(options, STR("temperature"))) &&
           (is_type(json_get(options, STR("seed")), JSON_NUMBER) ||
            is_type(json_get(options, STR("random_seed")), JSON_NUMBER)); /* Mistral */
}

static bool read_body(struct call *c, struct str text, struct seen_body *to)
{
    struct arena *a = &c->req->input;
    const struct endpoint *ep = c->ep.endpoint;
    struct json *body;
    if (json_parse(a, text, &body, NULL) < 0 || body->type != JSON_OBJECT) {
        return false;
    }
    if (json_half_pair(text) >= 0) { /* it is read as U+FFFD, whichever half it was */
        return false;
    }
    to->repeatable = is_repeatable(body);
    to->may_be_kept = may_be_kept(ep, body);
    (void)json_remove(body, STR("model"));
    (void)json_remove(body, STR("stream"));
    for (struct json *m = body->first, *next; m; m = next) {
        next = m->next;
        if (is_aside(ep, m->key)) {
            (void)json_remove(body, m->key);
        }
    }
    struct buf b = {.arena = a};
    json_canonical(&b, body);
    if (b.overflow) {
        return false;
    }
    crypto_generichash(to->digest, sizeof to->digest, (const unsigned char *)b.p, b.n, NULL, 0);
    return true;
}

/* Only where to look; what is found there is compared byte by byte. Seeded, so that nobody can choose bodies that share a
 * place. */
static size_t place_of(struct str text, uint64_t seed)
{
    enum { LANES = 4 }; /* side by side: one alone would wait for each product */
    uint64_t h[LANES] = {seed, ~seed, seed << 1, seed >> 1}, word[LANES];
    const uint64_t odd = 0x9e3779b97f4a7c15U;
    size_t at = 0;
    for (; at + sizeof word <= text.n; at += sizeof word) {
        memcpy(word, text.p + at, sizeof word);
        for (unsigned i = 0; i < LANES; i++) {
            h[i] = (h[i] ^ word[i]) * odd;
            h[i] ^= h[i] >> 32;
        }
    }
    memset(word, 0, sizeof word);
    memcpy(word, text.p + at, text.n - at);
    uint64_t all = text.n;
    for (unsigned i = 0; i < LANES; i++) {
        all = (all ^ h[i] ^ word[i]) * odd;
        all ^= all >> 32;
    }
    return (size_t)(all % SEEN_BODIES);
}

static void remember(struct seen_body *s, struct str text)
{
    if (s->cap < text.n) {
        s->cap = (uint32_t)text.n;
        s->text = mem_realloc(s->text, s->cap);
    }
    memcpy(s->text, text.p, text.n);
    s->n = (uint32_t)text.n;
}

/* Bodies that were read lately are known by their bytes: reading one costs more than all the rest of an answer from memory.
 * Longer ones than SEEN_BODY_MAX are read each time. */
static struct seen_body *find_body(struct call *c, struct str text)
{
    struct worker *w = c->w;
    if (text.n > SEEN_BODY_MAX) {
        struct seen_body *once = arena_zalloc(&c->req->input, sizeof *once);
        return read_body(c, text, once) ? once : NULL;
    }
    if (!w->seen_bodies) {
        w->seen_bodies = mem_zalloc(SEEN_BODIES * sizeof *w->seen_bodies);
    }
    struct seen_body *s = &w->seen_bodies[place_of(text, w->body_seed)];
    if (s->endpoint == c->ep.endpoint && str_eq(str_make(s->text, s->n), text)) {
        return s;
    }
    s->endpoint = NULL;
    s->question_n = 0;
    if (!read_body(c, text, s)) {
        return NULL;
    }
    remember(s, text);
    s->endpoint = c->ep.endpoint;
    return s;
}

/* ---- all of it ---- */

/* Texts one behind the other, each with its length, so that no two lists of them look alike. */
static void add(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;
    buf_add(b, str_make((const char *)&n, sizeof n));
    buf_add(b, s);
}

static void add_query(struct buf *b, const struct call *c)
{
    const struct h1_head *h = c->req->head;
    struct str query = h1_slice(h, h->query, h->query_n), pair;
    while (query.n) {
        str_cut(&query, '&', &pair);
        if (!str_starts(pair, STR("key="))) {
            add(b, pair);
        }
    }
}

/* All lines of a field: vendors read a second one like the first. */
static void add_field(struct buf *b, const struct h1_head *h, struct str name)
{
    for (const struct h1_field *f = h->fields; f < h->fields + h->n_fields; f++) {
        if (f->id == H_OTHER && str_ieq(h1_name(h, f), name)) {
            add(b, h1_value(h, f));
        }
    }
    add(b, STR(""));
}

/* Field lines that change what is answered, or how it is told. */
static void add_fields(struct buf *b, const struct call *c)
{
    const struct h1_head *h = c->req->head;
    add(b, h1_get(h, H_ANTHROPIC_VERSION));
    add_field(b, h, STR("anthropic-beta"));
    add_field(b, h, STR("openai-beta"));
    add_field(b, h, STR("accord-loss"));
    add(b, call_by_mistral(c) ? STR("m") : STR(""));
}

/* Fields that go on to the provider and say who asks, from where, on which way and in which conversation, but not what. */
static bool says_who(struct str name)
{
    static const struct str begins[] = {{"cdn-", 4},
                                        {"cf-", 3},
                                        {"sec-", 4},
                                        {"sentry-", 7},
                                        {"x-amzn-trace-", 13},
                                        {"x-azure-", 8},
                                        {"x-b3-", 5},
                                        {"x-claude-code-", 14},
                                        {"x-client-", 9},
                                        {"x-cloud-trace-", 14},
                                        {"x-correlation-", 14},
                                        {"x-datadog-", 10},
                                        {"x-envoy-", 8},
                                        {"x-forwarded-", 12},
                                        {"x-request-", 10},
                                        {"x-session-", 10},
                                        {"x-stainless-", 12}};
    static const struct str whole[] = {
        {"accept-language", 15}, {"dnt", 3},         {"http-referer", 12},
        {"origin", 6},           {"pragma", 6},      {"priority", 8},
        {"referer", 7},          {"session-id", 10}, {"session_id", 10},
        {"true-client-ip", 14},  {"via", 3},         {"x-app", 5},
        {"x-title", 7}};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        if (str_istarts(name, begins[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        if (str_ieq(name, whole[i])) {
            return true;
        }
    }
    return false;
}

/* All others may change the answer: nobody knows what each vendor makes of them. */
static void add_other_fields(struct buf *b, const struct h1_head *h)
{
    for (const struct h1_field *f = h->fields; f < h->fields + h->n_fields; f++) {
        struct str name = h1_name(h, f);
        if (f->id == H_OTHER && !says_who(name) && !str_istarts(name, STR("accord-"))) {
            add(b, name);
            add(b, h1_value(h, f));
        }
    }
}

/* The rules, not what they find: the same question under the same rules has the same words put back in its answer. */
static void add_masking(struct buf *b, const struct call *c)
{
    const struct mask_rules *of[2] = {0};
    if (c->masking) {
        of[0] = c->masking->policy->rules;
        of[1] = c->masking->policy->answers;
        add(b, c->masking->policy->pass ? STR("pass") : STR("hold"));
    }
    for (unsigned i = 0; i < 2; i++) {
        add(b, of[i] ? str_make(of[i]->text, of[i]->n) : STR(""));
    }
}

/* Whoever points a model elsewhere wants other answers, and so does who may have other targets of it: the conditions that do
 * not hold of the call. */
static void add_model(struct buf *b, const struct call *c)
{
    add(b, c->asked);
    add(b, c->suffix);
    add(b, str_make((const char *)&c->unfit, sizeof c->unfit));
    for (uint32_t i = 0; i < c->model->n_targets; i++) {
        const struct snap_target *t = &c->model->targets[i];
        add(b, t->provider->id);
        add(b, t->model);
    }
}

struct str memory_tenant(const struct call *c, const struct snap_cache *cache)
{
    bool key = cache->by_key || !c->key->team.n || c->ep.endpoint->format == FORMAT_RESPONSES;
    return key ? c->key->id : c->key->team;
}

static void digest(uint8_t *to, const struct buf *b)
{
    crypto_generichash(to, RECORDING_KEY, (const unsigned char *)b->p, b->n, NULL, 0);
}

bool memory_ask(struct call *c, const struct snap_cache *cache, struct memory_question *ret)
{
    struct str clear = masking_clear(c), tenant = memory_tenant(c, cache);
    struct seen_body *body = find_body(c, clear.n ? clear : c->req->body);
    char room[1024];
    struct buf b = {.p = room, .cap = sizeof room, .arena = &c->req->input};
    if (!body) {
        return false;
    }
    add(&b, STR("question"));
    add(&b, tenant.p == c->key->id.p ? STR("key") : STR("team"));
    add(&b, tenant);
    add(&b, c->ep.endpoint->route);
    add(&b, c->ep.endpoint->path); /* several have one route */
    add(&b, c->ep.version);
    add(&b, c->stream ? STR("stream") : STR("whole"));
    add(&b, str_make((const char *)body->digest, sizeof body->digest));
    add_model(&b, c);
    add_query(&b, c);
    add_fields(&b, c);
    add_other_fields(&b, c->req->head);
    add_masking(&b, c);
    if (body->question_n != b.n || memcmp(body->question, b.p, b.n) != 0) {
        digest(body->key, &b); /* else it was asked in just the same way before */
        body->question_n = b.n <= sizeof body->question ? (uint32_t)b.n : 0;
        memcpy(body->question, b.p, body->question_n);
    }
    memcpy(ret->key, body->key, sizeof ret->key);
    ret->repeatable = body->repeatable;
    ret->may_be_kept = body->may_be_kept;
    return true;
}

/* A body's bytes; of a form without its boundary, which is another one with each try of most clients. */
static void add_body(crypto_generichash_state *s, const struct call *c, struct str body)
{
    struct str delimiter = shape_delimiter(c);
    if (delimiter.n &&
        str_starts(body, str_from(delimiter, 2))) { /* the first has no line before it */
        body = str_from(body, delimiter.n - 2);
    }
    for (bool more = true; more;) {
        const char *p =
            delimiter.n && body.n ? memmem(body.p, body.n, delimiter.p, delimiter.n) : NULL;
        uint64_t n = p ? (uint64_t)(p - body.p) : body.n;
        crypto_generichash_update(s, (const unsigned char *)&n, sizeof n);
        crypto_generichash_update(s, (const unsigned char *)body.p, n);
        more = p != NULL;
        body = more ? str_from(body, n + delimiter.n) : body;
    }
}

void memory_ask_again(struct call *c, struct str idempotency_key, uint8_t *key, uint8_t *payload)
{
    const struct h1_head *h = c->req->head;
    struct buf b = {.arena = &c->req->input};
    struct str clear = masking_clear(c);
    add(&b, STR("again"));
    add(&b, c->key->id);
    add(&b, h1_slice(h, h->method_at, h->method_n));
    add(&b, h1_slice(h, h->path, h->path_n));
    add(&b, idempotency_key);
    digest(key, &b);
    b.n = 0;
    add_query(&b, c);
    add(&b, c->form ? STR("form") : h1_get(h, H_CONTENT_TYPE));
    add_fields(&b, c);
    crypto_generichash_state s;
    crypto_generichash_init(&s, NULL, 0, RECORDING_KEY);
    crypto_generichash_update(&s, (const unsigned char *)b.p, b.n);
    add_body(&s, c, clear.n ? clear : c->req->body);
    crypto_generichash_final(&s, payload, RECORDING_KEY);
}
