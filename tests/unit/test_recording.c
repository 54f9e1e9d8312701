/* Recordings: written once, read by many, bounded, and fair to those who share the bound. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/recording.h"

enum { ONE = 10000, ROOM = 100000 };

static struct recording_ask ask_for(uint8_t *key, unsigned n, struct str tenant)
{
    memset(key, 0, RECORDING_KEY);
    memcpy(key, &n, sizeof n);
    return (struct recording_ask){.key = key, .tenant = tenant, .now_s = 100, .find_running = true};
}

static struct recording *find(unsigned n, uint64_t now_s)
{
    uint8_t key[RECORDING_KEY];
    bool fresh, other;
    struct recording_ask a = ask_for(key, n, STR("any"));
    a.now_s = now_s;
    return recording_find(&a, &fresh, &other);
}

static bool is_there(unsigned n, uint64_t now_s)
{
    struct recording *r = find(n, now_s);
    recording_unref(r);
    return r != NULL;
}

/* One of `size` bytes, whole, found until second 200. */
static void keep(unsigned n, struct str tenant, size_t size)
{
    static char bytes[ROOM];
    uint8_t key[RECORDING_KEY];
    struct recording_ask a = ask_for(key, n, tenant);
    struct recording *r = recording_new(&a);
    struct iovec v = {bytes, size};
    recording_begin(r, STR("text/plain"), (struct str){0}, (struct str){0});
    if (recording_add(r, &v, 1)) {
        recording_end(r, RECORDING_WHOLE, 100, 100);
    }
    recording_unref(r);
}

/* Time passes, and nothing is left. */
static void forget(unsigned from, unsigned to)
{
    for (unsigned n = from; n < to; n++) {
        assert_false(is_there(n, 1000));
    }
    assert_int_equal(recordings_stats().recordings, 0);
    assert_int_equal(recordings_stats().bytes, 0);
}

static void it_is_found_until_its_time_is_over(void **state)
{
    (void)state;
    recordings_limit(ROOM, ONE);
    assert_false(is_there(1, 100));
    keep(1, STR("a"), 10);
    assert_true(is_there(1, 100) && is_there(1, 199));
    assert_false(is_there(1, 200));
    assert_false(is_there(1, 100));
    forget(0, 2);
}

static void what_is_used_stays_and_the_bound_holds(void **state)
{
    (void)state;
    recordings_limit(ROOM, ONE);
    for (unsigned n = 0; n < 100; n++) {
        keep(n, STR("a"), 5000);
        assert_true(recordings_stats().bytes <= ROOM);
        assert_true(is_there(0, 100));
    }
    assert_true(is_there(99, 100) && !is_there(1, 100));
    assert_true(recordings_stats().recordings > 10);
    forget(0, 100);
}

static void who_has_more_goes_first(void **state)
{
    (void)state;
    recordings_limit(ROOM, ONE);
    for (unsigned n = 0; n < 5; n++) {
        keep(n, STR("small"), 5000);
    }
    for (unsigned n = 100; n < 200; n++) {
        keep(n, STR("large"), 5000);
    }
    for (unsigned n = 200; n < 205; n++) {
        keep(n, STR("third"), 5000);
    }
    for (unsigned n = 0; n < 5; n++) {
        assert_true(is_there(n, 100) && is_there(200 + n, 100));
    }
    forget(0, 205);
}

/* Each of 10,000 has one answer, and their bound is full: who brings another drives out one at a price that hardly
 * grows with their number, and still it is he who has the most that pays. */
static void room_among_many_tenants_costs_little(void **state)
{
    (void)state;
    enum { TENANTS = 10000, MORE = 30000, SECOND = 2000, SIZE = 500, DEEP = 14 };
    char name[16];
    recordings_limit((size_t)1 << 30, ONE);
    for (unsigned n = 0; n < TENANTS; n++) {
        snprintf(name, sizeof name, "t%u", n);
        keep(n, str_of(name), SIZE);
    }
    for (unsigned n = 0; n < MORE; n++) {
        keep(TENANTS + n, STR("large"), SIZE);
    }
    assert_int_equal(recordings_stats().recordings, TENANTS + MORE);
    recordings_limit((size_t)recordings_stats().bytes, ONE);
    struct recording_stats before = recordings_stats();
    for (unsigned n = 0; n < SECOND; n++) {
        snprintf(name, sizeof name, "t%u", n);
        keep(TENANTS + MORE + n, str_of(name), SIZE);
    }
    struct recording_stats after = recordings_stats();
    uint64_t gone = after.evicted - before.evicted;
    assert_true(gone >= SECOND - 2 && gone <= 2 * SECOND);
    /* 2^DEEP > TENANTS: once down or up for each that came or went */
    assert_true(after.steps - before.steps <= (SECOND + gone) * (DEEP + 1));
    for (unsigned n = 0; n < TENANTS; n++) {
        assert_true(is_there(n, 100)); /* all that was driven out is the large one's */
    }
    recordings_limit(ROOM, ONE); /* much less: piece by piece, and never more than 64 for one */
    before = recordings_stats();
    keep(100000, STR("a"), SIZE);
    gone = recordings_stats().evicted - before.evicted;
    assert_true(gone > 0 && gone <= 64);
    for (unsigned n = 0; n < 1000; n++) {
        keep(100001 + n, STR("a"), SIZE);
    }
    assert_true(recordings_stats().bytes <= ROOM);
    forget(0, 101001);
}

static void too_long_is_not_kept(void **state)
{
    (void)state;
    recordings_limit(ROOM, ONE);
    uint64_t before = recordings_stats().too_large;
    keep(1, STR("a"), ONE + 1);
    assert_false(is_there(1, 100));
    assert_int_equal(recordings_stats().too_large, before + 1);
    recordings_limit(0, ONE);
    keep(1, STR("a"), 10);
    assert_false(is_there(1, 100));
    recordings_limit(ROOM, ONE);
    forget(0, 2);
}

static void another_payload_is_told_apart(void **state)
{
    (void)state;
    uint8_t key[RECORDING_KEY], one[RECORDING_KEY] = {1}, two[RECORDING_KEY] = {2};
    bool fresh, other;
    struct recording_ask a = ask_for(key, 1, STR("a"));
    a.payload = one;
    a.begin = true;
    struct recording *r = recording_find(&a, &fresh, &other);
    assert_true(r && fresh && !other);
    struct recording *again = recording_find(&a, &fresh, &other);
    assert_true(again == r && !fresh && recording_is_shared(r));
    recording_unref(again);
    assert_false(recording_is_shared(r));
    a.payload = two;
    assert_null(recording_find(&a, &fresh, &other));
    assert_true(other);
    recording_end(r, RECORDING_FAILED, 0, 100);
    recording_unref(r);
    r = recording_find(&a, &fresh, &other); /* the key is free again */
    assert_true(r && fresh);
    recording_end(r, RECORDING_FAILED, 0, 100);
    recording_unref(r);
    forget(0, 2);
}

/* ---- readers on other threads ---- */

enum { READERS = 4, PIECES_WRITTEN = 4000 };

struct reader {
    struct recording_watcher watcher;
    struct recording *r;
    _Atomic bool woken;
    size_t got;
    bool right;
    pthread_t thread;
};

static void on_wake(struct recording_watcher *w)
{
    ((struct reader *)w)->woken = true;
}

static void *read_all(void *arg)
{
    struct reader *d = arg;
    struct recording_place place = {0};
    enum recording_state state;
    bool last = false;
    d->right = true;
    while (!last) {
        struct iovec v[3];
        d->woken = false;
        int n = recording_read(d->r, &place, v, 3, &d->watcher, &state, &last);
        for (int i = 0; i < n; i++) {
            for (size_t k = 0; k < v[i].iov_len; k++, d->got++) {
                d->right = d->right && ((const char *)v[i].iov_base)[k] == (char)(d->got % 251);
            }
        }
        while (n == 0 && !last && !d->woken) {
        }
    }
    d->right = d->right && state == RECORDING_WHOLE;
    recording_unwatch(d->r, &d->watcher);
    return NULL;
}

static void readers_get_all_of_it_whenever_they_come(void **state)
{
    (void)state;
    uint8_t key[RECORDING_KEY];
    recordings_limit(10 * 1024 * 1024, 10 * 1024 * 1024);
    struct recording_ask a = ask_for(key, 7, STR("a"));
    struct recording *r = recording_new(&a);
    struct reader readers[READERS];
    memset(readers, 0, sizeof readers);
    recording_begin(r, STR("t"), STR("x: y\r\n"), STR("p/m"));
    size_t written = 0;
    for (unsigned i = 0; i < PIECES_WRITTEN; i++) {
        if (i % (PIECES_WRITTEN / READERS) == 0) {
            struct reader *d = &readers[i / (PIECES_WRITTEN / READERS)];
            d->r = recording_ref(r);
            d->watcher.wake = on_wake;
            pthread_create(&d->thread, NULL, read_all, d);
        }
        char piece[300];
        size_t n = 1 + i * 7 % sizeof piece;
        for (size_t k = 0; k < n; k++) {
            piece[k] = (char)((written + k) % 251);
        }
        struct iovec v = {piece, n};
        assert_true(recording_add(r, &v, 1));
        written += n;
    }
    recording_end(r, RECORDING_WHOLE, 0, 100);
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_true(readers[i].right);
        assert_int_equal(readers[i].got, written);
        recording_unref(readers[i].r);
    }
    recording_unref(r);
    forget(7, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_found_until_its_time_is_over),
        cmocka_unit_test(what_is_used_stays_and_the_bound_holds),
        cmocka_unit_test(who_has_more_goes_first),
        cmocka_unit_test(room_among_many_tenants_costs_little),
        cmocka_unit_test(too_long_is_not_kept),
        cmocka_unit_test(another_payload_is_told_apart),
        cmocka_unit_test(readers_get_all_of_it_whenever_they_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
