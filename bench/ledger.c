/* The ledger at full rate: threads push records into their rings as workers do, at so many a second for so long, and it
 * is counted what has come to stand in the partitions, and what was counted as lost. Then the questions of a dashboard.
 *
 *   ledger DIR [CALLS_PER_SECOND [SECONDS [THREADS [KEYS]]]]       20000 60 2 100
 *   ledger --ask DIR                                             only the questions, of what is there
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/must.h"
#include "ledger/calls.h"
#include "ledger/usage.h"
#include "ledger/writer.h"

enum { THREADS_MAX = 16 };

static unsigned long rate = 20000, seconds = 60, threads = 2, keys = 100;

#define SET(r, field, text) (r)->field##_n = record_text((r)->field, sizeof(r)->field, (text))

static void fill(struct record *r, uint64_t i)
{
    char key[32], model[32], team[32];
    uint64_t x = i * 0x9E3779B97F4A7C15U;
    x ^= x >> 29;
    memset(r, 0, offsetof(struct record, key));
    r->ended_us = clock_wall_us();
    snprintf(r->request_id, sizeof r->request_id, "req_%016llx%010llu", (unsigned long long)x,
             (unsigned long long)(i % 10000000000));
    r->usage = (struct usage){1000 + (int64_t)(x % 5000), 200, 100, -1, 20, -1, -1, -1};
    r->cost_nusd = (int64_t)(x % 1000000);
    r->price_version = 0x1234567;
    r->total_us = (uint32_t)(x % 3000000);
    r->ttft_us = (uint32_t)(x % 400000);
    r->own_us = 40;
    r->bytes_in = 1024;
    r->bytes_out = 700;
    r->status = x % 100 == 0 ? 500 : 200;
    r->outcome = x % 100 == 0 ? OUTCOME_UPSTREAM_ERROR : OUTCOME_OK;
    r->attempts = 1;
    r->known_model = 1;
    snprintf(key, sizeof key, "key-%llu", (unsigned long long)(x % keys));
    snprintf(model, sizeof model, "model-%llu", (unsigned long long)(x / 1000 % 10));
    snprintf(team, sizeof team, "team-%llu", (unsigned long long)(x % keys % 10));
    SET(r, key, str_of(key));
    SET(r, model, str_of(model));
    SET(r, upstream_model, str_of(model));
    SET(r, team, str_of(team));
    SET(r, application, str_of(team));
    SET(r, provider, STR("openai"));
    SET(r, route, STR("openai.chat"));
}

struct pusher {
    pthread_t thread;
    struct record_ring *ring;
    uint64_t first, pushed, full;
    uint64_t cpu_ns;
};

static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void *push(void *arg)
{
    struct pusher *p = arg;
    uint64_t began = clock_us(), total = rate * seconds / threads;
    struct timespec pause = {.tv_nsec = 1000000};
    while (p->pushed + p->full < total) {
        uint64_t due = (clock_us() - began) * (rate / threads) / 1000000;
        uint64_t before = thread_ns();
        while (p->pushed + p->full < due && p->pushed + p->full < total) {
            struct record *r = record_next(p->ring);
            if (r) {
                fill(r, p->first + p->pushed + p->full);
                record_push(p->ring);
                p->pushed++;
            } else {
                p->full++;
            }
        }
        p->cpu_ns += thread_ns() - before;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- questions ---- */

struct question {
    struct reader_job job; /* first member */
    const char *name;
    struct calls_filter calls;
    struct usage_query usage;
    size_t n;
    int64_t sum, next;
    bool more;
    sem_t done;
};

static void take_call(void *arg, int64_t seq, const struct record *r)
{
    struct question *q = arg;
    (void)seq;
    (void)r;
    q->n++;
}

static void take_line(void *arg, const struct usage_line *l)
{
    struct question *q = arg;
    q->n++;
    q->sum += l->sum[MEASURE_calls];
}

static void run_question(struct reader_job *j, struct reader *r)
{
    struct question *q = (struct question *)j;
    int e = q->calls.limit ? calls_find(r, &q->calls, take_call, q, &q->next)
                           : usage_find(r, &q->usage, take_line, q, &q->more);
    must(e == 0);
}

static void on_done(struct loop_task *t)
{
    struct question *q = (struct question *)((char *)t - offsetof(struct question, job.done));
    sem_post(&q->done);
}

static void ask(struct reader *r, struct question *q)
{
    double best = 1e9, first = 0;
    q->job.run = run_question;
    q->job.done.run = on_done;
    sem_init(&q->done, 0, 0);
    for (int i = 0; i < 5; i++) {
        uint64_t began = clock_us();
        q->n = 0;
        q->sum = q->next = 0;
        reader_submit(r, &q->job);
        sem_wait(&q->done);
        double ms = (double)(clock_us() - began) / 1000;
        first = i ? first : ms;
        best = ms < best ? ms : best;
    }
    printf("%-34s %8.1f ms first, %8.1f ms best of 5, %zu rows%s\n", q->name, first, best, q->n,
           q->next && q->n < q->calls.limit ? ", goes on" : "");
}

static void ask_all(struct writer *w)
{
    struct reader *r = reader_new(writer_archive(w));
    int64_t now_s = (int64_t)(clock_wall_us() / 1000000);
    const struct calls_filter any = {.outcome = -1, .limit = 51};
    const struct usage_query day = {
        .from_s = now_s - 86400, .to_s = now_s, .now_s = now_s, .limit = 10000};
    struct question all[] = {
        {.name = "newest calls", .calls = any},
        {.name = "of one key", .calls = any},
        {.name = "of a key that is not there", .calls = any},
        {.name = "of a key, a model, errors", .calls = any},
        {.name = "errors", .calls = any},
        {.name = "usage of a day", .usage = day},
        {.name = "by model and hour", .usage = day},
        {.name = "by key", .usage = day},
        {.name = "the last hour by minute", .usage = day},
        {.name = "by all dimensions", .usage = day},
    };
    all[1].calls.named[DIMENSION_KEY] = STR("key-7");
    all[2].calls.named[DIMENSION_KEY] = STR("key-none");
    all[3].calls.named[DIMENSION_KEY] = STR("key-7");
    all[3].calls.named[DIMENSION_MODEL] = STR("model-3");
    all[3].calls.status_from = 500;
    all[3].calls.status_to = 599;
    all[4].calls.bad = true;
    all[6].usage.by = 1U << DIMENSION_MODEL;
    all[6].usage.interval = INTERVAL_HOUR;
    all[7].usage.by = 1U << DIMENSION_KEY;
    all[8].usage.from_s = now_s - 3600;
    all[8].usage.interval = INTERVAL_MINUTE;
    all[9].usage.by = (1U << DIMENSIONS) - 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        usage_align(&all[i].usage);
        ask(r, &all[i]);
    }
    reader_free(r);
}

/* ---- the run ---- */

static uint64_t push_all(struct ledger **l, struct writer *w)
{
    struct pusher all[THREADS_MAX] = {0};
    static struct record_ring *rings[THREADS_MAX]; /* the ledger keeps it */
    uint64_t pushed = 0, full = 0, cpu_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        rings[i] = aligned_alloc(_Alignof(struct record_ring), sizeof *rings[i]);
        memset(rings[i], 0, sizeof *rings[i]);
        all[i].ring = rings[i];
        all[i].first = (uint64_t)i << 40;
    }
    must(ledger_start("off", w, rings, threads, l) == 0);
    double began = cpu_seconds();
    for (unsigned i = 0; i < threads; i++) {
        must(pthread_create(&all[i].thread, NULL, push, &all[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(all[i].thread, NULL);
        pushed += all[i].pushed;
        full += all[i].full;
        cpu_ns += all[i].cpu_ns;
    }
    struct writer_state s;
    for (int i = 0; i < 3000; i++) {
        writer_state(w, &s);
        if (s.written + s.dropped >= pushed) {
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    double cpu = cpu_seconds() - began - (double)cpu_ns / 1e9;
    printf("pushed %llu, ring full %llu, written %llu, spooled %llu, dropped %llu, commits %llu\n",
           (unsigned long long)pushed, (unsigned long long)full, (unsigned long long)s.written,
           (unsigned long long)s.spooled, (unsigned long long)s.dropped,
           (unsigned long long)s.commits);
    printf("CPU of the ledger's threads: %.2f us a call; of filling and pushing: %.2f us\n",
           cpu * 1e6 / (double)pushed, (double)cpu_ns / 1000 / (double)pushed);
    return s.written + s.dropped == pushed ? full : UINT64_MAX;
}

int main(int argc, char **argv)
{
    bool only_ask = argc == 3 && strcmp(argv[1], "--ask") == 0;
    struct ledger *l = NULL;
    uint64_t lost = 0;
    if (argc < 2 || sodium_init() < 0) {
        fputs("ledger DIR [CALLS_PER_SECOND [SECONDS [THREADS [KEYS]]]]\n", stderr);
        return 2;
    }
    unsigned long *const numbers[] = {&rate, &seconds, &threads, &keys};
    for (int i = 2; !only_ask && i < argc && i < 6; i++) {
        *numbers[i - 2] = strtoul(argv[i], NULL, 10);
    }
    threads = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads;
    const struct writer_options o = {
        .dir = only_ask ? argv[2] : argv[1], .keep_days = 3650, .spool_bytes = 32 << 20};
    struct writer *w = writer_start(&o);
    if (!only_ask) {
        lost = push_all(&l, w);
    }
    nanosleep(&(struct timespec){.tv_sec = 3}, NULL); /* the roll-ups, the indexes */
    ask_all(w);
    if (l) {
        ledger_stop(l);
    } else {
        writer_stop(w);
    }
    if (lost == UINT64_MAX) {
        puts("OVER: records are neither written nor counted");
    }
    return lost == UINT64_MAX;
}
