/*
 * What the disk and SQLite allow: one client that updates one row and commits, again and again, with
 * the settings that Accord runs with (WAL, synchronous=FULL). The result is one JSON object.
 */
#include "hist.h"
#include "sock.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static sqlite3 *db;

static void must(int r)
{
    if (r != SQLITE_OK && r != SQLITE_DONE && r != SQLITE_ROW) {
        fprintf(stderr, "commits: %s\n", sqlite3_errmsg(db));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct hist latency;
    if (argc != 3) {
        fputs("usage: commits FILE SECONDS\n", stderr);
        return 2;
    }
    must(sqlite3_open(argv[1], &db));
    must(sqlite3_exec(
        db,
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);"
        "INSERT INTO t VALUES (1, 0, 'a document of about the length that a team has')",
        NULL, NULL, NULL));
    sqlite3_stmt *update;
    must(sqlite3_prepare_v2(db, "UPDATE t SET n = n + 1 WHERE id = 1", -1, &update, NULL));
    uint64_t start = sock_now_ns(), now = start, n = 0;
    uint64_t stop = start + (uint64_t)(atof(argv[2]) * 1e9);
    while (now < stop) {
        uint64_t before = now;
        must(sqlite3_step(update));
        must(sqlite3_reset(update));
        now = sock_now_ns();
        hist_add(&latency, now - before);
        n++;
    }
    printf("{\"commits\": %llu, \"per_s\": %.1f, \"p99_ms\": %.3f}\n", (unsigned long long)n,
           (double)n * 1e9 / (double)(now - start),
           (double)hist_percentile_ns(&latency, 0.99) / 1e6);
    return 0;
}
