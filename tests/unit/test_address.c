/* Addresses and networks as text, and the table that counts for each address in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "net/network.h"
#include "policy/address_table.h"

static void networks_hold_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        bool inside;
    } all[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"10.128.0.0/9", "10.127.0.1", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/32", "[2001:db8:1::1]:443", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"127.0.0.0/8", "127.9.9.9:1234", true},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct network n;
        uint8_t address[16];
        assert_true(network_read(str_of(all[i].network), &n));
        assert_true(address_read(str_of(all[i].address), address));
        if (network_holds(&n, 1, address) != all[i].inside) {
            fail_msg("%s in %s", all[i].address, all[i].network);
        }
    }
    static const char *const bad[] = {
        "",          "10.0.0.0/33", "10.0.0.1/8", "::1/129",      "example.com",
        "10.0.0.0/", "10.0.0.0/-1", "1.2.3",      "10.0.0.0/8/8", " 10.0.0.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct network n;
        if (network_read(str_of(bad[i]), &n)) {
            fail_msg("\"%s\" is no network", bad[i]);
        }
    }
    uint8_t address[16];
    assert_false(address_read(STR("unknown"), address));
    assert_false(address_read(STR("[::1"), address));
    assert_false(address_read(STR(""), address));
}

static void addresses_are_printed_as_people_write_them(void **state)
{
    (void)state;
    static const char *const all[][3] = {
        {"192.0.2.7", "192.0.2.7", "192.0.2.7"},
        {"::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"},
        {"[2001:db8:0:1::9]:443", "2001:db8:0:1::9", "2001:db8:0:1::"},
    };
    struct arena a = {0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint8_t address[16];
        assert_true(address_read(str_of(all[i][0]), address));
        assert_true(str_eq(address_print(&a, address), str_of(all[i][1])));
        address_cut(address);
        assert_true(str_eq(address_print(&a, address), str_of(all[i][2])));
    }
    arena_reset(&a);
}

static const struct limit_rule three = {.what = LIMIT_REQUESTS, .per = PER_SECOND, .at_most = 3};

static struct limit_now at(uint64_t s)
{
    return (struct limit_now){.mono_us = ((uint64_t)1 << 50) + s * 1000000, .wall_us = s * 1000000};
}

/* One request of the address at a second; false: it is refused. */
static bool take(struct address_table *t, const uint8_t *address, uint64_t s)
{
    struct limit_now now = at(s);
    struct limit_rule r = three;
    r.counter = address_table_find(t, address, &three, &now);
    struct limit_item i = {.rule = &r, .amount = 1};
    return limit_reserve(&i, 1, &now) == 1;
}

static void each_address_has_its_own(void **state)
{
    (void)state;
    struct address_table *t = address_table_new();
    static const char *const text[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"};
    uint8_t address[16];
    for (size_t i = 0; i < 4; i++) {
        assert_true(address_read(str_of(text[i]), address));
        address_cut(address);
        for (unsigned k = 0; k < 5; k++) {
            assert_int_equal(take(t, address, 100), k < 3);
        }
    }
    /* of one /64 */
    assert_true(address_read(STR("2001:db8::ffff:1"), address));
    address_cut(address);
    assert_false(take(t, address, 100));
    assert_true(take(t, address, 102)); /* the window is over */
    address_table_free(t);
}

static void many_addresses_take_no_more_memory_and_nobody_gets_more(void **state)
{
    (void)state;
    struct address_table *t = address_table_new();
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 198};
    uint32_t passed = 0;
    for (uint32_t i = 0; i < 8 * ADDRESSES; i++) {
        memcpy(address + 12, &i, sizeof i);
        passed += take(t, address, 200);
    }
    assert_true(passed >= ADDRESSES && passed <= 3 * ADDRESSES);
    /* They are forgotten when their window is over: those who come then have places of their own again. */
    struct limit_now later = at(205);
    assert_false(address_table_sweep(t, PER_SECOND, NULL, &later));
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t other = 0x01000000u + i;
        memcpy(address + 12, &other, sizeof other);
        for (unsigned k = 0; k < 3; k++) {
            refused += !take(t, address, 205);
        }
        assert_false(take(t, address, 205));
    }
    assert_int_equal(refused, 0);
    address_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_what_they_say),
        cmocka_unit_test(addresses_are_printed_as_people_write_them),
        cmocka_unit_test(each_address_has_its_own),
        cmocka_unit_test(many_addresses_take_no_more_memory_and_nobody_gets_more),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
