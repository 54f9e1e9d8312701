#include "gateway/kept.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "conflict/rate_limit.h"
#include "gateway/translate.h"
#include "http/sse.h"
#include "json/scan.h"

enum {
    FIND_MS = 10000, /* a call that cannot go on without the store waits so long for it */
    PUT_MS = 2000,   /* an answer that is ready waits so long; */
    SLOW_MS = 10000, /* then those of the next seconds do not wait at all */
    BACKLOG_MAX = 64 * 1024 * 1024, /* bytes of one worker that wait to be kept */
};

#define DAY_US (24 * 3600 * INT64_C(1000000))

static int64_t keep_days(const struct call *c)
{
    return c->hold->snap->config->responses.keep_days;
}

bool kept_is_on(const struct call *c)
{
    return c->w->gateway->store && keep_days(c) > 0;
}

/* ---- jobs ---- */

struct kept_job *kept_job_new(struct call *c, struct str id)
{
    struct kept_job *j = mem_zalloc(sizeof *j);
    j->call = c;
    j->worker = c->w;
    j->now_us = (int64_t)clock_wall_us();
    j->owner = arena_dup(&j->arena, c->key->id);
    j->id = arena_dup(&j->arena, id);
    return j;
}

static void detach(struct kept_job *j)
{
    timer_clear(&j->patience);
    j->call->kept_job = NULL;
    j->call = NULL;
}

static void count(struct kept_job *j)
{
    struct metrics *m = &j->worker->metrics;
    if (j->job.result < 0) {
        m->responses_lost[RESPONSE_LOST_STORE]++;
    } else {
        m->responses_kept++;
        j->worker->kept_slow_until_ms = 0; /* the store is back, and worth waiting for */
    }
}

static void on_done(struct loop_task *t)
{
    struct kept_job *j = (struct kept_job *)((char *)t - offsetof(struct kept_job, job.done));
    struct call *c = j->call;
    j->worker->visits--;
    j->worker->kept_bytes -= j->bytes;
    if (j->bytes) {
        count(j);
    }
    if (c) {
        detach(j);
        j->then(c, j);
    }
    arena_reset(&j->arena);
    arena_reset(&j->found);
    free(j);
}

static void on_patience(struct timer *t)
{
    struct kept_job *j = (struct kept_job *)((char *)t - offsetof(struct kept_job, patience));
    struct call *c = j->call;
    if (j->bytes) {
        j->worker->kept_slow_until_ms = loop_now_ms(j->worker->loop) + SLOW_MS;
    }
    detach(j);
    j->late(c);
}

/* The worker does not end while the store has a job of its. */
static void submit(struct kept_job *j)
{
    j->worker->visits++;
    j->worker->kept_bytes += j->bytes;
    j->job.loop = j->worker->loop;
    j->job.done.run = on_done;
    store_submit(j->worker->gateway->store, &j->job);
}

static void wait_for(struct call *c, struct kept_job *j, uint64_t ms)
{
    c->kept_job = j;
    j->patience.fire = on_patience;
    loop_timer(c->w->loop, &j->patience, ms);
}

void kept_forget(struct call *c)
{
    if (c->kept_job) {
        detach(c->kept_job);
    }
}

/* ---- asking ---- */

enum next kept_unavailable(struct call *c)
{
    struct call_error e = {.status = 503,
                           .code = "store_unavailable",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    return call_fail(c, &e, "The responses that are kept cannot be reached now; try again.");
}

static void asked_too_long(struct call *c)
{
    kept_unavailable(c);
    relay_end_call(c);
}

void kept_ask(struct call *c, struct kept_job *j)
{
    j->late = asked_too_long;
    wait_for(c, j, FIND_MS);
    submit(j);
}

/* ---- arrays of items ---- */

struct str kept_inside(struct str array)
{
    struct str s = str_make(array.p + 1, array.n - 2);
    size_t i = 0;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n')) {
        i++;
    }
    return i == s.n ? str_first(s, 0) : s;
}

static void add_message(struct buf *b, struct str quoted)
{
    buf_add(b, STR("{\"type\":\"message\",\"role\":\"user\",\"content\":"));
    buf_add(b, quoted);
    buf_addc(b, '}');
}

void kept_add_input(struct buf *b, const struct kept *k, struct str before)
{
    buf_addc(b, '[');
    buf_add(b, before);
    buf_add(b, before.n && k->own.n ? STR(",") : (struct str){0});
    if (k->own_is_text) {
        add_message(b, k->own);
    } else {
        buf_add(b, k->own);
    }
}

/* ---- the answer is kept ---- */

static int run_put(struct store_job *job, struct db *db)
{
    struct kept_job *j = (struct kept_job *)job;
    return kept_response_put(db, &j->put);
}

static void on_put(struct call *c, struct kept_job *j)
{
    (void)j;
    translate_finish(c);
}

/* The response of the stream's closing event, in the text of its last events. */
static struct str closing_response(struct call *c, struct str text)
{
    struct str found = {0}, response;
    size_t n;
    while ((n = sse_event_end(text.p, text.n, 0)) > 0) {
        struct str data = sse_data(&c->w->scratch, str_first(text, n), NULL);
        if (data.n > 2 && data.p[0] == '{' &&
            json_member(data, STR("response"), &response) == JSON_OBJECT) {
            found = response;
        }
        text = str_from(text, n);
    }
    return found;
}

static struct str array_of(struct arena *a, const struct kept *k, struct str before,
                           struct str output)
{
    struct buf b = {.arena = a, .limit = 2 * KEPT_MAX};
    (void)buf_room(&b, before.n + k->own.n + output.n + 128);
    b.n = 0;
    kept_add_input(&b, k, before);
    buf_add(&b, output.n && b.n > 1 ? STR(",") : (struct str){0});
    buf_add(&b, output);
    buf_addc(&b, ']');
    return buf_str(&b);
}

static struct kept_job *put_job(struct call *c, struct str response, struct str quoted_id,
                                struct str output)
{
    const struct kept *k = c->kept;
    char id[KEPT_ID_MAX];
    struct kept_job *j = kept_job_new(c, str_make(id, json_unescape(quoted_id, id)));
    j->job.run = run_put;
    j->job.write = true;
    j->job.aside = true;
    j->then = on_put;
    j->late = translate_finish;
    j->put = (struct kept_response){
        .id = j->id,
        .owner = j->owner,
        .created_us = j->now_us,
        .expires_us = j->now_us + keep_days(c) * DAY_US,
        .items = array_of(&j->arena, k, k->before, output),
        .input = array_of(&j->arena, k, (struct str){0}, (struct str){0}),
        .response = arena_dup(&j->arena, response),
    };
    j->bytes = j->put.items.n + j->put.input.n + j->put.response.n;
    return j;
}

static bool lost(struct call *c, enum response_lost why)
{
    c->w->metrics.responses_lost[why]++;
    return false;
}

bool kept_put(struct call *c, struct str text)
{
    struct kept *k = c->kept;
    struct str response, id, output;
    if (!k || !k->wanted) {
        return false;
    }
    k->wanted = false;
    response = c->stream ? closing_response(c, text) : str_trim(text);
    if (response.n < 2 || json_member(response, STR("id"), &id) != JSON_STRING ||
        id.n > KEPT_ID_MAX || json_member(response, STR("output"), &output) != JSON_ARRAY) {
        return false; /* it has failed */
    }
    output = kept_inside(output);
    if (k->before.n + k->own.n + output.n > KEPT_MAX || response.n > KEPT_MAX) {
        return lost(c, RESPONSE_LOST_SIZE);
    }
    if (c->w->kept_bytes > BACKLOG_MAX) {
        return lost(c, RESPONSE_LOST_BACKLOG);
    }
    struct kept_job *j = put_job(c, response, id, output);
    bool wait = loop_now_ms(c->w->loop) >= c->w->kept_slow_until_ms;
    if (wait) {
        timer_clear(&c->timer); /* the answer is there: only our own patience counts now */
        wait_for(c, j, PUT_MS);
    } else {
        j->call = NULL;
    }
    submit(j);
    return wait;
}

bool kept_wants(const struct call *c)
{
    return c->kept && c->kept->wanted;
}

bool kept_hurry(struct call *c)
{
    struct kept_job *j = c->kept_job;
    if (!j || !j->bytes) {
        return false;
    }
    detach(j);
    translate_finish(c);
    return true;
}
