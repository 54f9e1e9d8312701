#include "platform/follow.h"

enum { PING_MS = 15000, QUEUED_MAX = 1 << 20 };

void follow_on(struct follow *f)
{
    struct visit *v = f->v;
    if (f->_gone) {
        return;
    }
    if (f->_reading || f->_full) {
        f->again = true;
        return;
    }
    f->again = f->more = false;
    if (f->kind->read(f)) {
        f->_reading = true;
        v->worker->visits++;
    }
}

static void on_last(struct loop_task *t)
{
    follow_answered((struct follow *)((char *)t - offsetof(struct follow, _last)));
}

/* Freed behind what may be under way on this loop. */
static void leave(struct follow *f)
{
    struct visit *v = f->v;
    f->kind->unwatch(f);
    timer_clear(&f->_ping);
    f->_gone = true;
    if (!f->_reading) {
        f->_reading = true;
        v->worker->visits++;
        loop_post(v->loop, &f->_last);
    }
}

static void finish(struct follow *f)
{
    struct call *c = f->v->call;
    leave(f);
    f->v->call = NULL;
    http_send_str(c->req, (struct str){0}, true);
    visit_end(c);
}

void follow_answered(struct follow *f)
{
    struct visit *v = f->v;
    if (f->_gone && f->kind->posted(f)) { /* its task is still to come: wait behind it */
        loop_post(v->loop, &f->_last);
        return;
    }
    v->worker->visits--;
    if (f->_gone) {
        visit_free(v);
        return;
    }
    f->_reading = false;
    if (f->over) {
        finish(f);
        return;
    }
    if (f->out.n) {
        http_send_str(v->call->req, buf_str(&f->out), false);
        f->out.n = 0;
        loop_timer(v->loop, &f->_ping, PING_MS);
        f->_full = http_queued(v->call->req) > QUEUED_MAX;
    }
    if (f->again || f->more) {
        follow_on(f);
    }
}

/* ---- the stream's events ---- */

static void ping(struct visit *v)
{
    http_send_str(v->call->req, STR(": ping\n\n"), false);
    loop_timer(v->loop, &v->follow->_ping, PING_MS);
}

static void on_ping(struct timer *timer)
{
    struct follow *f = (struct follow *)((char *)timer - offsetof(struct follow, _ping));
    ping(f->v);
    follow_on(f);
}

static void begin(struct visit *v)
{
    struct follow *f = v->follow;
    struct call *c = v->call;
    c->status = 200;
    http_head(c->req, 200, -1);
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    http_field(c->req, STR("content-type"), STR("text/event-stream"));
    http_field(c->req, STR("cache-control"), STR("no-store"));
    call_own_fields(c);
    http_send_str(c->req, str_of(f->kind->greeting), false);
    f->_ping.fire = on_ping;
    f->_last.run = on_last;
    loop_timer(v->loop, &f->_ping, PING_MS);
    f->kind->watch(f);
    follow_on(f);
}

static void end(struct visit *v)
{
    leave(v->follow);
}

static void drained(struct visit *v)
{
    struct follow *f = v->follow;
    if (f->_full && http_queued(v->call->req) == 0) {
        f->_full = false;
        if (f->again || f->more) {
            follow_on(f);
        }
    }
}

static void stop(struct visit *v)
{
    finish(v->follow);
}

static void free_follow(struct visit *v)
{
    buf_free(&v->follow->out);
    v->follow->kind->free(v->follow);
}

static const struct visit_stream stream = {begin, end, drained, ping, stop, free_follow};

void follow_begin(struct follow *f, struct visit *v, const struct follow_kind *kind)
{
    f->v = v;
    f->kind = kind;
    v->follow = f;
    v->stream = &stream;
    v->answer.status = 200;
}

bool follow_after(struct visit *v, int64_t *ret)
{
    struct str last = str_trim(visit_field(v, STR("last-event-id")));
    uint64_t n = 0;
    if (last.n && (str_to_u64(last, &n) < 0 || n > INT64_MAX)) {
        refuse(v, PROBLEM_MALFORMED_FIELD,
               "Last-Event-ID must be the id of an event of this stream.");
        return false;
    }
    *ret = last.n ? (int64_t)n : -1;
    return true;
}
