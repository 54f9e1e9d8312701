/* Keys: what they look like, and the file that keeps their digests. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/keyfile.h"

static char dir_path[64], file_path[96];

static struct str dir(void)
{
    return str_of(dir_path);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir_path, sizeof dir_path, "/tmp/accord-keys-XXXXXX");
    if (!mkdtemp(dir_path)) {
        return -1;
    }
    rmdir(dir_path); /* keyfile_add makes it */
    snprintf(file_path, sizeof file_path, "%s/keys.jsonl", dir_path);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(file_path);
    rmdir(dir_path);
    return 0;
}

static void write_file(const char *text)
{
    mkdir(dir_path, 0700);
    FILE *f = fopen(file_path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void read_file(struct buf *b)
{
    char chunk[4096];
    size_t n;
    FILE *f = fopen(file_path, "r");
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        buf_add(b, str_make(chunk, n));
    }
    fclose(f);
    buf_addc(b, 0);
}

static size_t count_keys(int expected, const char *message)
{
    struct arena a = {0};
    struct buf errors = {.arena = &a};
    struct keyfile_entry *all;
    size_t n = 0;
    assert_int_equal(keyfile_read(&a, dir(), &all, &n, &errors), expected);
    buf_addc(&errors, 0);
    if (!strstr(errors.p, message) || (!*message && *errors.p)) {
        print_error("\"%s\" is not in: %s\n", message, errors.p);
        fail();
    }
    arena_reset(&a);
    return n;
}

static int add(const char *id)
{
    static const struct str all = {"*", 1};
    return keyfile_add(dir(), str_of(id), STR("sk-accord-some-secret"), &all, 1);
}

static void test_a_made_key_is_random_and_long(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str one = secret_reveal(key_make(&a)), other = secret_reveal(key_make(&a));
    assert_int_equal(one.n, 53);
    assert_true(str_starts(one, STR("sk-accord-")));
    assert_false(str_eq(one, other));
    for (size_t i = 0; i < one.n; i++) {
        assert_non_null(
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", one.p[i]));
    }
    arena_reset(&a);
}

/* The digest of "abc" in BLAKE2b-256, computed by another implementation (Python's hashlib). */
static void test_the_digest_is_blake2b_256(void **state)
{
    (void)state;
    static const uint8_t abc[4] = {0xbd, 0xdd, 0x81, 0x3c}, empty[4] = {0x0e, 0x57, 0x51, 0xc0};
    uint8_t digest[KEY_DIGEST_SIZE];
    key_digest(STR("abc"), digest);
    assert_memory_equal(digest, abc, 4);
    key_digest((struct str){0}, digest);
    assert_memory_equal(digest, empty, 4);
}

static void test_no_file_is_no_keys(void **state)
{
    (void)state;
    assert_int_equal(count_keys(0, ""), 0);
    assert_false(keyfile_has(dir(), STR("first")));
}

static void test_what_is_added_is_read(void **state)
{
    (void)state;
    const struct str models[] = {STR("gpt-*"), STR("sim/echo")};
    struct arena a = {0};
    struct buf errors = {.arena = &a}, text = {.arena = &a};
    struct keyfile_entry *all;
    struct stat st;
    size_t n;
    uint8_t digest[KEY_DIGEST_SIZE];
    struct str secret = STR("sk-accord-0123456789");
    assert_int_equal(add("first"), 0);
    assert_int_equal(keyfile_add(dir(), STR("second"), secret, models, 2), 0);
    assert_int_equal(add("first"), -EEXIST);
    assert_int_equal(add("no id"), -EINVAL);
    assert_int_equal(stat(file_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(dir_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(keyfile_read(&a, dir(), &all, &n, &errors), 0);
    assert_int_equal(n, 2);
    assert_true(str_eq(all[1].id, STR("second")));
    assert_int_equal(all[1].n_models, 2);
    assert_true(str_eq(all[1].models[0], STR("gpt-*")));
    key_digest(secret, digest);
    assert_memory_equal(all[1].digest, digest, sizeof digest);
    assert_true(keyfile_has(dir(), STR("second")));
    assert_false(keyfile_has(dir(), STR("third")));
    read_file(&text);
    assert_null(strstr(text.p, "sk-accord"));
    assert_non_null(strstr(text.p, "\"created_at\":\"2"));
    arena_reset(&a);
}

#define DIGEST   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LINE(id) "{\"id\":\"" id "\",\"digest\":\"" DIGEST "\",\"models\":[\"*\"]}"

static void test_wrong_lines_are_told(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}\n", "keys.jsonl:1: \"id\" is missing"},
        {LINE("a") "\n\n{\"id\":1}\n", "keys.jsonl:3: \"id\" is missing"},
        {"{\"id\":\"a\",\"digest\":\"00\",\"models\":[]}\n", ":1: \"digest\" is missing"},
        {"{\"id\":\"a\",\"digest\":\"" DIGEST "\"}\n", ":1: \"models\" is missing"},
        {"{\"id\":\"a\",\"digest\":\"" DIGEST "\",\"models\":[\"*a\"]}\n", "no pattern"},
        {"nonsense\n", "keys.jsonl:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(cases[i][0]);
        count_keys(-EBADMSG, cases[i][1]);
        assert_int_equal(add("b"), -EBADMSG);
    }
}

static void test_a_torn_tail_is_passed_over_and_cut_off(void **state)
{
    (void)state;
    struct buf text = {0};
    write_file(LINE("a") "\n{\"id\":\"b\",\"dig");
    assert_int_equal(count_keys(0, ""), 1);
    assert_int_equal(add("c"), 0);
    assert_int_equal(count_keys(0, ""), 2);
    read_file(&text);
    assert_null(strstr(text.p, "dig{"));
    assert_true(str_starts(buf_str(&text), STR(LINE("a") "\n{\"id\":\"c\"")));
    buf_free(&text);
}

static void test_a_whole_last_line_without_newline_counts(void **state)
{
    (void)state;
    write_file(LINE("a"));
    assert_int_equal(count_keys(0, ""), 1);
    assert_int_equal(add("b"), 0);
    assert_int_equal(add("a"), -EEXIST);
    assert_int_equal(count_keys(0, ""), 2);
}

/* Four processes add ten keys each, all with the same ten names: every name is there once. */
static void test_writers_do_not_lose_each_other(void **state)
{
    (void)state;
    enum { WRITERS = 4, KEYS = 10 };
    pid_t pids[WRITERS];
    int added = 0;
    for (int w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        assert_true(pids[w] >= 0);
        if (pids[w] == 0) {
            int mine = 0;
            for (int k = 0; k < KEYS; k++) {
                char id[16];
                snprintf(id, sizeof id, "key-%d", k);
                int r = add(id);
                mine += r == 0;
                if (r != 0 && r != -EEXIST) {
                    _exit(99);
                }
            }
            _exit(mine);
        }
    }
    for (int w = 0; w < WRITERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= KEYS);
        added += WEXITSTATUS(status);
    }
    assert_int_equal(added, KEYS);
    assert_int_equal(count_keys(0, ""), KEYS);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_made_key_is_random_and_long),
        cmocka_unit_test(test_the_digest_is_blake2b_256),
        IN_DIR(test_no_file_is_no_keys),
        IN_DIR(test_what_is_added_is_read),
        IN_DIR(test_wrong_lines_are_told),
        IN_DIR(test_a_torn_tail_is_passed_over_and_cut_off),
        IN_DIR(test_a_whole_last_line_without_newline_counts),
        IN_DIR(test_writers_do_not_lose_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
