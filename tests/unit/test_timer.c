/* The wheel against a list of deadlines that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/timer.h"

/* Small and fast, and the same everywhere: a failure can be repeated. */
static uint64_t seed;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

enum { TIMERS = 200 };

struct item {
    struct timer t;
    uint64_t due_ms; /* what the list says; UINT64_MAX when it is not set */
    unsigned fired;
};

static struct timer_wheel wheel;
static struct item items[TIMERS];
static uint64_t last_fired_ms;
static bool meddle; /* whether what fires sets and clears others */

static struct item *item_of(struct timer *t)
{
    return (struct item *)((char *)t - offsetof(struct item, t));
}

static void set(struct item *i, uint64_t due_ms)
{
    wheel_set(&wheel, &i->t, due_ms);
    /* What is due already comes with the next tick. */
    i->due_ms = due_ms > wheel.now_ms ? due_ms : wheel.now_ms + 1;
}

static void clear(struct item *i)
{
    timer_clear(&i->t);
    i->due_ms = UINT64_MAX;
}

/* Distances of all kinds: on each level of the wheel, at its edges, and beyond it. */
static uint64_t any_distance(void)
{
    static const uint64_t edges[] = {0,    1,      63,     64,       65,       4095,     4096,
                                     4097, 262143, 262144, 16777215, 16777216, 16777217, 100000000};
    uint64_t bits = any(28);
    return any(4) ? any((uint64_t)1 << bits) : edges[any(sizeof edges / sizeof *edges)];
}

static void fired(struct timer *t)
{
    struct item *i = item_of(t);
    assert_false(timer_is_set(t));
    assert_true(i->due_ms != UINT64_MAX);    /* it was set */
    assert_true(i->due_ms <= wheel.now_ms);  /* never early */
    assert_true(i->due_ms >= last_fired_ms); /* in order */
    last_fired_ms = i->due_ms;
    i->due_ms = UINT64_MAX;
    i->fired++;
    if (meddle) {
        struct item *other = &items[any(TIMERS)];
        switch (any(4)) {
        case 0:
            clear(other);
            break;
        case 1:
            set(other, wheel.now_ms + any_distance());
            break;
        case 2:
            set(i, wheel.now_ms + any_distance());
            break;
        }
    }
}

static uint64_t earliest(void)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        best = items[i].due_ms < best ? items[i].due_ms : best;
    }
    return best;
}

static void check_state(void)
{
    uint64_t next = wheel_next(&wheel);
    assert_true(next <= earliest());
    assert_true(next > wheel.now_ms); /* who waits for it gets on */
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_is_set(&items[i].t), items[i].due_ms != UINT64_MAX);
    }
}

static void advance(uint64_t to_ms)
{
    last_fired_ms = 0;
    wheel_advance(&wheel, to_ms);
    assert_int_equal(wheel.now_ms, to_ms);
    assert_true(earliest() > to_ms); /* all that was due has fired */
    check_state();
}

static void start(uint64_t now_ms, uint64_t new_seed)
{
    seed = new_seed;
    meddle = false;
    wheel_init(&wheel, now_ms);
    for (int i = 0; i < TIMERS; i++) {
        items[i] = (struct item){.t.fire = fired, .due_ms = UINT64_MAX};
    }
}

static void any_history(uint64_t now_ms, uint64_t new_seed, bool with_meddling)
{
    start(now_ms, new_seed);
    meddle = with_meddling;
    for (int step = 0; step < 4000; step++) {
        struct item *i = &items[any(TIMERS)];
        switch (any(8)) {
        case 0:
        case 1:
        case 2:
            set(i, wheel.now_ms + any_distance());
            break;
        case 3: /* a deadline is pushed: what connections do all the time */
            set(i, (i->due_ms == UINT64_MAX ? wheel.now_ms : i->due_ms) + any(1000));
            break;
        case 4: /* or drawn nearer */
            set(i, wheel.now_ms + any(64));
            break;
        case 5:
            clear(i);
            break;
        case 6:
            advance(wheel.now_ms + any(200));
            break;
        case 7: /* the process slept, or just as far as the wheel itself asks */
            advance(any(3)
                        ? wheel.now_ms + any_distance()
                        : (wheel_next(&wheel) == UINT64_MAX ? wheel.now_ms : wheel_next(&wheel)));
            break;
        }
        check_state();
    }
    meddle = false;
    advance(wheel.now_ms + ((uint64_t)1 << 40));
    assert_int_equal(earliest(), UINT64_MAX);
    assert_int_equal(wheel_next(&wheel), UINT64_MAX);
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 12; k++) {
        any_history(k * 1234567, k * 0x9E3779B97F4A7C15U, false);
    }
}

static void callbacks_may_change_everything(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 12; k++) {
        any_history(k * 7654321, k * 0xD1B54A32D192ED03U, true);
    }
}

/* From every phase of the wheel, at every edge of a level, to the millisecond. */
static void fires_to_the_millisecond(void **state)
{
    (void)state;
    static const uint64_t edges[] = {1,    2,    63,   64,   65,     127,    128,
                                     4095, 4096, 4097, 8192, 262143, 262144, 262145};
    static const uint64_t starts[] = {
        0, 1, 62, 63, 64, 4094, 4095, 4096, 262143, 16777215, (uint64_t)1 << 40};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
            start(starts[s], 1);
            uint64_t due = starts[s] + edges[e];
            set(&items[0], due);
            advance(due - 1);
            assert_int_equal(items[0].fired, 0);
            advance(due);
            assert_int_equal(items[0].fired, 1);
            assert_int_equal(wheel_next(&wheel), UINT64_MAX);
        }
    }
}

/* Pushing a deadline does not move the timer, and it fires at the last one only. */
static void pushed_deadlines_stay_where_they_are(void **state)
{
    (void)state;
    start(1000, 1);
    set(&items[0], 1050);
    struct timer *neighbour = items[0].t._next;
    for (uint64_t due = 1051; due < 9000; due++) {
        set(&items[0], due);
        assert_ptr_equal(items[0].t._next, neighbour);
        if (due % 40 == 0) {
            uint64_t now = due - 45;
            if (now > wheel.now_ms) {
                advance(now);
                neighbour = items[0].t._next;
            }
        }
        assert_int_equal(items[0].fired, 0);
    }
    advance(8998);
    assert_int_equal(items[0].fired, 0);
    advance(8999);
    assert_int_equal(items[0].fired, 1);
    /* Nearer than its place: it moves. */
    set(&items[0], 20000);
    set(&items[0], 9001);
    advance(9001);
    assert_int_equal(items[0].fired, 2);
    advance(30000);
    assert_int_equal(items[0].fired, 2);
}

/* Days and years are further than the wheel reaches (about 4.6 hours). */
static void far_deadlines_wait_their_turn(void **state)
{
    (void)state;
    static const uint64_t far[] = {16777215, 16777216, 86400000, (uint64_t)365 * 86400000};
    for (size_t k = 0; k < sizeof far / sizeof *far; k++) {
        start(12345, 1);
        set(&items[0], wheel.now_ms + far[k]);
        uint64_t due = items[0].due_ms;
        unsigned turns = 0;
        for (; wheel_next(&wheel) < due; turns++) {
            advance(wheel_next(&wheel));
            assert_int_equal(items[0].fired, 0);
        }
        assert_true(turns < 16 + far[k] / 100000);
        assert_int_equal(wheel_next(&wheel), due);
        advance(due);
        assert_int_equal(items[0].fired, 1);
    }
}

/* Clearing leaves marks behind; each costs one look, and then the wheel rests. */
static void a_cleared_wheel_comes_to_rest(void **state)
{
    (void)state;
    start(5, 77);
    assert_int_equal(wheel_next(&wheel), UINT64_MAX);
    clear(&items[0]); /* was never set */
    for (int i = 0; i < TIMERS; i++) {
        set(&items[i], wheel.now_ms + any_distance());
    }
    for (int i = 0; i < TIMERS; i++) {
        clear(&items[i]);
        clear(&items[i]);
    }
    int looks = 0;
    while (wheel_next(&wheel) != UINT64_MAX) {
        assert_true(++looks <= TIMERS);
        advance(wheel_next(&wheel));
    }
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(items[i].fired, 0);
    }
}

struct loner {
    struct timer t;
    int *count;
};

static void free_itself(struct timer *t)
{
    struct loner *l = (struct loner *)((char *)t - offsetof(struct loner, t));
    ++*l->count;
    free(l);
}

static void what_fires_may_free_itself(void **state)
{
    (void)state;
    int count = 0;
    wheel_init(&wheel, 0);
    for (uint64_t i = 0; i < 1000; i++) {
        struct loner *l = calloc(1, sizeof *l);
        l->t.fire = free_itself;
        l->count = &count;
        wheel_set(&wheel, &l->t, i * i % 5000);
    }
    wheel_advance(&wheel, 5000);
    assert_int_equal(count, 1000);
}

/* ---- on a real loop ---- */

struct alarm {
    struct timer t;
    struct loop *l;
    uint64_t set_us, after_ms;
    struct timer *again;
};

static int depth, deepest, rung;

static void rings(struct timer *t)
{
    struct alarm *a = (struct alarm *)((char *)t - offsetof(struct alarm, t));
    /* The loop counts whole milliseconds: a deadline may look early by less than one. */
    assert_true(clock_us() - a->set_us + 1000 > a->after_ms * 1000);
    deepest = ++depth > deepest ? depth : deepest;
    rung++;
    if (a->again) {
        loop_timer(a->l, a->again, 1);
    } else {
        loop_stop(a->l);
    }
    depth--;
}

static void nothing(struct timer *t)
{
    (void)t;
}

/* Many timers come due while the thread is busy, and each of them sets another: they fire one after
 * the other and not inside each other. */
static void late_timers_do_not_pile_up(void **state)
{
    (void)state;
    enum { N = 40 };
    struct loop *l = loop_new();
    static struct alarm alarms[N + 1];
    static struct timer others[N];
    depth = deepest = rung = 0;
    for (int i = 0; i <= N; i++) {
        alarms[i] = (struct alarm){.t.fire = rings, .l = l, .set_us = clock_us()};
        alarms[i].after_ms = (uint64_t)i + 1;
        if (i < N) {
            others[i] = (struct timer){.fire = nothing};
            alarms[i].again = &others[i];
        }
        loop_timer(l, &alarms[i].t, alarms[i].after_ms);
    }
    usleep(2 * N * 1000);
    loop_run(l);
    assert_int_equal(rung, N + 1);
    assert_int_equal(deepest, 1);
    loop_free(l);
}

static void loop_timers_are_on_time(void **state)
{
    (void)state;
    static const uint64_t after[] = {0, 1, 5, 20, 70, 130};
    struct loop *l = loop_new();
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        struct alarm a = {.t.fire = rings, .l = l, .set_us = clock_us(), .after_ms = after[i]};
        depth = 0;
        loop_timer(l, &a.t, 100000);
        loop_timer(l, &a.t, after[i]); /* drawn nearer */
        loop_run(l);
        assert_in_range(clock_us() - a.set_us, 0, (after[i] + 2000) * 1000);
        assert_false(timer_is_set(&a.t));
        usleep(1000);
    }
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(callbacks_may_change_everything),
        cmocka_unit_test(fires_to_the_millisecond),
        cmocka_unit_test(pushed_deadlines_stay_where_they_are),
        cmocka_unit_test(far_deadlines_wait_their_turn),
        cmocka_unit_test(a_cleared_wheel_comes_to_rest),
        cmocka_unit_test(what_fires_may_free_itself),
        cmocka_unit_test(late_timers_do_not_pile_up),
        cmocka_unit_test(loop_timers_are_on_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
