#include "gateway/inline.h"

#include "conflict/rate_limit.h"
#include "gateway/fetch.h"
#include "gateway/masking.h"

struct named {
    struct named *next;
    struct fetch fetch;
    struct str url, host; /* as the request says; where a redirect led to is nobody's business */
    bool started;
};

/* Of one call, in req->arena; a retry finds what the attempt before has fetched. */
struct inlining {
    struct named *all;
    unsigned n, waiting;
    uint64_t left; /* bytes that may still come */
    size_t size;
};

static const struct config_fetch *settings(const struct call *c)
{
    return &c->hold->snap->config->fetch;
}

static const char *noun(enum ir_kind kind)
{
    return kind == IR_IMAGE ? "image" : kind == IR_AUDIO ? "recording" : "document";
}

static const struct call_error not_fetched = {
    .status = 400, .code = "image_not_fetched", .outcome = OUTCOME_REFUSED};

static void on_done(struct fetch *f)
{
    const struct named *m = (struct named *)((char *)f - offsetof(struct named, fetch));
    struct call *c = f->arg;
    struct inlining *in = c->inlining;
    in->waiting--;
    c->w->fetches--;
    if (f->why.p) {
        c->w->metrics.inline_failures++;
        call_fail(c, &not_fetched, "The %s at \"%.*s\" could not be fetched: %.*s.", noun(f->kind),
                  STR_ARG(m->host), STR_ARG(f->why));
        relay_end_call(c);
        return;
    }
    c->w->metrics.inlined++;
    in->size += f->data.n + f->text.n;
    if (in->waiting == 0) {
        call_run(c);
    }
}

static struct named *find(struct inlining *in, const struct ir_part *p, struct str url)
{
    struct named *m = in->all;
    while (m && !(m->fetch.kind == p->kind && str_eq(m->url, url) &&
                  str_ieq(m->fetch.wanted, p->media_type))) {
        m = m->next;
    }
    return m;
}

static enum next add(struct call *c, const struct ir_part *p, struct str url)
{
    struct inlining *in = c->inlining;
    struct arena *a = &c->req->arena;
    struct named *m = arena_zalloc(a, sizeof *m);
    const char *why;
    if (settings(c)->max_bytes == 0) {
        return call_fail(c, &not_fetched,
                         "The provider \"%.*s\" takes no URLs, and this gateway fetches nothing "
                         "(fetch.max_bytes is 0). Send the %s as data.",
                         STR_ARG(c->target->provider->id), noun(p->kind));
    }
    if (in->n == INLINE_MAX) {
        return call_fail(c, &not_fetched,
                         "More than %d images and documents are named by URL, and the provider "
                         "\"%.*s\" takes no URLs: so many are not fetched.",
                         INLINE_MAX, STR_ARG(c->target->provider->id));
    }
    m->fetch = (struct fetch){.worker = c->w,
                              .hold = c->hold,
                              .arena = a,
                              .keep = &c->req->input,
                              .kind = p->kind,
                              .wanted = arena_dup(a, p->media_type),
                              .left = &in->left,
                              .done = on_done,
                              .arg = c};
    m->url = arena_dup(a, url);
    if (url_parse(a, m->url, &m->fetch.url, &why) < 0) {
        return call_fail(c, &not_fetched, "The URL of a named %s cannot be used: %s.",
                         noun(p->kind), why);
    }
    m->host = m->fetch.url.authority;
    m->next = in->all;
    in->all = m;
    in->n++;
    in->waiting++;
    return NEXT;
}

/* What Google's models read by themselves: files of theirs, and videos. */
static bool is_googles(const struct ir_part *p, struct str url)
{
    static const struct str fronts[] = {
        {"https://generativelanguage.googleapis.com/", 42},
        {"https://www.youtube.com/", 24},
        {"https://youtube.com/", 20},
        {"https://youtu.be/", 17},
    };
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        if (str_istarts(url, fronts[i])) {
            return true;
        }
    }
    return str_istarts(p->media_type, STR("video/"));
}

static enum next look_at(struct call *c, struct translation *tr, struct ir_part *p)
{
    bool media = p->kind == IR_IMAGE || p->kind == IR_DOCUMENT || p->kind == IR_AUDIO;
    if (!media || !p->url.n || p->data.n || p->text.n) {
        return NEXT;
    }
    struct str url = ir_plain(&c->req->input, p->url);
    if (!str_istarts(url, STR("http://")) && !str_istarts(url, STR("https://"))) {
        return NEXT;
    }
    if (tr->upstream->family == FAMILY_GEMINI && is_googles(p, url)) {
        return NEXT;
    }
    if (!c->inlining) {
        c->inlining = arena_zalloc(&c->req->arena, sizeof *c->inlining);
        c->inlining->left = 2 * (uint64_t)settings(c)->max_bytes;
    }
    const struct named *m = find(c->inlining, p, url);
    if (!m) {
        return add(c, p, url);
    }
    if (m->fetch.over) {
        p->url = (struct str){0};
        p->media_type = m->fetch.media_type;
        p->data = m->fetch.data;
        p->text = m->fetch.text;
        return p->text.n ? masking_text(c, &p->text) : NEXT;
    }
    return NEXT;
}

static enum next look_at_all(struct call *c, struct translation *tr, struct ir_part *parts)
{
    enum next n = NEXT;
    for (struct ir_part *p = parts; p && n == NEXT; p = p->next) {
        n = look_at(c, tr, p);
        for (struct ir_part *q = p->parts; q && n == NEXT; q = q->next) {
            n = look_at(c, tr, q);
        }
    }
    return n;
}

/* Names that callers choose must not fill the memory, nor the resolver's threads. */
static enum next too_many(struct call *c)
{
    struct call_error e = {.status = 503,
                           .code = "too_many_fetches",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    return call_fail(c, &e,
                     "Too many images and documents are being fetched at this moment; try again.");
}

enum next inline_urls(struct call *c, struct translation *tr)
{
    enum next n = NEXT;
    if (!tr->upstream->data_only || tr->upstream == tr->caller) {
        return NEXT;
    }
    for (struct ir_turn *t = tr->form.turns; t && n == NEXT; t = t->next) {
        n = look_at_all(c, tr, t->first);
    }
    if (n != NEXT || !inline_waits(c)) {
        return n;
    }
    if (c->w->fetches + c->inlining->waiting > INLINE_WORKER_MAX) {
        return too_many(c);
    }
    for (struct named *m = c->inlining->all; m; m = m->next) {
        if (!m->started) {
            m->started = true;
            c->w->fetches++;
            fetch_start(&m->fetch);
        }
    }
    relay_watch(c);
    return WAIT;
}

bool inline_waits(const struct call *c)
{
    return c->inlining && c->inlining->waiting;
}

size_t inline_size(const struct call *c)
{
    return c->inlining ? c->inlining->size : 0;
}

void inline_cancel(struct call *c)
{
    for (struct named *m = c->inlining ? c->inlining->all : NULL; m; m = m->next) {
        if (m->started && !m->fetch.over) {
            fetch_cancel(&m->fetch);
            c->w->fetches--;
        }
    }
}
