/* /metrics: the counters belong to their workers, so a message walks from worker to worker, adds up
 * what it finds, and comes home to the one that was asked. Nobody waits for anybody, nothing is
 * locked. */
#include <stdlib.h>

#include "gateway/limits.h"
#include "policy/recording.h"

struct gather {
    struct loop_task task;
    struct worker *home;
    struct call *call; /* NULL: the asker has left */
    unsigned next;
    struct metrics sum;
    struct http_server_stats server;
    struct http_client_stats client;
};

static void print_process(struct buf *b, const struct gather *g)
{
    const struct gateway *gw = g->home->gateway;
    buf_printf(
        b,
        "# HELP accord_build_info The version that runs.\n"
        "# TYPE accord_build_info gauge\naccord_build_info{version=\"%s\"} 1\n"
        "# HELP accord_config_last_reload_success Whether the last configuration was taken.\n"
        "# TYPE accord_config_last_reload_success gauge\n"
        "accord_config_last_reload_success %d\n"
        "# HELP accord_config_generation The configuration that all workers run.\n"
        "# TYPE accord_config_generation gauge\naccord_config_generation %llu\n"
        "# HELP accord_config_compile_seconds What it took to make.\n"
        "# TYPE accord_config_compile_seconds gauge\naccord_config_compile_seconds %.6f\n"
        "# HELP accord_workers Worker threads.\n"
        "# TYPE accord_workers gauge\naccord_workers %u\n",
        ACCORD_VERSION, gw->reload_ok ? 1 : 0, (unsigned long long)gw->generation,
        (double)gw->compile_us / 1e6, gw->n_workers);
    buf_printf(b,
               "# HELP accord_client_connections Connections of clients, by state.\n"
               "# TYPE accord_client_connections gauge\n"
               "accord_client_connections{state=\"idle\"} %llu\n"
               "accord_client_connections{state=\"busy\"} %llu\n"
               "# HELP accord_client_connections_total Connections accepted.\n"
               "# TYPE accord_client_connections_total counter\n"
               "accord_client_connections_total %llu\n"
               "# HELP accord_malformed_total Requests refused before they became calls.\n"
               "# TYPE accord_malformed_total counter\naccord_malformed_total %llu\n",
               (unsigned long long)g->server.idle,
               (unsigned long long)(g->server.open - g->server.idle),
               (unsigned long long)g->server.accepted, (unsigned long long)g->server.malformed);
    buf_printf(b,
               "# HELP accord_upstream_connections Connections to upstreams, by state.\n"
               "# TYPE accord_upstream_connections gauge\n"
               "accord_upstream_connections{state=\"idle\"} %llu\n"
               "accord_upstream_connections{state=\"busy\"} %llu\n"
               "# HELP accord_upstream_connects_total Connections begun to upstreams.\n"
               "# TYPE accord_upstream_connects_total counter\n"
               "accord_upstream_connects_total %llu\n"
               "# HELP accord_log_lines_lost_total Access log lines that could not be written.\n"
               "# TYPE accord_log_lines_lost_total counter\naccord_log_lines_lost_total %llu\n",
               (unsigned long long)g->client.idle, (unsigned long long)g->client.busy,
               (unsigned long long)g->client.connects, (unsigned long long)ledger_lost(gw->ledger));
}

static void print_recordings(struct buf *b)
{
    struct recording_stats s = recordings_stats();
    buf_printf(
        b,
        "# HELP accord_memory_bytes What answers that are kept in memory take.\n"
        "# TYPE accord_memory_bytes gauge\naccord_memory_bytes %llu\n"
        "# HELP accord_memory_answers How many there are to be found.\n"
        "# TYPE accord_memory_answers gauge\naccord_memory_answers %llu\n"
        "# HELP accord_memory_evicted_total Answers that had to make room for others.\n"
        "# TYPE accord_memory_evicted_total counter\naccord_memory_evicted_total %llu\n"
        "# HELP accord_memory_too_large_total Answers that were longer than one may be, or found "
        "no room.\n"
        "# TYPE accord_memory_too_large_total counter\naccord_memory_too_large_total %llu\n",
        (unsigned long long)s.bytes, (unsigned long long)s.recordings,
        (unsigned long long)s.evicted, (unsigned long long)s.too_large);
}

static void finish(struct gather *g)
{
    struct call *c = g->call;
    if (c) {
        struct buf b = {.arena = &c->req->arena};
        const struct gateway *gw = g->home->gateway;
        c->gather = NULL;
        print_process(&b, g);
        const struct limit_now now = counter_now(clock_us(), clock_wall_us());
        metrics_print(&b, &g->sum);
        print_recordings(&b);
        limits_print(&b, g->home->hold->snap, &now);
        if (gw->visits) {
            gw->visits->metrics(gw->visits_arg, &b);
        }
        call_reply(c, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&b));
        call_back_to(c, STAGE_settle);
        call_run(c);
    }
    metrics_free(&g->sum);
    free(g);
}

static void visit(struct loop_task *t)
{
    struct gather *g = (struct gather *)t; /* its first member */
    struct gateway *gw = g->home->gateway;
    if (g->next == gw->n_workers) {
        finish(g);
        return;
    }
    struct worker *w = &gw->workers[g->next++];
    struct http_server_stats s = http_server_stats(w->server);
    struct http_client_stats u = http_client_stats(w->client);
    metrics_merge(&g->sum, &w->metrics);
    g->server.accepted += s.accepted;
    g->server.malformed += s.malformed;
    g->server.open += s.open;
    g->server.idle += s.idle;
    g->client.idle += u.idle;
    g->client.busy += u.busy;
    g->client.connects += u.connects;
    loop_post(g->next == gw->n_workers ? g->home->loop : gw->workers[g->next].loop, &g->task);
}

enum next page_metrics(struct call *c)
{
    struct gather *g = mem_zalloc(sizeof *g);
    g->home = c->w;
    g->call = c;
    g->task.run = visit;
    c->gather = g;
    loop_post(c->w->gateway->workers[0].loop, &g->task);
    return WAIT;
}

void page_metrics_forget(struct gather *g)
{
    g->call = NULL;
}
