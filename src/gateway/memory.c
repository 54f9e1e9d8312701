#include "gateway/memory.h"

#include <stdlib.h>

#include "conflict/request_fields.h"

static uint64_t now_s(const struct call *c)
{
    return loop_now_ms(c->w->loop) / 1000;
}

static const struct config_memory *settings(const struct call *c)
{
    return &c->hold->snap->config->memory;
}

/* ---- under an Idempotency-Key ---- */

static enum next refuse_key(struct call *c)
{
    struct call_error e = {
        .status = 400, .code = "idempotency_key_invalid", .outcome = OUTCOME_REFUSED};
    return call_fail(
        c, &e,
        "Idempotency-Key must be sent once, as one quoted string or one bare token of 1 "
        "to 255 visible characters.");
}

enum next memory_refuse_other(struct call *c)
{
    struct call_error e = {
        .status = 422, .code = "idempotency_mismatch", .outcome = OUTCOME_REFUSED};
    return call_fail(
        c, &e,
        "This Idempotency-Key was sent with another request before. Send the same bytes, "
        "or a new key.");
}

static bool read_key(struct call *c, struct str *ret)
{
    const struct h1_head *h = c->req->head;
    const struct h1_field *first = &h->fields[h->at[H_IDEMPOTENCY_KEY] - 1];
    for (const struct h1_field *f = first + 1; f < h->fields + h->n_fields; f++) {
        if (f->id == H_IDEMPOTENCY_KEY) {
            return false;
        }
    }
    return idempotency_key(&c->req->arena, h1_value(h, first), ret) == 0;
}

static enum next read_recording(struct call *c, struct recording *r)
{
    memory_read(c, r);
    switch (memory_play(c)) {
    case PLAYED_ALL:
        return DONE;
    case PLAYED_SO_FAR:
        relay_watch(c);
        return WAIT;
    default:
        return NEXT;
    }
}

enum next memory_replay(struct call *c)
{
    struct memory *m = c->memory;
    (void)!str_to_u64(h1_find(c->req->head, STR("last-event-id")), &m->skip);
    return read_recording(c, m->recording);
}

static enum next enter_again(struct call *c)
{
    struct memory *m = c->memory;
    static const struct snap_cache own = {0};
    uint8_t key[RECORDING_KEY], payload[RECORDING_KEY];
    struct str name;
    bool fresh, other;
    if (!read_key(c, &name)) {
        return refuse_key(c);
    }
    m->idempotent = true;
    m->ids = c->stream;
    m->keep_s = (uint32_t)settings(c)->idempotency_ttl_s;
    memory_ask_again(c, name, key, payload);
    struct recording_ask ask = {.key = key,
                                .payload = payload,
                                .tenant = memory_tenant(c, &own),
                                .now_s = now_s(c),
                                .find_running = true,
                                .begin = true};
    struct recording *r = recording_find(&ask, &fresh, &other);
    if (other) {
        return memory_refuse_other(c);
    }
    m->recording = r;
    if (fresh) {
        m->role = MEMORY_WRITES;
        m->open = true;
        return memory_note_begin(c, key, payload);
    }
    return memory_replay(c);
}

/* ---- the cache ---- */

static const struct snap_cache *cache_of(const struct call *c)
{
    const struct snap_cache *all = &c->hold->snap->cache;
    return c->key->cache.given ? &c->key->cache : c->model->cache.given ? &c->model->cache : all;
}

struct wishes {
    bool fresh, unkept; /* not out of memory; not into it */
};

static struct wishes wishes_of(const struct h1_head *h)
{
    struct wishes w = {0};
    struct str list = h1_get(h, H_CACHE_CONTROL), one;
    while (list.n) {
        str_cut(&list, ',', &one);
        one = str_trim(one);
        w.fresh = w.fresh || str_ieq(one, STR("no-cache")) || str_ieq(one, STR("max-age=0"));
        w.unkept = w.unkept || str_ieq(one, STR("no-store"));
    }
    w.unkept = w.unkept || str_ieq(h1_find(h, STR("accord-cache")), STR("off"));
    w.fresh = w.fresh || w.unkept;
    return w;
}

static enum next ask_upstream(struct call *c, struct recording *r, uint32_t keep_s)
{
    struct memory *m = c->memory;
    m->recording = r;
    m->role = r ? MEMORY_WRITES : MEMORY_PASSES;
    m->keep_s = keep_s;
    c->w->metrics.memory[MEMORY_MISS]++;
    return NEXT;
}

static enum next enter_cache(struct call *c, const struct snap_cache *cache)
{
    struct wishes w = wishes_of(c->req->head);
    struct memory_question q;
    bool fresh = false, other = false;
    c->memory->cached = true;
    if (w.unkept || !memory_ask(c, cache, &q) || !q.may_be_kept) {
        return NEXT;
    }
    bool together = !w.fresh && (cache->coalesce || q.repeatable);
    struct recording_ask ask = {.key = q.key,
                                .tenant = memory_tenant(c, cache),
                                .now_s = now_s(c),
                                .find_running = together,
                                .begin = together};
    struct recording *r = w.fresh ? NULL : recording_find(&ask, &fresh, &other);
    if (r && !fresh) {
        return read_recording(c, r);
    }
    c->memory->open = fresh;
    if (!r && cache->ttl_s) {
        r = recording_new(&ask);
    }
    return ask_upstream(c, r, cache->ttl_s);
}

enum next memory_enter(struct call *c)
{
    const struct h1_head *h = c->req->head;
    bool keyed = memory_is_keyed(c);
    const struct snap_cache *cache = cache_of(c);
    if (c->memory && c->memory->note) {
        return memory_note_go_on(c);
    }
    if (c->memory || !h || h->method != M_POST || c->ep.endpoint->kind != ENDPOINT_CALL) {
        return NEXT;
    }
    bool cached = !keyed && cache->given && !c->form && !c->conversation.n;
    bool ignored = !keyed && h->at[H_IDEMPOTENCY_KEY];
    if (!keyed && !cached && !ignored) {
        return NEXT;
    }
    c->memory = arena_zalloc(&c->req->arena, sizeof *c->memory);
    c->memory->ignored = ignored;
    return keyed ? enter_again(c) : cached ? enter_cache(c, cache) : NEXT;
}

/* ---- writing ---- */

void memory_give_up(struct call *c)
{
    struct memory *m = c->memory;
    if (m->note) {
        memory_note_end(c, NOTE_DROP);
    } else {
        recording_end(m->recording, RECORDING_FAILED, 0, 0);
    }
    m->role = MEMORY_PASSES;
}

void memory_answer(struct call *c, const struct h1_head *h)
{
    struct memory *m = c->memory;
    if (m->role == MEMORY_WRITES && m->cached && wishes_of(h).unkept) {
        memory_give_up(c); /* the vendor wants nobody to have it again */
    } else if (m->role == MEMORY_WRITES) {
        c->relay.type = arena_dup(&c->req->arena, h1_get(h, H_CONTENT_TYPE));
        c->relay.coding = arena_dup(&c->req->arena, h1_get(h, H_CONTENT_ENCODING));
    }
}

/* The lines that go with the answer to everybody. What was compressed unasked cannot be read without its name. */
static struct str lines_of(struct call *c, struct str lines)
{
    if (c->relay.coding.n && !c->translated) {
        lines = arena_printf(&c->req->arena, "content-encoding: %.*s\r\n%.*s",
                             STR_ARG(c->relay.coding), STR_ARG(lines));
    }
    if (c->target && c->target->provider->sim) { /* that stays true when it is given again */
        lines = arena_printf(&c->req->arena, "%.*saccord-simulated: true\r\n", STR_ARG(lines));
    }
    return lines;
}

bool memory_has_events(struct str type, struct str lines)
{
    return str_istarts(type, STR("text/event-stream")) &&
           !str_starts(lines, STR("content-encoding:"));
}

/* "provider/model": who gives this answer. */
static struct str origin_of(const struct call *c)
{
    if (!c->target) {
        return (struct str){0};
    }
    return arena_printf(&c->req->arena, "%.*s/%.*s", STR_ARG(c->target->provider->id),
                        STR_ARG(call_upstream_model(c)));
}

void memory_begin(struct call *c, struct str type, struct str lines)
{
    struct memory *m = c->memory;
    if (m->role == MEMORY_WRITES && c->status != 200) {
        memory_give_up(c);
    }
    if (m->role != MEMORY_WRITES) {
        m->ids = false; /* it was to be a stream, and is an error */
        return;
    }
    type = type.n ? type : c->relay.type;
    lines = lines_of(c, lines);
    m->ids = m->ids && memory_has_events(type, lines);
    recording_begin(m->recording, type, lines, origin_of(c));
}

size_t event_count_until(struct event_count *c, const char *p, size_t n, uint64_t events)
{
    for (size_t i = 0; i < n; i++) {
        bool cr = p[i] == '\r', lf = p[i] == '\n' && !c->after_cr;
        if (p[i] == '\n' && c->after_cr) {
            c->after_cr = false; /* the second half of a line's end */
            continue;
        }
        c->after_cr = cr;
        if (!c->inside && !cr && !lf) {
            if (c->begun == events) {
                return i;
            }
            c->begun++;
            c->inside = true;
        }
        if (cr || lf) {
            c->inside = c->inside && !c->line_empty;
        }
        c->line_empty = cr || lf;
    }
    return n;
}

/* Each event gets its number, in a line of its own before the others. */
static struct iovec number(struct memory *m, const struct iovec *v, int n)
{
    m->numbered.n = 0;
    for (int i = 0; i < n; i++) {
        const char *p = v[i].iov_base;
        size_t left = v[i].iov_len;
        while (left) {
            size_t before = event_count_until(&m->events, p, left, m->events.begun);
            buf_add(&m->numbered, str_make(p, before));
            p += before;
            left -= before;
            if (left) {
                buf_printf(&m->numbered, "id: %llu\n", (unsigned long long)m->events.begun + 1);
                m->events.begun++;
                m->events.inside = true;
                m->events.line_empty = false;
            }
        }
    }
    return (struct iovec){m->numbered.p, m->numbered.n};
}

/* For how long it is found, now that it is whole. */
static uint32_t keep_s(const struct call *c)
{
    bool good = c->outcome == OUTCOME_OK && !c->relay.errored;
    return c->memory->idempotent || good ? c->memory->keep_s : 0;
}

void memory_send(struct call *c, const struct iovec *v, int n, bool end)
{
    struct memory *m = c->memory;
    struct iovec numbered;
    if (m->ids && m->role != MEMORY_READS && n) {
        numbered = number(m, v, n);
        v = &numbered;
        n = numbered.iov_len > 0;
    }
    if (m->role == MEMORY_WRITES && !recording_add(m->recording, v, n)) {
        m->role = MEMORY_PASSES;
    }
    /* Before the client has it: who asks again at once finds it. */
    if (end && m->role == MEMORY_WRITES) {
        recording_end(m->recording, RECORDING_WHOLE, keep_s(c), now_s(c));
        m->over = true;
        if (m->note) {
            memory_note_end(c, NOTE_WHOLE);
        }
    }
    http_send(c->req, v, n, end);
}

void memory_fields(struct call *c)
{
    const struct memory *m = c->memory;
    struct http_req *r = c->req;
    if (m->ignored) {
        http_field(r, STR("idempotency-status"), STR("ignored"));
    }
    if (m->idempotent) {
        if (m->role == MEMORY_READS) {
            http_field(r, STR("idempotent-replayed"), STR("true"));
        } else if (m->volatile_only) {
            http_field(r, STR("idempotency-status"), STR("volatile"));
        }
    } else if (m->role == MEMORY_READS) {
        http_field(r, STR("accord-cache"), m->found_ended ? STR("hit") : STR("coalesced"));
        if (m->found_ended) {
            http_field_u64(r, STR("age"), recording_age_s(m->recording, now_s(c)));
        }
    } else if (m->cached) {
        http_field(r, STR("accord-cache"), m->recording ? STR("miss") : STR("off"));
    }
}

/* The call ends before its answer does. */
static void end_early(struct call *c)
{
    struct memory *m = c->memory;
    struct recording_head h = recording_head(m->recording);
    bool cut = h.begun && h.length;
    if (cut || !m->note) {
        recording_end(m->recording, cut ? RECORDING_CUT : RECORDING_FAILED,
                      cut && m->idempotent ? m->keep_s : 0, now_s(c));
    }
    if (m->note) {
        memory_note_end(c, cut ? NOTE_CUT : NOTE_DROP);
    }
}

void memory_leave(struct call *c)
{
    struct memory *m = c->memory;
    if (m->role == MEMORY_READS) {
        memory_stop_reading(c);
    } else if (m->role == MEMORY_WRITES && !m->over) {
        end_early(c);
    } else if (m->note) { /* the answer was too long to be written down */
        memory_note_end(c, c->status == 200 ? NOTE_GONE : NOTE_DROP);
    }
    recording_unref(m->recording);
    m->recording = NULL;
    buf_free(&m->numbered);
}

bool memory_goes_on(const struct call *c)
{
    const struct memory *m = c->memory;
    return m->role == MEMORY_WRITES && !m->over && http_received(c->req) &&
           (m->idempotent || recording_is_shared(m->recording));
}

bool memory_hurries(const struct call *c)
{
    const struct memory *m = c->memory;
    return m && m->role == MEMORY_WRITES && m->open;
}
