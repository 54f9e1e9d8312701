#include "ledger/row.h"

#include "json/tree.h"

enum column_type {
    COLUMN_U64,
    COLUMN_KNOWN, /* int64_t, below 0: not known */
    COLUMN_U32,
    COLUMN_U16,
    COLUMN_U8,
    COLUMN_NAME,
};

struct column {
    const char *name;
    enum column_type type;
    size_t at, at_n, cap;
};

#define NUMBER(type, member)                                                                       \
    {                                                                                              \
#member, COLUMN_##type, offsetof(struct record, member), 0, 0                              \
    }
#define TOKENS(member)                                                                             \
    {                                                                                              \
#member, COLUMN_KNOWN, offsetof(struct record, usage.member), 0, 0                         \
    }
#define NAME(member)                                                                               \
    {                                                                                              \
#member, COLUMN_NAME, offsetof(struct record, member),                                     \
            offsetof(struct record, member##_n), sizeof((struct record *)0)->member                \
    }

/* What is filtered by stands in front: a scan reads no further. */
static const struct column columns[] = {
    NUMBER(U64, ended_us),
    NUMBER(U16, status),
    NUMBER(U8, outcome),
    NAME(key),
    NAME(application),
    NAME(team),
    NAME(provider),
    NAME(model),
    NAME(route),
    NAME(upstream_model),
    NAME(code),
    NUMBER(U8, stream),
    NUMBER(U8, dialect_in),
    NUMBER(U8, dialect_out),
    NUMBER(U8, known_model),
    NUMBER(U8, attempts),
    TOKENS(input),
    TOKENS(output),
    TOKENS(cache_read),
    TOKENS(cache_write),
    TOKENS(cache_write_1h),
    TOKENS(reasoning),
    TOKENS(input_audio),
    TOKENS(output_audio),
    NUMBER(KNOWN, cost_nusd),
    NUMBER(U32, price_version),
    NUMBER(U64, bytes_in),
    NUMBER(U64, bytes_out),
    NUMBER(U32, total_us),
    NUMBER(U32, own_us),
    NUMBER(U32, connect_us),
    NUMBER(U32, ttft_us),
};

/* In the insert behind seq, bad and request; in the select behind seq and three texts. */
enum { COLUMNS = sizeof columns / sizeof *columns, FIRST_BOUND = 4, ID_PREFIX = 4 };

void row_tables(struct buf *b)
{
    buf_addz(
        b,
        "CREATE TABLE IF NOT EXISTS names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) "
        "STRICT;"
        "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER) STRICT, "
        "WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS calls(seq INTEGER PRIMARY KEY, bad INTEGER, request INTEGER");
    for (size_t i = 0; i < COLUMNS; i++) {
        buf_printf(b, ", %s INTEGER", columns[i].name);
    }
    buf_addz(b, ", request_id TEXT, failed TEXT) STRICT;"
                "CREATE TABLE IF NOT EXISTS masked(call INTEGER, detector INTEGER, action INTEGER, "
                "n INTEGER, PRIMARY KEY(call, detector, action)) STRICT, WITHOUT ROWID;");
}

void row_insert(struct buf *b)
{
    buf_addz(b, "INSERT INTO calls VALUES(?1");
    for (unsigned i = 2; i < FIRST_BOUND + COLUMNS + 2; i++) {
        buf_printf(b, ",?%u", i);
    }
    buf_addc(b, ')');
}

void row_select(struct buf *b)
{
    buf_addz(b, "SELECT seq, request_id, failed, (SELECT group_concat(detector || ':' || action || "
                "':' || n) "
                "FROM masked WHERE call = c.seq)");
    for (size_t i = 0; i < COLUMNS; i++) {
        if (columns[i].type == COLUMN_NAME) {
            buf_printf(b, ", (SELECT name FROM names WHERE id = c.%s)", columns[i].name);
        } else {
            buf_printf(b, ", %s", columns[i].name);
        }
    }
    buf_addz(b, " FROM calls c ");
}

uint32_t row_request_hash(struct str id)
{
    uint32_t h = 2166136261U;
    for (size_t i = ID_PREFIX; i < id.n && i < 16; i++) {
        h = (h ^ (unsigned char)id.p[i]) * 16777619U;
    }
    return h;
}

static struct str request_id(const struct record *r)
{
    return str_make(r->request_id, strnlen(r->request_id, sizeof r->request_id));
}

/* ---- attempts ---- */

void row_failed_json(struct buf *b, const struct record *r)
{
    buf_addc(b, '[');
    for (unsigned i = r->failed_n; i > 0; i--) { /* the oldest first */
        const struct record_attempt *a = &r->failed[i - 1];
        buf_printf(b, "%s{\"provider\":\"", i < r->failed_n ? "," : "");
        buf_add_json(b, str_make(a->provider, a->provider_n));
        buf_addz(b, "\",\"reason\":\"");
        buf_add_json(b, str_make(a->why, a->why_n));
        buf_printf(b, "\",\"after_ms\":%u.%03u", a->at_us / 1000, a->at_us % 1000);
        if (a->status) {
            buf_printf(b, ",\"status\":%u", a->status);
        }
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static uint32_t thousandths(struct str number)
{
    struct str whole, fraction = number;
    uint64_t ms = 0, us = 0;
    (void)str_cut(&fraction, '.', &whole);
    (void)!str_to_u64(whole, &ms);
    (void)!str_to_u64(fraction, &us);
    uint64_t all = ms * 1000 + us;
    return all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
}

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *m = json_get(j, str_of(name));
    return m ? m->text : (struct str){0};
}

static void read_failed(struct str text, struct record *r)
{
    struct arena a = {0};
    struct json *list;
    struct json_error e;
    if (json_parse(&a, text, &list, &e) == 0) {
        size_t n = json_count(list);
        r->failed_n = (uint8_t)(n < RECORD_FAILED ? n : RECORD_FAILED);
        size_t at = r->failed_n;
        for (const struct json *j = list->first; j && at > 0; j = j->next) {
            struct record_attempt *to = &r->failed[--at];
            uint64_t status = 0;
            (void)!str_to_u64(text_of(j, "status"), &status);
            to->status = (uint16_t)status;
            to->at_us = thousandths(text_of(j, "after_ms"));
            to->provider_n = record_text(to->provider, sizeof to->provider, text_of(j, "provider"));
            to->why_n = record_text(to->why, sizeof to->why, text_of(j, "reason"));
        }
    }
    arena_reset(&a);
}

/* ---- there ---- */

static int bind_one(sqlite3_stmt *st, int at, const struct column *c, const char *r, row_name *name,
                    void *arg)
{
    const void *p = r + c->at;
    int64_t id;
    uint8_t n;
    switch (c->type) {
    case COLUMN_U64:
        sqlite3_bind_int64(st, at, *(const int64_t *)p);
        break;
    case COLUMN_KNOWN:
        if (*(const int64_t *)p < 0) {
            sqlite3_bind_null(st, at);
        } else {
            sqlite3_bind_int64(st, at, *(const int64_t *)p);
        }
        break;
    case COLUMN_U32:
        sqlite3_bind_int64(st, at, *(const uint32_t *)p);
        break;
    case COLUMN_U16:
        sqlite3_bind_int64(st, at, *(const uint16_t *)p);
        break;
    case COLUMN_U8:
        sqlite3_bind_int64(st, at, *(const uint8_t *)p);
        break;
    case COLUMN_NAME:
        n = *(const uint8_t *)(r + c->at_n);
        id = n ? name(arg, str_make(p, n)) : 0;
        if (id < 0) {
            return (int)id;
        }
        if (id) {
            sqlite3_bind_int64(st, at, id);
        } else {
            sqlite3_bind_null(st, at);
        }
        break;
    }
    return 0;
}

int row_bind(sqlite3_stmt *st, int64_t seq, const struct record *r, row_name *name, void *arg,
             struct buf *scratch)
{
    sqlite3_bind_int64(st, 1, seq);
    if (row_is_bad(r)) {
        sqlite3_bind_int64(st, 2, 1);
    } else {
        sqlite3_bind_null(st, 2);
    }
    sqlite3_bind_int64(st, 3, row_request_hash(request_id(r)));
    for (int i = 0; i < COLUMNS; i++) {
        int e = bind_one(st, FIRST_BOUND + i, &columns[i], (const char *)r, name, arg);
        if (e < 0) {
            return e;
        }
    }
    sql_bind_text(st, FIRST_BOUND + COLUMNS, request_id(r));
    if (r->failed_n) {
        scratch->n = 0;
        row_failed_json(scratch, r);
        sql_bind_text(st, FIRST_BOUND + COLUMNS + 1, buf_str(scratch));
    } else {
        sqlite3_bind_null(st, FIRST_BOUND + COLUMNS + 1);
    }
    return 0;
}

int row_add_masked(sqlite3_stmt *st, int64_t seq, const struct record *r)
{
    int e = 0;
    for (int i = 0; i < MASK_KINDS * MASK_ACTIONS && e == 0; i++) {
        unsigned n = r->masked[i / MASK_ACTIONS][i % MASK_ACTIONS];
        if (n) {
            sqlite3_bind_int64(st, 1, seq);
            sqlite3_bind_int64(st, 2, i / MASK_ACTIONS);
            sqlite3_bind_int64(st, 3, i % MASK_ACTIONS);
            sqlite3_bind_int64(st, 4, n);
            e = sql_step(st);
        }
    }
    return e;
}

/* ---- and back ---- */

/* "0:2:1,8:4:3" */
static void read_masked(struct str text, struct record *r)
{
    struct str one, kind, action;
    uint64_t k, a, n;
    while (text.n) {
        (void)str_cut(&text, ',', &one);
        (void)str_cut(&one, ':', &kind);
        (void)str_cut(&one, ':', &action);
        if (str_to_u64(kind, &k) == 0 && str_to_u64(action, &a) == 0 && str_to_u64(one, &n) == 0 &&
            k < MASK_KINDS && a < MASK_ACTIONS) {
            r->masked[k][a] = (uint16_t)n;
            r->masked_any = 1;
        }
    }
}

static void read_one(sqlite3_stmt *st, int at, const struct column *c, char *r)
{
    void *p = r + c->at;
    int64_t v = c->type == COLUMN_NAME ? 0 : sqlite3_column_int64(st, at);
    switch (c->type) {
    case COLUMN_U64:
        *(int64_t *)p = v;
        break;
    case COLUMN_KNOWN:
        *(int64_t *)p = sqlite3_column_type(st, at) == SQLITE_NULL ? -1 : v;
        break;
    case COLUMN_U32:
        *(uint32_t *)p = (uint32_t)v;
        break;
    case COLUMN_U16:
        *(uint16_t *)p = (uint16_t)v;
        break;
    case COLUMN_U8:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case COLUMN_NAME:
        *(uint8_t *)(r + c->at_n) = record_text(p, c->cap, sql_text(st, at));
        break;
    }
}

void row_read(sqlite3_stmt *st, int64_t *ret_seq, struct record *ret)
{
    struct record r = {0};
    *ret_seq = sqlite3_column_int64(st, 0);
    (void)record_text(r.request_id, sizeof r.request_id - 1, sql_text(st, 1));
    for (int i = 0; i < COLUMNS; i++) {
        read_one(st, FIRST_BOUND + i, &columns[i], (char *)&r);
    }
    r.outcome = r.outcome < OUTCOMES ? r.outcome : OUTCOME_OK;
    r.dialect_in = r.dialect_in < FAMILY_COUNT ? r.dialect_in : FAMILY_COUNT;
    r.dialect_out = r.dialect_out < FAMILY_COUNT ? r.dialect_out : FAMILY_COUNT;
    if (sqlite3_column_type(st, 2) != SQLITE_NULL) {
        read_failed(sql_text(st, 2), &r);
    }
    if (sqlite3_column_type(st, 3) != SQLITE_NULL) {
        read_masked(sql_text(st, 3), &r);
    }
    *ret = r;
}
