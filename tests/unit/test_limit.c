/* Windows against a slow exact model, chains that take all or nothing, racing threads, the calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "policy/limit.h"

static uint64_t seed;

static uint64_t roll(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static struct limit_now at(uint64_t us)
{
    return (struct limit_now){.mono_us = ((uint64_t)1 << 50) + us,
                              .wall_us = 1798761600000000U + us}; /* 2027-01-01 */
}

static bool take_one(const struct limit_rule *r, uint64_t amount, uint64_t us,
                     struct limit_item *ret)
{
    struct limit_now now = at(us);
    *ret = (struct limit_item){.rule = r, .amount = amount};
    return limit_reserve(ret, 1, &now) == 1;
}

/* ---- sliding windows ---- */

static const uint64_t window_us[] = {1000000, 60000000, 3600000000};

struct event {
    uint64_t us, amount;
};

static uint64_t taken_since(const struct event *all, size_t n, uint64_t since)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += all[i].us > since ? all[i].amount : 0;
    }
    return sum;
}

/* Never more than the limit in any window, and never refused what there was room for even if everything counted a
 * fifteenth (and a tick) longer than it has to. */
static void a_window_slides(enum limit_per per, uint64_t step_us)
{
    struct limit_counter c = {0};
    const struct limit_rule r = {.what = LIMIT_TOKENS, .per = per, .at_most = 1000, .counter = &c};
    static struct event all[20000];
    size_t n = 0, refused = 0;
    uint64_t w = window_us[per], longest = w + w / 15 + 2 * limit_tick_us(per), now = 2 * w;
    for (unsigned i = 0; i < 20000; i++) {
        now += roll(20) ? roll(step_us) : roll(3 * w);
        uint64_t amount = 1 + roll(roll(8) ? 60 : 1000);
        struct limit_item x;
        if (i % 16 == 0) {
            struct limit_now t = at(now);
            limit_sweep(&c, per, NULL, &t);
        }
        if (take_one(&r, amount, now, &x)) {
            all[n++] = (struct event){now, amount};
            /* The model's window holds what is younger than w: an event of exactly w ago is outside. */
            assert_true(taken_since(all, n, now - w) <= 1000);
        } else {
            assert_true(taken_since(all, n, now - longest) + amount > 1000);
            refused++;
        }
    }
    assert_true(n > 1000 && refused > 100);
}

static void windows_slide(void **state)
{
    (void)state;
    for (unsigned per = PER_SECOND; per <= PER_HOUR; per++) {
        for (unsigned round = 0; round < 3; round++) {
            seed = 7 + per * 100 + round;
            a_window_slides((enum limit_per)per, window_us[per] / (10 + 20 * round * round));
        }
    }
}

/* What was told as the wait is: a microsecond before there is no room, then there is. */
static void the_wait_is_exact(void **state)
{
    (void)state;
    seed = 99;
    for (unsigned round = 0; round < 2000; round++) {
        struct limit_counter c = {0};
        enum limit_per per = (enum limit_per)roll(5);
        const struct limit_rule r = {
            .what = LIMIT_TOKENS, .per = per, .at_most = 100, .counter = &c};
        struct limit_item x;
        uint64_t now = roll(1000000000), amount = 1 + roll(100);
        for (unsigned i = 0; i < 40; i++) {
            now += roll(per <= PER_HOUR ? window_us[per] / 20 : 1000);
            (void)take_one(&r, 1 + roll(20), now, &x);
        }
        struct limit_now t = at(now);
        uint64_t wait = limit_wait_us(&r, amount, &t);
        if (wait) {
            assert_false(take_one(&r, amount, now, &x));
            assert_false(take_one(&r, amount, now + wait - 1, &x));
        }
        assert_true(take_one(&r, amount, now + wait, &x));
        assert_true(limit_wait_us(&r, 101, &t) == LIMIT_NEVER);
    }
}

/* A burst is forgotten one window later, not one window and a slot. */
static void a_burst_is_forgotten_in_time(void **state)
{
    (void)state;
    for (unsigned per = PER_SECOND; per <= PER_HOUR; per++) {
        struct limit_counter c = {0};
        const struct limit_rule r = {
            .what = LIMIT_REQUESTS, .per = (enum limit_per)per, .at_most = 5, .counter = &c};
        struct limit_item x;
        for (unsigned i = 0; i < 5; i++) {
            assert_true(take_one(&r, 1, 12345 + i, &x));
        }
        assert_false(take_one(&r, 1, 12345 + window_us[per], &x));
        assert_true(
            take_one(&r, 1, 12350 + window_us[per] + 2 * limit_tick_us((enum limit_per)per), &x));
    }
}

/* ---- chains ---- */

enum { CHAIN = 6 };

static void read_all(const struct limit_rule *r, const struct limit_now *now, uint64_t *ret)
{
    for (unsigned i = 0; i < CHAIN; i++) {
        ret[2 * i] = limit_taken(&r[i], now);
        ret[2 * i + 1] = limit_settled(&r[i], now);
    }
}

/* Random interleavings of calls that begin, are refused, end with more or less than they reserved, or never end:
 * all counters hold the sum of what is under way and what was used, and a refusal changes none of them. */
static void all_or_nothing(void **state)
{
    (void)state;
    seed = 4711;
    for (unsigned round = 0; round < 300; round++) {
        struct limit_counter counters[CHAIN] = {0};
        struct limit_rule rules[CHAIN];
        enum { CALLS = 40 };
        static struct limit_item items[CALLS][CHAIN];
        bool runs[CALLS] = {false};
        uint64_t want[CHAIN] = {0}, settled[CHAIN] = {0}, before[2 * CHAIN], after[2 * CHAIN];
        for (unsigned i = 0; i < CHAIN; i++) {
            rules[i] = (struct limit_rule){.what = LIMIT_TOKENS,
                                           .per = roll(2) ? PER_DAY : PER_HOUR,
                                           .at_most = 100 + roll(900),
                                           .soft = roll(5) == 0,
                                           .counter = &counters[i]};
        }
        for (unsigned step = 0; step < 400; step++) {
            struct limit_now now = at(step * 1000000); /* all of it within an hour */
            unsigned k = (unsigned)roll(CALLS);
            if (runs[k]) {
                uint64_t used = roll(4) ? roll(60) : 0;
                for (unsigned i = 0; i < CHAIN; i++) {
                    want[i] = want[i] - items[k][i].amount + used;
                    settled[i] += used;
                    limit_settle(&items[k][i], used, &now);
                }
                runs[k] = false;
            } else {
                uint64_t amount = 1 + roll(50);
                bool shrink = roll(3) == 0;
                for (unsigned i = 0; i < CHAIN; i++) {
                    items[k][i] = (struct limit_item){
                        .rule = &rules[i], .amount = amount, .may_shrink = shrink};
                }
                read_all(rules, &now, before);
                size_t n = limit_reserve(items[k], CHAIN, &now);
                if (n < CHAIN) {
                    read_all(rules, &now, after);
                    assert_memory_equal(before, after, sizeof before);
                    assert_false(rules[n].soft);
                    assert_true(before[2 * n] + (shrink ? 1 : amount) > rules[n].at_most);
                    continue;
                }
                runs[k] = true;
                for (unsigned i = 0; i < CHAIN; i++) {
                    assert_true(rules[i].soft ||
                                before[2 * i] + items[k][i].amount <= rules[i].at_most);
                    want[i] += items[k][i].amount;
                }
            }
            read_all(rules, &now, after);
            for (unsigned i = 0; i < CHAIN; i++) {
                assert_int_equal(after[2 * i], want[i]);
                assert_int_equal(after[2 * i + 1], settled[i]);
            }
        }
    }
}

static void soft_limits_tell(void **state)
{
    (void)state;
    struct limit_counter c = {0};
    const struct limit_rule r = {
        .what = LIMIT_REQUESTS, .per = PER_MINUTE, .at_most = 2, .soft = true, .counter = &c};
    struct limit_item x;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(take_one(&r, 1, i, &x));
        assert_int_equal(x.exceeded, i >= 2);
    }
}

/* A reservation that is settled when its slot has gone by leaves the new one's amounts alone. */
static void late_settling(void **state)
{
    (void)state;
    struct limit_counter c = {0};
    const struct limit_rule r = {
        .what = LIMIT_TOKENS, .per = PER_MINUTE, .at_most = 100, .counter = &c};
    struct limit_item old, other;
    struct limit_now now = at(64000000);
    assert_true(take_one(&r, 80, 0, &old));
    assert_true(take_one(&r, 70, 64000000, &other)); /* the same place, a round later */
    limit_settle(&old, 10, &now);
    assert_int_equal(limit_taken(&r, &now), 70);
    assert_int_equal(limit_settled(&r, &now), 0);
    assert_true(take_one(&r, 30, 64000000, &old));
    now = at(200000000);
    limit_settle(&old, 50, &now); /* what is beyond the reservation counts now */
    assert_int_equal(limit_taken(&r, &now), 20);
    assert_int_equal(limit_settled(&r, &now), 20);
}

/* ---- races ---- */

struct racer {
    pthread_t thread;
    const struct limit_rule *chain;
    struct event *log;
    size_t n;
    uint64_t seed;
};

static uint64_t real_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

enum { RACERS = 4, RACE_US = 2500000, LOG = 100000 };

/* Takes of two windows, and settles some at once with less. Half of the racers' clocks are behind by up to 3 ms. */
static void *race(void *arg)
{
    struct racer *r = arg;
    uint64_t ends = real_us() + RACE_US;
    for (uint64_t now = real_us(); now < ends && r->n < LOG; now = real_us()) {
        uint64_t lag = r->seed & 1 ? now % 3000 : 0;
        struct limit_now t = at(now - lag);
        struct limit_item x[2] = {{.rule = &r->chain[0], .amount = 1},
                                  {.rule = &r->chain[1], .amount = 1}};
        if (limit_reserve(x, 2, &t) == 2) {
            r->log[r->n++] = (struct event){now - lag, 1};
        } else if (now % 8 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    return x->us < y->us ? -1 : x->us > y->us;
}

static void races_take_no_more(void **state)
{
    (void)state;
    static struct event all[RACERS * LOG], logs[RACERS][LOG];
    struct limit_counter counters[2] = {0};
    const struct limit_rule chain[2] = {
        {.what = LIMIT_REQUESTS, .per = PER_SECOND, .at_most = 500, .counter = &counters[0]},
        {.what = LIMIT_REQUESTS, .per = PER_DAY, .at_most = 1300, .counter = &counters[1]}};
    struct racer racers[RACERS];
    size_t n = 0;
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.chain = chain, .log = logs[i], .seed = i};
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        memcpy(all + n, racers[i].log, racers[i].n * sizeof *all);
        n += racers[i].n;
    }
    qsort(all, n, sizeof *all, by_time);
    assert_int_equal(n, 1300); /* the day's, all of it, and not one more */
    for (size_t i = 500; i < n; i++) {
        assert_true(all[i].us - all[i - 500].us >= 1000000 - 3000);
    }
    struct limit_now now = at(all[n - 1].us);
    assert_int_equal(limit_taken(&chain[1], &now), 1300);
}

/* ---- the calendar ---- */

/* Against the C library's own reading of the same tables. */
static void zones_agree(void **state)
{
    (void)state;
    static const char *const names[] = {
        "America/Toronto",   "Europe/Paris",      "Australia/Lord_Howe",
        "America/Sao_Paulo", "Asia/Kolkata",      "Pacific/Apia",
        "America/Santiago",  "Africa/Casablanca", "Asia/Tehran"};
    seed = 5;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        const struct zone *z = zone_find(str_of(names[i]));
        if (!z) {
            skip(); /* a system without tables */
        }
        setenv("TZ", names[i], 1);
        tzset();
        for (unsigned k = 0; k < 20000; k++) {
            time_t t = (time_t)roll(2200000000U + 1800000000U);
            struct tm tm;
            localtime_r(&t, &tm);
            assert_int_equal(zone_month(z, t), (tm.tm_year - 70) * 12 + tm.tm_mon);
            struct tm utc = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
            assert_int_equal(zone_day(z, t), timegm(&utc) / 86400);
            int64_t day = zone_day(z, t), begins = zone_day_begins(z, day);
            assert_true(zone_day(z, begins) == day && zone_day(z, begins - 1) < day);
            int64_t month = zone_month(z, t), first = zone_month_begins(z, month);
            assert_true(zone_month(z, first) == month && zone_month(z, first - 1) < month);
        }
    }
    unsetenv("TZ");
    tzset();
    assert_null(zone_find(STR("Mars/Olympus")));
    assert_null(zone_find(STR("../../../etc/passwd")));
    assert_null(zone_find(STR("")));
    assert_int_equal(zone_day(zone_find(STR("UTC")), 86399), 0);
    assert_int_equal(zone_month(NULL, 2678400), 1);
}

/* Tables that are cut or changed anywhere are refused or read, and never read past their end. */
static void broken_tables(void **state)
{
    (void)state;
    FILE *f = fopen("/usr/share/zoneinfo/America/Toronto", "rb");
    if (!f) {
        skip();
    }
    static char bytes[65536];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    seed = 12;
    for (size_t cut = 0; cut <= n; cut += cut < 400 ? 1 : 37) {
        char *own = malloc(cut + 1);
        memcpy(own, bytes, cut);
        free(zone_parse(str_make(own, cut)));
        free(own);
    }
    for (unsigned i = 0; i < 3000; i++) {
        char *own = malloc(n);
        memcpy(own, bytes, n);
        own[roll(3) ? roll(200) : roll(n)] = (char)roll(256);
        free(zone_parse(str_make(own, n)));
        free(own);
    }
}

static void days_and_months(void **state)
{
    (void)state;
    struct limit_counter c = {0};
    const struct zone *z = zone_find(STR("America/Toronto"));
    struct limit_rule r = {
        .what = LIMIT_REQUESTS, .per = PER_DAY, .at_most = 2, .zone = z, .counter = &c};
    struct limit_item x;
    if (!z) {
        skip();
    }
    /* 2027-01-01 00:00 UTC is 19:00 of the day before there: five hours are left. */
    assert_true(take_one(&r, 2, 0, &x));
    struct limit_now now = at(1);
    assert_false(take_one(&r, 1, 1, &x));
    assert_int_equal(limit_wait_us(&r, 1, &now), 5 * 3600000000ULL - 1);
    assert_false(take_one(&r, 1, 5 * 3600000000ULL - 1, &x));
    assert_true(take_one(&r, 1, 5 * 3600000000ULL, &x));
    r.per = PER_MONTH;
    now = at(5 * 3600000000ULL);
    assert_int_equal(limit_reset_us(&r, &now), 31 * 86400000000ULL);
    /* The day on which clocks go forward has 23 hours: 2027-03-14. */
    r.per = PER_DAY;
    now = at((uint64_t)(31 + 28 + 13) * 86400000000ULL + 5 * 3600000000ULL);
    assert_int_equal(limit_reset_us(&r, &now), 23 * 3600000000ULL);
}

/* ---- shared with other processes ---- */

static void no_more_than_the_lease_is_taken_unknown(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        struct limit_counter c = {.lease = 10, .known = 0};
        const struct limit_rule r = {
            .what = LIMIT_TOKENS, .per = k ? PER_DAY : PER_MINUTE, .at_most = 100, .counter = &c};
        struct limit_item i;
        assert_true(take_one(&r, 25, 0, &i)); /* one call, of any size */
        assert_false(take_one(&r, 1, 0, &i));
        assert_int_equal(i.left, 75);
        c.known = 25; /* they know */
        assert_true(take_one(&r, 1, 0, &i));
        assert_true(take_one(&r, 9, 0, &i));
        assert_false(take_one(&r, 1, 0, &i));
        c.known = 35;
        c.others = 60;
        assert_false(take_one(&r, 6, 0, &i));
        assert_int_equal(i.left, 5);
        assert_true(take_one(&r, 5, 0, &i));
        struct limit_now now = at(0);
        assert_true(limit_wait_us(&r, 1, &now) > 0);
        c.others = 0;
        c.lease = 0; /* nobody needs to know */
        assert_true(take_one(&r, 60, 0, &i));
        assert_false(take_one(&r, 1, 0, &i));
    }
}

/* Nothing is free here, and when others give back is not known: some time is told, not none and not for ever. */
static void to_look_takes_nothing(void **state)
{
    (void)state;
    struct limit_counter c[2] = {0};
    const struct limit_rule r[] = {
        {.what = LIMIT_REQUESTS, .per = PER_MINUTE, .at_most = 100, .counter = &c[0]},
        {.what = LIMIT_REQUESTS, .per = PER_DAY, .at_most = 5, .counter = &c[1]},
    };
    struct limit_now now = at(0);
    for (unsigned i = 0; i < 8; i++) {
        struct limit_item looked[] = {{.rule = &r[0], .amount = 1}, {.rule = &r[1], .amount = 1}};
        struct limit_item taken[] = {looked[0], looked[1]};
        size_t fits = limit_look(looked, 2, &now);
        assert_int_equal(limit_look(looked, 2, &now), fits);
        assert_int_equal(fits, i < 5 ? 2 : 1);
        assert_int_equal(limit_reserve(taken, 2, &now), fits);
        assert_int_equal(looked[1].left, taken[1].left);
    }
    assert_int_equal(limit_taken(&r[0], &now), 5);
}

static void others_are_waited_for(void **state)
{
    (void)state;
    struct limit_counter c = {.others = 100};
    const struct limit_rule r = {
        .what = LIMIT_REQUESTS, .per = PER_MINUTE, .at_most = 100, .counter = &c};
    struct limit_item i;
    struct limit_now now = at(0);
    assert_false(take_one(&r, 1, 0, &i));
    uint64_t wait = limit_wait_us(&r, 1, &now);
    assert_true(wait >= 1000000 && wait <= 60000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_the_lease_is_taken_unknown),
        cmocka_unit_test(to_look_takes_nothing),
        cmocka_unit_test(others_are_waited_for),
        cmocka_unit_test(windows_slide),
        cmocka_unit_test(the_wait_is_exact),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(soft_limits_tell),
        cmocka_unit_test(late_settling),
        cmocka_unit_test(races_take_no_more),
        cmocka_unit_test(zones_agree),
        cmocka_unit_test(broken_tables),
        cmocka_unit_test(days_and_months),
        cmocka_unit_test(a_burst_is_forgotten_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
