/* Stage 4: what the body says that we act on: the model, whether a stream is wanted, and whether
 * usage was asked for. One scan, no tree; what must change is noted as spans to splice. */
#include "dialect/bound.h"
#include "dialect/ir.h"
#include "base/must.h"
#include "gateway/memory.h"
#include "http/multipart.h"
#include "json/scan.h"

enum { WANT_MODEL, WANT_STREAM, WANT_OPTIONS, WANTS, WANT_CONVERSATION = WANTS, WANTS_MAX };

static enum next bad(struct call *c, const char *code, const char *param, const char *message)
{
    struct call_error e = {.status = 400, .code = code, .param = param, .outcome = OUTCOME_REFUSED};
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

static bool json_blank(struct str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]) && s.p[0]) {
        s = str_from(s, 1);
    }
    return s.n == 0;
}

/* Asks the upstream for usage where the client has not: usage is always metered. */
static enum next ask_usage(struct call *c, const struct json_want *options)
{
    struct json_want usage = {.name = STR("include_usage")};
    switch (options->type) {
    case JSON_NONE:
        splice(c, str_make(c->req->body.p + (str_chr(c->req->body, '{') + 1), 0),
               STR("\"stream_options\":{\"include_usage\":true},"));
        break;
    case JSON_NULL:
        splice(c, options->value, STR("{\"include_usage\":true}"));
        break;
    case JSON_OBJECT:
        if (json_scan(options->value, &usage, 1, NULL, NULL) < 0 || usage.count > 1 ||
            usage.escaped) {
            return bad(c, "ambiguous_member", "stream_options",
                       "\"include_usage\" in \"stream_options\" stands there twice, is spelled "
                       "with an escape, or is malformed.");
        }
        if (usage.type == JSON_TRUE) {
            c->usage_asked = true;
            return NEXT;
        }
        if (usage.type != JSON_NONE) {
            splice(c, usage.value, STR("true"));
        } else {
            bool empty = json_blank(str_first(str_from(options->value, 1), options->value.n - 2));
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

/* conversation of Responses: its id, or an object with it. */
static void note_conversation(struct call *c, const struct json_want *w)
{
    struct str id = w->value;
    if (w->type == JSON_OBJECT && json_member(w->value, STR("id"), &id) != JSON_STRING) {
        return;
    }
    if (w->type == JSON_STRING || w->type == JSON_OBJECT) {
        decode(c, id, &c->conversation);
    }
}

static enum next read_body(struct call *c)
{
    struct json_want want[WANTS_MAX + BOUND_WANTS] UNINITIALIZED; /* the scan does, but for names */
    want[WANT_MODEL].name = STR("model");
    want[WANT_STREAM].name = STR("stream");
    want[WANT_OPTIONS].name = STR("stream_options");
    want[WANT_CONVERSATION].name = STR("conversation");
    const struct endpoint *ep = c->ep.endpoint;
    size_t wants = ep->format == FORMAT_RESPONSES ? WANTS_MAX : WANTS, n_all = wants;
    if (c->key->limits &&
        c->key->limits->tokens) { /* how much it may write is asked where it matters */
        n_all += bound_wants(ep, want + wants);
    }
    struct json_error err;
    enum json_type top;
    if (json_scan_members(c->req->body, want, n_all, &top, &err) < 0) {
        struct call_error e = {.status = 400, .code = "invalid_json", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The request body is not valid JSON: %s (at byte %zu).", err.why,
                         err.at);
    }
    if (top != JSON_OBJECT) {
        return bad(c, "invalid_json", NULL, "The request body must be a JSON object.");
    }
    c->body_scanned = true;
    for (unsigned i = 0; i < wants; i++) {
        if (want[i].count > 1 || want[i].escaped || want[i].cased) {
            struct call_error e = {.status = 400,
                                   .code = "ambiguous_member",
                                   .param = want[i].name.p,
                                   .outcome = OUTCOME_REFUSED};
            return call_fail(c, &e,
                             "The member \"%.*s\" stands there twice, or is spelled with an "
                             "escape or in other letters; send it once, spelled plainly.",
                             STR_ARG(want[i].name));
        }
    }
    if (n_all > wants) {
        c->bound = bound_of(ep, want + wants);
        c->weighed = true;
    }
    c->stream = ep->stream == STREAM_BY_MEMBER      ? want[WANT_STREAM].type == JSON_TRUE
                : ep->stream == STREAM_UNLESS_FALSE ? want[WANT_STREAM].type != JSON_FALSE
                                                    : false;
    if (want[WANT_MODEL].type == JSON_STRING && decode(c, want[WANT_MODEL].value, &c->asked)) {
        c->member = want[WANT_MODEL].value;
    } else if (want[WANT_MODEL].type != JSON_NONE && want[WANT_MODEL].type != JSON_NULL) {
        return bad(c, "invalid_model", "model",
                   "\"model\" must be a string of 1 to 256 characters.");
    }
    if (wants > WANT_CONVERSATION) {
        note_conversation(c, &want[WANT_CONVERSATION]);
    }
    if (c->stream && ep->usage_option) {
        return ask_usage(c, &want[WANT_OPTIONS]);
    }
    return NEXT;
}

/* Keeping a request moves its head; what points into it moves along. */
static void follow_head(struct call *c, const char *old_base)
{
    const char *base = c->req->head->base;
    if (c->ep.rest.n) {
        c->ep.rest.p = base + (c->ep.rest.p - old_base);
    }
    if (c->ep.model.n) {
        c->ep.model.p = base + (c->ep.model.p - old_base);
    }
}

/* Begins to take the body in: true when it is whole already. */
static bool collect(struct call *c)
{
    const char *old_base = c->req->head->base;
    c->collecting = true;
    bool whole = http_collect(c->req);
    follow_head(c, old_base);
    return whole;
}

/* A name that goes into an upstream's path must not lead anywhere else. */
bool shape_stays_in_place(struct str name)
{
    struct str rest = name, segment;
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f || name.p[i] == '\\') {
            return false;
        }
    }
    while (rest.n) {
        str_cut(&rest, '/', &segment);
        if (segment.n == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR(".."))) {
            return false;
        }
    }
    return true;
}

/* The model in the path of a Gemini call, or a deployment's name. */
static enum next read_path(struct call *c)
{
    struct str raw = c->ep.model;
    if (raw.n == 0 || raw.n > MODEL_NAME_MAX) {
        return bad(c, "invalid_model", "model",
                   "The model's name in the path is empty or too long.");
    }
    char *text = arena_alloc(&c->req->arena, raw.n);
    ptrdiff_t n = percent_decode(raw, text);
    if (n <= 0) {
        return bad(c, "invalid_model", "model", "The model's name in the path is malformed.");
    }
    c->asked = str_make(text, (size_t)n);
    if (!shape_stays_in_place(c->asked)) {
        return bad(c, "invalid_model", "model",
                   "The model's name in the path holds a control character or a \"..\".");
    }
    return NEXT;
}

/* ---- multipart bodies: passed on as they come, once the field "model" has been seen ---- */

struct form {
    struct buf seen; /* what came before the model was known */
    struct multipart reader;
    bool ended, passing;
};

static enum next bad_form(struct call *c)
{
    struct call_error e = {
        .status = 400, .code = "ambiguous_form", .param = "model", .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "The form is refused: %s. \"model\" must be one plain field.",
                     c->form->reader.error);
}

/* The form turned out to be ambiguous when a part of it was with the upstream already. */
static void take_back(struct call *c)
{
    http_up_cancel(c->up);
    c->up = NULL;
    if (!c->status) {
        bad_form(c);
    } else {
        http_cut(c->req);
    }
    call_back_to(c, STAGE_settle);
    call_run(c);
}

void shape_piece(struct call *c, struct str piece, bool end)
{
    struct form *f = c->form;
    int r = multipart_feed(&f->reader, piece);
    if (f->passing) {
        if (r < 0) {
            take_back(c);
        } else {
            forward_piece(c, piece, end);
        }
        return;
    }
    buf_add(&f->seen, piece);
    f->ended = end;
    if (f->reader.found || end || r < 0) {
        http_body_pause(c->req); /* until an upstream takes it */
        call_run(c);
    }
}

struct str shape_delimiter(const struct call *c)
{
    return c->form ? multipart_delimiter(&c->form->reader) : (struct str){0};
}

static enum next begin_form(struct call *c)
{
    struct form *f = c->form = arena_zalloc(&c->req->input, sizeof *f);
    f->seen = (struct buf){.arena = &c->req->input};
    if (multipart_start(&f->reader, h1_get(c->req->head, H_CONTENT_TYPE), STR("model")) < 0) {
        f->reader.error = "its Content-Type has no good boundary";
        return bad_form(c);
    }
    return NEXT;
}

static void take_model(struct call *c)
{
    const struct multipart *m = &c->form->reader;
    if (m->found) {
        c->member = str_make(c->req->body.p + m->value_at, m->value_n);
        c->asked = arena_dup(&c->req->arena, c->member);
    }
}

/* One under an Idempotency-Key: whether it is the same as another is known only when all of it is there. */
static enum next read_whole_form(struct call *c)
{
    if (!c->collecting && !collect(c)) {
        relay_watch(c);
        return WAIT;
    }
    if (begin_form(c) == DONE) {
        return DONE;
    }
    if (multipart_feed(&c->form->reader, c->req->body) < 0) {
        return bad_form(c);
    }
    take_model(c);
    return NEXT;
}

static enum next read_form(struct call *c)
{
    struct form *f = c->form;
    if (!f) {
        if (begin_form(c) == DONE) {
            return DONE;
        }
        const char *old_base = c->req->head->base;
        http_stream(c->req);
        follow_head(c, old_base);
        relay_watch(c);
        return WAIT;
    }
    if (f->reader.error) {
        return bad_form(c);
    }
    if (!f->reader.found && !f->ended) {
        return WAIT;
    }
    c->req->body = buf_str(&f->seen); /* what is sent first; the rest follows as it comes */
    c->body_streams = !f->ended;
    f->passing = true;
    take_model(c);
    return NEXT;
}

/* ---- the stage ---- */

enum next stage_shape(struct call *c)
{
    const struct endpoint *ep = c->ep.endpoint;
    enum next n;
    if (ep->kind != ENDPOINT_CALL && ep->kind != ENDPOINT_SHOW) {
        struct call_error e = {
            .status = 501, .code = "not_implemented", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "%.*s is known to this gateway but not served yet.",
                         STR_ARG(ep->route));
    }
    if (c->req->head->at[H_CONTENT_ENCODING]) {
        struct call_error e = {
            .status = 415, .code = "unsupported_encoding", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e,
                         "A request body with Content-Encoding is not accepted; send it plain.");
    }
    if (c->form ||
        (ep->model_in == MODEL_IN_FORM &&
         str_istarts(h1_get(c->req->head, H_CONTENT_TYPE), STR("multipart/form-data")))) {
        return memory_is_keyed(c) ? read_whole_form(c) : read_form(c);
    }
    if (!c->collecting && !collect(c)) {
        relay_watch(c);
        return WAIT;
    }
    c->stream = ep->stream == STREAM_ALWAYS;
    /* Servers of openai.chat pass over members that they do not know, so there it is enough to look when there
     * may be something; the others refuse a signature that is not theirs. */
    c->marked = (ep->format < FORMAT_NONE || ep->work == WORK_COUNT) &&
                (ep->format != FORMAT_CHAT || ir_may_be_marked()) && ir_has_mark(c->req->body);
    n = ep->model_in == MODEL_IN_PATH ? read_path(c) : read_body(c);
    if (n == NEXT && c->asked.n == 0 && c->ep.model.n) {
        n = read_path(c);
    }
    return n == NEXT && ep->kind == ENDPOINT_SHOW ? page_show(c) : n;
}
