#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define IS_POISONED(p) __asan_address_is_poisoned(p)
#else
#define IS_POISONED(p) ((void)(p), true)
#endif

static const size_t KiB = 1024, MiB = 1024 * 1024;

static void blocks_come_in_classes(void **state)
{
    (void)state;
    static const struct {
        size_t asked, got;
    } cases[] = {
        {0, 2048},          {1, 2048},          {2047, 2048},       {2048, 2048},
        {2049, 4096},       {1000000, 1048576}, {1048577, 2097152}, {2097152, 2097152},
        {2097153, 2097153}, {5000001, 5000001},
    };
    struct pool p = {.keep_max = 64 * MiB};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        char *b = pool_take(&p, cases[i].asked, &size);
        assert_int_equal(size, cases[i].got);
        assert_int_equal(p.lent, size);
        memset(b, 0xAA, size); /* all of it is ours */
        pool_give(&p, b, size);
        assert_int_equal(p.lent, 0);
    }
    pool_trim(&p, 0);
    assert_int_equal(p.kept, 0);
}

static void freed_blocks_are_used_again(void **state)
{
    (void)state;
    struct pool p = {.keep_max = MiB};
    size_t size;
    char *a = pool_take(&p, 3000, &size);
    char *b = pool_take(&p, 4000, &size);
    assert_int_equal(p.lent, 8192);
    pool_give(&p, a, size);
    pool_give(&p, b, size);
    assert_int_equal(p.kept, 8192);
    assert_true(IS_POISONED(a + 100));
    assert_ptr_equal(pool_take(&p, 2500, &size), b);
    assert_ptr_equal(pool_take(&p, 4096, &size), a);
    assert_int_equal(p.kept, 0);
    memset(a, 1, size);
    memset(b, 1, size);
    pool_give(&p, a, size);
    pool_give(&p, b, size);
    /* A class serves only itself. */
    char *c = pool_take(&p, 5000, &size);
    assert_int_equal(size, 8192);
    assert_int_equal(p.kept, 8192);
    pool_give(&p, c, size);
    pool_trim(&p, 0);
}

static void keeping_has_a_cap(void **state)
{
    (void)state;
    struct pool p = {.keep_max = 10 * KiB};
    void *b[20];
    size_t size;
    for (int i = 0; i < 20; i++) {
        b[i] = pool_take(&p, 1024, &size);
    }
    for (int i = 0; i < 20; i++) {
        pool_give(&p, b[i], size);
        assert_true(p.kept <= p.keep_max);
    }
    assert_int_equal(p.kept, 10 * KiB);
    void *large = pool_take(&p, 3 * MiB, &size);
    pool_give(&p, large, size); /* too large to keep at all */
    assert_int_equal(p.kept, 10 * KiB);
    pool_trim(&p, 4 * KiB);
    assert_true(p.kept <= 4 * KiB);
    assert_true(p.kept > 0);
    pool_trim(&p, 0);
    assert_int_equal(p.kept, 0);
}

struct piece {
    unsigned char *p;
    size_t n;
    unsigned char with;
};

static void fill_and_check(struct arena *a)
{
    enum { N = 3000 };
    static struct piece pieces[N];
    uint64_t r = 88172645463325252U;
    for (int i = 0; i < N; i++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        size_t n = r % 100 ? r / 100 % 300 : r / 100 % 200000;
        pieces[i] = (struct piece){arena_alloc(a, n), n, (unsigned char)(r >> 32)};
        assert_non_null(pieces[i].p);
        assert_int_equal((uintptr_t)pieces[i].p % 16, 0);
        memset(pieces[i].p, pieces[i].with, n);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < pieces[i].n; k++) {
            if (pieces[i].p[k] != pieces[i].with) {
                fail_msg("piece %d of %zu bytes was overwritten at %zu", i, pieces[i].n, k);
            }
        }
    }
}

static void pieces_do_not_overlap(void **state)
{
    (void)state;
    struct arena plain = {0};
    fill_and_check(&plain);
    arena_reset(&plain);
    fill_and_check(&plain); /* it stays usable */
    arena_reset(&plain);
    arena_reset(&plain);

    struct pool p = {.keep_max = 4 * MiB};
    struct arena pooled = {.pool = &p};
    for (int i = 0; i < 3; i++) {
        fill_and_check(&pooled);
        assert_true(p.lent > 0);
        arena_reset(&pooled);
        assert_int_equal(p.lent, 0);
        assert_true(p.kept <= p.keep_max);
    }
    pool_trim(&p, 0);
}

/* What a call needs again and again costs no malloc: its blocks come back from the pool. */
static void a_reset_arena_takes_the_same_block(void **state)
{
    (void)state;
    struct pool p = {.keep_max = MiB};
    struct arena a = {.pool = &p};
    void *first = arena_alloc(&a, 100);
    arena_reset(&a);
    assert_true(IS_POISONED(first));
    size_t kept = p.kept;
    for (int i = 0; i < 10; i++) {
        assert_ptr_equal(arena_alloc(&a, 100), first);
        arena_reset(&a);
        assert_int_equal(p.kept, kept);
    }
    pool_trim(&p, 0);
}

static void a_rewound_arena_keeps_one_small_block(void **state)
{
    (void)state;
    struct pool pool = {.keep_max = 1 << 20};
    struct arena a = {.pool = &pool};
    arena_rewind(&a); /* there is nothing to keep */
    char *first = arena_alloc(&a, 100);
    arena_rewind(&a);
    assert_int_equal(pool.lent, 2048);
    assert_ptr_equal(arena_alloc(&a, 200), first);
    arena_alloc(&a, 3000); /* a second block */
    arena_rewind(&a);
    assert_int_equal(pool.lent, 0);
    arena_alloc(&a, 8000); /* a large one */
    arena_rewind(&a);
    assert_int_equal(pool.lent, 0);
    pool_trim(&pool, 0);
}

static void tails_are_given_back(void **state)
{
    (void)state;
    struct arena a = {0};
    char *p = arena_alloc(&a, 200);
    arena_trim(&a, p, 200, 20);
    assert_false(IS_POISONED(p + 19) && !IS_POISONED(p + 40));
    assert_true(IS_POISONED(p + 40));
    assert_ptr_equal(arena_alloc(&a, 10), p + 32); /* right behind, aligned */
    /* Not the last one any more: nothing to give back, and nothing breaks. */
    arena_trim(&a, p, 32, 0);
    char *q = arena_alloc(&a, 10);
    assert_ptr_equal(q, p + 48);
    arena_trim(&a, q, 10, 0);
    assert_ptr_equal(arena_alloc(&a, 10), q);
    arena_reset(&a);
}

static void text_is_copied(void **state)
{
    (void)state;
    struct arena a = {0};
    char source[] = "hello";
    struct str s = arena_dup(&a, str_of(source));
    char *z = arena_dupz(&a, str_make(source, 3));
    source[0] = 'J';
    assert_true(str_eq(s, STR("hello")));
    assert_string_equal(z, "hel");
    assert_string_equal(arena_dupz(&a, (struct str){0}), "");
    assert_int_equal(arena_dup(&a, (struct str){0}).n, 0);
    assert_true(str_eq(arena_printf(&a, "%s-%d", "x", 42), STR("x-42")));
    assert_int_equal(arena_printf(&a, "%s", "").n, 0);
    struct str wide = arena_printf(&a, "%5000d", 7);
    assert_int_equal(wide.n, 5000);
    assert_int_equal(wide.p[4999], '7');
    unsigned char *zeros = arena_zalloc(&a, 5000);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(zeros[i], 0);
    }
    arena_reset(&a);
}

/* What lies behind the last allocation is not to be touched. */
static void the_unused_rest_is_poisoned(void **state)
{
    (void)state;
    struct arena a = {0};
    char *p = arena_alloc(&a, 48);
    assert_true(IS_POISONED(p + 48));
#ifdef HAS_ASAN
    assert_false(IS_POISONED(p + 47));
#endif
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_in_classes),
        cmocka_unit_test(freed_blocks_are_used_again),
        cmocka_unit_test(keeping_has_a_cap),
        cmocka_unit_test(pieces_do_not_overlap),
        cmocka_unit_test(a_reset_arena_takes_the_same_block),
        cmocka_unit_test(a_rewound_arena_keeps_one_small_block),
        cmocka_unit_test(tails_are_given_back),
        cmocka_unit_test(text_is_copied),
        cmocka_unit_test(the_unused_rest_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
