/* In PostgreSQL a counter of a window has a row for each process. Two statements in one round trip: the first writes one's
 * own rows and commits, the second adds up the others'. It sees all that was committed before it began, so of two
 * processes that write at the same moment one sees the other at least.
 *
 * The table is unlogged: it may be lost, and is written often. */
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "gateway/carrier.h"
#include "net/loop.h"
#include "store/libpq.h"

enum { SWEEP_MS = 60000, ARRAYS = 7 };

static const char tables[] =
    "SELECT pg_advisory_xact_lock(4091);"
    "CREATE SCHEMA IF NOT EXISTS accord;"
    "CREATE UNLOGGED TABLE IF NOT EXISTS accord.limit_share ("
    "counter text NOT NULL, tick bigint NOT NULL, process text NOT NULL, sequence bigint NOT NULL, "
    "taken bigint NOT NULL, settled bigint NOT NULL, at_ms bigint NOT NULL, "
    "until_ms bigint NOT NULL, PRIMARY KEY (counter, tick, process)) WITH (fillfactor = 50);";

_Static_assert(SHARE_SILENT_MS == 60000, "the statement `sums` says so, too");

#define NOW_MS "(SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms) AS now"

/* $1 to $7: counters, ticks, sequences, what is taken, settled, windows, how long to keep; $8: the process */
static const char put[] =
    "PREPARE put AS INSERT INTO limit_share AS s "
    "SELECT counter, tick, $8::text, sequence, taken, settled, now.ms, now.ms + keep_ms "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], "
    "$7::bigint[]) AS t (counter, tick, sequence, taken, settled, window_ms, keep_ms), " NOW_MS " "
    "ON CONFLICT (counter, tick, process) DO UPDATE SET sequence = excluded.sequence, "
    "taken = excluded.taken, settled = excluded.settled, at_ms = excluded.at_ms, "
    "until_ms = excluded.until_ms WHERE s.sequence <= excluded.sequence";

/* $1 to $3: counters, ticks, windows; $4: the process. A minute: SHARE_SILENT_MS. */
static const char sums[] =
    "PREPARE sums AS SELECT coalesce(sum(CASE WHEN now.ms - s.at_ms > 60000 THEN s.settled ELSE "
    "s.taken END), "
    "0)::bigint, coalesce(sum(s.settled), 0)::bigint "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY "
    "AS t (counter, tick, window_ms, place) CROSS JOIN " NOW_MS " "
    "LEFT JOIN limit_share s ON s.counter = t.counter AND s.tick = t.tick AND s.process <> "
    "$4::text "
    "AND (t.window_ms = 0 OR now.ms - s.at_ms <= t.window_ms) GROUP BY t.place ORDER BY t.place";

static const char sweep[] =
    "PREPARE sweep AS DELETE FROM limit_share WHERE until_ms < (SELECT ms FROM " NOW_MS ")";

struct postgres {
    struct carrier carrier; /* first member */
    char *url;
    PGconn *c; /* NULL: not connected */
    struct buf arrays[ARRAYS];
    uint64_t swept_ms;
};

static struct postgres *of(struct carrier *c)
{
    return (struct postgres *)c;
}

static bool failed(struct postgres *p, PGresult *r)
{
    char why[sizeof p->carrier.why];
    const char *text = r ? pq.resultErrorMessage(r) : pq.errorMessage(p->c);
    size_t n = strcspn(text, "\n");
    n = n < sizeof why ? n : sizeof why - 1;
    memcpy(why, text, n);
    why[n] = 0;
    carrier_why(&p->carrier, n ? why : "it does not answer as it should");
    pq.clear(r);
    return false;
}

/* ---- the connection ---- */

static void disconnect(struct carrier *c)
{
    struct postgres *p = of(c);
    pq.finish(p->c);
    p->c = NULL;
}

static bool run(struct postgres *p, const char *sql)
{
    PGresult *r = pq.exec(p->c, sql);
    ExecStatusType status = pq.resultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        return failed(p, r);
    }
    pq.clear(r);
    return true;
}

/* A server that is there and does not answer is noticed by the kernel (tcp_user_timeout), by itself (statement_timeout)
 * or here (next_result). */
static bool connect_now(struct carrier *c)
{
    static const char *const names[] = {"dbname",           "connect_timeout",  "options",
                                        "tcp_user_timeout", "application_name", NULL};
    struct postgres *p = of(c);
    const char *values[] = {p->url,
                            "2",
                            "-c search_path=accord -c statement_timeout=1000 -c "
                            "client_min_messages=warning -c synchronous_commit=off",
                            "1000",
                            "accord shared limits",
                            NULL};
    p->c = pq.connectdbParams(names, values, 1);
    if (!p->c || pq.status(p->c) != CONNECTION_OK) {
        return failed(p, NULL);
    }
    return run(p, tables) && run(p, put) && run(p, sums) && run(p, sweep) &&
           (pq.enterPipelineMode(p->c) || failed(p, NULL));
}

/* ---- one after the other ---- */

/* Waits until the next result is there; NULL: it is lost. */
static PGresult *next_result(struct postgres *p, uint64_t until_ms)
{
    while (pq.isBusy(p->c)) {
        uint64_t now_ms = clock_us() / 1000;
        struct pollfd fd = {.fd = pq.socket(p->c), .events = POLLIN};
        if (now_ms >= until_ms) {
            carrier_why(&p->carrier, "it does not answer in time");
            return NULL;
        }
        if (poll(&fd, 1, (int)(until_ms - now_ms)) < 0 && errno != EINTR) {
            return NULL;
        }
        if (!pq.consumeInput(p->c)) {
            return NULL;
        }
    }
    return pq.getResult(p->c);
}

/* The result of a statement, and what stands behind it in the pipeline: the end of it, and the synchronisation. NULL:
 * failed. The caller clears it. */
static PGresult *finish(struct postgres *p, ExecStatusType wanted)
{
    uint64_t until_ms = clock_us() / 1000 + SHARE_ANSWER_MS;
    PGresult *r = next_result(p, until_ms);
    if (!r || pq.resultStatus(r) != wanted) {
        (void)failed(p, r);
        return NULL;
    }
    pq.clear(next_result(p, until_ms));
    PGresult *end = next_result(p, until_ms);
    bool ok = end && pq.resultStatus(end) == PGRES_PIPELINE_SYNC;
    pq.clear(end);
    if (!ok) {
        (void)failed(p, r);
    }
    return ok ? r : NULL;
}

static bool finish_plain(struct postgres *p)
{
    PGresult *r = finish(p, PGRES_COMMAND_OK);
    pq.clear(r);
    return r != NULL;
}

static bool send(struct postgres *p, const char *name, const char *const *values, int n)
{
    return (pq.sendQueryPrepared(p->c, name, n, values, NULL, NULL, 0) && pq.pipelineSync(p->c)) ||
           failed(p, NULL);
}

/* ---- telling ---- */

static void add_number(struct buf *b, uint64_t v)
{
    buf_addc(b, b->n ? ',' : '{');
    buf_add_u64(b, v);
}

static void print_arrays(struct postgres *p, const struct share *all, size_t n)
{
    char hex[2 * COUNTER_DIGEST + 1];
    for (size_t k = 0; k < ARRAYS; k++) {
        p->arrays[k].n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        const struct share *s = &all[i];
        const uint64_t numbers[] = {s->tick,    s->sequence,  s->taken,
                                    s->settled, s->window_ms, s->keep_ms};
        buf_addc(&p->arrays[0], i ? ',' : '{');
        buf_addz(&p->arrays[0], sodium_bin2hex(hex, sizeof hex, s->digest, COUNTER_DIGEST));
        for (size_t k = 1; k < ARRAYS; k++) {
            add_number(&p->arrays[k], numbers[k - 1]);
        }
    }
    for (size_t k = 0; k < ARRAYS; k++) {
        buf_add(&p->arrays[k], STR("}\0"));
    }
}

static bool hear(struct postgres *p, struct share *all, size_t n)
{
    PGresult *r = finish(p, PGRES_TUPLES_OK);
    if (!r || (size_t)pq.ntuples(r) != n) {
        return r ? failed(p, r) : false;
    }
    for (size_t i = 0; i < n; i++) {
        all[i].others = strtoull(pq.getvalue(r, (int)i, 0), NULL, 10);
        all[i].others_settled = strtoull(pq.getvalue(r, (int)i, 1), NULL, 10);
    }
    pq.clear(r);
    return true;
}

static bool tell(struct carrier *c, struct share *all, size_t n)
{
    struct postgres *p = of(c);
    const struct buf *a = p->arrays;
    const uint64_t now_ms = clock_us() / 1000;
    bool sweeps = now_ms - p->swept_ms > SWEEP_MS;
    print_arrays(p, all, n);
    const char *to_put[] = {a[0].p, a[1].p, a[2].p, a[3].p, a[4].p, a[5].p, a[6].p, c->id};
    const char *to_sum[] = {a[0].p, a[1].p, a[5].p, c->id};
    if (!send(p, "put", to_put, 8) || !send(p, "sums", to_sum, 4) ||
        (sweeps && !send(p, "sweep", NULL, 0))) {
        return false;
    }
    p->swept_ms = sweeps ? now_ms : p->swept_ms;
    return finish_plain(p) && hear(p, all, n) && (!sweeps || finish_plain(p));
}

/* ---- life ---- */

static void free_postgres(struct carrier *c)
{
    struct postgres *p = of(c);
    disconnect(c);
    sodium_memzero(p->url, strlen(p->url));
    free(p->url);
    for (size_t i = 0; i < ARRAYS; i++) {
        buf_free(&p->arrays[i]);
    }
    free(p);
}

struct carrier *carrier_postgres(struct str url, struct buf *errors)
{
    static const struct carrier_ops ops = {.name = "PostgreSQL",
                                           .connect = connect_now,
                                           .tell = tell,
                                           .disconnect = disconnect,
                                           .free = free_postgres};
    if (libpq_load(errors) < 0) {
        return NULL;
    }
    struct postgres *p = mem_zalloc(sizeof *p);
    p->carrier.ops = &ops;
    p->url = mem_zalloc(url.n + 1);
    memcpy(p->url, url.p, url.n);
    return &p->carrier;
}
