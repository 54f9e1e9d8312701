#include "gateway/copy.h"

#include "gateway/masking_call.h"

static const struct snap_bodies *policy_of(const struct call *c)
{
    const struct snap_bodies *all = &c->hold->snap->bodies;
    return c->key && c->key->bodies.given       ? &c->key->bodies
           : c->model && c->model->bodies.given ? &c->model->bodies
                                                : all;
}

/* Pages about models and about responses that are kept are no calls to a model. */
static bool is_wanted(struct call *c, const struct snap_bodies *p)
{
    return c->w->gateway->bodies && c->ep.endpoint->kind == ENDPOINT_CALL &&
           p->record != BODIES_NONE && worker_random(c->w) % 100 < p->share_percent;
}

/* ---- the request ---- */

/* Whether masking may hold for the call and has not looked through it: nothing is known of what is in it then. */
static bool is_unmasked(const struct call *c)
{
    const struct snapshot *s = c->hold->snap;
    if (!s->maskings) {
        return false;
    }
    if (c->masking) {
        return !c->masking->looked;
    }
    return !c->key || !c->model ||
           s->maskings[c->key->masking * (size_t)s->masking_models + c->model->masking].on;
}

/* What masking has taken out of the request. */
static void add_hidden(struct body *b, const struct masking *m)
{
    bool room = true;
    for (size_t i = 0; room && i < m->n_spans; i++) {
        struct str plain = str_make(m->clear.p + m->spans[i].at, m->spans[i].n);
        room = body_hides(b, plain, m->spans[i].with);
    }
    const void *at = NULL;
    struct str plain, token;
    while (room && mask_each(&m->call, &at, &plain, &token)) {
        room = body_hides(b, plain, token);
    }
}

/* What the head said of the body's length; what has come of it where it said nothing. */
static uint64_t announced(const struct call *c)
{
    const struct h1_head *h = c->req->head;
    return h && h->body == BODY_LENGTH ? h->length : c->req->bytes_in;
}

static void take_request(struct call *c, struct body *b)
{
    const struct masking *m = c->masking;
    struct body_part *p = &b->request;
    struct str text = !m ? c->req->body : m->masked.n ? m->masked : m->clear;
    if (c->req->head) {
        body_type(p, h1_get(c->req->head, H_CONTENT_TYPE));
    }
    if (is_unmasked(c)) {
        p->absent = b->answer.absent = BODY_NOT_MASKED;
        p->bytes = announced(c);
    } else if (!text.n) {
        p->bytes = announced(c);
        p->absent = p->bytes || !http_received(c->req) ? BODY_NOT_HELD : BODY_THERE;
    } else {
        body_add(b, p, text, b->max_bytes);
        p->bytes = c->form ? announced(c) : p->bytes; /* of a form the beginning is held */
    }
    b->masked = m != NULL;
    if (m && m->looked) {
        add_hidden(b, m);
    }
}

/* ---- the answer ---- */

/* The value of Content-Type in the lines of a head. */
static struct str type_in(struct str head)
{
    struct str line, name;
    while (head.n) {
        (void)str_cut(&head, '\n', &line);
        if (str_cut(&line, ':', &name) && str_ieq(name, STR("content-type"))) {
            return str_trim(str_first(line, line.n - (line.n && line.p[line.n - 1] == '\r')));
        }
    }
    return (struct str){0};
}

static void on_sent(struct http_req *r, struct str head, const struct iovec *v, int n)
{
    struct call *c = r->user;
    struct body *b = c->copy;
    if (head.n) {
        body_type(&b->answer, type_in(head));
    }
    for (int i = 0; i < n; i++) {
        struct str piece = str_make(v[i].iov_base, v[i].iov_len);
        body_add(b, &b->answer, piece, b->answer.absent ? 0 : b->max_bytes + b->slack);
    }
}

/* ---- a call ---- */

void copy_begin(struct call *c)
{
    const struct snap_bodies *p = policy_of(c);
    if (c->copied) {
        return;
    }
    c->copied = true;
    struct body *b = is_wanted(c, p) ? body_new(c->w->gateway->bodies) : NULL;
    if (!b) {
        return;
    }
    memcpy(b->id, c->id, sizeof b->id);
    b->max_bytes = p->max_bytes;
    b->keep_days = p->keep_days;
    b->only_bad = p->record == BODIES_ERRORS;
    take_request(c, b);
    c->copy = b;
    c->req->tee = on_sent;
}

void copy_end(struct call *c)
{
    copy_begin(c); /* the client has left before an answer */
    struct body *b = c->copy;
    if (!b) {
        return;
    }
    c->copy = NULL;
    c->req->tee = NULL;
    b->status = c->status;
    if (b->only_bad && !outcome_is_bad(c->outcome, c->status)) {
        body_drop(b);
    } else {
        bodies_put(b);
    }
}
