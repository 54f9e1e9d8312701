/* Lists of models, in the shape of the dialect that asks, and what clients ask about one of them. */
#include "dialect/catalogue.h"
#include "gateway/call.h"

#include "http/query.h"
#include "json/scan.h"

enum { PAGE_MAX = 1000 };

/* Clients look at what they may expect of an Ollama of this version; ours has what its interface had then. */
#define OLLAMA_VERSION "0.12.0"

static enum family shape_of(const struct call *c)
{
    const struct h1_head *h = c->req->head;
    if (c->ep.endpoint->family != FAMILY_OPENAI) {
        return c->ep.endpoint->family;
    }
    if (h->at[H_ANTHROPIC_VERSION]) {
        return FAMILY_ANTHROPIC;
    }
    if (h->at[H_X_GOOG_API_KEY] || c->key_in_query || str_eq(c->ep.version, STR("v1beta"))) {
        return FAMILY_GEMINI;
    }
    return str_find(h1_find(h, STR("x-fern-sdk-name")), STR("cohere")) >= 0 ? FAMILY_COHERE
                                                                            : FAMILY_OPENAI;
}

static enum next not_known(struct call *c, struct str name)
{
    struct call_error e = {
        .status = 404, .code = "model_not_found", .param = "model", .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "The model \"%.*s\" is not known here.", STR_ARG(name));
}

bool call_by_mistral(const struct call *c)
{
    return str_find(h1_find(c->req->head, STR("user-agent")), STR("mistral")) >= 0;
}

static struct catalogue_model describe(const struct call *c, const struct snap_model *m,
                                       struct str name)
{
    const struct model_facts *f = m->facts;
    struct catalogue_model out = {.name = name,
                                  .owner = m->targets[0].provider->id,
                                  .as_mistral = call_by_mistral(c),
                                  .deprecated_s = (int64_t)(m->deprecated_us / 1000000),
                                  .sunset_s = (int64_t)(m->sunset_us / 1000000)};
    if (f) {
        out.known = true;
        out.can = f->can;
        out.context = f->context;
        out.max_output = f->max_output;
        out.created_s = f->released_s;
    }
    return out;
}

/* ---- one ---- */

static const struct snap_model *find(const struct call *c, struct str name)
{
    struct str rest;
    const struct snap_model *m = snapshot_model(c->hold->snap, name, &rest);
    return m && !rest.n && snap_key_may(c->key, name) ? m : NULL;
}

static enum next reply(struct call *c, const struct buf *b)
{
    return call_reply(c, 200, STR("application/json"), buf_str(b));
}

static enum next one_model(struct call *c, enum family shape)
{
    struct buf b = {.arena = &c->req->arena};
    char *text = arena_alloc(&c->req->arena, c->ep.model.n + 1);
    ptrdiff_t n = percent_decode(c->ep.model, text);
    struct str name = str_make(text, n < 0 ? 0 : (size_t)n);
    const struct snap_model *m = find(c, name); /* as calls look for it */
    m = m ? m : find(c, call_picked_model(name));
    if (!m) {
        return not_known(c, name);
    }
    c->model = m; /* its lifecycle is told */
    struct catalogue_model one = describe(c, m, name);
    catalogue_put_model(&b, shape, &one);
    return reply(c, &b);
}

/* Ollama's /api/show: the model is called `name` by older clients. */
enum next page_show(struct call *c)
{
    struct buf b = {.arena = &c->req->arena};
    struct str name = c->asked, tag = STR(":latest"), old;
    if (!name.n && json_member(c->req->body, STR("name"), &old) == JSON_STRING) {
        char *text = arena_alloc(&c->req->arena, old.n);
        name = c->asked = str_make(text, json_unescape(old, text));
    }
    const struct snap_model *m = find(c, name);
    if (!m && str_ends(name, tag)) { /* its clients add what they leave out themselves */
        name.n -= tag.n;
        m = find(c, name);
    }
    if (!m) {
        return not_known(c, c->asked);
    }
    c->model = m;
    struct catalogue_model one = describe(c, m, name);
    catalogue_put_show(&b, &one);
    return reply(c, &b);
}

enum next page_version(struct call *c)
{
    return call_reply(
        c, 200, STR("application/json"),
        STR("{\"version\":\"" OLLAMA_VERSION "\",\"accord\":\"" ACCORD_VERSION "\"}"));
}

/* ---- all ---- */

struct page_words {
    struct str limit, after, before;
};

static const struct page_words *words_of(enum family shape)
{
    static const struct page_words anthropic = {{"limit", 5}, {"after_id", 8}, {"before_id", 9}},
                                   gemini = {{"pageSize", 8}, {"pageToken", 9}, {0}},
                                   cohere = {{"page_size", 9}, {"page_token", 10}, {0}};
    return shape == FAMILY_ANTHROPIC ? &anthropic
           : shape == FAMILY_GEMINI  ? &gemini
           : shape == FAMILY_COHERE  ? &cohere
                                     : NULL;
}

static enum next read_page(struct call *c, enum family shape, struct catalogue_page *page)
{
    const struct h1_head *h = c->req->head;
    const struct page_words *w = words_of(shape);
    struct query q;
    struct call_error e = {.status = 400, .code = "invalid_page", .outcome = OUTCOME_REFUSED};
    uint64_t limit = 0;
    if (!w || !h->query_n) {
        return NEXT;
    }
    if (query_parse(&c->req->arena, h1_slice(h, h->query, h->query_n), &q) < 0) {
        return call_fail(c, &e, "The query of the URL is malformed.");
    }
    struct str text = query_get(&q, w->limit);
    if (text.p && (str_to_u64(text, &limit) < 0 || limit == 0 || limit > PAGE_MAX)) {
        e.param = w->limit.p;
        return call_fail(c, &e, "\"%.*s\" must be a number from 1 to %d.", STR_ARG(w->limit),
                         PAGE_MAX);
    }
    page->limit = (uint32_t)limit;
    page->after = query_get(&q, w->after);
    page->before = w->before.n ? query_get(&q, w->before) : (struct str){0};
    return NEXT;
}

/* Claude Code's picker of models shows only what has "claude" or "anthropic" in its name, so there all others
 * stand a second time, under a name that it shows. It asks for 1000. */
static bool is_picker(const struct call *c, enum family shape, const struct catalogue_page *page)
{
    return shape == FAMILY_ANTHROPIC &&
           (page->limit == PAGE_MAX ||
            str_find(h1_find(c->req->head, STR("user-agent")), STR("claude")) >= 0);
}

static bool picker_shows(struct str name)
{
    return str_find(name, STR("claude")) >= 0 || str_find(name, STR("anthropic")) >= 0;
}

enum next page_models(struct call *c)
{
    const struct snapshot *s = c->hold->snap;
    enum family shape = shape_of(c);
    uint64_t now_us = clock_wall_us();
    struct buf b = {.arena = &c->req->arena};
    struct catalogue_page page = {0};
    if (c->ep.model.n) {
        return one_model(c, shape);
    }
    enum next next = read_page(c, shape, &page);
    if (next != NEXT) {
        return next;
    }
    bool picker = is_picker(c, shape, &page);
    struct catalogue_model *all = arena_alloc(&c->req->arena, (2 * s->n_models + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < s->n_models; i++) {
        const struct snap_model *m = &s->models[i];
        if (!m->listed || (m->sunset_us && m->sunset_us <= now_us) ||
            !snap_key_may(c->key, m->name)) {
            continue;
        }
        all[n++] = describe(c, m, m->name);
        if (picker && !picker_shows(m->name)) {
            all[n] = describe(c, m, call_picker_name(&c->req->arena, m->name));
            all[n++].display_name = m->name;
        }
    }
    catalogue_put_list(&b, shape, all, n, &page);
    return reply(c, &b);
}

/* ---- names for the picker ---- */

static struct str picker_front(void)
{
    return STR("claude-via-");
}

struct str call_picker_name(struct arena *a, struct str name)
{
    return arena_printf(a, "%.*s%.*s", STR_ARG(picker_front()), STR_ARG(name));
}

struct str call_picked_model(struct str name)
{
    return str_starts(name, picker_front()) ? str_from(name, picker_front().n) : name;
}
