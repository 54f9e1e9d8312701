/* Stage 4: what the body says that we act on: the model, whether a stream is wanted, and whether usage was
 * asked for. One scan, no tree; what must change is noted as spans to splice. */
#include "gateway/call.h"

#include "json/scan.h"

enum { WANT_MODEL, WANT_STREAM, WANT_OPTIONS, WANTS };

static enum next bad(struct call *c, const char *code, const char *param, const char *message)
{
    struct call_error e = {
        .status = 400, .code = code, .param = param, .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "%s", message);
}

static void splice(struct call *c, struct str span, struct str text)
{
    c->splice[c->n_splices++] = (struct splice){
        .at = (uint32_t)(span.p - c->req->body.p), .n = (uint32_t)span.n, .text = text};
}

/* The text of a JSON string, decoded into the call's own memory. */
static bool decode(struct call *c, struct str quoted, struct str *ret)
{
    if (quoted.n > MODEL_NAME_MAX + 2 || quoted.n < 3) {
        return false;
    }
    char *text = arena_alloc(&c->req->arena, quoted.n);
    *ret = str_make(text, json_unescape(quoted, text));
    return ret->n > 0;
}

/* Asks the upstream for usage where the client has not: usage is always metered. */
static enum next ask_usage(struct call *c, const struct json_want *options)
{
    struct str value;
    size_t at = 0;
    struct str key;
    enum json_type type;
    switch (options->type) {
    case JSON_NONE:
        splice(c, str_make(c->req->body.p + (str_chr(c->req->body, '{') + 1), 0),
               STR("\"stream_options\":{\"include_usage\":true},"));
        break;
    case JSON_NULL:
        splice(c, options->value, STR("{\"include_usage\":true}"));
        break;
    case JSON_OBJECT:
        type = json_member(options->value, STR("include_usage"), &value);
        if (type == JSON_TRUE) {
            c->usage_asked = true;
            return NEXT;
        }
        if (type != JSON_NONE) {
            splice(c, value, STR("true"));
        } else {
            bool empty = !json_each(options->value, &at, &key, &value, &type);
            splice(c, str_make(options->value.p + 1, 0),
                   empty ? STR("\"include_usage\":true") : STR("\"include_usage\":true,"));
        }
        break;
    default:
        return NEXT; /* the upstream will say what is wrong with it */
    }
    c->usage_added = true;
    return NEXT;
}

static enum next read_body(struct call *c)
{
    struct json_want want[WANTS] = {
        [WANT_MODEL] = {.name = STR("model")},
        [WANT_STREAM] = {.name = STR("stream")},
        [WANT_OPTIONS] = {.name = STR("stream_options")},
    };
    const struct endpoint *ep = c->ep.endpoint;
    struct json_error err;
    enum json_type top;
    if (json_scan(c->req->body, want, WANTS, &top, &err) < 0) {
        struct call_error e = {
            .status = 400, .code = "invalid_json", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The request body is not valid JSON: %s (at byte %zu).", err.why,
                         err.at);
    }
    if (top != JSON_OBJECT) {
        return bad(c, "invalid_json", NULL, "The request body must be a JSON object.");
    }
    for (unsigned i = 0; i < WANTS; i++) {
        if (want[i].count > 1 || want[i].escaped) {
            struct call_error e = {.status = 400,
                                   .code = "ambiguous_member",
                                   .param = want[i].name.p,
                                   .outcome = OUTCOME_REFUSED};
            return call_fail(c, &e, "The member \"%.*s\" stands there twice or is spelled with an "
                                    "escape; send it once, spelled plainly.",
                             STR_ARG(want[i].name));
        }
    }
    c->stream = ep->stream == STREAM_BY_MEMBER && want[WANT_STREAM].type == JSON_TRUE;
    if (want[WANT_MODEL].type == JSON_STRING && decode(c, want[WANT_MODEL].value, &c->asked)) {
        c->member = want[WANT_MODEL].value;
    } else if (want[WANT_MODEL].type != JSON_NONE && want[WANT_MODEL].type != JSON_NULL) {
        return bad(c, "invalid_model", "model",
                   "\"model\" must be a string of 1 to 256 characters.");
    }
    if (c->stream && ep->usage_option) {
        return ask_usage(c, &want[WANT_OPTIONS]);
    }
    return NEXT;
}

/* The model in the path of a Gemini call, or a deployment's name. */
static enum next read_path(struct call *c)
{
    struct str raw = c->ep.model;
    if (raw.n == 0 || raw.n > MODEL_NAME_MAX) {
        return bad(c, "invalid_model", "model", "The model's name in the path is empty or too long.");
    }
    char *text = arena_alloc(&c->req->arena, raw.n);
    ptrdiff_t n = percent_decode(raw, text);
    if (n <= 0) {
        return bad(c, "invalid_model", "model", "The model's name in the path is malformed.");
    }
    c->asked = str_make(text, (size_t)n);
    return NEXT;
}

/* ---- multipart bodies: passed on as they come, once the part "model" has been seen ---- */

struct form {
    struct buf seen; /* what came so far */
    size_t model_at, model_n;
    bool found, ended, looked_through;
};

/* The value of the part named "model" in what has come. */
static bool find_model(struct form *f)
{
    struct str all = buf_str(&f->seen);
    ptrdiff_t at = str_find(all, STR("name=\"model\""));
    if (at < 0) {
        return false;
    }
    struct str rest = str_from(all, (size_t)at);
    ptrdiff_t start = str_find(rest, STR("\r\n\r\n"));
    if (start < 0) {
        return false;
    }
    struct str value = str_from(rest, (size_t)start + 4);
    ptrdiff_t end = str_find(value, STR("\r\n--"));
    if (end <= 0 || end > MODEL_NAME_MAX) {
        return false;
    }
    f->model_at = (size_t)(value.p - all.p);
    f->model_n = (size_t)end;
    return true;
}

void shape_piece(struct call *c, struct str piece, bool end)
{
    struct form *f = c->form;
    buf_add(&f->seen, piece);
    f->found = find_model(f);
    f->ended = end;
    if (f->found || end) {
        http_body_pause(c->req); /* until an upstream takes it */
        call_run(c);
    }
}

static enum next read_form(struct call *c)
{
    struct form *f = c->form;
    if (!f) {
        f = c->form = arena_zalloc(&c->req->arena, sizeof *f);
        f->seen = (struct buf){.arena = &c->req->input, .limit = 0};
        http_stream(c->req);
        return WAIT;
    }
    if (!f->found && !f->ended) {
        return WAIT;
    }
    c->req->body = buf_str(&f->seen); /* what is sent first; the rest follows as it comes */
    c->body_streams = !f->ended;
    if (f->found) {
        c->asked = arena_dup(&c->req->arena, str_make(f->seen.p + f->model_at, f->model_n));
        c->member = str_make(f->seen.p + f->model_at, f->model_n);
    }
    c->form = NULL;
    return NEXT;
}

/* ---- the stage ---- */

enum next stage_shape(struct call *c)
{
    const struct endpoint *ep = c->ep.endpoint;
    enum next n;
    if (ep->kind == ENDPOINT_LATER) {
        struct call_error e = {
            .status = 501, .code = "not_implemented", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "%.*s is known to this gateway but not served yet.",
                         STR_ARG(ep->route));
    }
    if (c->req->head->at[H_CONTENT_ENCODING]) {
        struct call_error e = {
            .status = 415, .code = "unsupported_encoding", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "A request body with Content-Encoding is not accepted; send it plain.");
    }
    bool form = ep->model_in == MODEL_IN_FORM &&
                str_istarts(h1_get(c->req->head, H_CONTENT_TYPE), STR("multipart/form-data"));
    if (form || c->form) {
        return read_form(c);
    }
    if (!c->collecting) {
        c->collecting = true;
        if (!http_collect(c->req)) {
            return WAIT;
        }
    }
    c->stream = ep->stream == STREAM_ALWAYS;
    n = ep->model_in == MODEL_IN_PATH ? read_path(c) : read_body(c);
    if (n == NEXT && c->asked.n == 0 && c->ep.model.n) {
        n = read_path(c);
    }
    return n;
}
