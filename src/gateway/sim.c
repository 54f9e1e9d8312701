/* The server of the simulated provider: it takes a request, finds its format and has it read. */
#include "gateway/sim.h"

#include "gateway/sim_call.h"

static const struct sim_format *const formats[] = {
    &sim_chat,           &sim_messages,      &sim_generate,       &sim_stream_generate,
    &sim_responses,      &sim_completions,   &sim_embeddings,     &sim_moderations,
    &sim_count_messages, &sim_embed_content, &sim_count_contents, &sim_batch_embed,
    &sim_rerank,
};

static const struct {
    struct str name;
    enum sim_model model;
} models[] = {
    {{"sim/echo", 8}, SIM_ECHO},
    {{"sim/lorem", 9}, SIM_LOREM},
    {{"sim/fault", 9}, SIM_FAULT},
};

bool sim_refuse(struct sim_call *c, unsigned status, const char *code, const char *param,
                const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->error = (struct api_error){
        .status = status,
        .code = str_of(code),
        .param = str_of(param),
        .request_id = c->request_id,
        .message = arena_vprintf(&c->req->arena, fmt, ap),
    };
    va_end(ap);
    return false;
}

/* Sixteen digits that no other call of this provider has: the time, and a place in memory that no
 * two calls have at the same time, well stirred. */
static struct str make_id(struct sim_call *c)
{
    uint64_t x = clock_wall_us() ^ (uint64_t)(uintptr_t)c << 20;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    x ^= x >> 31;
    return arena_printf(&c->req->arena, "%016llx", (unsigned long long)x);
}

static bool find_model(struct sim_call *c, struct str name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (str_eq(name, models[i].name) || str_eq(name, str_from(models[i].name, 4))) {
            c->model = models[i].model;
            c->name = models[i].name;
            return true;
        }
    }
    return sim_refuse(
        c, 404, "model_not_found", "model",
        "The simulated provider has no model \"%.*s\"; it has sim/echo, sim/lorem and "
        "sim/fault.",
        STR_ARG(str_first(name, 100)));
}

static bool find_path_model(struct sim_call *c, struct str raw)
{
    char *text = arena_alloc(&c->req->arena, raw.n + 1);
    ptrdiff_t n = percent_decode(raw, text);
    return n < 0
               ? sim_refuse(c, 400, "invalid_model", "model", "The model in the path is malformed.")
               : find_model(c, str_make(text, (size_t)n));
}

static bool find_format(struct sim_call *c)
{
    const struct h1_head *h = c->req->head;
    struct endpoint_match m =
        endpoint_find(h1_slice(h, h->method_at, h->method_n), h1_slice(h, h->path, h->path_n));
    struct str query = h1_slice(h, h->query, h->query_n), pair;
    while (query.n) {
        str_cut(&query, '&', &pair);
        c->alt_sse = c->alt_sse || str_eq(pair, STR("alt=sse"));
    }
    if (m.endpoint) {
        c->family = m.endpoint->family;
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
            if (str_eq(formats[i]->path, m.endpoint->path)) {
                c->format = formats[i];
                return m.endpoint->model_in != MODEL_IN_PATH || find_path_model(c, m.model);
            }
        }
    }
    return sim_refuse(c, m.wrong_method ? 405 : 404, "not_simulated", NULL,
                      "The simulated provider does not answer %.*s %.*s.",
                      STR_ARG(h1_slice(h, h->method_at, h->method_n)),
                      STR_ARG(str_first(h1_slice(h, h->path, h->path_n), 200)));
}

static bool read_body(struct sim_call *c)
{
    struct http_req *r = c->req;
    struct json *body;
    struct json_error err;
    if (json_parse(&r->input, r->body, &body, &err) < 0) {
        return sim_refuse(c, 400, "invalid_json", NULL,
                          "The request body is not valid JSON: %s (at byte %zu).", err.why, err.at);
    }
    if (body->type != JSON_OBJECT) {
        return sim_refuse(c, 400, "invalid_json", NULL, "The request body must be a JSON object.");
    }
    if (!c->name.n) {
        const struct json *model = json_get(body, STR("model"));
        if (!model || model->type != JSON_STRING) {
            return sim_refuse(c, 400, "invalid_model", "model", "\"model\" must be a string.");
        }
        if (!find_model(c, model->text)) {
            return false;
        }
    }
    return c->format->read(c, body) && sim_read_wishes(c);
}

static void on_collected(struct http_req *r)
{
    struct sim_call *c = r->user;
    if (read_body(c) && c->keep_input) {
        sim_start(c);
        return;
    }
    http_release_input(r);
    sim_start(c);
}

static void on_request(struct http_req *r)
{
    struct sim_call *c = arena_zalloc(&r->arena, sizeof *c);
    r->user = c;
    c->req = r;
    c->id = make_id(c);
    c->request_id = arena_printf(&r->arena, "sim_req_%.*s", STR_ARG(c->id));
    c->made_s = clock_wall_us() / 1000000;
    c->max_tokens = -1;
    c->said = (struct buf){.arena = &r->arena, .limit = (size_t)128 << 20};
    c->out = (struct buf){.arena = &r->arena};
    memset(c->wish, 0xff, sizeof c->wish);
    if (!find_format(c)) {
        sim_start(c);
    } else if (http_collect(r)) {
        on_collected(r);
    }
}

static void on_gone(struct http_req *r)
{
    struct sim_call *c = r->user;
    timer_clear(&c->timer);
}

static void on_drained(struct http_req *r)
{
    sim_drained(r->user);
}

static void on_probe(struct http_req *r)
{
    sim_probe(r->user);
}

const struct http_server_ops sim_server_ops = {
    .request = on_request,
    .collected = on_collected,
    .gone = on_gone,
    .drained = on_drained,
    .probe = on_probe,
};

struct http_server *sim_new(struct loop *l)
{
    return http_server_new(l, &sim_server_ops, l);
}
