/* A request's way through the platform: head, body, store, answer. */
#include "platform/visit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conflict/http_date.h"
#include "gateway/limits.h"
#include "http/negotiate.h"
#include "net/network.h"
#include "platform/route.h"

void platform_init(struct platform *p, struct store *s, struct gateway *g, bool tls)
{
    p->store = s;
    p->gateway = g;
    p->tls = tls;
    pthread_mutex_init(&p->throttle_lock, NULL);
    pthread_mutex_init(&p->waiting_lock, NULL);
}

void visit_free(struct visit *v)
{
    arena_reset(&v->work);
    arena_reset(&v->in);
    if (v->stream) {
        v->stream->free(v);
    }
    buf_free(&v->late);
    free(v);
}

struct str visit_field(const struct visit *v, struct str name)
{
    return h1_find(&v->head, name);
}

struct etag_list visit_lines(struct visit *v, struct str name)
{
    struct str *lines = arena_alloc(&v->in, (v->head.n_fields + 1) * sizeof *lines);
    struct etag_list list = {.lines = lines};
    for (uint32_t i = 0; i < v->head.n_fields; i++) {
        if (str_ieq(h1_name(&v->head, &v->head.fields[i]), name)) {
            lines[list.n++] = h1_value(&v->head, &v->head.fields[i]);
        }
    }
    arena_trim(&v->in, lines, (v->head.n_fields + 1) * sizeof *lines, list.n * sizeof *lines);
    return list;
}

/* ---- the head ---- */

/* All of the head is copied: it is needed on another thread, and for longer than the request. */
static void copy_head(struct visit *v, const struct h1_head *h)
{
    v->head = *h;
    v->head.base = arena_dup(&v->in, str_make(h->base, h->n)).p;
    v->head.fields = arena_alloc(&v->in, (h->n_fields + 1) * sizeof *h->fields);
    v->head.memo = NULL;
    memcpy(v->head.fields, h->fields, h->n_fields * sizeof *h->fields);
    v->method = h1_slice(&v->head, h->method_at, h->method_n);
    v->path = h1_slice(&v->head, h->path, h->path_n);
    v->is_head = h->method == M_HEAD;
}

static void note_address(struct visit *v, const struct call *c)
{
    uint8_t address[16];
    bool known = caller_address(c, address);
    v->address = known ? address_print(&v->in, address) : STR("unix");
    address_cut(address);
    v->source = known ? address_print(&v->in, address) : v->address;
}

static struct visit *visit_new(struct platform *p, struct call *c)
{
    struct visit *v = mem_zalloc(sizeof *v);
    v->platform = p;
    v->call = c;
    v->worker = c->w;
    v->loop = c->w->loop;
    v->now_us = (int64_t)clock_wall_us();
    copy_head(v, c->req->head);
    memcpy(v->id, c->id, sizeof v->id);
    note_address(v, c);
    struct str host = h1_get(&v->head, H_HOST);
    v->base = arena_printf(&v->in, "%s://%.*s", p->tls ? "https" : "http", host.n ? (int)host.n : 9,
                           host.n ? host.p : "localhost");
    c->visit = v;
    return v;
}

/* The worker does not end while others have a visit of its. */
static void hold(struct visit *v)
{
    v->busy = true;
    v->worker->visits++;
}

static void let_go(struct visit *v)
{
    v->busy = false;
    v->worker->visits--;
}

/* ---- the answer goes out, on the worker's thread ---- */

static void send_answer(struct visit *v)
{
    struct call *c = v->call;
    struct http_req *r = c->req;
    const struct answer *a = &v->answer;
    c->status = (uint16_t)a->status;
    http_head(r, a->status, (int64_t)a->body.n);
    /* Not the worker's own, which may be of a moment ago: Last-Modified must not be later than it
     * (RFC 9110, 8.8.2.1). */
    http_field(r, STR("date"), http_date_print(&v->work, (int64_t)(clock_wall_us() / 1000000)));
    call_own_fields(c);
    if (a->type) {
        http_field(r, STR("content-type"), str_of(a->type));
    }
    http_lines(r, buf_str(&a->fields));
    http_send_str(r, a->body, true);
    visit_end(c);
    visit_free(v);
}

/* A refusal that no store is needed for. */
static void send_refusal(struct visit *v)
{
    refusal_answer(v, NULL);
    send_answer(v);
}

static void on_applied(struct loop_task *t)
{
    struct visit *v = (struct visit *)((char *)t - offsetof(struct visit, applied));
    let_go(v);
    if (v->call) {
        send_answer(v);
    } else {
        visit_free(v);
    }
}

/* Whether the answer must wait for the workers; then platform_applied() goes on. */
static bool must_wait(struct visit *v)
{
    struct platform *p = v->platform;
    bool wait = false;
    if (v->answer.wait_seq) {
        pthread_mutex_lock(&p->waiting_lock);
        wait = v->answer.wait_seq > p->applied_seq;
        if (wait) {
            hold(v);
            v->applied.run = on_applied;
            v->next_waiting = p->waiting;
            p->waiting = v;
        }
        pthread_mutex_unlock(&p->waiting_lock);
    }
    return wait;
}

void platform_applied(struct platform *p, int64_t seq)
{
    pthread_mutex_lock(&p->waiting_lock);
    struct visit **at = &p->waiting;
    p->applied_seq = seq;
    while (*at) {
        struct visit *v = *at;
        if (v->answer.wait_seq <= seq) {
            *at = v->next_waiting;
            loop_post(v->loop, &v->applied);
        } else {
            at = &v->next_waiting;
        }
    }
    pthread_mutex_unlock(&p->waiting_lock);
}

/* ---- the store's part ---- */

static const char *verb_of(const struct visit *v)
{
    return v->route->handler == act_on_resource
               ? arena_dupz((struct arena *)(uintptr_t)&v->work, v->args[1])
               : v->route->permission;
}

/* What can be said before the object is known: nothing anywhere allows it. */
static bool is_out_of_question(const struct visit *v)
{
    char text[128];
    const struct route *r = v->route;
    if (r->access == ACCESS_PERMISSION) {
        return !grants_may_anywhere(&v->who.grants, str_of(r->permission));
    }
    if (r->access != ACCESS_VERB || v->kind->self) {
        return false;
    }
    int n = snprintf(text, sizeof text, "%s.%s", v->kind->kind->name, verb_of(v));
    return !grants_may_anywhere(&v->who.grants, str_make(text, (size_t)n));
}

static void check_access(struct visit *v)
{
    if (v->route->access == ACCESS_PUBLIC) {
        return;
    }
    if (!v->who.known) {
        refuse(v, PROBLEM_UNAUTHENTICATED,
               "Send an access token as Authorization: Bearer, or sign in.");
    } else if (is_out_of_question(v)) {
        refuse(v, PROBLEM_FORBIDDEN, "%.*s may not %s%s%s.", STR_ARG(v->who.name),
               v->route->access == ACCESS_VERB ? verb_of(v) : v->route->permission,
               v->kind ? " " : "", v->kind ? v->kind->plural : "");
    }
}

/* Only writes of resources keep their answers for repeats: who sends a key to another is told. */
static bool ignores_key(const struct visit *v)
{
    return (v->route->flags & ROUTE_WRITE) && !v->kind && v->answer.status &&
           visit_field(v, STR("idempotency-key")).p;
}

static int run(struct store_job *j, struct db *db)
{
    struct visit *v = (struct visit *)j; /* its first member */
    arena_reset(&v->work);
    v->answer = (struct answer){0};
    v->refusal = (struct refusal){0};
    v->question = NULL;
    v->then = NULL;
    int r = v->route->access == ACCESS_PUBLIC ? 0 : identify(v, db);
    if (r < 0) {
        return r;
    }
    check_access(v);
    if (!v->refusal.set) {
        r = v->route->handler(v, db);
    }
    if (r == 0 && v->refusal.set) {
        refusal_answer(v, v->job.write ? db : NULL);
    }
    if (ignores_key(v)) {
        answer_line(v, "idempotency-status", "ignored");
    }
    return r == 0 && v->dry_run && !v->refusal.set ? -ECANCELED : r;
}

static void on_done(struct loop_task *t);

static void submit(struct visit *v)
{
    v->job.run = run;
    v->job.write = (v->route->flags & ROUTE_WRITE) != 0;
    v->job.loop = v->loop;
    v->job.done.run = on_done;
    hold(v);
    store_submit(v->platform->store, &v->job);
}

static void refuse_body(struct visit *v)
{
    refuse(v, PROBLEM_TOO_LARGE, "A body of this API has at most %d bytes.", VISIT_BODY_MAX);
    http_close_after(v->call->req);
    send_refusal(v);
}

/* The store works on it in the one transaction that all writes share. */
static void use_body(struct visit *v, struct str body)
{
    if (body.n > VISIT_BODY_MAX) {
        refuse_body(v);
        return;
    }
    v->body = arena_dup(&v->in, body);
    submit(v);
}

static void take_body(struct visit *v)
{
    struct call *c = v->call;
    if (http_collect(c->req)) {
        use_body(v, c->req->body);
    }
}

/* ---- the ledger's part ---- */

static void run_question(struct reader_job *j, struct reader *r)
{
    struct visit *v = (struct visit *)((char *)j - offsetof(struct visit, ask));
    int e = v->question(v, r);
    if (e < 0) {
        v->answer = (struct answer){0};
        refuse(v, PROBLEM_UNAVAILABLE, "The ledger cannot be read: %s.", strerror(-e));
        v->refusal.retry_after_ms = 5000;
    }
    if (v->refusal.set) {
        refusal_answer(v, NULL);
    }
}

static void on_answered(struct loop_task *t)
{
    struct visit *v = (struct visit *)((char *)t - offsetof(struct visit, ask.done));
    let_go(v);
    if (v->call) {
        send_answer(v);
    } else {
        visit_free(v);
    }
}

static void ask(struct visit *v)
{
    v->ask = (struct reader_job){.run = run_question, .loop = v->loop, .done.run = on_answered};
    hold(v);
    reader_submit(ledger_reader(v->platform->gateway->ledger), &v->ask);
}

static void on_done(struct loop_task *t)
{
    struct visit *v = (struct visit *)((char *)t - offsetof(struct visit, job.done));
    let_go(v);
    if (v->job.result < 0 && v->job.result != -ECANCELED) { /* that is a dry run, and answered */
        arena_reset(&v->work);
        v->answer = (struct answer){0};
        v->refusal = (struct refusal){0};
        refuse_store(v, v->job.result);
        refusal_answer(v, NULL);
    }
    if (!v->call) {
        visit_free(v);
    } else if (v->early && !v->answer.status) { /* nothing speaks against the body */
        v->early = false;
        v->late.limit = VISIT_BODY_MAX;
        http_stream(v->call->req);
    } else if (v->stream && v->job.result == 0) {
        v->stream->begin(v);
    } else if (v->then && v->job.result == 0) {
        v->then(v);
        if (v->refusal.set) {
            refusal_answer(v, NULL);
        }
        send_answer(v);
    } else if (v->question && v->job.result == 0) {
        ask(v);
    } else if (!must_wait(v)) {
        send_answer(v);
    }
}

/* ---- the gateway's side ---- */

static bool claims(struct str path)
{
    return str_starts(path, STR("/api/v1/")) || str_starts(path, STR("/problems/"));
}

static void problem_page(struct visit *v)
{
    static const char *const forms[] = {"text/html", "application/json", NULL};
    const struct problem_type *t = problem_named(str_from(v->path, 10));
    struct buf b = {.arena = &v->work};
    if (!t) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no problem of this name.");
        send_refusal(v);
        return;
    }
    int form = accept_best(visit_field(v, STR("accept")), forms);
    v->answer.status = 200;
    if (form == 1) {
        v->answer.type = "application/json";
        problem_page_json(&b, t, v->base);
    } else {
        v->answer.type = "text/html; charset=utf-8";
        problem_page_html(&b, t);
    }
    v->answer.body = buf_str(&b);
    answer_line(v, "vary", "Accept");
    answer_line(v, "cache-control", "max-age=3600");
    send_answer(v);
}

static void answer_options(struct visit *v, struct str allow)
{
    answer_empty(v, 204);
    answer_line(v, "allow", "%.*s", STR_ARG(allow));
    if (str_find(allow, STR("PATCH")) >= 0) {
        answer_line(v, "accept-patch", "application/merge-patch+json, application/json-patch+json");
    }
    send_answer(v);
}

static void no_route(struct visit *v, enum route_found found, struct str allow)
{
    if (found == ROUTE_NOWHERE) {
        refuse(v, PROBLEM_NOT_FOUND,
               "Nothing answers at %.*s; /api/v1/openapi.json lists what does.",
               STR_ARG(str_first(v->path, 200)));
    } else if (v->head.method == M_OPTIONS) {
        answer_options(v, allow);
        return;
    } else {
        refuse(v, PROBLEM_METHOD_NOT_ALLOWED, "%.*s is not allowed here; allowed: %.*s.",
               STR_ARG(str_first(v->method, 40)), STR_ARG(allow));
        answer_line(v, "allow", "%.*s", STR_ARG(allow));
    }
    send_refusal(v);
}

static void begin(void *arg, struct call *c)
{
    struct visit *v = visit_new(arg, c);
    struct buf allow = {.arena = &v->in};
    if (str_starts(v->path, STR("/problems/"))) {
        problem_page(v);
        return;
    }
    enum route_found found = route_find(v, &allow);
    if (found != ROUTE_FOUND) {
        no_route(v, found, buf_str(&allow));
        return;
    }
    struct str text = h1_slice(&v->head, v->head.query, v->head.query_n);
    if (query_parse(&v->in, text, &v->query) < 0) {
        refuse(v, PROBLEM_BAD_QUERY,
               "The query has a broken %%-escape, text that is not UTF-8, or "
               "more than %d parameters.",
               QUERY_PARAMETERS_MAX);
        send_refusal(v);
    } else if (!known_parameters(v)) {
        send_refusal(v);
    } else if (v->route->flags & ROUTE_NO_STORE) {
        (void)!v->route->handler(v, NULL);
        send_answer(v);
    } else if (v->head.body == BODY_LENGTH && v->head.length > VISIT_BODY_MAX) {
        refuse_body(v);
    } else if (v->route->flags & ROUTE_BODY) {
        /* Who asks whether to send the body is answered before it comes, if it can be. */
        v->early = v->head.expect_continue && !http_received(c->req);
        if (v->early) {
            http_keep_waiting(c->req);
            submit(v);
        } else {
            take_body(v);
        }
    } else {
        submit(v);
    }
}

static void collected(struct call *c)
{
    use_body(c->visit, c->req->body);
}

/* The body of a client that was told to go on. */
static void piece(struct call *c, struct str piece, bool end)
{
    struct visit *v = c->visit;
    buf_add(&v->late, piece);
    if (v->late.overflow) {
        refuse_body(v);
    } else if (end) {
        use_body(v, buf_str(&v->late));
    }
}

static void gone(struct call *c)
{
    struct visit *v = c->visit;
    c->visit = NULL;
    v->call = NULL;
    if (v->stream && !v->busy) {
        v->stream->end(v);
    } else if (!v->busy) {
        visit_free(v);
    }
}

static void drained(struct call *c)
{
    if (c->visit->stream) {
        c->visit->stream->drained(c->visit);
    }
}

static void probe(struct call *c)
{
    if (c->visit->stream) {
        c->visit->stream->ping(c->visit);
    }
}

static void stop(struct call *c)
{
    struct visit *v = c->visit;
    if (v->stream) {
        v->stream->stop(v);
    }
    /* All others end with the store's answer. */
}

static void refused(void *arg, struct call *c, unsigned status, const char *why)
{
    struct visit *v = c->visit ? c->visit : visit_new(arg, c);
    enum problem_id id =
        status == 413 || status == 414 || status == 431 ? PROBLEM_TOO_LARGE : PROBLEM_BAD_REQUEST;
    refuse(v, id, "The request was refused: %s.", why);
    refusal_answer(v, NULL);
    const struct answer *a = &v->answer;
    c->status = (uint16_t)status;
    http_head(c->req, status, (int64_t)a->body.n);
    http_field(c->req, STR("content-type"), str_of(a->type));
    call_own_fields(c);
    http_send_str(c->req, a->body, true);
}

const struct visit_ops platform_visits = {
    .claims = claims,
    .begin = begin,
    .collected = collected,
    .piece = piece,
    .gone = gone,
    .drained = drained,
    .probe = probe,
    .stop = stop,
    .refused = refused,
    .metrics = platform_metrics,
};
