/* Names and addresses; the resolver's answers come from a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netbench.h"

/* ---- names ---- */

struct asker {
    struct names_wait w;
    struct bench *b;
    struct names_answer a;
    int calls;
};

static void asked(struct names_wait *w, const struct names_answer *a)
{
    struct asker *k = (struct asker *)((char *)w - offsetof(struct asker, w));
    k->a = *a;
    k->calls++;
    loop_stop(k->b->l);
}

static struct names_answer ask(struct bench *b, const char *host)
{
    struct asker k = {.w.done = asked, .b = b};
    if (!names_lookup(b->l, str_of(host), &k.w, &k.a)) {
        assert_true(run_for(b, 3000));
        assert_int_equal(k.calls, 1);
    }
    return k.a;
}

static void expect_address(const struct names_answer *a, size_t i, const char *text)
{
    char got[INET6_ADDRSTRLEN];
    assert_true(i < a->n);
    inet_ntop(a->at[i].n == 4 ? AF_INET : AF_INET6, a->at[i].bytes, got, sizeof got);
    assert_string_equal(got, text);
}

static void families_take_turns(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct names_answer a = ask(b, "many.test");
    assert_int_equal(a.n, 4);
    expect_address(&a, 0, "127.0.0.2");
    expect_address(&a, 1, "::1");
    expect_address(&a, 2, "127.0.0.3");
    expect_address(&a, 3, "::2");
    a = ask(b, "both.test");
    assert_int_equal(a.n, 2);
    expect_address(&a, 0, "::1");
    expect_address(&a, 1, "127.0.0.1");
    bench_free(b);
}

static void names_are_remembered(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    int before = fake_calls("slow.test");
    /* Several who ask while one look-up runs share it; one of them leaves. */
    struct asker k[4];
    for (int i = 0; i < 4; i++) {
        k[i] = (struct asker){.w.done = asked, .b = b};
        assert_false(names_lookup(b->l, STR("slow.test"), &k[i].w, &k[i].a));
    }
    names_cancel(&k[1].w);
    names_cancel(&k[1].w);
    assert_true(run_for(b, 3000));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(k[i].calls, i != 1);
    }
    assert_int_equal(fake_calls("slow.test"), before + 1);
    struct names_answer a;
    struct asker none = {.w.done = asked, .b = b};
    assert_true(names_lookup(b->l, STR("SLOW.test"), &none.w, &a));
    expect_address(&a, 0, "127.0.0.1");
    assert_int_equal(fake_calls("slow.test"), before + 1);

    before = fake_calls("none.test");
    a = ask(b, "none.test");
    assert_int_equal(a.n, 0);
    assert_string_equal(a.why, "no such name");
    assert_true(names_lookup(b->l, STR("none.test"), &none.w, &a));
    assert_int_equal(fake_calls("none.test"), before + 1);
    bench_free(b);
}

/* The loop's clock moves for the rest of this turn only. */
static void later(struct bench *b, uint64_t s)
{
    b->l->now_us = clock_us() + s * 1000000;
    b->l->now_ms = b->l->now_us / 1000;
}

static void expect_refreshed(struct bench *b, const char *host, int calls)
{
    for (int i = 0; i < 100 && fake_calls(host) < calls; i++) {
        run_for(b, 10);
    }
    run_for(b, 30);
    assert_int_equal(fake_calls(host), calls);
}

static void old_answers_serve_while_new_ones_come(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct names_answer a = ask(b, "shaky.test");
    struct asker k = {.w.done = asked, .b = b};
    int calls = fake_calls("shaky.test");

    later(b, 29);
    assert_true(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    expect_refreshed(b, "shaky.test", calls);

    fake_set("shaky.test", "127.0.0.9", 0);
    later(b, 31);
    assert_true(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    expect_address(&a, 0, "127.0.0.1");
    expect_refreshed(b, "shaky.test", ++calls);
    a = ask(b, "shaky.test");
    expect_address(&a, 0, "127.0.0.9");
    assert_int_equal(fake_calls("shaky.test"), calls);

    /* A name server in trouble does not take the answer away ... */
    fake_set("shaky.test", "127.0.0.9", EAI_AGAIN);
    names_doubt(b->l, STR("shaky.test"));
    assert_true(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    expect_refreshed(b, "shaky.test", ++calls);
    a = ask(b, "shaky.test");
    expect_address(&a, 0, "127.0.0.9");
    /* ... for half an hour. */
    later(b, 31 * 60);
    assert_false(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    names_cancel(&k.w);
    expect_refreshed(b, "shaky.test", ++calls);

    /* One that says no does. */
    fake_set("shaky.test", "127.0.0.9", EAI_NONAME);
    later(b, 10);
    assert_true(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    assert_int_equal(a.n, 1);
    expect_refreshed(b, "shaky.test", ++calls);
    a = ask(b, "shaky.test");
    assert_int_equal(a.n, 0);
    assert_string_equal(a.why, "no such name");
    /* And bad news do not serve when they are old. */
    fake_set("shaky.test", "127.0.0.1", 0);
    later(b, 6);
    assert_false(names_lookup(b->l, STR("shaky.test"), &k.w, &a));
    assert_true(run_for(b, 3000));
    assert_int_equal(k.a.n, 1);
    bench_free(b);
}

static void memory_of_names_is_bounded(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    char host[32];
    int calls = fake_calls("four.test");
    ask(b, "four.test");
    for (int i = 0; i < NAMES_ENTRIES - 1; i++) {
        snprintf(host, sizeof host, "filler-%d.test", i);
        assert_int_equal(ask(b, host).n, 1);
    }
    ask(b, "four.test");
    assert_int_equal(fake_calls("four.test"), calls + 1); /* all fit */
    for (int i = NAMES_ENTRIES; i < 2 * NAMES_ENTRIES; i++) {
        snprintf(host, sizeof host, "filler-%d.test", i);
        assert_int_equal(ask(b, host).n, 1);
    }
    ask(b, "four.test");
    assert_int_equal(fake_calls("four.test"), calls + 2); /* it was the oldest and had to go */
    /* What is in use stays. */
    for (int i = 0; i < 2 * NAMES_ENTRIES; i++) {
        snprintf(host, sizeof host, "filler-y%d.test", i);
        ask(b, host);
        ask(b, "four.test");
    }
    assert_int_equal(fake_calls("four.test"), calls + 2);

    /* All of them in flight: one more is refused, and it works again afterwards. */
    struct asker *k = mem_zalloc(NAMES_ENTRIES * sizeof *k);
    for (int i = 0; i < NAMES_ENTRIES; i++) {
        snprintf(host, sizeof host, "filler-x%d.test", i);
        k[i] = (struct asker){.w.done = asked, .b = b};
        assert_false(names_lookup(b->l, str_of(host), &k[i].w, &k[i].a));
    }
    assert_string_equal(ask(b, "one-more.test").why, "too many names are being looked up");
    for (int i = 0; i < NAMES_ENTRIES; i++) {
        while (!k[i].calls) {
            assert_true(run_for(b, 3000));
        }
        assert_int_equal(k[i].a.n, 1);
    }
    free(k);
    assert_string_equal(ask(b, "one-more.test").why, "no such name");
    bench_free(b);
}

/* The loop may go while names are being looked up. */
static void loops_end_with_lookups_under_way(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    char host[32];
    struct asker *k = mem_zalloc(20 * sizeof *k);
    for (int i = 0; i < 20; i++) {
        snprintf(host, sizeof host, "filler-e%d.test", i);
        k[i] = (struct asker){.w.done = asked, .b = b};
        assert_false(names_lookup(b->l, i ? str_of(host) : STR("slow.test"), &k[i].w, &k[i].a));
        names_cancel(&k[i].w);
    }
    bench_free(b);
    free(k);
}

/* ---- private addresses ---- */

static void private_addresses_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool is_private;
    } cases[] = {
        {"0.0.0.0", true},
        {"0.1.2.3", true},
        {"1.0.0.0", false},
        {"9.255.255.255", false},
        {"10.0.0.0", true},
        {"10.255.255.255", true},
        {"11.0.0.0", false},
        {"100.63.255.255", false},
        {"100.64.0.0", true},
        {"100.127.255.255", true},
        {"100.128.0.0", false},
        {"126.255.255.255", false},
        {"127.0.0.1", true},
        {"127.255.255.255", true},
        {"128.0.0.0", false},
        {"169.253.255.255", false},
        {"169.254.169.254", true},
        {"169.255.0.0", false},
        {"172.15.255.255", false},
        {"172.16.0.0", true},
        {"172.31.255.255", true},
        {"172.32.0.0", false},
        {"192.0.0.1", true},
        {"192.0.1.1", false},
        {"192.0.2.1", true},
        {"192.0.3.0", false},
        {"192.88.99.1", true},
        {"192.167.255.255", false},
        {"192.168.0.0", true},
        {"192.168.255.255", true},
        {"192.169.0.0", false},
        {"198.17.255.255", false},
        {"198.18.0.0", true},
        {"198.19.255.255", true},
        {"198.20.0.0", false},
        {"198.51.100.7", true},
        {"203.0.113.7", true},
        {"203.0.114.0", false},
        {"223.255.255.255", false},
        {"224.0.0.1", true},
        {"239.255.255.255", true},
        {"240.0.0.1", true},
        {"255.255.255.255", true},
        {"8.8.8.8", false},
        {"::", true},
        {"::1", true},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", false},
        {"::ffff:10.0.0.1", true},
        {"::8.8.8.8", true},
        {"64:ff9b::8.8.8.8", false},
        {"64:ff9b::10.0.0.1", true},
        {"64:ff9b:1::1", true},
        {"100::1", true},
        {"2001::1", true},
        {"2001:1ff:ffff::1", true},
        {"2001:200::1", false},
        {"2001:db8::1", true},
        {"2001:db9::1", false},
        {"2002:0a00:0001::1", true},
        {"2002:0808:0808::1", false},
        {"2606:4700::1111", false},
        {"2a00:1450:4001::1", false},
        {"3fff::1", true},
        {"3fff:fff:ffff::1", true},
        {"3fff:1000::1", false},
        {"4000::1", true},
        {"5f00::1", true},
        {"fc00::1", true},
        {"fdff::1", true},
        {"fe80::1", true},
        {"febf::1", true},
        {"fec0::1", true},
        {"ff02::1", true},
        {"1fff::1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a;
        assert_true(names_literal(str_of(cases[i].address), &a));
        if (address_is_private(a.bytes, a.n) != cases[i].is_private) {
            fail_msg("%s", cases[i].address);
        }
    }
    uint8_t odd[6] = {8, 8, 8, 8, 8, 8};
    assert_true(address_is_private(odd, sizeof odd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(names_are_remembered),
        cmocka_unit_test(old_answers_serve_while_new_ones_come),
        cmocka_unit_test(memory_of_names_is_bounded),
        cmocka_unit_test(loops_end_with_lookups_under_way),
        cmocka_unit_test(private_addresses_are_known),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
