/* Below cli/serve.c: the process of `accord serve` as its control thread sees it. serve.c starts and ends it, reload.c
 * gives it what has changed meanwhile. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include <pthread.h>

#include "cli/startup.h"
#include "gateway/worker.h"
#include "platform/alerts.h"
#include "platform/housekeeping.h"
#include "platform/world.h"

enum { WORKERS_MAX = 64, LISTEN_MAX = 16 };

struct server {
    struct startup start;
    bool json;
    struct loop *control;
    struct gateway gateway;
    struct snapshot *snap;
    struct tls_ctx *tls;
    struct platform platform;
    struct world world;
    struct store_watcher watcher; /* of commits */
    struct housekeeping housekeeping;
    struct timer changed;
    struct alerts alerts;
    struct secret admin_link;
    struct counter_journal *journal; /* of limits and budgets */
    struct shared *shared;           /* ... and other processes; NULL: none */
    struct record_ring *rings[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    struct str addresses[LISTEN_MAX]; /* as bound, with the real port */
    size_t n_addresses;
    bool stopping;
};

/* One line of the server's own log. Any thread. */
__attribute__((format(printf, 2, 3))) void server_say(const char *level, const char *fmt, ...);
void server_say_lines(const char *level, struct str lines);

/* Declares what was read, whose arena is the world's from now on, and takes in what the platform has. 0 or -Exxx with
 * lines in `errors`. */
__attribute__((warn_unused_result)) int server_declare(struct server *s, struct snapshot_input *in,
                                                       struct buf *errors);
/* Compiles what is declared and what the platform has. 0 or -Exxx with lines in `errors`. */
__attribute__((warn_unused_result)) int server_compile(struct server *s, struct snapshot **ret,
                                                       struct buf *errors);

/* SIGHUP: reads everything again; what is wrong changes nothing, and is said. */
void server_reload(struct server *s);

/* From now on changes of the platform are compiled in as they are committed, until server_unwatch(). */
void server_watch(struct server *s);
void server_unwatch(struct server *s);

#endif
