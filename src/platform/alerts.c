#include "platform/alerts.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conflict/http_date.h"
#include "platform/route.h"

enum { LOOK_MS = 2000 };

const char *const alert_when_name[] = {"error_rate", "latency_mean", "latency_p95", "budget_used",
                                       "provider_down"};

static const struct config_alerts *config_of(const struct snapshot *s)
{
    return &s->config->alerts;
}

static struct alert_bounds bounds_of(const struct config_alert *r)
{
    return (struct alert_bounds){.above = r->above * 1000,
                                 .clear = r->clear < 0 ? r->above * 900 : r->clear * 1000,
                                 .for_ms = (uint64_t)r->for_s * 1000};
}

/* ---- telling ---- */

static void add_thousandths(struct buf *b, int64_t v)
{
    buf_printf(b, "%lld.%03lld", (long long)(v / 1000), (long long)(v % 1000));
}

/* Members of an object, without its braces. */
static void add_value(struct buf *b, const struct config_alert *r, const struct alert_value *v)
{
    struct alert_bounds bounds = bounds_of(r);
    buf_addz(b, ",\"subject\":\"");
    buf_add_json(b, str_of(v->subject));
    buf_addz(b, "\"");
    if (r->when == ALERT_PROVIDER_DOWN) {
        return;
    }
    buf_addz(b, ",\"value\":");
    if (v->known) {
        add_thousandths(b, v->value);
    } else {
        buf_addz(b, "null");
    }
    buf_printf(b, ",\"above\":%lld,\"clear\":", (long long)r->above);
    add_thousandths(b, bounds.clear);
    buf_printf(b, ",\"unit\":\"%s\"",
               r->when == ALERT_ERROR_RATE || r->when == ALERT_BUDGET_USED ? "percent" : "ms");
}

static void add_since(struct buf *b, struct arena *a, const struct watched *w)
{
    struct str since = time_print(a, w->since_us);
    buf_printf(b, ",\"since\":\"%.*s\"", STR_ARG(since));
}

static struct str data_of(struct arena *a, const struct config_alert *r, const struct watched *w)
{
    struct buf b = {.arena = a};
    buf_addz(&b, "\"alert\":\"");
    buf_add_json(&b, r->id);
    buf_printf(&b, "\",\"when\":\"%s\"", alert_when_name[r->when]);
    add_value(&b, r, &w->last);
    add_since(&b, a, w);
    return buf_str(&b);
}

/* 128 random bits: receivers tell repeats by it. */
static struct str message_id(struct arena *a)
{
    unsigned char bytes[16];
    char hex[2 * sizeof bytes + 1];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(hex, sizeof hex, bytes, sizeof bytes);
    return arena_printf(a, "msg_%s", hex);
}

static void post(struct alerts *a, const struct config_alert *r, struct arena *scratch,
                 struct str body)
{
    const struct config_alerts *c = config_of(a->_snap);
    struct str id = message_id(scratch);
    for (size_t i = 0; i < c->n_webhooks && !r->n_webhooks; i++) {
        webhook_send(&a->hooks, &c->webhooks[i], id, body);
    }
    for (size_t i = 0; i < r->n_webhooks; i++) {
        webhook_send(&a->hooks, webhook_named(c, r->webhooks[i]), id, body);
    }
}

static void tell(struct alerts *a, const struct config_alert *r, const struct watched *w,
                 bool fired)
{
    struct arena scratch = {0};
    struct str now = time_print(&scratch, (int64_t)clock_wall_us());
    struct str data = data_of(&scratch, r, w);
    const char *word = fired ? "firing" : "resolved";
    a->_log(arena_printf(&scratch, "{\"ts\":\"%.*s\",\"level\":\"%s\",\"msg\":\"alert %s\",%.*s}\n",
                         STR_ARG(now), fired ? "warning" : "info", word, STR_ARG(data)));
    post(a, r, &scratch,
         arena_printf(&scratch, "{\"type\":\"alert.%s\",\"timestamp\":\"%.*s\",\"data\":{%.*s}}",
                      word, STR_ARG(now), STR_ARG(data)));
    arena_reset(&scratch);
}

static void say(struct alerts *a, const char *level, struct str text)
{
    struct arena scratch = {0};
    struct buf b = {.arena = &scratch};
    struct str now = time_print(&scratch, (int64_t)clock_wall_us());
    buf_printf(&b, "{\"ts\":\"%.*s\",\"level\":\"%s\",\"msg\":\"", STR_ARG(now), level);
    buf_add_json(&b, text);
    buf_addz(&b, "\"}\n");
    a->_log(buf_str(&b));
    arena_reset(&scratch);
}

static void on_complaint(void *arg, struct str text)
{
    say(arg, "error", text);
}

/* ---- over a restart ---- */

static void complain(struct alerts *a, const char *what, int r)
{
    char text[160];
    snprintf(text, sizeof text, "%s: %s", what, strerror(-r));
    on_complaint(a, str_of(text));
}

static void keep(struct alerts *a)
{
    for (size_t i = 0; i < a->_n && !a->hooks.waiting; i++) {
        a->_all[i].told = true;
    }
    int r = alerts_keep(a);
    if (r < 0 && !a->_unwritable) {
        complain(a, "alerts.json cannot be written, the next start tells alerts again", r);
    }
    a->_unwritable = r < 0;
}

/* ---- looking ---- */

static void look_at(struct alerts *a, const struct config_alert *r, struct watched *w,
                    const struct alert_value *v)
{
    struct alert_bounds bounds = bounds_of(r);
    struct alert_value before = w->last;
    if (v->failed) {
        return;
    }
    pthread_mutex_lock(&a->_lock);
    w->last = *v;
    if (!w->last.subject[0]) { /* well again: whose it was */
        memcpy(w->last.subject, before.subject, sizeof before.subject);
    }
    enum alert_change change =
        alert_step(&w->state, &bounds, v->known, v->value, clock_us() / 1000);
    if (change == ALERT_FIRED) {
        w->since_us = (int64_t)clock_wall_us();
        w->told = false;
    }
    pthread_mutex_unlock(&a->_lock);
    if (change != ALERT_NOTHING) {
        tell(a, r, w, change == ALERT_FIRED);
    }
}

static void look(struct alerts *a)
{
    const struct config_alerts *c = config_of(a->_snap);
    for (size_t i = 0; i < a->_n; i++) {
        if (!alert_of_calls(&c->rules[i])) {
            alert_ask_now(&c->rules[i], a->_snap, &a->_values[i]);
        }
        look_at(a, &c->rules[i], &a->_all[i], &a->_values[i]);
    }
    keep(a);
    loop_timer_within(a->_loop, &a->_timer, LOOK_MS);
}

static void ask(struct reader_job *j, struct reader *r)
{
    struct alerts *a = (struct alerts *)((char *)j - offsetof(struct alerts, _job));
    const struct config_alerts *c = config_of(a->_snap);
    for (size_t i = 0; i < a->_n; i++) {
        if (alert_of_calls(&c->rules[i])) {
            alert_ask_calls(&c->rules[i], r, &a->_values[i]);
        }
    }
}

static void on_asked(struct loop_task *t)
{
    struct alerts *a = (struct alerts *)((char *)t - offsetof(struct alerts, _job.done));
    a->_busy = false;
    look(a);
}

static bool asks_ledger(const struct alerts *a)
{
    const struct config_alerts *c = config_of(a->_snap);
    for (size_t i = 0; i < a->_n; i++) {
        if (alert_of_calls(&c->rules[i])) {
            return ledger_reader(a->_ledger) != NULL;
        }
    }
    return false;
}

/* ---- another snapshot ---- */

static bool is_in(const struct watched *all, size_t n, struct str id, size_t *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(all[i].id, id)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* Whoever was told of it hears that nobody watches it any more. */
static void end_gone(struct alerts *a, const struct watched *next, size_t n)
{
    size_t at;
    for (size_t i = 0; i < a->_n; i++) {
        if (a->_all[i].state.phase == ALERT_FIRING && !is_in(next, n, a->_all[i].id, &at)) {
            tell(a, &config_of(a->_snap)->rules[i], &a->_all[i], false);
        }
    }
}

/* A wrong name watches nothing, and would never be missed. */
static void tell_vain(struct alerts *a, const struct config_alert *r, struct watched *w)
{
    struct arena scratch = {0};
    struct str what = alert_misses(r, a->_next, &scratch);
    if (what.n && !w->vain) {
        say(a, "warning",
            arena_printf(&scratch, "the alert \"%.*s\" watches nothing: %.*s", STR_ARG(r->id),
                         STR_ARG(what)));
    }
    w->vain = what.n > 0;
    arena_reset(&scratch);
}

/* What fired goes on firing, though its messages may be lost; or nobody watches it any more. */
static void take_up(struct alerts *a)
{
    const struct config_alerts *c = config_of(a->_snap);
    for (size_t i = 0; i < a->_n_kept; i++) {
        struct alert_kept *k = &a->_kept[i];
        size_t at;
        if (!is_in(a->_all, a->_n, k->rule.id, &at)) {
            tell(a, &k->rule, &k->was, false);
            continue;
        }
        k->was.id = a->_all[at].id;
        k->was.vain = a->_all[at].vain;
        pthread_mutex_lock(&a->_lock);
        a->_all[at] = k->was;
        pthread_mutex_unlock(&a->_lock);
        if (!k->was.told) {
            tell(a, &c->rules[at], &a->_all[at], true);
        }
    }
    a->_n_kept = 0;
    arena_reset(&a->_kept_arena);
}

static void adopt(struct alerts *a)
{
    const struct config_alerts *c = config_of(a->_next);
    struct watched *all = mem_zalloc((c->n_rules + 1) * sizeof *all);
    size_t at;
    for (size_t i = 0; i < c->n_rules; i++) {
        if (is_in(a->_all, a->_n, c->rules[i].id, &at)) {
            all[i] = a->_all[at];
        }
        all[i].id = c->rules[i].id;
        tell_vain(a, &c->rules[i], &all[i]);
    }
    end_gone(a, all, c->n_rules);
    struct snapshot *old = a->_snap;
    pthread_mutex_lock(&a->_lock);
    free(a->_all);
    a->_all = all;
    a->_n = c->n_rules;
    a->_snap = a->_next;
    pthread_mutex_unlock(&a->_lock);
    a->_next = NULL;
    free(a->_values);
    a->_values = mem_zalloc((a->_n + 1) * sizeof *a->_values);
    snapshot_unref(old);
    webhooks_renew(&a->hooks); /* the system's certificates may have changed */
    take_up(a);
    keep(a);
}

static void on_time(struct timer *t)
{
    struct alerts *a = (struct alerts *)((char *)t - offsetof(struct alerts, _timer));
    if (a->_busy) {
        return; /* on_asked() goes on */
    }
    if (a->_next) {
        adopt(a);
    }
    if (!a->_n) {
        return;
    }
    if (!asks_ledger(a)) {
        look(a);
        return;
    }
    a->_busy = true;
    a->_job = (struct reader_job){.run = ask, .loop = a->_loop, .done.run = on_asked};
    reader_submit(ledger_reader(a->_ledger), &a->_job);
}

void alerts_take(struct alerts *a, struct snapshot *s)
{
    if (!a->_loop || (!config_of(s)->n_rules && !a->_snap && !a->_next && !a->_n_kept)) {
        return; /* nothing is watched, and nothing was */
    }
    if (a->_next) {
        snapshot_unref(a->_next);
    }
    a->_next = snapshot_ref(s);
    if (!a->_busy) {
        adopt(a); /* at once, so that who asks sees these rules */
    }
    loop_timer_within(a->_loop, &a->_timer, 0);
}

void alerts_start(struct alerts *a, struct loop *l, struct ledger *ledger, const char *dir,
                  void (*log)(struct str line))
{
    *a = (struct alerts){._loop = l, ._ledger = ledger, ._log = log, ._timer.fire = on_time};
    a->hooks = (struct webhooks){._loop = l, .complain = on_complaint, .arg = a};
    pthread_mutex_init(&a->_lock, NULL);
    int r = alerts_recall(a, dir);
    if (r < 0) {
        complain(a, "alerts.json cannot be read, what fires is told again", r);
    }
}

void alerts_stop(struct alerts *a)
{
    if (!a->_loop) {
        return;
    }
    timer_clear(&a->_timer);
    webhooks_free(&a->hooks);
    if (a->_snap) {
        snapshot_unref(a->_snap);
    }
    if (a->_next) {
        snapshot_unref(a->_next);
    }
    free(a->_all);
    free(a->_values);
    buf_free(&a->_written);
    arena_reset(&a->_kept_arena);
    pthread_mutex_destroy(&a->_lock);
    a->_loop = NULL;
}

/* ---- /metrics ---- */

void alerts_metrics(struct alerts *a, struct buf *b)
{
    if (!a) {
        return;
    }
    buf_addz(b, "# HELP accord_alert_firing Whether the rule fires.\n"
                "# TYPE accord_alert_firing gauge\n");
    pthread_mutex_lock(&a->_lock);
    for (size_t i = 0; i < a->_n; i++) { /* an id has nothing that would have to be escaped */
        buf_printf(b, "accord_alert_firing{rule=\"%.*s\"} %d\n", STR_ARG(a->_all[i].id),
                   a->_all[i].state.phase == ALERT_FIRING);
    }
    pthread_mutex_unlock(&a->_lock);
    buf_printf(b,
               "# HELP accord_alert_messages_total Messages to webhooks, by what became of them.\n"
               "# TYPE accord_alert_messages_total counter\n"
               "accord_alert_messages_total{result=\"delivered\"} %llu\n"
               "accord_alert_messages_total{result=\"failed\"} %llu\n"
               "accord_alert_messages_total{result=\"dropped\"} %llu\n"
               "# HELP accord_alert_messages_waiting Messages that are under way.\n"
               "# TYPE accord_alert_messages_waiting gauge\n"
               "accord_alert_messages_waiting %zu\n",
               (unsigned long long)a->hooks.delivered, (unsigned long long)a->hooks.failed,
               (unsigned long long)a->hooks.dropped, (size_t)a->hooks.waiting);
}

/* ---- GET /api/v1/alerts ---- */

static void print_rule(struct buf *b, struct arena *a, const struct config_alert *r,
                       const struct watched *w)
{
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, r->id);
    buf_printf(b, "\",\"when\":\"%s\",\"state\":\"%s\"", alert_when_name[r->when],
               alert_phase_name[w->state.phase]);
    add_value(b, r, &w->last);
    buf_printf(b, ",\"for_s\":%lld", (long long)r->for_s);
    if (w->state.phase == ALERT_FIRING) {
        add_since(b, a, w);
    }
    buf_addc(b, '}');
}

int read_alerts(struct visit *v, struct db *db)
{
    struct alerts *a = v->platform->alerts;
    struct buf b = {.arena = &v->work};
    (void)db;
    if (!grants_may(&v->who.grants, STR("call.read"), (struct str){0})) {
        refuse(v, PROBLEM_FORBIDDEN,
               "Alerts are about the whole organisation; call.read for a team does not show them.");
        return 0;
    }
    buf_addz(&b, "{\"items\":[");
    pthread_mutex_lock(&a->_lock);
    for (size_t i = 0; i < a->_n; i++) {
        buf_addz(&b, i ? "," : "");
        print_rule(&b, &v->work, &config_of(a->_snap)->rules[i], &a->_all[i]);
    }
    pthread_mutex_unlock(&a->_lock);
    buf_printf(&b,
               "],\"webhooks\":{\"waiting\":%zu,\"delivered\":%llu,\"failed\":%llu,"
               "\"dropped\":%llu}}",
               (size_t)a->hooks.waiting, (unsigned long long)a->hooks.delivered,
               (unsigned long long)a->hooks.failed, (unsigned long long)a->hooks.dropped);
    v->answer.status = 200;
    v->answer.type = "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "private, no-store");
    return 0;
}
