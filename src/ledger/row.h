/* A record as a row of a partition, and back: one table of columns for both ways.
 *
 *   CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT UNIQUE)
 *   CREATE TABLE calls(seq INTEGER PRIMARY KEY, ended_us INTEGER, ... key INTEGER, ...)
 *
 * Names that come back (keys, models, routes ...) stand once per partition in `names`, in `calls` their numbers; NULL
 * is the empty one. What was masked stands in `masked`, a row for each detector and action. Tokens and costs that are not known are NULL. Attempts that failed are a text of JSON. */
#ifndef LEDGER_ROW_H
#define LEDGER_ROW_H

#include "base/buf.h"
#include "ledger/record.h"
#include "ledger/sql.h"

/* The statements that make the tables; that add a call: row_bind() fills it in, ?1 is its number. */
void row_tables(struct buf *b);
void row_insert(struct buf *b);

/* The number of a name in the partition, made when it is new; negative: an error. */
typedef int64_t row_name(void *arg, struct str name);
/* Binds all of it. `scratch` holds what the statement needs until it was run. 0, or what `name` answered. */
__attribute__((warn_unused_result)) int row_bind(sqlite3_stmt *st, int64_t seq,
                                                 const struct record *r, row_name *name, void *arg,
                                                 struct buf *scratch);

/* The statement that adds what was masked in a call, a row at a time; and doing so, when `masked_any`. */
#define ROW_INSERT_MASKED "INSERT INTO masked VALUES(?1, ?2, ?3, ?4)"
__attribute__((warn_unused_result)) int row_add_masked(sqlite3_stmt *st, int64_t seq,
                                                       const struct record *r);

/* "SELECT seq, ... FROM calls c ": what row_read() reads. */
void row_select(struct buf *b);
/* The record of the row that a statement stands on. */
void row_read(sqlite3_stmt *st, int64_t *ret_seq, struct record *ret);

/* Whether it is one that somebody who looks for trouble looks for: the column `bad`. */
static inline bool row_is_bad(const struct record *r)
{
    return outcome_is_bad(r->outcome, r->status);
}

/* The column `request`, by which a request's id is found: a part of its random bits. */
uint32_t row_request_hash(struct str id);

/* {"provider": ..., "reason": ..., "after_ms": ...} of each, a list. */
void row_failed_json(struct buf *b, const struct record *r);

#endif
