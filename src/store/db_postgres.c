/* PostgreSQL: libpq in pipeline mode. A statement of which nobody asks for rows or their number waits
 * in the pipeline, and goes out with the next one that is asked for, or with the commit: a write takes
 * three or four round trips, not twelve. What such a statement meets is then told by the one that it
 * goes out with; the job fails all the same.
 *
 * All names are in the schema `accord`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/loop.h"
#include "store/driver.h"
#include "store/libpq.h"

enum {
    STATEMENTS = 256,
    PIPELINE = 128,
    ARGS = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT4 = 23,
    RETRY_US = 500000, /* between two attempts to connect */
};

/* What stands in the pipeline, in its order. */
struct waiting {
    enum { PREPARE, DEFERRED, WANTED } kind;
    size_t statement; /* PREPARE: index in the cache */
};

struct postgres {
    struct db db;
    PGconn *conn;
    char *url;
    struct {
        const struct db_stmt *key;
        bool prepared;
    } cache[STATEMENTS];
    size_t n;
    struct waiting queue[PIPELINE];
    size_t n_queue;
    bool write, committing;
    uint64_t retry_us; /* not before */
};

static struct postgres *of(struct db *db)
{
    return (struct postgres *)db; /* its first member */
}

static void keep_error(struct postgres *p, const char *text)
{
    snprintf(p->db.error, sizeof p->db.error, "%s", text);
}

/* SQLSTATE classes (PostgreSQL's documentation, Appendix A). */
static int error_of(const char *state)
{
    static const struct {
        const char *prefix;
        int error;
    } classes[] = {
        {"40", -EAGAIN},    /* serialization failure, deadlock */
        {"23505", -EAGAIN}, /* a race for a unique value that was looked at before */
        {"23503", -EAGAIN}, /* the same for a reference */
        {"55P03", -EAGAIN}, /* a lock was not to be had in time */
        {"53100", -ENOSPC},     {"25006", -EROFS},
        {"57P", -ECONNREFUSED}, /* shutting down, starting up */
        {"08", -ECONNREFUSED},  {"53", -ECONNREFUSED},
    };
    for (size_t i = 0; state && i < sizeof classes / sizeof *classes; i++) {
        if (str_starts(str_of(state), str_of(classes[i].prefix))) {
            return classes[i].error;
        }
    }
    return -EIO;
}

/* ---- the connection ---- */

static void forget_statements(struct postgres *p)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        p->cache[i].prepared = false;
    }
    p->n_queue = 0;
}

static bool is_alive(const struct postgres *p)
{
    return p->conn && pq.status(p->conn) == CONNECTION_OK;
}

static int connect_now(struct postgres *p)
{
    static const char *const names[] = {"dbname", "connect_timeout", "options", "application_name",
                                        NULL};
    const char *values[] = {p->url, "3",
                            "-c search_path=accord -c client_min_messages=warning -c "
                            "statement_timeout=20000 -c "
                            "idle_in_transaction_session_timeout=30000",
                            "accord", NULL};
    uint64_t now = clock_us();
    if (now < p->retry_us) {
        return -ECONNREFUSED;
    }
    pq.finish(p->conn);
    p->conn = pq.connectdbParams(names, values, 1);
    forget_statements(p);
    if (!is_alive(p)) {
        keep_error(p, pq.errorMessage(p->conn));
        p->retry_us = now + RETRY_US;
        return -ECONNREFUSED;
    }
    return pq.enterPipelineMode(p->conn) ? 0 : -EIO;
}

/* ---- the pipeline ---- */

static int send_failed(struct postgres *p)
{
    keep_error(p, pq.errorMessage(p->conn));
    return is_alive(p) ? -EIO : p->committing ? -ECONNRESET : -EAGAIN;
}

static size_t statement_of(struct postgres *p, const struct db_stmt *stmt)
{
    size_t i = ((uintptr_t)stmt / sizeof *stmt) * 0x9E3779B1U % STATEMENTS;
    while (p->cache[i].key && p->cache[i].key != stmt) {
        i = (i + 1) % STATEMENTS;
    }
    if (!p->cache[i].key) {
        must(p->n < STATEMENTS - 1);
        p->cache[i].key = stmt;
        p->n++;
    }
    return i;
}

static bool is_queued(const struct postgres *p, size_t statement)
{
    for (size_t i = 0; i < p->n_queue; i++) {
        if (p->queue[i].kind == PREPARE && p->queue[i].statement == statement) {
            return true;
        }
    }
    return false;
}

static int send_statement(struct postgres *p, const struct db_stmt *stmt,
                          const struct db_value *args, unsigned n, bool wanted)
{
    const char *values[ARGS];
    int lengths[ARGS], formats[ARGS];
    char numbers[ARGS][24], name[16];
    size_t at = statement_of(p, stmt);
    must(n <= ARGS);
    snprintf(name, sizeof name, "s%zu", at);
    if (!p->cache[at].prepared && !is_queued(p, at)) {
        if (!pq.sendPrepare(p->conn, name, stmt->postgres ? stmt->postgres : stmt->sql, 0, NULL)) {
            return send_failed(p);
        }
        p->queue[p->n_queue++] = (struct waiting){PREPARE, at};
    }
    struct arena texts = {0};
    for (unsigned i = 0; i < n; i++) {
        formats[i] = args[i].type == DB_BLOB;
        lengths[i] = (int)args[i].s.n;
        values[i] = args[i].type == DB_NULL ? NULL
                    : args[i].type == DB_INT
                        ? numbers[i]
                        : arena_dupz(&texts, args[i].s); /* libpq wants texts with a NUL */
        if (args[i].type == DB_INT) {
            snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)args[i].i);
        }
    }
    bool ok = pq.sendQueryPrepared(p->conn, name, (int)n, values, lengths, formats, 0);
    arena_reset(&texts);
    if (!ok) {
        return send_failed(p);
    }
    p->queue[p->n_queue++] = (struct waiting){wanted ? WANTED : DEFERRED, at};
    return 0;
}

/* Reads the results of everything in the pipeline. The wanted one's is the caller's to clear. */
static int flush_pipeline(struct postgres *p, PGresult **ret)
{
    int error = 0;
    if (!pq.pipelineSync(p->conn)) {
        return send_failed(p);
    }
    for (size_t i = 0; i < p->n_queue; i++) {
        PGresult *r = pq.getResult(p->conn);
        ExecStatusType status = pq.resultStatus(r);
        bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (!ok && !error) {
            error = r && is_alive(p) ? error_of(pq.resultErrorField(r, PG_DIAG_SQLSTATE))
                                     : send_failed(p);
            keep_error(p, r ? pq.resultErrorMessage(r) : pq.errorMessage(p->conn));
        }
        if (ok && p->queue[i].kind == PREPARE) {
            p->cache[p->queue[i].statement].prepared = true;
        }
        if (ok && p->queue[i].kind == WANTED && ret) {
            *ret = r;
        } else {
            pq.clear(r);
        }
        if (r) {
            pq.clear(pq.getResult(p->conn)); /* the NULL behind it */
        }
    }
    p->n_queue = 0;
    pq.clear(pq.getResult(p->conn)); /* of the sync */
    if (!is_alive(p) && !error) {
        error = send_failed(p);
    }
    return error;
}

/* ---- results ---- */

static struct db_value value_of(struct arena *a, const PGresult *r, int row, int column)
{
    if (pq.getisnull(r, row, column)) {
        return db_null();
    }
    const char *text = pq.getvalue(r, row, column);
    Oid type = pq.ftype(r, column);
    if (type == OID_INT8 || type == OID_INT4) {
        return db_int(strtoll(text, NULL, 10));
    }
    if (type == OID_BYTEA) {
        size_t n;
        unsigned char *bytes = pq.unescapeBytea((const unsigned char *)text, &n);
        struct db_value v = db_blob(arena_dup(a, str_make((char *)bytes, n)));
        pq.freemem(bytes);
        return v;
    }
    return db_text(arena_dup(a, str_make(text, (size_t)pq.getlength(r, row, column))));
}

static void copy_rows(struct arena *a, const PGresult *r, struct db_rows *ret)
{
    int rows = pq.ntuples(r), columns = pq.nfields(r);
    struct db_value *v = arena_alloc(a, (size_t)(rows * columns + 1) * sizeof *v);
    for (int i = 0; i < rows; i++) {
        for (int c = 0; c < columns; c++) {
            v[i * columns + c] = value_of(a, r, i, c);
        }
    }
    *ret = (struct db_rows){.n = (size_t)rows, .columns = (unsigned)columns, .v = v};
}

static int run(struct db *db, struct arena *a, const struct db_stmt *stmt,
               const struct db_value *args, unsigned n_args, struct db_rows *ret,
               int64_t *ret_changed)
{
    struct postgres *p = of(db);
    PGresult *result = NULL;
    bool wanted = ret || ret_changed || p->n_queue > PIPELINE - 8;
    if (!is_alive(p)) {
        return -EAGAIN;
    }
    int r = send_statement(p, stmt, args, n_args, wanted);
    if (r < 0 || !wanted) {
        return r;
    }
    r = flush_pipeline(p, &result);
    if (r == 0 && result && ret) {
        copy_rows(a, result, ret);
    }
    if (r == 0 && result && ret_changed) {
        *ret_changed = strtoll(pq.cmdTuples(result), NULL, 10);
    }
    pq.clear(result);
    return r;
}

/* ---- transactions ---- */

static int plain(struct db *db, const struct db_stmt *stmt)
{
    return send_statement(of(db), stmt, NULL, 0, false);
}

static int begin(struct db *db, bool write)
{
    static const struct db_stmt writes = {"BEGIN", NULL};
    static const struct db_stmt reads = {
        "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL};
    struct postgres *p = of(db);
    int r = is_alive(p) ? 0 : connect_now(p);
    p->write = write;
    p->committing = false;
    return r < 0 ? r : plain(db, write ? &writes : &reads);
}

static int commit(struct db *db)
{
    static const struct db_stmt end = {"COMMIT", NULL}, tell = {"NOTIFY accord_change", NULL};
    struct postgres *p = of(db);
    int r = p->write && !db->aside ? plain(db, &tell) : 0;
    /* What waits is asked first: an error there is no doubt about the commit. */
    r = r < 0 ? r : flush_pipeline(p, NULL);
    r = r < 0 ? r : plain(db, &end);
    p->committing = p->write && r == 0;
    return r < 0 ? r : flush_pipeline(p, NULL);
}

static void rollback(struct db *db)
{
    static const struct db_stmt stmt = {"ROLLBACK", NULL};
    struct postgres *p = of(db);
    p->committing = false;
    if (is_alive(p) && pq.transactionStatus(p->conn) != PQTRANS_IDLE) {
        char error[sizeof p->db.error];
        memcpy(error, p->db.error, sizeof error);
        if (plain(db, &stmt) == 0) {
            (void)!flush_pipeline(p, NULL);
        }
        memcpy(p->db.error, error, sizeof error); /* the first one tells why */
    }
    p->n_queue = 0;
}

static int savepoint(struct db *db)
{
    static const struct db_stmt stmt = {"SAVEPOINT job", NULL};
    return plain(db, &stmt);
}

static int release(struct db *db)
{
    static const struct db_stmt stmt = {"RELEASE SAVEPOINT job", NULL};
    return plain(db, &stmt);
}

static int rollback_to(struct db *db)
{
    static const struct db_stmt stmt = {"ROLLBACK TO SAVEPOINT job", NULL};
    int r = plain(db, &stmt);
    return r < 0 ? r : release(db);
}

static int script(struct db *db, const char *sql)
{
    struct postgres *p = of(db);
    int r = p->n_queue ? flush_pipeline(p, NULL) : 0;
    if (r < 0 || !pq.exitPipelineMode(p->conn)) {
        return r < 0 ? r : send_failed(p);
    }
    PGresult *result = pq.exec(p->conn, sql);
    ExecStatusType status = pq.resultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        keep_error(p, pq.resultErrorMessage(result));
        r = is_alive(p) ? error_of(pq.resultErrorField(result, PG_DIAG_SQLSTATE)) : -ECONNREFUSED;
    }
    pq.clear(result);
    return pq.enterPipelineMode(p->conn) || r < 0 ? r : send_failed(p);
}

static void close_db(struct db *db)
{
    struct postgres *p = of(db);
    pq.finish(p->conn);
    free(p->url);
    free(p);
}

static const struct db_driver driver = {
    .name = "postgresql",
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .savepoint = savepoint,
    .release = release,
    .rollback_to = rollback_to,
    .run = run,
    .script = script,
    .close = close_db,
};

int db_postgres_open(struct str url, struct db **ret, struct buf *errors)
{
    int r = libpq_load(errors);
    if (r < 0) {
        return r;
    }
    struct postgres *p = mem_zalloc(sizeof *p);
    p->db.driver = &driver;
    p->url = mem_zalloc(url.n + 1);
    memcpy(p->url, url.p, url.n);
    r = connect_now(p);
    if (r < 0) {
        buf_printf(errors, "the database cannot be reached: %s", p->db.error);
        close_db(&p->db);
        return r;
    }
    *ret = &p->db;
    return 0;
}

/* ---- what other processes commit ---- */

int db_postgres_listen(struct db *db)
{
    struct postgres *p = of(db);
    int r = is_alive(p) ? 0 : connect_now(p);
    return r < 0 ? r : script(db, "LISTEN accord_change");
}

bool db_postgres_heard(struct db *db)
{
    struct postgres *p = of(db);
    PGnotify *n;
    bool heard = false;
    if (!is_alive(p) || !pq.consumeInput(p->conn)) {
        return false;
    }
    while ((n = pq.notifies(p->conn))) {
        heard = true;
        pq.freemem(n);
    }
    return heard;
}

int db_postgres_socket(const struct db *db)
{
    const struct postgres *p = (const struct postgres *)db;
    return is_alive(p) ? pq.socket(p->conn) : -1;
}
