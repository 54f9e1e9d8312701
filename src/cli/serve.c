/* `accord serve`: from the command line to running workers, signals, and the end. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/server.h"
#include "cli/welcome.h"
#include "gateway/counter_journal.h"
#include "gateway/health_of.h"
#include "gateway/shared.h"
#include "gateway/worker.h"
#include "ledger/bodies.h"
#include "ledger/sql.h"
#include "ledger/writer.h"
#include "platform/alerts.h"
#include "platform/housekeeping.h"
#include "platform/world.h"

static void say_line(struct str line)
{
    fwrite(line.p, 1, line.n, stderr);
}

/* ---- listening ---- */

static unsigned count_workers(const struct config *c)
{
    cpu_set_t cpus;
    int64_t n = c->workers;
    if (n == 0) {
        n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    }
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

/* The address with the port that the kernel chose. */
static struct str bound_address(struct arena *a, struct str address, uint16_t port)
{
    size_t host = address.n;
    if (str_starts(address, STR("unix:"))) {
        mode_t mode;
        return arena_printf(a, "unix:%.*s", STR_ARG(stream_unix_path(address, &mode)));
    }
    while (host > 0 && address.p[host - 1] != ':') {
        host--;
    }
    struct str name = str_first(address, host ? host - 1 : 0);
    return arena_printf(a, "%.*s:%u", name.n ? (int)name.n : 7, name.n ? name.p : "0.0.0.0", port);
}

/* fds[worker][address]. */
static int bind_all(struct server *s, const struct config *c, unsigned workers,
                    int fds[WORKERS_MAX][LISTEN_MAX])
{
    for (size_t i = 0; i < c->n_listen && i < LISTEN_MAX; i++) {
        struct str address = c->listen[i];
        for (unsigned w = 0; w < workers; w++) {
            uint16_t port = 0;
            int r;
            if (w > 0 && str_starts(address, STR("unix:"))) {
                fds[w][i] = fcntl(fds[0][i], F_DUPFD_CLOEXEC, 3);
                r = fds[w][i] < 0 ? -errno : 0;
            } else {
                r = stream_bind(address, &fds[w][i], w == 0 ? &port : NULL);
            }
            if (r < 0) {
                fprintf(stderr, "accord serve: cannot listen on %.*s: %s%s\n", STR_ARG(address),
                        strerror(-r),
                        r == -EADDRINUSE ? "; another program does, choose another with --listen"
                                         : "");
                return r;
            }
            if (w == 0) {
                address = bound_address(&s->start.arena, address, port);
                s->addresses[s->n_addresses++] = address;
            }
        }
    }
    return 0;
}

/* ---- signals ---- */

static void on_signal(void *arg, int signo)
{
    struct server *s = arg;
    if (signo == SIGHUP) {
        ledger_reopen(s->gateway.ledger);
        server_reload(s);
        return;
    }
    if (s->stopping) {
        server_say("warning", "second signal: stopping at once");
        _exit(CLI_INTERRUPTED);
    }
    s->stopping = true;
    server_say("info", "draining: calls under way may end, for at most %lld ms",
               (long long)s->snap->config->timeouts.drain_ms);
    gateway_drain(&s->gateway, (uint64_t)s->snap->config->timeouts.drain_ms);
}

/* The last worker to end stops the control thread. */
static void *run_worker(void *arg)
{
    struct worker *w = arg;
    struct gateway *g = w->gateway;
    struct server *s = (struct server *)((char *)g - offsetof(struct server, gateway));
    worker_main(w);
    if (atomic_fetch_sub(&g->running, 1) == 1) {
        loop_stop(s->control);
    }
    return NULL;
}

/* NULL: no record is kept, and no body. */
static struct writer *start_writer(struct server *s, const struct config *c)
{
    struct arena *a = &s->start.arena;
    const struct config_ledger *l = &c->ledger;
    const struct writer_options o = {
        .dir = arena_dupz(a, arena_printf(a, "%.*s/ledger", STR_ARG(c->data))),
        .keep_days = l->keep_days,
        .max_bytes = l->max_bytes,
        .spool_bytes = l->spool_bytes};
    if (!l->keep_days) {
        return NULL;
    }
    struct writer *w = writer_start(&o);
    const struct bodies_options of_bodies = {.dir =
                                                 arena_dupz(a, arena_printf(a, "%s/bodies", o.dir)),
                                             .store = s->platform.store,
                                             .max_bytes = l->bodies_max_bytes,
                                             .keep_days = l->keep_days};
    s->gateway.bodies = bodies_start(&of_bodies);
    return w;
}

static int start_workers(struct server *s, const struct config *c, int fds[WORKERS_MAX][LISTEN_MAX])
{
    struct gateway *g = &s->gateway;
    char *log = arena_dupz(&s->start.arena, c->access_log);
    sigset_t all, old;
    g->workers = mem_zalloc(g->n_workers * sizeof *g->workers);
    g->started_us = clock_wall_us();
    g->generation = s->start.generation;
    g->reload_ok = true;
    g->running = g->n_workers;
    for (unsigned i = 0; i < g->n_workers; i++) {
        worker_init(&g->workers[i], g, i, s->snap, fds[i], s->n_addresses, s->tls);
        s->rings[i] = g->workers[i].ring;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the control thread's */
    counter_journal_start(s->journal);
    shared_start(s->shared);
    int r = ledger_start(log, start_writer(s, c), s->rings, g->n_workers, &g->ledger);
    if (r == 0) {
        alerts_start(&s->alerts, s->control, g->ledger, arena_dupz(&s->start.arena, c->data),
                     say_line);
        alerts_take(&s->alerts, s->snap);
        s->platform.alerts = &s->alerts;
    }
    for (unsigned i = 0; r == 0 && i < g->n_workers; i++) {
        r = -pthread_create(&s->threads[i], NULL, run_worker, &g->workers[i]);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r < 0) {
        fprintf(stderr, "accord serve: cannot start (access log %s): %s\n", log, strerror(-r));
    }
    return r;
}

static void welcome(struct server *s)
{
    const struct welcome w = {.addresses = s->addresses,
                              .n_addresses = s->n_addresses,
                              .tls = s->tls,
                              .json = s->json,
                              .admin_link = secret_reveal(s->admin_link),
                              .made = s->start.made};
    welcome_print(&w);
    s->start.made = NULL;
}

/* ---- the command ---- */

/* Which file failed and how: what is answered for it cannot tell that. */
static void say_sqlite(int code, const char *text)
{
    server_say("error", "SQLite: %s (code %d)", text, code);
}

static void prepare_process(void)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    (void)!sql_log(say_sqlite);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* What is not pooled is large and rare: give it back to the system at once. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 256 * 1024);
}

/* Of PostgreSQL; empty: the state is in SQLite. */
static struct str database_url(const struct config *c)
{
    struct str url = secret_reveal(c->database.url);
    return url.n ? url : str_of(getenv("ACCORD_DATABASE_URL"));
}

/* The state, and in it the administrator and what is declared. */
static int open_platform(struct server *s, struct snapshot_input *in, struct buf *errors)
{
    const struct store_options o = {
        .data_dir = in->config->data,
        .url = database_url(in->config),
        .connections = (unsigned)in->config->database.connections,
        .master_key = str_of(getenv("ACCORD_MASTER_KEY")),
    };
    struct store *store;
    int r = store_open(&o, &store, errors);
    if (r < 0) {
        arena_reset(&in->arena);
        return r;
    }
    platform_init(&s->platform, store, &s->gateway, s->tls != NULL);
    s->world.platform = &s->platform;
    s->gateway.store = store;
    s->gateway.visits = &platform_visits;
    s->gateway.visits_arg = &s->platform;
    r = platform_first_start(&s->platform, &s->start.arena, str_of(getenv("ACCORD_ADMIN_TOKEN")),
                             &s->admin_link, errors);
    if (r < 0) {
        arena_reset(&in->arena);
        return r;
    }
    r = server_declare(s, in, errors);
    server_say_lines("warning", r == 0 ? buf_str(errors) : (struct str){0});
    errors->n = r == 0 ? 0 : errors->n;
    return r;
}

static void tell_shared(const char *name, bool up, const char *why)
{
    if (up) {
        server_say("info", "shared limits: %s answers", name);
    } else {
        server_say("warning", "shared limits: %s cannot be used: %s; tried again until it can",
                   name, why);
    }
}

/* What limits and budgets have counted in earlier lives, before anything counts on. */
static int open_journal(struct server *s, const struct config *c)
{
    const struct limit_now now = counter_now(clock_us(), clock_wall_us());
    char *dir = arena_dupz(&s->start.arena, c->data);
    int r = counter_journal_open(dir, &now, &s->journal);
    if (r < 0) {
        fprintf(stderr, "accord serve: the journal of limits in %s cannot be used: %s\n", dir,
                strerror(-r));
    }
    struct buf errors = {0};
    r = r < 0 ? r : shared_open(&c->shared, database_url(c), dir, tell_shared, &s->shared, &errors);
    if (errors.n) {
        fwrite(errors.p, 1, errors.n, stderr);
    }
    buf_free(&errors);
    return r;
}

static int run(struct server *s)
{
    static int fds[WORKERS_MAX][LISTEN_MAX];
    struct buf errors = {0};
    struct snapshot_input in = {0};
    int r = startup_load(&s->start, &in, &errors);
    if (r == 0) {
        r = startup_tls(&s->start.arena, in.config, &s->tls, &errors);
    }
    if (r < 0) {
        bool usage = str_starts(buf_str(&errors), STR("--")); /* an option's value, not the file */
        fwrite(errors.p, 1, errors.n, stderr);
        buf_free(&errors);
        arena_reset(&in.arena);
        return usage ? CLI_USAGE : CLI_CONFIG;
    }
    s->gateway.n_workers = count_workers(in.config);
    load_workers(s->gateway.n_workers);
    if (startup_data(&s->start, in.config->data) < 0 ||
        bind_all(s, in.config, s->gateway.n_workers, fds) < 0 || startup_keys(&s->start, &in) < 0 ||
        open_journal(s, in.config) < 0) {
        arena_reset(&in.arena);
        return CLI_FAILED;
    }
    s->start.generation = in.generation - 1;
    s->control = loop_new();
    if (open_platform(s, &in, &errors) < 0) {
        fwrite(errors.p, 1, errors.n, stderr);
        buf_free(&errors);
        return CLI_FAILED;
    }
    if (server_compile(s, &s->snap, &errors) < 0) {
        fwrite(errors.p, 1, errors.n, stderr);
        buf_free(&errors);
        return CLI_CONFIG;
    }
    s->start.generation++;
    platform_applied(&s->platform, s->world.image.seq);
    if (start_workers(s, s->snap->config, fds) < 0) {
        return CLI_FAILED;
    }
    server_watch(s);
    housekeeping_start(&s->housekeeping, &s->platform, s->control);
    const int watched[] = {SIGHUP, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
        loop_on_signal(s->control, watched[i], on_signal, s);
    }
    welcome(s);
    loop_run(s->control);
    for (unsigned i = 0; i < s->gateway.n_workers; i++) {
        pthread_join(s->threads[i], NULL);
    }
    ledger_stop(s->gateway.ledger); /* its reader asks for bodies */
    bodies_stop(s->gateway.bodies);
    shared_stop(s->shared);
    s->shared = NULL;
    counter_journal_stop(s->journal);
    s->journal = NULL;
    server_unwatch(s);
    return CLI_OK;
}

static void clean(struct server *s)
{
    for (unsigned i = 0; s->gateway.workers && i < s->gateway.n_workers; i++) {
        metrics_free(&s->gateway.workers[i].metrics);
        free(s->gateway.workers[i].listeners);
        free(s->gateway.workers[i].ring);
    }
    for (size_t i = 0; i < s->n_addresses; i++) {
        if (str_starts(s->addresses[i], STR("unix:"))) {
            unlink(arena_dupz(&s->start.arena, str_from(s->addresses[i], 5)));
        }
    }
    free(s->gateway.workers);
    shared_stop(s->shared);
    counter_journal_stop(s->journal);
    store_close(s->platform.store);
    housekeeping_stop(&s->housekeeping);
    alerts_stop(&s->alerts);
    loop_free(s->control);
    snapshot_unref(s->snap);
    world_free(&s->world);
    tls_ctx_unref(s->tls);
    arena_reset(&s->start.arena);
    if (s->start.pid_fd >= 0) {
        close(s->start.pid_fd);
    }
}

int cli_serve(int argc, char **argv)
{
    static struct server s = {.start.pid_fd = -1};
    const char *listen = NULL, *data = NULL, *workers = NULL;
    const struct args_option options[] = {
        {"--config", 'c', .value = &s.start.config_path},
        {"--listen", 'l', .value = &listen},
        {"--data", 'd', .value = &data},
        {"--workers", 'w', .value = &workers},
        {"--json", 0, .flag = &s.json},
        {0},
    };
    uint64_t n = 0;
    int r;
    if (args_read("serve", argc, argv, options, &r) < 0) {
        return r;
    }
    if (workers && (str_to_u64(str_of(workers), &n) < 0 || n < 1 || n > WORKERS_MAX)) {
        fprintf(stderr, "accord serve: --workers must be a number from 1 to %d, not \"%s\"\n",
                WORKERS_MAX, workers);
        return CLI_USAGE;
    }
    s.start.over = (struct config_overrides){.listen = str_of(listen),
                                             .data = str_of(data),
                                             .workers = (int64_t)n,
                                             .key_exists = keyfile_has};
    prepare_process();
    if (sodium_init() < 0) {
        fputs("accord serve: the system gives no random numbers\n", stderr);
        return CLI_FAILED;
    }
    r = run(&s);
    clean(&s);
    return r;
}
