/* What changes while the server runs: its configuration, read again, and what is committed on the platform. */
#include <stdio.h>
#include <time.h>

#include "cli/server.h"
#include "cli/welcome.h"
#include "ledger/bodies.h"
#include "ledger/writer.h"

/* ---- the server's log ---- */

void server_say(const char *level, const char *fmt, ...)
{
    char stamp[32];
    struct buf b = {0};
    struct arena a = {0};
    va_list ap;
    time_t now = time(NULL);
    struct tm tm;
    va_start(ap, fmt);
    struct str text = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    buf_printf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":\"", stamp, level);
    buf_add_json(&b, text);
    buf_add(&b, STR("\"}\n"));
    fwrite(b.p, 1, b.n, stderr);
    buf_free(&b);
    arena_reset(&a);
}

void server_say_lines(const char *level, struct str lines)
{
    struct str line;
    while (lines.n) {
        str_cut(&lines, '\n', &line);
        if (line.n) {
            server_say(level, "%.*s", STR_ARG(line));
        }
    }
}

/* ---- reload ---- */

static bool same_listen(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < a->n_listen && i < b->n_listen; i++) {
        if (!str_eq(a->listen[i], b->listen[i])) {
            return false;
        }
    }
    return a->n_listen == b->n_listen;
}

static bool same_shared(const struct config_shared *a, const struct config_shared *b)
{
    return str_eq(secret_reveal(a->redis), secret_reveal(b->redis)) && a->postgres == b->postgres &&
           a->lease_percent == b->lease_percent && a->when_unreachable == b->when_unreachable;
}

static bool same_database(const struct config_database *a, const struct config_database *b)
{
    return str_eq(secret_reveal(a->url), secret_reveal(b->url)) && a->connections == b->connections;
}

/* What a reload cannot change is said, so that nobody believes it was. */
static void warn_of_restart(const struct config *old, const struct config *new)
{
    const struct {
        const char *field;
        bool same;
    } fixed[] = {
        {"listen", same_listen(old, new)},
        {"workers", old->workers == new->workers},
        {"data", str_eq(old->data, new->data)},
        {"access_log", str_eq(old->access_log, new->access_log)},
        {"ledger (on or off)", !old->ledger.keep_days == !new->ledger.keep_days},
        {"ledger.spool_bytes", old->ledger.spool_bytes == new->ledger.spool_bytes},
        {"database", same_database(&old->database, &new->database)},
        {"shared", same_shared(&old->shared, &new->shared)},
        {"tls (on or off)", !old->tls.certificate.n == !new->tls.certificate.n},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (!fixed[i].same) {
            server_say("warning", "%s has changed; that takes effect at the next start",
                       fixed[i].field);
        }
    }
}

/* What was read becomes what is declared. The input's arena is the base's from now on. */
static struct config_base *base_of(struct snapshot_input *in)
{
    struct config_base *b = mem_zalloc(sizeof *b);
    b->refs = 1;
    b->arena = in->arena;
    b->config = in->config;
    b->keys = in->keys;
    b->n_keys = in->n_keys;
    in->arena = (struct arena){0};
    return b;
}

int server_declare(struct server *s, struct snapshot_input *in, struct buf *errors)
{
    bool matters;
    int r = world_declare(&s->world, base_of(in), errors);
    return r < 0 ? r : world_refresh(&s->world, &matters, errors);
}

int server_compile(struct server *s, struct snapshot **ret, struct buf *errors)
{
    uint64_t began = clock_us();
    int r = world_compile(&s->world, s->start.generation + 1, ret, errors);
    if (r == 0) {
        s->gateway.compile_us = clock_us() - began;
        server_say_lines("warning", buf_str(errors));
        errors->n = 0;
    }
    return r;
}

/* In a drain workers end, and none takes anything any more: who waits for his change to be taken is told that it is. */
static void take(struct server *s, struct snapshot *snap, struct tls_ctx *tls)
{
    if (s->gateway.draining) {
        snapshot_unref(snap);
        platform_applied(&s->platform, s->world.image.seq);
        return;
    }
    gateway_publish(&s->gateway, snap, tls);
    snapshot_unref(s->snap);
    s->snap = snap;
    s->start.generation++;
    platform_applied(&s->platform, s->world.image.seq);
    alerts_take(&s->alerts, snap);
}

static void retain(struct server *s, const struct config_ledger *l)
{
    struct writer *w = ledger_writer(s->gateway.ledger);
    if (w && l->keep_days) {
        writer_retain(w, l->keep_days, l->max_bytes);
        bodies_retain(s->gateway.bodies, l->bodies_max_bytes, l->keep_days);
    }
}

void server_reload(struct server *s)
{
    struct buf errors = {0};
    struct snapshot_input in;
    struct snapshot *snap = NULL;
    struct tls_ctx *tls = NULL;
    if (s->gateway.draining) {
        server_say("warning", "the server is draining: no configuration is taken any more");
        return;
    }
    int r = startup_load(&s->start, &in, &errors);
    if (r == 0) {
        r = startup_tls(&s->start.arena, in.config, &tls, &errors);
    }
    if (r == 0) {
        r = startup_keys(&s->start, &in);
        welcome_print_made(s->start.made,
                           s->json); /* they are kept, whatever becomes of the rest */
        s->start.made = NULL;
    }
    if (r == 0) {
        tls_ctx_unref(s->world.client_tls); /* the system's certificates may have changed */
        s->world.client_tls = NULL;
        r = server_declare(s, &in, &errors);
        r = r < 0 ? r : server_compile(s, &snap, &errors);
    }
    if (r < 0) {
        arena_reset(&in.arena);
        tls_ctx_unref(tls);
        s->gateway.reload_ok = false;
        server_say_lines("error", buf_str(&errors));
        server_say("error", "the configuration was not taken; generation %llu goes on",
                   (unsigned long long)s->start.generation);
        buf_free(&errors);
        return;
    }
    warn_of_restart(s->snap->config, snap->config);
    retain(s, &snap->config->ledger);
    take(s, snap, s->tls ? tls : NULL);
    tls_ctx_unref(tls);
    s->gateway.reload_ok = true;
    server_say("info", "configuration taken as generation %llu",
               (unsigned long long)s->start.generation);
    buf_free(&errors);
}

/* ---- changes of the platform ---- */

enum { DEBOUNCE_MS = 2 };

/* Commits have added changes: those that calls depend on are compiled and given to the workers. */
static void on_changed(struct timer *t)
{
    struct server *s = (struct server *)((char *)t - offsetof(struct server, changed));
    struct buf errors = {0};
    struct snapshot *snap;
    bool matters;
    int r = world_refresh(&s->world, &matters, &errors);
    if (r == 0 && !matters) {
        platform_applied(&s->platform, s->world.image.seq);
    } else if (r == 0 && (r = server_compile(s, &snap, &errors)) == 0) {
        take(s, snap, NULL);
    }
    if (r < 0) {
        server_say_lines("error", buf_str(&errors));
        server_say("error", "a change of the platform was not taken; generation %llu goes on",
                   (unsigned long long)s->start.generation);
    }
    buf_free(&errors);
}

static void on_commit(struct loop_task *t)
{
    struct server *s = (struct server *)((char *)t - offsetof(struct server, watcher.task));
    store_seen(&s->watcher);
    loop_timer_within(s->control, &s->changed, DEBOUNCE_MS);
}

void server_watch(struct server *s)
{
    s->watcher = (struct store_watcher){.loop = s->control, .task.run = on_commit};
    s->changed.fire = on_changed;
    store_watch(s->platform.store, &s->watcher);
}

void server_unwatch(struct server *s)
{
    store_unwatch(s->platform.store, &s->watcher);
    timer_clear(&s->changed);
}
