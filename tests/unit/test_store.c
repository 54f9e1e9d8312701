/* The store: jobs, groups, resources, the feed, the audit trail, sealing; and kill -9 in the middle. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "store/journal.h"
#include "store/resource.h"
#include "store/store.h"

struct fixture {
    char dir[64];
    struct store *store;
    struct arena arena;
};

static struct store *open_store(const char *dir)
{
    struct buf errors = {0};
    struct store *s = NULL;
    const struct store_options o = {.data_dir = str_of(dir)};
    int r = store_open(&o, &s, &errors);
    if (r < 0) {
        fail_msg("store_open: %d %.*s", r, (int)errors.n, errors.p);
    }
    buf_free(&errors);
    return s;
}

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_true(sodium_init() >= 0);
    snprintf(f->dir, sizeof f->dir, "/tmp/accord-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->store = open_store(f->dir);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    char command[128];
    store_close(f->store);
    arena_reset(&f->arena);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int r = system(command);
    free(f);
    return r;
}

/* ---- one step as a job ---- */

enum step { CREATE, UPDATE, DELETE, BY_FUNCTION };

struct op {
    struct store_job job; /* first member */
    struct arena *arena;
    enum step step;
    struct resource_write w;
    int64_t expected;
    struct resource_refusal why;
    int (*fn)(struct op *op, struct db *db);
    int64_t result;
    int fail_first; /* -EAGAIN so many times */
    int runs;
};

static int run_op(struct store_job *j, struct db *db)
{
    struct op *op = (struct op *)j;
    op->runs++;
    if (op->fail_first > 0) {
        op->fail_first--;
        return -EAGAIN;
    }
    switch (op->step) {
    case CREATE:
        return resource_insert(db, op->arena, &op->w, &op->why);
    case UPDATE:
        return resource_update(db, op->arena, &op->w, op->expected, &op->why);
    case DELETE:
        return resource_delete(db, op->arena, &op->w, op->expected, &op->why);
    case BY_FUNCTION:
        break;
    }
    return op->fn(op, db);
}

static struct op op_of(struct fixture *f, enum step step, const char *kind, const char *id,
                       const char *document)
{
    return (struct op){
        .job = {.run = run_op, .write = true},
        .arena = &f->arena,
        .step = step,
        .w = {.r = {.kind = str_of(kind),
                    .id = str_of(id),
                    .hash = STR("0badcafe"),
                    .document = str_of(document),
                    .managers = STR("{}"),
                    .updated_us = 1000,
                    .updated_by = STR("user:test"),
                    .action = STR("create")}},
    };
}

static int do_op(struct fixture *f, struct op *op)
{
    return store_run(f->store, &op->job);
}

static int by(struct fixture *f, int (*fn)(struct op *op, struct db *db), bool write, struct op *op)
{
    *op = (struct op){
        .job = {.run = run_op, .write = write}, .arena = &f->arena, .step = BY_FUNCTION, .fn = fn};
    return store_run(f->store, &op->job);
}

static int get_a(struct op *op, struct db *db)
{
    return resource_get(db, op->arena, STR("team"), STR("a"), false, &op->w.r);
}

static void resources_live_and_die(void **state)
{
    struct fixture *f = *state;
    struct op op = op_of(f, CREATE, "team", "a", "{\"n\":1}");
    assert_int_equal(do_op(f, &op), 0);
    assert_int_equal(op.w.r.revision, 1);
    op = op_of(f, CREATE, "team", "a", "{}");
    assert_int_equal(do_op(f, &op), -EEXIST);
    assert_true(str_eq(op.why.id, STR("a")));
    op = op_of(f, UPDATE, "team", "a", "{\"n\":2}");
    op.expected = 1;
    assert_int_equal(do_op(f, &op), 0);
    op = op_of(f, UPDATE, "team", "a", "{\"n\":3}");
    op.expected = 1; /* the compare: never done, however often it is tried */
    assert_int_equal(do_op(f, &op), -EAGAIN);
    assert_true(op.runs > 1);
    assert_int_equal(by(f, get_a, false, &op), 0);
    assert_true(op.w.r.revision == 2 && str_eq(op.w.r.document, STR("{\"n\":2}")));
    op = op_of(f, DELETE, "team", "a", "");
    op.expected = 2;
    assert_int_equal(do_op(f, &op), 0);
    assert_int_equal(by(f, get_a, false, &op), -ENOENT);
    op = op_of(f, CREATE, "team", "a", "{}");
    assert_int_equal(do_op(f, &op), 0);
    assert_int_equal(op.w.r.revision, 4); /* counts on */
}

static void uniques_and_references(void **state)
{
    struct fixture *f = *state;
    const struct resource_unique mail = {STR("/email"), STR("a@b")};
    const struct resource_reference to = {STR("/team"), STR("team"), STR("t")};
    struct op op = op_of(f, CREATE, "user", "u", "{}");
    op.w.references = &to;
    op.w.n_references = 1;
    assert_int_equal(do_op(f, &op), -ENOLINK);
    assert_true(str_eq(op.why.pointer, STR("/team")) && str_eq(op.why.id, STR("t")));
    struct op team = op_of(f, CREATE, "team", "t", "{}");
    assert_int_equal(do_op(f, &team), 0);
    op.w.uniques = &mail;
    op.w.n_uniques = 1;
    assert_int_equal(do_op(f, &op), 0);
    struct op other = op_of(f, CREATE, "user", "v", "{}");
    other.w.uniques = &mail;
    other.w.n_uniques = 1;
    assert_int_equal(do_op(f, &other), -EEXIST);
    assert_true(str_eq(other.why.pointer, STR("/email")) && str_eq(other.why.id, STR("u")));
    struct op gone = op_of(f, DELETE, "team", "t", "");
    gone.expected = 1;
    assert_int_equal(do_op(f, &gone), -EBUSY);
    assert_true(gone.why.n_blocking == 1 && str_eq(gone.why.blocking[0].id, STR("u")));
    op = op_of(f, UPDATE, "user", "u", "{}"); /* lets go of both */
    op.expected = 1;
    assert_int_equal(do_op(f, &op), 0);
    assert_int_equal(do_op(f, &gone), 0);
    assert_int_equal(do_op(f, &other), 0);
}

static void a_lost_race_is_run_again(void **state)
{
    struct fixture *f = *state;
    struct op op = op_of(f, CREATE, "team", "again", "{}");
    op.fail_first = 3;
    assert_int_equal(do_op(f, &op), 0);
    assert_int_equal(op.runs, 4);
}

static int insert_then_fail(struct op *op, struct db *db)
{
    struct op inner = *op;
    inner.w.r = (struct resource){.kind = STR("team"),
                                  .id = STR("half"),
                                  .hash = STR("00000000"),
                                  .document = STR("{}"),
                                  .managers = STR("{}"),
                                  .updated_by = STR("x"),
                                  .action = STR("create")};
    int r = resource_insert(db, op->arena, &inner.w, &inner.why);
    return r < 0 ? r : -ECANCELED;
}

static int get_half(struct op *op, struct db *db)
{
    return resource_get(db, op->arena, STR("team"), STR("half"), false, &op->w.r);
}

static void a_failed_job_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct op op;
    assert_int_equal(by(f, insert_then_fail, true, &op), -ECANCELED);
    assert_int_equal(by(f, get_half, false, &op), -ENOENT);
}

/* ---- many at once ---- */

enum { MANY = 200 };

static _Atomic int finished;

static void count_finished(struct loop_task *t)
{
    (void)t;
    finished++;
}

static int count_changes(struct op *op, struct db *db)
{
    struct change *all;
    size_t n;
    int r = change_list(db, op->arena, (struct str){0}, 0, 100000, &all, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (all[i].seq != (int64_t)i + 1) {
            return -EBADMSG; /* a gap */
        }
    }
    op->result = (int64_t)n;
    return r;
}

static void a_group_is_one_commit(void **state)
{
    struct fixture *f = *state;
    static struct op ops[MANY];
    static struct arena arenas[MANY];
    static char ids[MANY][16];
    struct store_state before, after;
    store_state(f->store, &before);
    finished = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "g%d", i);
        ops[i] = op_of(f, CREATE, "team", ids[i], "{}");
        ops[i].arena = &arenas[i];
        ops[i].job.done.run = count_finished;
        store_submit(f->store, &ops[i].job);
    }
    while (finished < MANY) {
        usleep(1000);
    }
    store_state(f->store, &after);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(ops[i].job.result, 0);
        arena_reset(&arenas[i]);
    }
    assert_int_equal(after.writes - before.writes, MANY);
    assert_true(after.commits - before.commits < MANY / 2);
    struct op op;
    assert_int_equal(by(f, count_changes, false, &op), 0);
    assert_int_equal(op.result, MANY);
}

/* ---- the audit trail ---- */

static int add_three(struct op *op, struct db *db)
{
    int r = 0;
    for (int i = 0; r == 0 && i < 3; i++) {
        const struct audit e = {.at_us = i,
                                .who = STR("user:a"),
                                .action = STR("create"),
                                .kind = STR("team"),
                                .id = STR("t"),
                                .after = STR("{}")};
        r = audit_add(db, op->arena, &e);
    }
    return r;
}

static int verify(struct op *op, struct db *db)
{
    return audit_verify(db, &op->result);
}

static int forge(struct op *op, struct db *db)
{
    static const struct db_stmt stmt = {"UPDATE audit SET who = 'user:eve' WHERE seq = 2", NULL};
    (void)op;
    return db_run(db, &stmt, NULL, 0, NULL);
}

static int cut_off(struct op *op, struct db *db)
{
    static const struct db_stmt stmt = {"DELETE FROM audit WHERE seq = 3", NULL};
    (void)op;
    return db_run(db, &stmt, NULL, 0, NULL);
}

static void the_audit_trail_is_a_chain(void **state)
{
    struct fixture *f = *state;
    struct op op;
    assert_int_equal(by(f, add_three, true, &op), 0);
    assert_int_equal(by(f, verify, false, &op), 0);
    assert_int_equal(op.result, 3);
    assert_int_equal(by(f, cut_off, true, &op), 0);
    assert_int_equal(by(f, verify, false, &op), -EBADMSG);
    assert_int_equal(by(f, forge, true, &op), 0);
    assert_int_equal(by(f, verify, false, &op), -EBADMSG);
    assert_int_equal(op.result, 2);
}

/* ---- idempotency and sessions ---- */

static int keep_answer(struct op *op, struct db *db)
{
    const struct idempotent i = {.scope = STR("s"),
                                 .key = STR("k"),
                                 .fingerprint = STR("f"),
                                 .status = 201,
                                 .body = STR("{}"),
                                 .at_us = 10,
                                 .expires_us = 20};
    (void)op;
    return idempotent_put(db, &i);
}

static int find_answer(struct op *op, struct db *db)
{
    struct idempotent i;
    int r = idempotent_get(db, op->arena, STR("s"), STR("k"), op->fail_first ? 25 : 15, &i);
    op->result = r == 0 ? i.status : 0;
    return r;
}

static int find_expired(struct op *op, struct db *db)
{
    struct idempotent i;
    return idempotent_get(db, op->arena, STR("s"), STR("k"), 25, &i);
}

static void answers_are_kept_until_they_expire(void **state)
{
    struct fixture *f = *state;
    struct op op;
    assert_int_equal(by(f, find_answer, false, &op), -ENOENT);
    assert_int_equal(by(f, keep_answer, true, &op), 0);
    assert_int_equal(by(f, find_answer, false, &op), 0);
    assert_int_equal(op.result, 201);
    assert_int_equal(by(f, keep_answer, true, &op), -EAGAIN);
    assert_int_equal(by(f, find_expired, false, &op), -ENOENT);
}

/* ---- kept responses ---- */

static int keep_responses(struct op *op, struct db *db)
{
    int r = 0;
    for (int i = 0; r == 0 && i < 5; i++) {
        const struct kept_response k = {.id = arena_printf(op->arena, "resp_%d", i),
                                        .owner = i == 4 ? STR("other") : STR("dev"),
                                        .created_us = 1,
                                        .expires_us = 10 + i,
                                        .items = STR("[1,2]"),
                                        .input = STR("[1]"),
                                        .response = STR("{}")};
        r = kept_response_put(db, &k);
    }
    return r;
}

static int find_parts(struct op *op, struct db *db)
{
    struct str items, input, response;
    int r = kept_response_get(db, op->arena, STR("dev"), STR("resp_3"), 12, KEPT_ITEMS, &items);
    r = r < 0 ? r
              : kept_response_get(db, op->arena, STR("dev"), STR("resp_3"), 12, KEPT_INPUT, &input);
    r = r < 0 ? r
              : kept_response_get(db, op->arena, STR("dev"), STR("resp_3"), 12, KEPT_RESPONSE,
                                  &response);
    op->result = r == 0 && str_eq(items, STR("[1,2]")) && str_eq(input, STR("[1]")) &&
                 str_eq(response, STR("{}"));
    return r;
}

static int find_foreign(struct op *op, struct db *db)
{
    struct str text;
    return kept_response_get(db, op->arena, STR("dev"), STR("resp_4"), 0, KEPT_ITEMS, &text);
}

static int delete_foreign(struct op *op, struct db *db)
{
    (void)op;
    return kept_response_delete(db, STR("dev"), STR("resp_4"), 0);
}

static int find_old(struct op *op, struct db *db)
{
    struct str text;
    return kept_response_get(db, op->arena, STR("dev"), STR("resp_3"), 13, KEPT_ITEMS, &text);
}

static int delete_one(struct op *op, struct db *db)
{
    (void)op;
    return kept_response_delete(db, STR("dev"), STR("resp_3"), 12);
}

static int expire_two(struct op *op, struct db *db)
{
    return kept_response_expire(db, 12, 2, &op->result);
}

static void responses_belong_to_their_key_and_end(void **state)
{
    struct fixture *f = *state;
    struct op op;
    assert_int_equal(by(f, keep_responses, true, &op), 0);
    assert_int_equal(by(f, keep_responses, true, &op), 0); /* once more: the same */
    assert_int_equal(by(f, find_parts, false, &op), 0);
    assert_int_equal(op.result, 1);
    assert_int_equal(by(f, find_foreign, false, &op), -ENOENT);
    assert_int_equal(by(f, delete_foreign, true, &op), -ENOENT);
    assert_int_equal(by(f, find_old, false, &op), -ENOENT);
    assert_int_equal(by(f, expire_two, true, &op), 0);
    assert_int_equal(op.result, 2); /* of three */
    assert_int_equal(by(f, expire_two, true, &op), 0);
    assert_int_equal(op.result, 1);
    assert_int_equal(by(f, expire_two, true, &op), 0);
    assert_int_equal(op.result, 0);
    assert_int_equal(by(f, delete_one, true, &op), 0);
    assert_int_equal(by(f, delete_one, true, &op), -ENOENT);
}

/* ---- sealing ---- */

static void sealed_texts_open_only_where_they_belong(void **state)
{
    struct fixture *f = *state;
    struct str plain = {0};
    struct str sealed = store_seal(f->store, &f->arena, STR("provider/a"), STR("sk-secret"));
    assert_int_equal(str_find(sealed, STR("secret")), -1);
    assert_int_equal(store_unseal(f->store, &f->arena, STR("provider/a"), sealed, &plain), 0);
    assert_true(str_eq(plain, STR("sk-secret")));
    assert_int_equal(store_unseal(f->store, &f->arena, STR("provider/b"), sealed, &plain),
                     -EBADMSG);
    ((char *)(uintptr_t)sealed.p)[sealed.n - 1] ^= 1;
    assert_int_equal(store_unseal(f->store, &f->arena, STR("provider/a"), sealed, &plain),
                     -EBADMSG);
}

static void a_wrong_master_key_is_told(void **state)
{
    struct fixture *f = *state;
    struct buf errors = {0};
    struct store *s = NULL;
    store_close(f->store);
    f->store = NULL;
    const struct store_options o = {
        .data_dir = str_of(f->dir),
        .master_key = STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")};
    assert_int_equal(store_open(&o, &s, &errors), -EINVAL);
    assert_true(str_find(buf_str(&errors), STR("master key")) >= 0);
    buf_free(&errors);
}

static int make_newer(struct op *op, struct db *db)
{
    static const struct db_stmt stmt = {
        "INSERT INTO schema_version (number, name, at_us) VALUES (9999, 'future', 0)", NULL};
    (void)op;
    return db_run(db, &stmt, NULL, 0, NULL);
}

static void a_newer_state_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf errors = {0};
    struct op op;
    struct store *s = NULL;
    assert_int_equal(by(f, make_newer, true, &op), 0);
    store_close(f->store);
    f->store = NULL;
    const struct store_options o = {.data_dir = str_of(f->dir)};
    assert_int_equal(store_open(&o, &s, &errors), -EINVAL);
    assert_true(str_find(buf_str(&errors), STR("newer version")) >= 0);
    buf_free(&errors);
}

/* ---- kill -9 ---- */

/* Counts one resource up for ever, and says each revision that was acknowledged. */
static void write_until_killed(const char *dir, int fd)
{
    struct fixture f = {0};
    snprintf(f.dir, sizeof f.dir, "%s", dir);
    f.store = open_store(dir);
    struct op op;
    if (by(&f, get_a, false, &op) == -ENOENT) {
        op = op_of(&f, CREATE, "team", "a", "{}");
        (void)!do_op(&f, &op);
    }
    for (;;) {
        assert_int_equal(by(&f, get_a, false, &op), 0);
        int64_t revision = op.w.r.revision;
        op = op_of(&f, UPDATE, "team", "a", "{}");
        op.expected = revision;
        assert_int_equal(do_op(&f, &op), 0);
        if (write(fd, &op.w.r.revision, sizeof op.w.r.revision) < 0) {
            _exit(0);
        }
        arena_reset(&f.arena);
    }
}

static void nothing_acknowledged_is_lost_by_kill_9(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 15 };
    int64_t acknowledged = 0;
    store_close(f->store);
    f->store = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(fds[0]);
            write_until_killed(f->dir, fds[1]);
        }
        close(fds[1]);
        int64_t revision;
        for (int i = 0; i < 20 + round * 3 && read(fds[0], &revision, 8) == 8; i++) {
            assert_true(revision > acknowledged); /* none comes twice */
            acknowledged = revision;
        }
        kill(child, SIGKILL);
        while (read(fds[0], &revision, 8) == 8) { /* written before it died */
            acknowledged = revision;
        }
        close(fds[0]);
        waitpid(child, NULL, 0);
        struct op op;
        f->store = open_store(f->dir);
        assert_int_equal(by(f, get_a, false, &op), 0);
        assert_true(op.w.r.revision >= acknowledged);
        assert_int_equal(by(f, count_changes, false, &op), 0);
        assert_true(op.result >= acknowledged);
        store_close(f->store);
        f->store = NULL;
    }
    assert_true(acknowledged > ROUNDS * 20);
}

/* ---- leases ---- */

#define HOUR INT64_C(3600000000)

/* One after the other in one transaction: what counts is the rows. */
static int leases(struct op *op, struct db *db)
{
    const struct str what = STR("what"), us = STR("us"), them = STR("them");
    int64_t first = 0, second = 0, n = 0;
    assert_int_equal(lease_take(db, op->arena, what, us, HOUR, &first), 0);
    assert_int_equal(lease_take(db, op->arena, what, them, HOUR, &n), -EEXIST);
    assert_int_equal(lease_take(db, op->arena, STR("else"), them, HOUR, &n), 0);
    assert_int_equal(lease_keep(db, what, us, first, HOUR), 0);
    assert_int_equal(lease_keep(db, what, them, first, HOUR), -ENOENT);
    /* the holder's next one: what the one before does late is fenced off */
    assert_int_equal(lease_take(db, op->arena, what, us, HOUR, &second), 0);
    assert_int_equal(second, first + 1);
    assert_int_equal(lease_keep(db, what, us, first, HOUR), -ENOENT);
    assert_int_equal(lease_give(db, what, us, first), 0);
    assert_int_equal(lease_take(db, op->arena, what, them, HOUR, &n), -EEXIST);
    assert_int_equal(lease_give(db, what, us, second), 0);
    assert_int_equal(lease_take(db, op->arena, what, them, HOUR, &n), 0);
    return 0;
}

static int expired_leases(struct op *op, struct db *db)
{
    const struct str what = STR("what"), us = STR("us"), them = STR("them");
    int64_t dead = 0, next = 0;
    assert_int_equal(lease_take(db, op->arena, what, us, -HOUR, &dead), 0);
    assert_int_equal(lease_keep(db, what, us, dead, HOUR), -ENOENT);
    assert_int_equal(lease_take(db, op->arena, what, them, HOUR, &next), 0);
    assert_int_equal(next, dead + 1);
    assert_int_equal(lease_give(db, what, us, dead), 0);
    assert_int_equal(lease_expire(db), 0);
    assert_int_equal(lease_keep(db, what, them, next, -HOUR), 0);
    assert_int_equal(lease_expire(db), 0);
    assert_int_equal(lease_keep(db, what, them, next, HOUR), -ENOENT);
    assert_int_equal(lease_take(db, op->arena, what, us, HOUR, &next), 0);
    assert_true(next > HOUR); /* a row that had gone begins by the clock */
    return 0;
}

static int call_notes(struct op *op, struct db *db)
{
    const struct call_note one = {.name = STR("name"),
                                  .payload = STR("payload"),
                                  .owner = STR("key"),
                                  .call = STR("req_1"),
                                  .holder = STR("us"),
                                  .begun_us = 100,
                                  .expires_us = 200};
    struct call_note next = one, there, end = one;
    int64_t n = 0, epoch;
    next.call = STR("req_2");
    next.begun_us = 150;
    next.expires_us = 300;
    assert_int_equal(call_note_begin(db, op->arena, &one, &there), 0);
    assert_int_equal(call_note_begin(db, op->arena, &next, &there), -EEXIST);
    assert_true(there.state == CALL_NOTE_BEGUN && !there.kept && !there.lives);
    assert_true(str_eq(there.call, STR("req_1")) && str_eq(there.payload, STR("payload")));
    /* its time is over, but it may still run: its process has its lease */
    next.begun_us = 250;
    assert_int_equal(lease_take(db, op->arena, STR("us"), STR("us"), HOUR, &epoch), 0);
    assert_int_equal(call_note_begin(db, op->arena, &next, &there), -EEXIST);
    assert_true(there.lives);
    assert_int_equal(lease_give(db, STR("us"), STR("us"), epoch), 0);
    assert_int_equal(call_note_begin(db, op->arena, &next, &there), 0);
    /* what the first does late finds another call */
    end.state = CALL_NOTE_WHOLE;
    assert_int_equal(call_note_end(db, &end), 0);
    assert_int_equal(call_note_drop(db, STR("name"), STR("req_1")), 0);
    assert_int_equal(call_note_begin(db, op->arena, &one, &there), -EEXIST);
    assert_true(there.state == CALL_NOTE_BEGUN && str_eq(there.call, STR("req_2")));
    end = next;
    end.state = CALL_NOTE_CUT;
    end.type = STR("text/plain");
    end.lines = STR("a: b");
    end.origin = STR("p/m");
    end.kept = true;
    end.body = STR("sealed");
    assert_int_equal(call_note_end(db, &end), 0);
    assert_int_equal(call_note_begin(db, op->arena, &one, &there), -EEXIST);
    assert_true(there.state == CALL_NOTE_CUT && there.kept && str_eq(there.body, end.body) &&
                str_eq(there.type, end.type) && str_eq(there.lines, end.lines) &&
                str_eq(there.origin, end.origin) && there.expires_us == 300);
    assert_int_equal(call_note_expire(db, 299, 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(call_note_expire(db, 300, 10, &n), 0);
    assert_int_equal(n, 1);
    /* one that never ended stays for as long as any call may run */
    assert_int_equal(call_note_begin(db, op->arena, &one, &there), 0);
    assert_int_equal(call_note_expire(db, 1000, 10, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(call_note_expire(db, 100 + CALL_NOTE_RUNS_US, 10, &n), 0);
    assert_int_equal(n, 1);
    return 0;
}

static void a_call_begins_once_under_its_key(void **state)
{
    struct op op;
    assert_int_equal(by(*state, call_notes, true, &op), 0);
}

static void leases_are_one_holders_at_a_time(void **state)
{
    struct op op;
    assert_int_equal(by(*state, leases, true, &op), 0);
}

static void leases_run_out(void **state)
{
    struct op op;
    assert_int_equal(by(*state, expired_leases, true, &op), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(leases_are_one_holders_at_a_time),
        TEST(leases_run_out),
        TEST(a_call_begins_once_under_its_key),
        TEST(resources_live_and_die),
        TEST(uniques_and_references),
        TEST(a_lost_race_is_run_again),
        TEST(a_failed_job_leaves_nothing),
        TEST(a_group_is_one_commit),
        TEST(the_audit_trail_is_a_chain),
        TEST(answers_are_kept_until_they_expire),
        TEST(responses_belong_to_their_key_and_end),
        TEST(sealed_texts_open_only_where_they_belong),
        TEST(a_wrong_master_key_is_told),
        TEST(a_newer_state_is_refused),
        TEST(nothing_acknowledged_is_lost_by_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
