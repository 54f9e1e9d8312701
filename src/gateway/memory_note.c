/* The note of a call under an Idempotency-Key (store/journal.h). It stands in the store before a provider hears of the
 * call, so that whoever repeats it after a crash, or at another process with the same database, does not pay twice:
 *
 *   none in memory ── memory_note_begin ── WAIT ─┬─ it stands there ── NEXT ── the call ── memory_note_end
 *                                                ├─ one is there with its answer ── into memory, and read from there
 *                                                ├─ ... of a call that another process runs ── 409 in progress
 *                                                └─ ... of a call that has begun, and no more ── 409 uncertain
 *
 * Where the database cannot say, the call goes on without a note and says so, or is refused
 * (idempotency_fail_closed). The end is written when the answer is out already: nobody waits for that but the key,
 * when it is to be free again.
 *
 * With a shared database, others have to know that this process lives: while it has notes it keeps a lease that has
 * its name. */
#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "conflict/rate_limit.h"
#include "gateway/lease.h"
#include "gateway/memory.h"
#include "store/journal.h"
#include "store/store.h"

enum {
    LEASE_MS = 10000,
    KEEP_MS = 3000,
    PATIENCE_MS = 2000,             /* a call waits so long for the database to say anything */
    BACKLOG_MAX = 64 * 1024 * 1024, /* bytes of answers of one worker that wait to be written */
    PIECES = 32,
};

/* The store has it while `busy`, else the call; freed when neither has. */
struct memory_note {
    struct store_job job; /* first member */
    struct call *call;    /* NULL: it has ended */
    struct worker *worker;
    struct timer patience;
    struct arena own, found;
    struct call_note note, other; /* ours; the one that is there instead */
    struct str answer;            /* of `other` */
    struct recording *recording;  /* what has become of the call, once that is so */
    int begun;                    /* what the store has answered */
    enum note_end end;
    bool busy, late, settled, takes_lease;
    bool in_store; /* it was asked to begin one */
    uint8_t name[RECORDING_KEY], payload[RECORDING_KEY];
    int64_t keep_us;
    uint64_t asked_ms;
    size_t stored_max, bytes; /* of the answer: what may be kept, what is being written */
};

/* A worker's share in keeping the process's lease. */
struct memory_keeper {
    struct store_job job; /* first member */
    struct worker *worker;
    struct timer timer;
    struct arena found;
    uint32_t notes;
    bool busy;
    uint64_t asked_ms, until_ms; /* it is held that long at least */
};

static int take_lease(struct db *db, struct arena *a)
{
    int64_t epoch;
    return lease_take(db, a, lease_process(), lease_process(), LEASE_MS * INT64_C(1000), &epoch);
}

/* ---- the lease ---- */

static int run_keep(struct store_job *job, struct db *db)
{
    struct memory_keeper *k = (struct memory_keeper *)job;
    arena_reset(&k->found);
    return take_lease(db, &k->found);
}

static void on_kept(struct loop_task *t)
{
    struct memory_keeper *k =
        (struct memory_keeper *)((char *)t - offsetof(struct memory_keeper, job.done));
    k->busy = false;
    k->worker->visits--;
    arena_reset(&k->found);
    if (k->job.result == 0) {
        k->until_ms = k->asked_ms + LEASE_MS;
    }
    if (k->notes) {
        loop_timer(k->worker->loop, &k->timer, KEEP_MS);
    }
}

static void on_keep_time(struct timer *t)
{
    struct memory_keeper *k =
        (struct memory_keeper *)((char *)t - offsetof(struct memory_keeper, timer));
    k->busy = true;
    k->asked_ms = loop_now_ms(k->worker->loop);
    k->job = (struct store_job){.run = run_keep,
                                .write = true,
                                .aside = true,
                                .loop = k->worker->loop,
                                .done = {.run = on_kept}};
    k->worker->visits++;
    store_submit(k->worker->gateway->store, &k->job);
}

/* One more note of this worker; whether it has to take the lease as well. */
static bool keeper_hold(struct worker *w)
{
    struct memory_keeper *k = w->keeper;
    if (!store_is_shared(w->gateway->store)) {
        return false;
    }
    if (!k) {
        k = w->keeper = mem_zalloc(sizeof *k);
        k->worker = w;
        k->timer.fire = on_keep_time;
    }
    if (k->notes++ == 0 && !k->busy) {
        loop_timer(w->loop, &k->timer, KEEP_MS);
    }
    return loop_now_ms(w->loop) + LEASE_MS / 2 > k->until_ms;
}

static void keeper_let_go(struct worker *w)
{
    struct memory_keeper *k = w->keeper;
    if (k && --k->notes == 0) {
        timer_clear(&k->timer);
    }
}

/* ---- jobs ---- */

static void submit(struct memory_note *n, int (*run)(struct store_job *, struct db *),
                   void (*done)(struct loop_task *))
{
    n->busy = true;
    n->worker->visits++; /* the worker does not end while the store has it */
    n->job = (struct store_job){
        .run = run, .write = true, .aside = true, .loop = n->worker->loop, .done = {.run = done}};
    store_submit(n->worker->gateway->store, &n->job);
}

static struct memory_note *answered(struct loop_task *t)
{
    struct memory_note *n =
        (struct memory_note *)((char *)t - offsetof(struct memory_note, job.done));
    n->busy = false;
    n->worker->visits--;
    return n;
}

static void note_free(struct memory_note *n)
{
    timer_clear(&n->patience);
    if (n->in_store) {
        keeper_let_go(n->worker);
    }
    arena_reset(&n->own);
    arena_reset(&n->found);
    free(n);
}

/* ---- its end ---- */

static struct str whole_body(struct arena *a, struct recording *r, size_t length)
{
    char *to = arena_alloc(a, length + 1);
    struct recording_place place = {0};
    enum recording_state state;
    bool last = false;
    size_t at = 0;
    while (!last) {
        struct iovec v[PIECES];
        int k = recording_read(r, &place, v, PIECES, NULL, &state, &last);
        for (int i = 0; i < k; i++) {
            must(at + v[i].iov_len <= length);
            memcpy(to + at, v[i].iov_base, v[i].iov_len);
            at += v[i].iov_len;
        }
    }
    return str_make(to, at);
}

static int run_end(struct store_job *job, struct db *db)
{
    struct memory_note *n = (struct memory_note *)job;
    struct recording_head h = recording_head(n->recording);
    if (n->end == NOTE_DROP) {
        return call_note_drop(db, n->note.name, n->note.call);
    }
    arena_reset(&n->found);
    n->note.state = n->end == NOTE_CUT ? CALL_NOTE_CUT : CALL_NOTE_WHOLE;
    n->note.kept = n->bytes > 0;
    if (n->note.kept) {
        n->note.type = h.type;
        n->note.lines = h.lines;
        n->note.origin = h.origin;
        n->note.body = store_seal(n->worker->gateway->store, &n->found, n->note.name,
                                  whole_body(&n->found, n->recording, h.length));
    }
    return call_note_end(db, &n->note);
}

static void over(struct memory_note *n)
{
    if (n->end == NOTE_DROP) {
        recording_end(n->recording, RECORDING_FAILED, 0, 0);
    }
    recording_unref(n->recording);
    n->worker->kept_bytes -= n->bytes;
    note_free(n);
}

static void on_ended(struct loop_task *t)
{
    struct memory_note *n = answered(t);
    n->worker->metrics.notes_lost += n->job.result < 0;
    over(n);
}

static void write_end(struct memory_note *n)
{
    if (n->begun < 0 && n->begun != -ECONNRESET) {
        over(n); /* it is another's, or never came to stand there */
    } else {
        submit(n, run_end, on_ended);
    }
}

void memory_note_end(struct call *c, enum note_end how)
{
    struct memory *m = c->memory;
    struct memory_note *n = m->note;
    m->note = NULL;
    n->call = NULL;
    n->end = how;
    n->recording = recording_ref(m->recording);
    timer_clear(&n->patience);
    if (how == NOTE_WHOLE || how == NOTE_CUT) {
        size_t length = recording_head(m->recording).length;
        bool kept = length && length <= n->stored_max && c->w->kept_bytes <= BACKLOG_MAX;
        n->bytes = kept ? length : 0;
        c->w->kept_bytes += n->bytes;
    }
    n->note.expires_us = (int64_t)clock_wall_us() + n->keep_us;
    if (!n->in_store) {
        over(n);
    } else if (!n->busy) {
        write_end(n);
    }
}

/* ---- its begin ---- */

static int run_begin(struct store_job *job, struct db *db)
{
    struct memory_note *n = (struct memory_note *)job;
    arena_reset(&n->found);
    int r = n->takes_lease ? take_lease(db, &n->found) : 0;
    r = r < 0 ? r : call_note_begin(db, &n->found, &n->note, &n->other);
    if (r == -EEXIST && n->other.kept) {
        n->other.kept = store_unseal(n->worker->gateway->store, &n->found, n->other.name,
                                     n->other.body, &n->answer) == 0;
    }
    return r;
}

static void on_begun(struct loop_task *t)
{
    struct memory_note *n = answered(t);
    n->begun = n->job.result;
    if (n->begun == 0 && n->takes_lease) {
        n->worker->keeper->until_ms = n->asked_ms + LEASE_MS;
    }
    if (n->end != NOTE_OPEN) {
        write_end(n); /* the call was not so patient */
    } else if (!n->late) {
        timer_clear(&n->patience);
        call_run(n->call);
    }
}

static void on_patience(struct timer *t)
{
    struct memory_note *n =
        (struct memory_note *)((char *)t - offsetof(struct memory_note, patience));
    n->late = true;
    call_run(n->call);
}

enum next memory_note_begin(struct call *c, const uint8_t *key, const uint8_t *payload)
{
    const struct config_memory *rule = &c->hold->snap->config->memory;
    struct memory_note *n = c->memory->note = mem_zalloc(sizeof *n);
    int64_t now_us = (int64_t)clock_wall_us();
    memcpy(n->name, key, sizeof n->name);
    memcpy(n->payload, payload, sizeof n->payload);
    n->call = c;
    n->worker = c->w;
    n->patience.fire = on_patience;
    n->keep_us = rule->idempotency_ttl_s * 1000000;
    n->stored_max = (size_t)rule->idempotency_stored_bytes;
    n->note = (struct call_note){.name = str_make((char *)n->name, sizeof n->name),
                                 .payload = str_make((char *)n->payload, sizeof n->payload),
                                 .owner = arena_dup(&n->own, c->key->id),
                                 .call = arena_dup(&n->own, str_of(c->id)),
                                 .holder = lease_process(),
                                 .begun_us = now_us,
                                 .expires_us = now_us + n->keep_us};
    if (!c->w->gateway->store) {
        n->late = true;
        return memory_note_go_on(c);
    }
    n->in_store = true;
    n->takes_lease = keeper_hold(c->w);
    n->asked_ms = loop_now_ms(c->w->loop);
    loop_timer(c->w->loop, &n->patience, PATIENCE_MS);
    submit(n, run_begin, on_begun);
    relay_watch(c);
    return WAIT;
}

/* ---- what stands there ---- */

/* Nothing could be written: the call may still happen twice. */
static enum next unsure(struct call *c)
{
    c->w->metrics.notes_lost++;
    if (!c->hold->snap->config->memory.idempotency_fail_closed) {
        c->memory->volatile_only = true;
        return NEXT;
    }
    struct call_error e = {.status = 503,
                           .code = "idempotency_unavailable",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    return call_fail(c, &e,
                     "It cannot be noted now that a call was made under this Idempotency-Key, so "
                     "none was made. Send the same again later.");
}

static enum next in_progress(struct call *c, const struct memory_note *n)
{
    struct call_error e = {.status = 409,
                           .code = "idempotency_in_progress",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true,
                           .operation = n->other.call,
                           .retry_class = "unchanged"};
    return call_fail(c, &e,
                     "The call that was made under this Idempotency-Key is under way at another "
                     "process. Send the same again after Retry-After; you will get its answer.");
}

static enum next uncertain(struct call *c, const struct memory_note *n)
{
    struct call_error e = {.status = 409,
                           .code = "idempotency_uncertain",
                           .outcome = OUTCOME_REFUSED,
                           .operation = n->other.call,
                           .retry_class = "never"};
    if (n->other.state == CALL_NOTE_BEGUN) {
        return call_fail(c, &e,
                         "The call that was made under this Idempotency-Key had begun when the "
                         "server stopped, and how it ended is not known: it may have been answered "
                         "and charged. With another key it would be made again.");
    }
    return call_fail(c, &e,
                     "The call that was made under this Idempotency-Key was answered, and its "
                     "answer is not kept any more. With another key it would be made again.");
}

/* The answer goes into memory, for all who ask. */
static bool load(struct call *c, const struct memory_note *n)
{
    struct recording *r = c->memory->recording;
    struct iovec v = {(void *)(uintptr_t)n->answer.p, n->answer.n};
    int64_t left_us = n->other.expires_us - (int64_t)clock_wall_us();
    if (!n->other.kept || n->other.state == CALL_NOTE_BEGUN) {
        return false;
    }
    recording_begin(r, n->other.type, n->other.lines, n->other.origin);
    if (!recording_add(r, &v, 1)) {
        return false;
    }
    recording_end(r, n->other.state == CALL_NOTE_CUT ? RECORDING_CUT : RECORDING_WHOLE,
                  left_us > 1000000 ? (uint32_t)(left_us / 1000000) : 1,
                  loop_now_ms(c->w->loop) / 1000);
    return true;
}

static enum next found(struct call *c, struct memory_note *n)
{
    const struct call_note *o = &n->other;
    if (!str_eq(o->payload, n->note.payload)) {
        memory_give_up(c); /* before the answer: the right one may be asked for at once */
        return memory_refuse_other(c);
    }
    if (load(c, n)) {
        c->memory->note = NULL;
        note_free(n);
        return memory_replay(c);
    }
    bool elsewhere = o->lives && !str_eq(o->holder, lease_process());
    return o->state == CALL_NOTE_BEGUN && elsewhere ? in_progress(c, n) : uncertain(c, n);
}

enum next memory_note_go_on(struct call *c)
{
    struct memory_note *n = c->memory->note;
    if (n->settled) {
        return NEXT;
    }
    if (n->busy && !n->late) {
        return WAIT;
    }
    n->settled = true;
    if (!n->late && n->begun == -EEXIST) {
        return found(c, n);
    }
    return n->late || n->begun < 0 ? unsure(c) : NEXT;
}
