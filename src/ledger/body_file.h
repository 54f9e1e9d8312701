/* The files of bodies: SQLite, named by the day on which they go and a number.
 *
 *   DATA/ledger/bodies/2026-12-05.000000000001.db      CREATE TABLE bodies(request TEXT PRIMARY KEY, sealed BLOB)
 *
 * Policies keep bodies for different times, so a day of calls may go on different days; whatever stands in a file goes
 * with it. `sealed` is what body_json() says, sealed (store/seal.h) with the request's id as its context: nothing else of
 * a call stands there. Not for several threads at once, but for what says otherwise. */
#ifndef LEDGER_BODY_FILE_H
#define LEDGER_BODY_FILE_H

#include "ledger/partition.h"
#include "ledger/sql.h"

/* The one that is written. Zero: none is open. */
struct body_file {
    sqlite3 *db;
    sqlite3_stmt *insert;
    struct partition_name name;
    int64_t bytes; /* about */
};

/* One of that day with room for more (each takes `file_bytes`), opened or made; the one that was open is closed when it
 * is none. `fresh`: a new one in any case. After an error none is open. */
__attribute__((warn_unused_result)) int body_file_for(struct body_file *f, const char *dir,
                                                      int32_t day, int64_t file_bytes, bool fresh);
/* Between "BEGIN" and "COMMIT" by sql_run(). */
__attribute__((warn_unused_result)) int body_file_add(struct body_file *f, struct str request,
                                                      struct str sealed);
void body_file_close(struct body_file *f);

/* What there is of the request, in `a`. -ENOENT. Any thread. */
__attribute__((warn_unused_result)) int body_file_get(const char *dir, struct arena *a,
                                                      struct str request, struct str *ret);
/* Overwrites it. -ENOENT. */
__attribute__((warn_unused_result)) int body_file_forget(const char *dir, struct str request);
/* Deletes those of days before `today`, and as many as are needed to have at most `max_bytes`, those that would go next
 * first; not `open`. What is left takes so many bytes. */
int64_t body_files_retain(const char *dir, int32_t today, int64_t max_bytes,
                          const struct body_file *open);

#endif
