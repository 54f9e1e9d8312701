/* Commands about the state in a data directory: backup, restore, the audit trail, the master key. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/running.h"
#include "model/config.h"
#include "store/backup.h"
#include "store/journal.h"
#include "store/seal.h"
#include "store/store.h"

struct request {
    const char *name; /* of the command */
    const char *config, *data, *file;
    struct arena arena;
    struct str dir;
    struct str url; /* of the database; empty: SQLite */
    char *state;    /* DIR/state.db */
};

/* Options, and where the state is. 0: go on; else 1 more than the exit code. */
static int read_request(struct request *q, int argc, char **argv, bool takes_file)
{
    const struct args_option options[] = {
        {"--config", 'c', .value = &q->config}, {"--data", 'd', .value = &q->data}, {0}};
    struct buf errors = {.arena = &q->arena};
    struct config *c;
    int r;
    if (takes_file && argc > 1 && argv[1][0] != '-') {
        q->file = argv[1];
        argv++;
        argc--;
    }
    if (args_read(q->name, argc, argv, options, &r) < 0) {
        return r + 1;
    }
    if (takes_file && !q->file) {
        fprintf(stderr, "accord %s: FILE is missing; `accord help %s` shows how\n", q->name,
                q->name);
        return CLI_USAGE + 1;
    }
    struct config_overrides over = {.data = str_of(q->data), .key_exists = keyfile_has};
    if (config_load(&q->arena, q->config, &over, &c, &errors) < 0) {
        fwrite(errors.p, 1, errors.n, stderr);
        return CLI_CONFIG + 1;
    }
    q->dir = c->data;
    q->url = secret_reveal(c->database.url);
    q->url = q->url.n ? q->url : str_of(getenv("ACCORD_DATABASE_URL"));
    q->state = arena_dupz(&q->arena, arena_printf(&q->arena, "%.*s/state.db", STR_ARG(q->dir)));
    return 0;
}

/* PostgreSQL has better tools of its own for this. */
static bool is_shared(const struct request *q, struct buf *errors, const char *tool)
{
    if (q->url.n) {
        buf_printf(errors, "the state is in PostgreSQL: use %s, with --schema=accord\n", tool);
    }
    return q->url.n > 0;
}

static int end(struct request *q, int r, struct buf *errors)
{
    if (r < 0) {
        fprintf(stderr, "accord %s: ", q->name);
        fwrite(errors->p, 1, errors->n, stderr);
        if (!errors->n) {
            fprintf(stderr, "%s\n", strerror(-r));
        }
    }
    buf_free(errors);
    arena_reset(&q->arena);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

/* SQLite would only say that it cannot open the file. */
static bool is_there(const struct request *q, struct buf *errors)
{
    if (access(q->state, F_OK) == 0) {
        return true;
    }
    buf_printf(errors, "there is no state in %.*s; --data DIR, or -c FILE, says where it is\n",
               STR_ARG(q->dir));
    return false;
}

int cli_backup(int argc, char **argv)
{
    struct request q = {.name = "backup"};
    struct buf errors = {0};
    int r = read_request(&q, argc, argv, true);
    if (r) {
        arena_reset(&q.arena);
        return r - 1;
    }
    r = is_shared(&q, &errors, "pg_dump") ? -EINVAL
        : !is_there(&q, &errors)          ? -ENOENT
                                          : backup_save(q.state, q.file, &errors);
    if (r == 0) {
        fprintf(stderr,
                "The state is in %s. Secrets in it are sealed: keep %.*s/master.key, too, at "
                "another place.\n",
                q.file, STR_ARG(q.dir));
    }
    return end(&q, r, &errors);
}

int cli_restore(int argc, char **argv)
{
    struct request q = {.name = "restore"};
    struct buf errors = {0};
    int r = read_request(&q, argc, argv, true);
    if (r) {
        arena_reset(&q.arena);
        return r - 1;
    }
    r = is_shared(&q, &errors, "pg_restore") ? -EINVAL : backup_load(q.file, q.state, &errors);
    if (r == 0) {
        pid_t pid = running_reload(&q.arena, q.dir);
        fprintf(stderr, "The state is restored.%s\n", pid ? " The running server takes it." : "");
    }
    return end(&q, r, &errors);
}

/* ---- the audit trail ---- */

struct verification {
    struct store_job job; /* first member */
    int64_t seq;
};

static int verify(struct store_job *j, struct db *db)
{
    return audit_verify(db, &((struct verification *)j)->seq);
}

int cli_audit_verify(int argc, char **argv)
{
    struct request q = {.name = "audit verify"};
    struct verification v = {.job = {.run = verify}};
    struct buf errors = {0};
    struct store *s = NULL;
    int r = read_request(&q, argc, argv, false);
    if (r) {
        arena_reset(&q.arena);
        return r - 1;
    }
    const struct store_options o = {
        .data_dir = q.dir, .url = q.url, .master_key = str_of(getenv("ACCORD_MASTER_KEY"))};
    r = sodium_init() < 0                    ? -EIO
        : !q.url.n && !is_there(&q, &errors) ? -ENOENT
                                             : store_open(&o, &s, &errors);
    r = r < 0 ? r : store_run(s, &v.job);
    if (r == 0) {
        printf("%lld entries, none changed, none missing\n", (long long)v.seq);
    } else if (r == -EBADMSG) {
        buf_printf(&errors, "the trail is broken: entry %lld was changed, or is missing\n",
                   (long long)v.seq);
    }
    store_close(s);
    return end(&q, r, &errors);
}

/* ---- the master key ---- */

int cli_key_rotate_master(int argc, char **argv)
{
    struct request q = {.name = "key rotate-master"};
    struct buf errors = {0};
    struct sealer sealer = {0};
    struct db *db = NULL;
    int64_t schema;
    size_t n = 0;
    int r = read_request(&q, argc, argv, false);
    if (r) {
        arena_reset(&q.arena);
        return r - 1;
    }
    const struct store_options o = {.data_dir = q.dir, .url = q.url};
    if (running_server(&q.arena, q.dir)) {
        buf_addz(&errors, "a server runs on this data directory; stop it first\n");
        return end(&q, -EBUSY, &errors);
    }
    if (getenv("ACCORD_MASTER_KEY")) {
        buf_addz(&errors, "the master key is in ACCORD_MASTER_KEY; unset it, with the key in "
                          "DATA/master.key, so that the new one can be kept there\n");
        return end(&q, -EINVAL, &errors);
    }
    r = sodium_init() < 0 ? -EIO
        : q.url.n         ? db_postgres_open(q.url, &db, &errors)
                          : db_sqlite_open(q.state, false, &db, &errors);
    r = r < 0 ? r : migrate(db, &schema, &errors);
    r = r < 0 ? r : seal_open(&sealer, db, &o, &errors);
    r = r < 0 ? r : seal_rotate(&sealer, db, &o, &n);
    if (r == 0) {
        printf("%zu secret%s sealed under a new master key\n", n, n == 1 ? " is" : "s are");
    }
    if (sealer.key) {
        seal_close(&sealer);
    }
    if (db) {
        db->driver->close(db);
    }
    return end(&q, r, &errors);
}
