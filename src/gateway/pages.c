/* What answers without a model: health, the list of models. */
#include "gateway/call.h"

#include "http/h1.h"

static struct str json_type(void)
{
    return STR("application/json");
}

static const struct {
    struct str path;
    bool ready;
} health[] = {
    {{"/healthz", 8}, false},          {{"/health", 7}, false}, {{"/health/liveliness", 18}, false},
    {{"/health/liveness", 16}, false}, {{"/readyz", 7}, true},  {{"/health/readiness", 17}, true},
};

static bool is_root(struct str path)
{
    return str_eq(path, STR("/")) || str_eq(path, STR("/api/hello"));
}

bool is_page(struct str path)
{
    bool found = is_root(path) || str_eq(path, STR("/metrics"));
    for (size_t i = 0; !found && i < sizeof health / sizeof *health; i++) {
        found = str_eq(path, health[i].path);
    }
    return found;
}

enum next page_health(struct call *c, struct str path)
{
    if (str_eq(path, STR("/metrics"))) {
        return page_metrics(c);
    }
    if (is_root(path)) {
        return call_reply(c, 200, json_type(),
                          STR("{\"name\":\"accord\",\"version\":\"" ACCORD_VERSION "\"}"));
    }
    for (size_t i = 0; i < sizeof health / sizeof *health; i++) {
        if (str_eq(path, health[i].path)) {
            bool draining = health[i].ready && c->w->gateway->draining;
            return call_reply(c, draining ? 503 : 200, json_type(),
                              draining ? STR("{\"status\":\"draining\"}")
                                       : STR("{\"status\":\"ok\"}"));
        }
    }
    return NEXT;
}

/* ---- /v1/models, in three shapes ---- */

static enum family shape_of(const struct call *c)
{
    const struct h1_head *h = c->req->head;
    if (h->at[H_ANTHROPIC_VERSION]) {
        return FAMILY_ANTHROPIC;
    }
    if (h->at[H_X_GOOG_API_KEY] || c->key_in_query || str_eq(c->ep.version, STR("v1beta"))) {
        return FAMILY_GEMINI;
    }
    return FAMILY_OPENAI;
}

static void add_string(struct buf *b, const char *name, struct str prefix, struct str value)
{
    buf_printf(b, "\"%s\":\"", name);
    buf_add_json(b, prefix);
    buf_add_json(b, value);
    buf_addc(b, '"');
}

static void add_openai(struct buf *b, const struct snap_model *m)
{
    buf_addc(b, '{');
    add_string(b, "id", (struct str){0}, m->name);
    buf_add(b, STR(",\"object\":\"model\",\"created\":0,"));
    add_string(b, "owned_by", (struct str){0}, m->targets[0].provider->id);
    buf_addc(b, '}');
}

static void add_anthropic(struct buf *b, const struct snap_model *m)
{
    buf_add(b, STR("{\"type\":\"model\","));
    add_string(b, "id", (struct str){0}, m->name);
    buf_addc(b, ',');
    add_string(b, "display_name", (struct str){0}, m->name);
    buf_add(b, STR(",\"created_at\":\"1970-01-01T00:00:00Z\"}"));
}

static void add_gemini(struct buf *b, const struct snap_model *m)
{
    buf_addc(b, '{');
    add_string(b, "name", STR("models/"), m->name);
    buf_addc(b, ',');
    add_string(b, "displayName", (struct str){0}, m->name);
    buf_add(b, STR(",\"supportedGenerationMethods\":[\"generateContent\","
                   "\"streamGenerateContent\",\"countTokens\"]}"));
}

static void add_model(struct buf *b, enum family shape, const struct snap_model *m)
{
    if (shape == FAMILY_ANTHROPIC) {
        add_anthropic(b, m);
    } else if (shape == FAMILY_GEMINI) {
        add_gemini(b, m);
    } else {
        add_openai(b, m);
    }
}

static enum next one_model(struct call *c, enum family shape)
{
    struct buf b = {.arena = &c->req->arena};
    char *text = arena_alloc(&c->req->arena, c->ep.model.n + 1);
    ptrdiff_t n = percent_decode(c->ep.model, text);
    struct str name = str_make(text, n < 0 ? 0 : (size_t)n), rest;
    const struct snap_model *m = snapshot_model(c->hold->snap, name, &rest);
    if (!m || rest.n || !snap_key_may(c->key, name)) {
        struct call_error e = {
            .status = 404, .code = "model_not_found", .param = "model", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The model \"%.*s\" is not known here.", STR_ARG(name));
    }
    c->model = m; /* its lifecycle is told */
    add_model(&b, shape, m);
    return call_reply(c, 200, json_type(), buf_str(&b));
}

static void list_end(struct buf *b, enum family shape, struct str first, struct str last)
{
    if (shape == FAMILY_ANTHROPIC) {
        buf_add(b, STR("],\"has_more\":false,"));
        add_string(b, "first_id", (struct str){0}, first);
        buf_addc(b, ',');
        add_string(b, "last_id", (struct str){0}, last);
        buf_addc(b, '}');
    } else {
        buf_add(b, STR("]}"));
    }
}

enum next page_models(struct call *c)
{
    const struct snapshot *s = c->hold->snap;
    enum family shape = shape_of(c);
    uint64_t now_us = clock_wall_us();
    struct buf b = {.arena = &c->req->arena};
    struct str first = {0}, last = {0};
    if (c->ep.model.n) {
        return one_model(c, shape);
    }
    buf_add(&b, shape == FAMILY_OPENAI      ? STR("{\"object\":\"list\",\"data\":[")
                : shape == FAMILY_ANTHROPIC ? STR("{\"data\":[")
                                            : STR("{\"models\":["));
    for (size_t i = 0; i < s->n_models; i++) {
        const struct snap_model *m = &s->models[i];
        if (!m->listed || (m->sunset_us && m->sunset_us <= now_us) ||
            !snap_key_may(c->key, m->name)) {
            continue;
        }
        if (last.n) {
            buf_addc(&b, ',');
        }
        add_model(&b, shape, m);
        first = first.n ? first : m->name;
        last = m->name;
    }
    list_end(&b, shape, first, last);
    return call_reply(c, 200, json_type(), buf_str(&b));
}
