/* A recording goes to a client: all at once, or as it grows and as the client takes it. */
#include <stdlib.h>

#include "base/must.h"
#include "gateway/memory.h"

enum {
    CLIENT_QUEUE_MAX = 64 * 1024, /* waiting for the client; then nothing more is sent */
    PIECES = 32,
};

/* On the reader's own thread. */
static void go_on(struct loop_task *t)
{
    struct memory_reader *d =
        (struct memory_reader *)((char *)t - offsetof(struct memory_reader, task));
    d->posted = false;
    if (d->call) {
        memory_more(d->call);
    } else {
        free(d);
    }
}

/* On the writer's thread. */
static void wake(struct recording_watcher *w)
{
    struct memory_reader *d = (struct memory_reader *)w; /* its first member */
    d->posted = true;
    loop_post(d->worker->loop, &d->task);
}

void memory_read(struct call *c, struct recording *r)
{
    struct memory *m = c->memory;
    m->recording = r;
    m->role = MEMORY_READS;
    m->found_ended = recording_head(r).state != RECORDING_RUNS;
    if (!m->found_ended) { /* else there is nothing to wait for */
        struct memory_reader *d = m->reader = mem_zalloc(sizeof *d);
        *d = (struct memory_reader){
            .watcher = {.wake = wake}, .task = {.run = go_on}, .worker = c->w, .call = c};
    }
    c->remembered = true;
}

void memory_stop_reading(struct call *c)
{
    struct memory *m = c->memory;
    struct memory_reader *d = m->reader;
    if (!d) {
        return;
    }
    m->reader = NULL;
    recording_unwatch(m->recording, &d->watcher);
    d->call = NULL;
    if (!d->posted) {
        free(d);
    }
}

/* ---- sending ---- */

static void send_head(struct call *c, const struct recording_head *h)
{
    struct memory *m = c->memory;
    bool whole = h->state == RECORDING_WHOLE && !c->stream;
    bool events = c->stream && memory_has_events(h->type, h->lines);
    m->ids = m->ids && events;
    m->skip = m->ids ? m->skip : 0;
    c->status = 200;
    m->origin = arena_dup(&c->req->arena, h->origin);
    if (!m->found_ended) {
        c->answered_us = loop_now_us(c->w->loop);
    }
    http_head(c->req, 200, whole ? (int64_t)h->length : -1);
    http_field(c->req, STR("content-type"), h->type);
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    http_lines(c->req, h->lines);
    call_own_fields(c);
    /* Nothing of ours may stand within what is no list of events, though a stream was asked for. */
    bool lines = c->stream && c->ep.endpoint->family == FAMILY_OLLAMA;
    if ((events || lines) && h->state == RECORDING_RUNS) {
        relay_watch_silence(c);
    }
}

/* Takes the events off that the client has had. */
static int skip(struct memory *m, struct iovec *v, int n)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        char *p = v[i].iov_base;
        size_t before = 0;
        if (m->skip) {
            before = event_count_until(&m->events, p, v[i].iov_len, m->skip);
        }
        if (before < v[i].iov_len) {
            m->skip = 0;
            v[k++] = (struct iovec){p + before, v[i].iov_len - before};
        }
    }
    return k;
}

static enum memory_event kind_of(const struct memory *m)
{
    return m->idempotent ? MEMORY_REPLAY : m->found_ended ? MEMORY_HIT : MEMORY_COALESCED;
}

struct str memory_source(const struct call *c)
{
    static const struct str source[] = {[MEMORY_REPLAY] = {"(replay)", 8},
                                        [MEMORY_HIT] = {"(cache)", 7},
                                        [MEMORY_COALESCED] = {"(coalesced)", 11}};
    return source[kind_of(c->memory)];
}

/* The call whose answer this was to be has failed, or has not come to an end: nobody shares that. */
static bool is_no_answer(const struct call *c, enum recording_state state)
{
    return !c->status &&
           (state == RECORDING_FAILED || (state == RECORDING_CUT && !c->memory->idempotent));
}

static enum memory_played end(struct call *c, enum recording_state state)
{
    c->memory->over = true;
    if (state != RECORDING_WHOLE) {
        c->outcome = OUTCOME_CUT;
        http_cut(c->req);
    }
    return PLAYED_ALL;
}

static enum memory_played alone(struct call *c)
{
    struct memory *m = c->memory;
    memory_stop_reading(c);
    recording_unref(m->recording);
    m->recording = NULL;
    m->role = MEMORY_PASSES;
    c->remembered = false;
    if (m->idempotent) {
        c->memory = NULL; /* the key is free again: this call may be the one that takes it */
    }
    return PLAYED_NOTHING;
}

/* Where a ping would fall. */
static bool ends_event(const struct iovec *v)
{
    const char *p = v->iov_base;
    size_t n = v->iov_len;
    return n >= 2 && p[n - 1] == '\n' && (p[n - 2] == '\n' || p[n - 2] == '\r');
}

enum memory_played memory_play(struct call *c)
{
    struct memory *m = c->memory;
    struct iovec v[PIECES] UNINITIALIZED;
    enum recording_state state;
    bool last = false;
    struct recording_watcher *w = m->reader ? &m->reader->watcher : NULL;
    while (http_queued(c->req) <= CLIENT_QUEUE_MAX) {
        int n = recording_read(m->recording, &m->place, v, PIECES, w, &state, &last);
        if (is_no_answer(c, state)) {
            return alone(c);
        }
        if (n == 0 && !last) {
            return PLAYED_SO_FAR;
        }
        if (!c->status) {
            struct recording_head h = recording_head(m->recording);
            send_head(c, &h);
            c->w->metrics.memory[kind_of(m)]++;
        }
        n = skip(m, v, n);
        if (n) {
            c->relay.mid_event = !ends_event(&v[n - 1]);
        }
        c->last_sent_ms = loop_now_ms(c->w->loop);
        http_send(c->req, v, n, last && state == RECORDING_WHOLE);
        if (last) {
            return end(c, state);
        }
    }
    return PLAYED_SO_FAR;
}

void memory_more(struct call *c)
{
    switch (memory_play(c)) {
    case PLAYED_ALL:
        relay_end_call(c);
        break;
    case PLAYED_NOTHING:
        call_run(c); /* at its stage, as if there had been nothing */
        break;
    default:
        break;
    }
}
