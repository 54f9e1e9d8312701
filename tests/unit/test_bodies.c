/* Bodies: what is hidden, that it is sealed, where it goes and when, and what becomes of it when nothing can be written. */
#include <errno.h>
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

#include "ledger/bodies.h"
#include "ledger/body_file.h"
#include "net/loop.h"
#include "store/seal.h"

static char dir[64], files[96];
static struct store *store;

static int make_dir(void **state)
{
    struct buf errors = {0};
    (void)state;
    if (sodium_init() < 0) {
        return -1;
    }
    snprintf(dir, sizeof dir, "/tmp/accord-bodies-XXXXXX");
    if (!mkdtemp(dir)) {
        return -1;
    }
    snprintf(files, sizeof files, "%s/bodies", dir);
    const struct store_options o = {.data_dir = str_of(dir)};
    return store_open(&o, &store, &errors);
}

static int drop_dir(void **state)
{
    char command[128];
    (void)state;
    store_close(store);
    chmod(files, 0700);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct bodies *start(int64_t max_bytes)
{
    const struct bodies_options o = {
        .dir = files, .store = store, .max_bytes = max_bytes, .keep_days = 30};
    return bodies_start(&o);
}

static struct body *make(struct bodies *b, unsigned i, struct str asked, struct str answered)
{
    struct body *x = body_new(b);
    assert_non_null(x);
    snprintf(x->id, sizeof x->id, "req_%026u", i);
    x->status = 200;
    x->keep_days = 7;
    x->max_bytes = 1000;
    body_add(x, &x->request, asked, x->max_bytes);
    body_add(x, &x->answer, answered, x->max_bytes);
    return x;
}

static struct str id_of(struct arena *a, unsigned i)
{
    return arena_printf(a, "req_%026u", i);
}

/* "" when there is none. */
static struct str get(struct bodies *b, struct arena *a, unsigned i)
{
    struct str text;
    int r = bodies_get(b, a, id_of(a, i), &text);
    assert_true(r == 0 || r == -ENOENT);
    return r == 0 ? text : STR("");
}

static bool has(struct str text, struct str part)
{
    return str_find(text, part) >= 0;
}

static int32_t today(void)
{
    return (int32_t)(time(NULL) / 86400);
}

/* ---- what is hidden ---- */

/* The answer as it is kept. `limit`: how much of it was collected. */
static struct str kept(struct arena *a, struct str answer, size_t max, size_t limit,
                       const struct str *pairs, size_t n)
{
    struct body x = {.max_bytes = max, .masked = true};
    struct buf to = {.arena = a};
    for (size_t i = 0; i < n; i++) {
        assert_true(body_hides(&x, pairs[2 * i], pairs[2 * i + 1]));
    }
    x.answer.bytes = answer.n;
    buf_add(&x.answer.text, str_first(answer, limit));
    body_json(&x, STR("2026-12-05"), &to);
    buf_free(&x.answer.text);
    buf_free(&x.hidden);
    ptrdiff_t at = str_find(buf_str(&to), STR("\"answer\""));
    return str_from(buf_str(&to), (size_t)at);
}

static void test_what_was_hidden_is_hidden_in_each_of_its_spellings(void **state)
{
    const struct str pairs[] = {
        STR("joe@example.com"), STR("[EMAIL_1]"), STR("joe@example.com.au"), STR("[EMAIL_2]"),
        STR("a\\\"b\\\\c"),     STR("[WORD_1]"),  STR("jim\\u0040x.org"),    STR("[EMAIL_3]")};
    struct arena a = {0};
    (void)state;
    struct str s =
        kept(&a,
             STR("1 joe@example.com 2 joe@example.com.au 3 a\\\"b\\\\c 4 a\\\\\\\"b\\\\\\\\c "
                 "5 jim\\u0040x.org 6 jim@x.org joe@example"),
             1000, 1000, pairs, 4);
    assert_true(has(s, STR("\"text\":\"1 [EMAIL_1] 2 [EMAIL_2] 3 [WORD_1] 4 [WORD_1] 5 [EMAIL_3] 6 "
                           "[EMAIL_3] joe@example\"")));
    assert_true(has(s, STR("\"cut\":false")));
    arena_reset(&a);
}

/* Wherever the answer is cut, nothing of a value is left, not even its beginning. */
static void test_a_value_at_the_cut_leaves_no_beginning(void **state)
{
    const struct str pairs[] = {STR("joe@example.com"), STR("[E]")};
    struct arena a = {0};
    (void)state;
    for (size_t pad = 0; pad < 80; pad++) {
        for (size_t slack = 0; slack <= 30; slack += 10) {
            struct buf text = {.arena = &a};
            for (size_t i = 0; i < pad; i++) {
                buf_addz(&text, "x");
            }
            buf_addz(&text, "joe@example.com");
            for (size_t i = 0; i < 100; i++) {
                buf_addz(&text, "y");
            }
            struct str s = kept(&a, buf_str(&text), 50, 50 + slack, pairs, 1);
            assert_false(has(s, STR("xj")) || has(s, STR("\"j")));
            assert_true(has(s, STR("\"cut\":true")));
        }
        arena_reset(&a);
    }
}

static void test_characters_are_not_cut_in_two(void **state)
{
    struct arena a = {0};
    (void)state;
    for (size_t max = 1; max < 12; max++) {
        struct str s =
            kept(&a, STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80xyz\xc3\xa9"), max, max, NULL, 0);
        assert_true(has(s, STR("\"text\":\"")) && !has(s, STR("\xef\xbf\xbd")));
    }
    assert_true(has(kept(&a, STR("\xff\xfe"), 9, 9, NULL, 0), STR("\"base64\":\"//4=\"")));
    arena_reset(&a);
}

static void test_too_much_to_hide_keeps_no_answer(void **state)
{
    struct arena a = {0};
    struct body x = {.max_bytes = 100};
    struct buf to = {.arena = &a};
    struct str plain = arena_printf(&a, "%01000d", 7);
    (void)state;
    while (body_hides(&x, plain, STR("[X]"))) {
    }
    buf_addz(&x.answer.text, "answer");
    body_json(&x, STR(""), &to);
    assert_true(has(buf_str(&to), STR("\"absent\":\"not_masked\"")));
    assert_false(has(buf_str(&to), STR("\"text\":\"answer\"")));
    buf_free(&x.answer.text);
    buf_free(&x.hidden);
    arena_reset(&a);
}

/* ---- sealing ---- */

static void test_what_is_written_can_be_read_and_only_under_its_key(void **state)
{
    struct arena a = {0};
    struct str sealed, plain;
    struct sealer none = {0}, key = {0};
    (void)state;
    struct bodies *b = start(1 << 30);
    assert_int_equal(store_data_key(store, STR("bodies"), false, &none), -ENOENT);
    bodies_put(make(b, 1, STR("asked-1"), STR("answered-1")));
    struct str text = get(b, &a, 1);
    assert_true(has(text, STR("\"text\":\"asked-1\"")) &&
                has(text, STR("\"text\":\"answered-1\"")));
    assert_int_equal(get(b, &a, 2).n, 0);
    assert_int_equal(store_data_key(store, STR("bodies"), false, &key), 0);
    assert_int_equal(body_file_get(files, &a, id_of(&a, 1), &sealed), 0);
    assert_false(has(sealed, STR("asked")));
    assert_int_equal(unseal(&key, &a, id_of(&a, 1), sealed, &plain), 0);
    assert_int_equal(unseal(&key, &a, id_of(&a, 2), sealed, &plain),
                     -EBADMSG); /* not another call's */
    ((char *)(uintptr_t)sealed.p)[sealed.n / 2] ^= 1;
    assert_int_equal(unseal(&key, &a, id_of(&a, 1), sealed, &plain), -EBADMSG);
    bodies_stop(b);
    seal_close(&key);
    seal_close(&none);
    arena_reset(&a);
}

static void test_what_waits_at_the_end_is_written(void **state)
{
    struct arena a = {0};
    (void)state;
    struct bodies *b = start(1 << 30);
    for (unsigned i = 0; i < 300; i++) {
        bodies_put(make(b, i, STR("q"), STR("a")));
    }
    bodies_stop(b);
    b = start(1 << 30);
    for (unsigned i = 0; i < 300; i++) {
        assert_true(get(b, &a, i).n > 0);
    }
    bodies_stop(b);
    arena_reset(&a);
}

/* ---- files ---- */

static void name_of(char *to, size_t cap, int32_t day, int64_t first)
{
    struct partition_name n = {day, first};
    partition_path(to, cap, files, &n);
}

static void test_each_goes_on_its_own_day(void **state)
{
    struct arena a = {0};
    char path[128];
    struct body_file none = {0};
    (void)state;
    struct bodies *b = start(1 << 30);
    for (unsigned i = 0; i < 20; i++) {
        struct body *x = make(b, i, STR("q"), STR("a"));
        x->keep_days = i % 2 ? 2 : 400; /* but the ledger's 30 at most */
        bodies_put(x);
    }
    bodies_stop(b);
    name_of(path, sizeof path, today() + 2, 1);
    assert_int_equal(access(path, F_OK), 0);
    name_of(path, sizeof path, today() + 30, 1);
    assert_int_equal(access(path, F_OK), 0);
    body_files_retain(files, today() + 3, INT64_MAX, &none);
    b = start(1 << 30);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(get(b, &a, i).n > 0, i % 2 == 0);
    }
    bodies_stop(b);
    arena_reset(&a);
}

static void test_by_size_those_go_first_that_would_go_next(void **state)
{
    struct arena a = {0};
    struct body_file f = {0}, none = {0};
    struct str ignored, blob = str_make(memset(arena_alloc(&a, 100000), 'x', 100000), 100000);
    (void)state;
    for (int32_t day = 10; day < 20; day++) {
        assert_int_equal(body_file_for(&f, files, day, 1 << 20, false), 0);
        assert_int_equal(body_file_add(&f, id_of(&a, (unsigned)day), blob), 0);
    }
    int64_t left = body_files_retain(files, 12, 500000, &f);
    assert_true(left <= 500000);
    assert_int_equal(body_file_get(files, &a, id_of(&a, 10), &ignored), -ENOENT);
    assert_int_equal(body_file_get(files, &a, id_of(&a, 13), &ignored), -ENOENT);
    assert_int_equal(body_file_get(files, &a, id_of(&a, 18), &ignored), 0);
    assert_true(body_files_retain(files, 30, 0, &f) > 0); /* the open one stays */
    assert_int_equal(body_file_get(files, &a, id_of(&a, 19), &ignored), 0);
    body_file_close(&f);
    assert_int_equal(body_files_retain(files, 30, 0, &none), 0);
    arena_reset(&a);
}

/* A process that dies leaves its log; of a file that is torn nothing else is harmed. */
static void test_a_torn_file_harms_no_other(void **state)
{
    struct arena a = {0};
    struct body_file f = {0};
    struct str ignored;
    char path[128];
    (void)state;
    assert_int_equal(body_file_for(&f, files, today() + 7, 1 << 20, false), 0);
    assert_int_equal(body_file_add(&f, id_of(&a, 1), STR("first")), 0);
    body_file_close(&f);
    name_of(path, sizeof path, today() + 7, 1);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(body_file_get(files, &a, id_of(&a, 1), &ignored), -ENOENT);
    struct bodies *b = start(1 << 30);
    bodies_put(make(b, 2, STR("second"), STR("a")));
    assert_true(has(get(b, &a, 2), STR("second")));
    bodies_stop(b);
    name_of(path, sizeof path, today() + 7, 2);
    assert_int_equal(access(path, F_OK), 0);
    arena_reset(&a);
}

/* Its first page is well, those behind are not. */
static void test_a_file_that_cannot_take_more_is_left_alone(void **state)
{
    struct arena a = {0};
    char path[128], junk[4096];
    (void)state;
    struct bodies *b = start(1 << 30);
    for (unsigned i = 0; i < 50; i++) {
        bodies_put(make(b, i, STR("first"), STR("a")));
    }
    bodies_stop(b);
    name_of(path, sizeof path, today() + 7, 1);
    FILE *f = fopen(path, "r+");
    memset(junk, 0xee, sizeof junk);
    assert_int_equal(fseek(f, 4096, SEEK_SET), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(fwrite(junk, sizeof junk, 1, f), 1);
    }
    fclose(f);
    b = start(1 << 30);
    for (unsigned i = 100; i < 110; i++) {
        bodies_put(make(b, i, STR("second"), STR("a")));
        assert_true(has(get(b, &a, i), STR("second")));
    }
    struct bodies_state s;
    bodies_state(b, &s);
    assert_true(s.lost == 0 && s.error == 0);
    bodies_stop(b);
    name_of(path, sizeof path, today() + 7, 2);
    assert_int_equal(access(path, F_OK), 0);
    arena_reset(&a);
}

static void test_forgotten_is_overwritten(void **state)
{
    struct arena a = {0};
    (void)state;
    struct bodies *b = start(1 << 30);
    bodies_put(make(b, 1, STR("one"), STR("a")));
    bodies_put(make(b, 2, STR("two"), STR("a")));
    assert_int_equal(bodies_forget(b, id_of(&a, 1)), 0); /* though it may not be written yet */
    assert_int_equal(bodies_forget(b, id_of(&a, 1)), -ENOENT);
    assert_int_equal(get(b, &a, 1).n, 0);
    assert_false(bodies_has(b, id_of(&a, 1)));
    assert_true(has(get(b, &a, 2), STR("two")) && bodies_has(b, id_of(&a, 2)));
    bodies_stop(b);
    arena_reset(&a);
}

/* ---- bounds ---- */

static void test_what_cannot_be_written_is_counted_and_comes_back(void **state)
{
    struct arena a = {0};
    struct bodies_state s;
    (void)state;
    FILE *in_the_way = fopen(files, "w"); /* where the directory should be */
    assert_non_null(in_the_way);
    fclose(in_the_way);
    struct bodies *b = start(1 << 30);
    bodies_put(make(b, 1, STR("lost"), STR("a")));
    assert_int_equal(get(b, &a, 1).n, 0);
    bodies_state(b, &s);
    assert_true(s.lost == 1 && s.error < 0 && s.held == 0 && s.written == 0);
    unlink(files);
    bodies_put(make(b, 2, STR("there"), STR("a")));
    assert_true(get(b, &a, 2).n > 0);
    bodies_state(b, &s);
    assert_true(s.lost == 1 && s.error == 0 && s.written == 1 && s.held == 0);
    bodies_stop(b);
    arena_reset(&a);
}

static void test_memory_is_bounded_and_given_back(void **state)
{
    enum { PIECE = 1 << 20, MANY = 200 };
    struct bodies_state s;
    struct body *all[MANY];
    struct arena a = {0};
    struct str blob = str_make(memset(arena_alloc(&a, PIECE), 'x', PIECE), PIECE);
    unsigned n = 0;
    (void)state;
    struct bodies *b = start(1 << 30);
    while (n < MANY && (all[n] = body_new(b))) {
        body_add(all[n], &all[n]->answer, blob, PIECE);
        n++;
    }
    assert_true(n < MANY);
    bodies_state(b, &s);
    assert_true(s.held <= BODIES_HELD_MAX + 2 * PIECE && s.lost == 1);
    body_add(all[0], &all[0]->request, blob, PIECE); /* one that is under way is lost as a whole */
    bodies_put(all[0]);
    for (unsigned i = 1; i < n; i++) {
        body_drop(all[i]);
    }
    bodies_state(b, &s);
    assert_true(s.held == 0 && s.lost == 2 && s.written == 0);
    bodies_stop(b);
    arena_reset(&a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_hidden_is_hidden_in_each_of_its_spellings),
        cmocka_unit_test(test_a_value_at_the_cut_leaves_no_beginning),
        cmocka_unit_test(test_characters_are_not_cut_in_two),
        cmocka_unit_test(test_too_much_to_hide_keeps_no_answer),
        TEST(test_what_is_written_can_be_read_and_only_under_its_key),
        TEST(test_what_waits_at_the_end_is_written),
        TEST(test_each_goes_on_its_own_day),
        TEST(test_by_size_those_go_first_that_would_go_next),
        TEST(test_a_torn_file_harms_no_other),
        TEST(test_a_file_that_cannot_take_more_is_left_alone),
        TEST(test_forgotten_is_overwritten),
        TEST(test_what_cannot_be_written_is_counted_and_comes_back),
        TEST(test_memory_is_bounded_and_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
