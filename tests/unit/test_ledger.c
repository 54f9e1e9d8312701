/* Partitions, roll-ups and the spool: what goes in comes out once, whatever happens in between. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/arena.h"
#include "ledger/calls.h"
#include "ledger/spool.h"
#include "ledger/usage.h"
#include "ledger/writer.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    if (sodium_init() < 0) {
        return -1;
    }
    snprintf(dir, sizeof dir, "/tmp/accord-ledger-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    char command[128];
    (void)state;
    chmod(dir, 0700);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

#define SET(r, field, text) (r)->field##_n = record_text((r)->field, sizeof(r)->field, (text))

static uint64_t now_us(void)
{
    return clock_wall_us();
}

/* Call number `i`: one of three keys, two models, every tenth an error, every seventh of unknown cost. */
static struct record call(unsigned i)
{
    static const char *const keys[] = {"alpha", "beta", "gamma"}, *const models[] = {"small",
                                                                                     "large"};
    struct record r = {.ended_us = now_us(),
                       .usage = {i, 2 * (int64_t)i, -1, -1, -1, -1, -1, -1},
                       .cost_nusd = i % 7 ? (int64_t)i * 3 : -1,
                       .price_version = 7,
                       .total_us = 1000 + i,
                       .ttft_us = 500,
                       .bytes_in = 10,
                       .bytes_out = 20,
                       .status = i % 10 ? 200 : 502,
                       .outcome = i % 10 ? OUTCOME_OK : OUTCOME_UPSTREAM_FAILED,
                       .attempts = 1,
                       .known_model = 1};
    snprintf(r.request_id, sizeof r.request_id, "req_%026u", i);
    SET(&r, key, str_of(keys[i % 3]));
    SET(&r, model, str_of(models[i % 2]));
    SET(&r, provider, STR("openai"));
    SET(&r, team, i % 3 ? STR("core") : STR("lab"));
    SET(&r, application, STR("shop"));
    SET(&r, route, STR("openai.chat"));
    return r;
}

static struct writer *start(int64_t spool_bytes)
{
    const struct writer_options o = {
        .dir = dir, .keep_days = 30, .spool_bytes = spool_bytes, .max_bytes = 0};
    return writer_start(&o);
}

static void put(struct writer *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        struct record r = call(i);
        writer_put(w, &r, 1);
    }
}

/* Until that many were written, or ten seconds. */
static void wait_written(struct writer *w, uint64_t n)
{
    struct writer_state s = {0};
    for (int i = 0; i < 10000 && s.written < n; i++) {
        writer_state(w, &s);
        usleep(1000);
    }
    assert_int_equal(s.written, n);
}

/* ---- questions ---- */

struct question {
    struct reader_job job; /* first member */
    const struct calls_filter *calls;
    const struct usage_query *usage;
    const char *id;
    unsigned n;
    int64_t first, last, next, sum;
    struct usage_line total;
    struct record call;
    bool more;
    int result;
    sem_t done;
};

static void take_call(void *arg, int64_t seq, const struct record *r)
{
    struct question *q = arg;
    q->first = q->n ? q->first : seq;
    q->last = seq;
    q->sum += r->usage.input;
    q->call = *r;
    q->n++;
}

static void take_line(void *arg, const struct usage_line *l)
{
    struct question *q = arg;
    q->n++;
    for (unsigned i = 0; i < MEASURES; i++) {
        q->total.sum[i] += l->sum[i];
    }
}

static void run_question(struct reader_job *j, struct reader *r)
{
    struct question *q = (struct question *)j;
    if (q->calls) {
        q->result = calls_find(r, q->calls, take_call, q, &q->next);
    } else if (q->usage) {
        q->result = usage_find(r, q->usage, take_line, q, &q->more);
    } else {
        q->result = calls_get(r, str_of(q->id), &q->first, &q->call);
    }
}

static void on_done(struct loop_task *t)
{
    struct question *q = (struct question *)((char *)t - offsetof(struct question, job.done));
    sem_post(&q->done);
}

static void ask(struct writer *w, struct question *q)
{
    struct reader *r = reader_new(writer_archive(w));
    q->n = 0;
    q->sum = q->first = q->last = q->next = 0;
    q->total = (struct usage_line){0};
    q->job = (struct reader_job){.run = run_question, .done.run = on_done};
    sem_init(&q->done, 0, 0);
    reader_submit(r, &q->job);
    sem_wait(&q->done);
    reader_free(r);
}

static unsigned count(struct writer *w, const struct calls_filter *f)
{
    struct question q = {.calls = f};
    ask(w, &q);
    assert_int_equal(q.result, 0);
    return q.n;
}

static const struct calls_filter all_of_them = {.outcome = -1, .limit = 1000000};

/* ---- tests ---- */

static void a_call_comes_back_as_it_went_in(void **state)
{
    struct writer *w = start(0);
    struct record r = call(12), back;
    struct question q = {.id = "req_00000000000000000000000012"};
    (void)state;
    r.usage = (struct usage){1, 2, 3, 4, 5, 6, 7, 8};
    r.failed_n = 2;
    r.failed[0] = (struct record_attempt){.at_us = 2500, .status = 503};
    SET(&r.failed[0], provider, STR("second"));
    SET(&r.failed[0], why, STR("status"));
    r.failed[1] = (struct record_attempt){.at_us = 1001};
    SET(&r.failed[1], provider, STR("first"));
    SET(&r.failed[1], why, STR("upstream_unreachable"));
    SET(&r, code, STR("upstream_failed"));
    r.connect_us = 77;
    r.dialect_in = FAMILY_GEMINI;
    r.dialect_out = FAMILY_COUNT;
    r.stream = 1;
    writer_put(w, &r, 1);
    wait_written(w, 1);
    ask(w, &q);
    assert_int_equal(q.result, 0);
    assert_int_equal(q.first, 1);
    back = q.call;
    struct buf want = {0}, got = {0};
    call_json(&want, 1, &r);
    call_json(&got, 1, &back);
    buf_addc(&want, 0);
    buf_addc(&got, 0);
    assert_string_equal(got.p, want.p);
    assert_memory_equal(&back.usage, &r.usage, sizeof r.usage);
    buf_free(&want);
    buf_free(&got);
    q.id = "req_00000000000000000000000013";
    ask(w, &q);
    assert_int_equal(q.result, -ENOENT);
    writer_stop(w);
}

static void filters_and_cursors(void **state)
{
    struct writer *w = start(0);
    struct calls_filter f = all_of_them;
    (void)state;
    put(w, 0, 1000);
    wait_written(w, 1000);
    assert_int_equal(count(w, &f), 1000);
    f.named[DIMENSION_KEY] = STR("beta");
    assert_int_equal(count(w, &f), 333);
    f.named[DIMENSION_MODEL] = STR("large");
    assert_int_equal(count(w, &f), 167); /* i % 6 == 1 */
    f.named[DIMENSION_KEY] = STR("nobody");
    assert_int_equal(count(w, &f), 0);
    f = all_of_them;
    f.bad = true;
    assert_int_equal(count(w, &f), 100);
    f.status_from = 400;
    f.status_to = 499;
    assert_int_equal(count(w, &f), 0);
    f = all_of_them;
    f.outcome = OUTCOME_OK;
    assert_int_equal(count(w, &f), 900);
    f = all_of_them;
    f.named[DIMENSION_TEAM] = STR("");
    assert_int_equal(count(w, &f), 0);
    const struct str lab[] = {STR("lab"), STR("none")};
    f = all_of_them;
    f.teams = lab;
    f.n_teams = 2;
    assert_int_equal(count(w, &f), 334);
    f.n_teams = 0; /* of no team at all */
    assert_int_equal(count(w, &f), 0);
    f = all_of_them;
    f.to_us = (int64_t)now_us() - 60000000;
    assert_int_equal(count(w, &f), 0);
    f.from_us = f.to_us;
    f.to_us = 0;
    assert_int_equal(count(w, &f), 1000);
    /* Pages of seven, newest first, each call once. */
    f = all_of_them;
    f.limit = 7;
    struct question q = {.calls = &f};
    int64_t seen = 0, sum = 0, expected = 1000;
    do {
        ask(w, &q);
        assert_true(q.n == 0 || q.first == expected);
        expected = q.n ? q.last - 1 : expected;
        seen += q.n;
        sum += q.sum;
        f.before = q.next;
    } while (q.next);
    assert_int_equal(seen, 1000);
    assert_int_equal(sum, 999 * 1000 / 2);
    f = (struct calls_filter){.outcome = -1, .limit = 10, .after = 5, .oldest_first = true};
    ask(w, &q);
    assert_int_equal(q.first, 6);
    assert_int_equal(q.last, 15);
    writer_stop(w);
}

static void usage_is(struct writer *w, unsigned n, const char *key)
{
    struct usage_query u = {.from_s = (int64_t)(now_us() / 1000000) - 3600,
                            .to_s = (int64_t)(now_us() / 1000000) + 60,
                            .now_s = (int64_t)(now_us() / 1000000),
                            .limit = 100000};
    struct question q = {.usage = &u};
    int64_t calls = 0, tokens = 0, cost = 0, unknown = 0, errors = 0;
    for (unsigned i = 0; i < n; i++) {
        struct record r = call(i);
        if (!key || str_eq(str_make(r.key, r.key_n), str_of(key))) {
            calls++;
            tokens += r.usage.input;
            cost += r.cost_nusd > 0 ? r.cost_nusd : 0;
            unknown += r.cost_nusd < 0;
            errors += r.status != 200;
        }
    }
    u.named[DIMENSION_KEY] = str_of(key);
    for (unsigned by = 0; by < 1 << DIMENSIONS; by += 3) {
        for (int interval = INTERVAL_NONE; interval <= INTERVAL_MONTH; interval++) {
            u.by = by;
            u.interval = (enum usage_interval)interval;
            usage_align(&u);
            ask(w, &q);
            assert_int_equal(q.result, 0);
            assert_false(q.more);
            assert_int_equal(q.total.sum[MEASURE_calls], calls);
            assert_int_equal(q.total.sum[MEASURE_input_tokens], tokens);
            assert_int_equal(q.total.sum[MEASURE_output_tokens], 2 * tokens);
            assert_int_equal(q.total.sum[MEASURE_cost_nusd], cost);
            assert_int_equal(q.total.sum[MEASURE_cost_unknown], unknown);
            assert_int_equal(q.total.sum[MEASURE_errors], errors);
        }
    }
}

static void wait_rolled(struct writer *w, int64_t n)
{
    struct usage_query u = {.to_s = (int64_t)(now_us() / 1000000) + 86400,
                            .now_s = (int64_t)(now_us() / 1000000),
                            .limit = 1};
    struct question q = {.usage = &u};
    usage_align(&u);
    for (int i = 0; i < 1000; i++) {
        ask(w, &q);
        if (q.total.sum[MEASURE_calls] == n) {
            return;
        }
        usleep(10000);
    }
    fail_msg("%ld calls are in the roll-ups instead of %ld", (long)q.total.sum[MEASURE_calls],
             (long)n);
}

static void rollups_are_the_sums_of_the_calls(void **state)
{
    struct writer *w = start(0);
    (void)state;
    put(w, 0, 2000);
    wait_written(w, 2000);
    wait_rolled(w, 2000);
    usage_is(w, 2000, NULL);
    usage_is(w, 2000, "beta");
    usage_is(w, 2000, "nobody");
    writer_stop(w);
    /* They are lost, and made again from the partitions. */
    char path[128];
    snprintf(path, sizeof path, "%s/usage.db", dir);
    assert_int_equal(unlink(path), 0);
    w = start(0);
    wait_rolled(w, 2000);
    put(w, 2000, 2100);
    wait_rolled(w, 2100);
    usage_is(w, 2100, NULL);
    writer_stop(w);
}

static void numbers_go_on_in_the_next_process(void **state)
{
    struct writer *w = start(0);
    struct question q = {.calls = &all_of_them};
    (void)state;
    put(w, 0, 10);
    writer_stop(w); /* writes what waits */
    w = start(0);
    put(w, 10, 20);
    wait_written(w, 10);
    ask(w, &q);
    assert_int_equal(q.n, 20);
    assert_int_equal(q.first, 20);
    assert_int_equal(q.last, 1);
    wait_rolled(w, 20);
    usage_is(w, 20, NULL);
    writer_stop(w);
}

static void broken_partitions_are_left_alone(void **state)
{
    struct writer *w = start(0);
    char command[256];
    (void)state;
    put(w, 0, 10);
    writer_stop(w);
    snprintf(command, sizeof command,
             "for f in %s/2*.db; do dd if=/dev/urandom of=$f bs=4096 count=8 2>/dev/null; done; rm "
             "-f %s/*-wal",
             dir, dir);
    assert_int_equal(system(command), 0);
    w = start(0);
    put(w, 10, 30);
    wait_written(w, 20);
    assert_int_equal(count(w, &all_of_them), 20);
    writer_stop(w);
}

static void what_cannot_be_written_is_spooled_counted_and_read_again(void **state)
{
    enum { SPOOLED = 500 };
    struct writer_state s;
    struct spool spool = {.fd = -1};
    struct writer *w;
    (void)state;
    pthread_mutex_init(&spool.lock, NULL);
    assert_int_equal(spool_open(&spool, dir, SPOOLED * (int64_t)sizeof(struct record) + 100), 0);
    for (unsigned i = 0; i < SPOOLED + 50; i++) {
        struct record r = call(i);
        assert_int_equal(spool_add(&spool, &r, 1), i < SPOOLED);
    }
    spool_close(&spool);
    /* The next process reads it, once, and the one after that nothing. */
    w = start(1 << 20);
    wait_written(w, SPOOLED);
    put(w, SPOOLED, SPOOLED + 10);
    wait_written(w, SPOOLED + 10);
    writer_stop(w);
    w = start(1 << 20);
    put(w, SPOOLED + 10, SPOOLED + 20);
    wait_written(w, 10);
    assert_int_equal(count(w, &all_of_them), SPOOLED + 20);
    wait_rolled(w, SPOOLED + 20);
    usage_is(w, SPOOLED + 20, NULL);
    writer_state(w, &s);
    assert_int_equal(s.dropped, 0);
    assert_int_equal(s.error, 0);
    writer_stop(w);
}

static void old_partitions_go(void **state)
{
    struct archive a = {.dir = dir};
    char path[256];
    int64_t ignored;
    (void)state;
    pthread_mutex_init(&a.lock, NULL);
    for (int32_t day = 100; day < 110; day++) {
        struct partition_name n = {day, 1 + (day - 100) * 50};
        struct partition *p;
        struct record all[50];
        for (unsigned i = 0; i < 50; i++) {
            all[i] = call(i);
        }
        assert_int_equal(partition_open(dir, n, &p, &ignored), 0);
        assert_int_equal(partition_write(p, n.first, all, 50, 0, 0), 0);
        partition_close(p);
        assert_int_equal(partition_index(dir, n), 0);
    }
    assert_int_equal(archive_scan(&a), 0);
    assert_int_equal(a.n, 10);
    assert_int_equal(archive_retain(&a, 103, 0), 3);
    assert_int_equal(archive_retain(&a, 103, 0), 0);
    int64_t bytes = archive_bytes(&a);
    assert_int_equal(archive_retain(&a, 0, bytes / 7 * 4 + 1000), 3);
    a.open = true; /* the last one stays, whatever its size */
    assert_int_equal(archive_retain(&a, 1000, 1), 3);
    assert_int_equal(a.n, 1);
    partition_path(path, sizeof path, dir, &a.all[0]);
    assert_int_equal(access(path, F_OK), 0);
    free(a.all);
}

/* ---- files that are being made ---- */

enum { READERS = 3, TIMES = 60 };
static _Atomic int made; /* the number of the file that is being made; TIMES: all are */

/* Asks as the reader does, all the time; what is there is whole. How often it was not. */
static void *ask_always(void *arg)
{
    intptr_t wrong = 0;
    int i;
    (void)arg;
    while ((i = made) < TIMES) {
        char path[128];
        sqlite3 *db;
        int64_t n;
        snprintf(path, sizeof path, "%s/%d/usage.db", dir, i);
        if (access(path, F_OK) < 0) {
            continue;
        }
        if (sql_open(path, &db) < 0) {
            wrong++;
            continue;
        }
        wrong += sql_int(db, "SELECT count(*) FROM usage", &n) < 0 || n != 0;
        sql_close(db);
    }
    return (void *)wrong;
}

static void nobody_reads_a_database_that_is_being_made(void **state)
{
    pthread_t threads[READERS];
    (void)state;
    made = 0;
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_always, NULL), 0);
    }
    for (int i = 0; i < TIMES; i++) {
        char path[128];
        struct rollup *r;
        int64_t applied = -1;
        made = i;
        snprintf(path, sizeof path, "%s/%d", dir, i);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(rollup_open(path, &r, &applied), 0);
        assert_int_equal(applied, 0);
        rollup_close(r);
    }
    made = TIMES;
    for (int i = 0; i < READERS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void what_was_not_finished_is_removed_and_made_anew(void **state)
{
    struct archive a = {.dir = dir};
    struct rollup *r;
    int64_t applied;
    char path[128];
    static const char *const left[] = {"usage.db.new", "2026-11-28.000000000001.db.new",
                                       "2026-11-28.000000000001.db.new-wal"};
    (void)state;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs("half a database", f);
        fclose(f);
    }
    assert_int_equal(rollup_open(dir, &r, &applied), 0); /* over what has its name */
    rollup_close(r);
    pthread_mutex_init(&a.lock, NULL);
    assert_int_equal(archive_scan(&a), 0);
    assert_int_equal(a.n, 0);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
    pthread_mutex_destroy(&a.lock);
    free(a.all);
}

static void names_of_files(void **state)
{
    static const char *const wrong[] = {"usage.db",
                                        "2026-11-28.db",
                                        "2026-11-28.x.db",
                                        "spool",
                                        "2026-11-28.000000000001.db-wal",
                                        "2026-13-28.1.db",
                                        ""};
    struct partition_name n;
    (void)state;
    assert_true(partition_parse(STR("2026-11-28.000000000042.db"), &n));
    assert_int_equal(n.day, 20785);
    assert_int_equal(n.first, 42);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(partition_parse(str_of(wrong[i]), &n));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, drop_dir)
    const struct CMUnitTest tests[] = {
        TEST(a_call_comes_back_as_it_went_in),
        TEST(filters_and_cursors),
        TEST(rollups_are_the_sums_of_the_calls),
        TEST(numbers_go_on_in_the_next_process),
        TEST(broken_partitions_are_left_alone),
        TEST(what_cannot_be_written_is_spooled_counted_and_read_again),
        TEST(old_partitions_go),
        TEST(nobody_reads_a_database_that_is_being_made),
        TEST(what_was_not_finished_is_removed_and_made_anew),
        TEST(names_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
