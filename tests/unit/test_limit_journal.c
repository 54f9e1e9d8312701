/* What limits have counted survives the process: whatever was written last, wherever the file ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "gateway/counter_journal.h"

static char dir[64];

static const char *journal_path(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/limits.journal", dir);
    return path;
}

static struct limit_now at(uint64_t mono_us, uint64_t wall_us)
{
    return counter_now(mono_us, 1798761600000000U + wall_us);
}

/* All counters go, as with the process. */
static void forget(void)
{
    struct limit_now far = at((uint64_t)1 << 48, (uint64_t)1 << 48);
    counters_sweep(&far);
    counters_sweep(&far);
    assert_int_equal(counters_count(), 0);
}

static struct counter_journal *open_at(const struct limit_now *now)
{
    struct counter_journal *j;
    assert_int_equal(counter_journal_open(dir, now, &j), 0);
    return j;
}

static void use(struct counter *c, struct limit_rule *r, uint64_t amount, uint64_t used,
                const struct limit_now *now)
{
    r->counter = &c->limit;
    struct limit_item x = {.rule = r, .amount = amount};
    assert_int_equal(limit_reserve(&x, 1, now), 1);
    if (used) {
        limit_settle(&x, used, now);
        counter_changed(c);
    }
}

static size_t read_journal(char *to, size_t cap)
{
    FILE *f = fopen(journal_path(), "rb");
    assert_non_null(f);
    size_t n = fread(to, 1, cap, f);
    fclose(f);
    return n;
}

static void write_journal(const char *from, size_t n)
{
    FILE *f = fopen(journal_path(), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(from, 1, n, f), n);
    fclose(f);
}

/* ---- */

static void what_was_settled_stays(void **state)
{
    (void)state;
    struct limit_rule hour = {.what = LIMIT_TOKENS, .per = PER_HOUR, .at_most = 1000};
    struct limit_rule month = {.what = LIMIT_TOKENS, .per = PER_MONTH, .at_most = 1000};
    struct limit_now now = at(5000000, 0);
    struct counter_journal *j = open_at(&now);
    struct counter *a = counter_take(STR("a"), PER_HOUR, NULL);
    struct counter *b = counter_take(STR("b"), PER_MONTH, NULL);
    use(a, &hour, 100, 60, &now);
    use(b, &month, 100, 70, &now);
    use(b, &month, 500, 0, &now); /* under way when the process dies */
    assert_int_equal(limit_taken(&month, &now), 570);
    counter_journal_flush(j, &now, true);
    counter_journal_stop(j);
    counter_drop(a);
    counter_drop(b);
    forget();

    now = at(1000, 600000000); /* ten minutes later, after a boot */
    j = open_at(&now);
    a = counter_take(STR("a"), PER_HOUR, NULL);
    b = counter_take(STR("b"), PER_MONTH, NULL);
    hour.counter = &a->limit;
    month.counter = &b->limit;
    assert_int_equal(limit_taken(&hour, &now), 60);
    assert_int_equal(limit_settled(&hour, &now), 60);
    assert_int_equal(limit_taken(&month, &now), 70);
    /* An hour after it was used it is forgotten, and not before. */
    struct limit_now nearly = at(1000 + 3000000000U - 1000000, 0),
                     later = at(1000 + 3000000000U + 61000000, 0);
    assert_int_equal(limit_taken(&hour, &nearly), 60);
    assert_int_equal(limit_taken(&hour, &later), 0);
    counter_journal_stop(j);
    counter_drop(a);
    counter_drop(b);
    forget();
    /* The next month begins anew. */
    now = at(1000, 32ULL * 86400000000U);
    j = open_at(&now);
    b = counter_take(STR("b"), PER_MONTH, NULL);
    month.counter = &b->limit;
    assert_int_equal(limit_taken(&month, &now), 0);
    counter_journal_stop(j);
    counter_drop(b);
    forget();
}

/* The process dies at any byte of the file: what is read is what one of the flushes wrote, the later the more of it is
 * there. A byte of it is wrong: what one flush had to say of one counter is missed, and no more. */
static void a_crash_at_each_byte(void **state)
{
    (void)state;
    enum { FLUSHES = 12, COUNTERS = 3 };
    static const enum limit_per pers[COUNTERS] = {PER_MINUTE, PER_HOUR, PER_DAY};
    static const char *const names[COUNTERS] = {"x", "y", "z"};
    static char bytes[65536];
    struct limit_now now = at(0, 0), last;
    struct counter *c[COUNTERS];
    struct limit_rule r[COUNTERS];
    unlink(journal_path());
    struct counter_journal *j = open_at(&now);
    for (unsigned i = 0; i < COUNTERS; i++) {
        c[i] = counter_take(str_of(names[i]), pers[i], NULL);
        r[i] = (struct limit_rule){.what = LIMIT_TOKENS, .per = pers[i], .at_most = 100000};
    }
    for (unsigned f = 0; f < FLUSHES; f++) {
        now = last = at(f * 3000000, f * 3000000);
        for (unsigned i = 0; i < COUNTERS; i++) {
            use(c[i], &r[i], 50, 10 + i, &now);
        }
        counter_journal_flush(j, &now, false);
    }
    size_t n = read_journal(bytes, sizeof bytes);
    assert_true(n > FLUSHES * 48);
    counter_journal_stop(j);
    for (unsigned i = 0; i < COUNTERS; i++) {
        counter_drop(c[i]);
    }
    forget();
    uint64_t before[COUNTERS] = {0};
    for (size_t cut = 0; cut <= n; cut++) {
        write_journal(bytes, cut);
        j = open_at(&last);
        for (unsigned i = 0; i < COUNTERS; i++) {
            c[i] = counter_take(str_of(names[i]), pers[i], NULL);
            r[i].counter = &c[i]->limit;
            uint64_t taken = limit_taken(&r[i], &last);
            assert_int_equal(taken % (10 + i), 0);
            assert_true(taken >= before[i] && taken <= FLUSHES * (10 + i));
            before[i] = taken;
            counter_drop(c[i]);
        }
        counter_journal_stop(j);
        forget();
    }
    for (unsigned i = 0; i < COUNTERS; i++) {
        assert_int_equal(before[i], FLUSHES * (10 + i));
    }
    uint64_t failures = counter_journal_failures();
    for (size_t wrong = 0; wrong < n; wrong += 7) {
        char was = bytes[wrong];
        bytes[wrong] = (char)(was ^ 0x10);
        write_journal(bytes, n);
        bytes[wrong] = was;
        j = open_at(&last);
        for (unsigned i = 0; i < COUNTERS; i++) {
            c[i] = counter_take(str_of(names[i]), pers[i], NULL);
            r[i].counter = &c[i]->limit;
            uint64_t taken = limit_taken(&r[i], &last);
            assert_true(taken % (10 + i) == 0 && taken <= FLUSHES * (10 + i));
            assert_true(taken >= (FLUSHES - 1) * (10 + i));
            counter_drop(c[i]);
        }
        assert_int_equal(counter_journal_failures(), ++failures);
        counter_journal_stop(j);
        forget();
    }
}

/* Written anew it is as long as what still counts, however much there was. */
static void the_file_stays_small(void **state)
{
    (void)state;
    struct limit_rule r = {.what = LIMIT_REQUESTS, .per = PER_SECOND, .at_most = 1000000};
    struct limit_now now = at(0, 0);
    struct stat st;
    unlink(journal_path());
    struct counter_journal *j = open_at(&now);
    struct counter *c = counter_take(STR("s"), PER_SECOND, NULL);
    for (unsigned i = 0; i < 100000; i++) {
        now = at(i * 1000, i * 1000);
        use(c, &r, 1, 1, &now);
        counter_journal_flush(j, &now, false);
        if (i % 1000 == 0) {
            counters_sweep(&now);
        }
    }
    assert_int_equal(stat(journal_path(), &st), 0);
    assert_true(st.st_size < 2 << 20);
    counter_journal_stop(j);
    counter_drop(c);
    forget();
}

/* A disk that takes nothing is counted, and what was not written is written when it takes something again. */
static void what_cannot_be_written(void **state)
{
    (void)state;
    struct limit_rule r = {.what = LIMIT_REQUESTS, .per = PER_DAY, .at_most = 1000000};
    struct limit_now now = at(0, 0);
    char beside[160];
    unlink(journal_path());
    struct counter_journal *j = open_at(&now);
    struct counter *c = counter_take(STR("d"), PER_DAY, NULL);
    /* Its name beside is taken by a directory: the file cannot be written anew. */
    snprintf(beside, sizeof beside, "%s.new", journal_path());
    assert_int_equal(mkdir(beside, 0700), 0);
    uint64_t failures = counter_journal_failures(), used = 2;
    use(c, &r, 1, 1, &now);
    for (unsigned i = 0; i < 50000 && counter_journal_failures() == failures; i++) {
        use(c, &r, 1, 1, &now);
        counter_journal_flush(j, &now, false);
        used++;
    }
    assert_true(counter_journal_failures() > failures);
    use(c, &r, 1, 1, &now);
    counter_journal_flush(j, &now, true);
    assert_int_equal(rmdir(beside), 0);
    counter_journal_flush(j, &now, true);
    counter_journal_stop(j);
    counter_drop(c);
    forget();
    j = open_at(&now);
    c = counter_take(STR("d"), PER_DAY, NULL);
    r.counter = &c->limit;
    assert_int_equal(limit_taken(&r, &now), used);
    counter_journal_stop(j);
    counter_drop(c);
    forget();
}

/* One that somebody holds stays, as does one in which something counts. */
static void counters_go_when_nothing_counts(void **state)
{
    (void)state;
    struct limit_rule r = {.what = LIMIT_REQUESTS, .per = PER_SECOND, .at_most = 10};
    struct limit_now now = at(0, 0), later = at(3000000, 3000000);
    struct counter *c = counter_take(STR("one"), PER_SECOND, NULL);
    assert_ptr_equal(counter_take(STR("one"), PER_SECOND, NULL), c);
    counter_drop(c);
    use(c, &r, 1, 1, &now);
    while (counters_next_changed()) {
    }
    counters_sweep(&later);
    assert_int_equal(counters_count(), 1);
    use(c, &r, 1, 1, &later);
    while (counters_next_changed()) {
    }
    counter_drop(c);
    counters_sweep(&later);
    assert_int_equal(counters_count(), 1);
    later = at(6000000, 6000000);
    counters_sweep(&later);
    assert_int_equal(counters_count(), 0);
}

static int begin(void **state)
{
    (void)state;
    /* In memory where there is such a place: the file is made thousands of times, and synced. */
    snprintf(dir, sizeof dir, "%s/accord-test-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    return sodium_init() < 0 || !mkdtemp(dir);
}

static int end(void **state)
{
    (void)state;
    unlink(journal_path());
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_settled_stays),
        cmocka_unit_test(a_crash_at_each_byte),
        cmocka_unit_test(the_file_stays_small),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(counters_go_when_nothing_counts),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
