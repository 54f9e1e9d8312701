/* What /metrics tells of the platform: refused writes by kind and by why, and the store. */
#include "ledger/bodies.h"
#include "ledger/writer.h"
#include "platform/alerts.h"
#include "platform/platform.h"
#include "platform/visit.h"

static size_t kind_index(struct str kind)
{
    size_t i = 0;
    while (resource_kinds[i] && !str_eq(kind, str_of(resource_kinds[i]->kind->name))) {
        i++;
    }
    return resource_kinds[i] && i < KINDS_COUNTED ? i : KINDS_COUNTED;
}

void platform_count_conflict(struct platform *p, struct str kind, enum problem_id id)
{
    p->conflicts[kind_index(kind)][id]++;
}

static void print_conflicts(struct buf *b, const struct platform *p)
{
    buf_addz(b, "# HELP accord_conflicts_total Writes that were refused with 409 or 412.\n"
                "# TYPE accord_conflicts_total counter\n");
    for (size_t k = 0; k <= KINDS_COUNTED; k++) {
        for (size_t i = 0; i < PROBLEM_COUNT; i++) {
            uint64_t n = p->conflicts[k][i];
            if (n) {
                buf_printf(b, "accord_conflicts_total{kind=\"%s\",code=\"%s\"} %llu\n",
                           k < KINDS_COUNTED ? resource_kinds[k]->kind->name : "",
                           problem_types[i].code, (unsigned long long)n);
            }
        }
    }
}

static void print_store(struct buf *b, const struct platform *p)
{
    struct store_state s;
    store_state(p->store, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } all[] = {
        {"accord_store_writable", "gauge", "Whether the last write could be committed.",
         s.writable},
        {"accord_store_queued", "gauge", "Jobs that wait for the store.", s.queued},
        {"accord_store_writes_total", "counter", "Jobs that write.", s.writes},
        {"accord_store_reads_total", "counter", "Jobs that read.", s.reads},
        {"accord_store_commits_total", "counter", "Transactions; several writes share one.",
         s.commits},
        {"accord_store_reruns_total", "counter", "Jobs that were run again after a lost race.",
         s.reruns},
        {"accord_store_refused_total", "counter", "Jobs that found the queue full.", s.refused},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", all[i].name, all[i].help,
                   all[i].name, all[i].type, all[i].name, (unsigned long long)all[i].value);
    }
}

static void print_ledger(struct buf *b, const struct platform *p)
{
    struct writer *w = ledger_writer(p->gateway->ledger);
    struct writer_state s = {0};
    if (w) {
        writer_state(w, &s);
    }
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } all[] = {
        {"accord_ledger_writable", "gauge", "Whether the last records could be written.",
         w && s.error == 0},
        {"accord_ledger_waiting", "gauge", "Records in memory that are to be written.", s.waiting},
        {"accord_ledger_written_total", "counter", "Records that were written.", s.written},
        {"accord_ledger_spooled_total", "counter", "Records that could not wait in memory.",
         s.spooled},
        {"accord_ledger_dropped_total", "counter",
         "Records that are lost because neither partitions nor spool could take them.", s.dropped},
        {"accord_ledger_commits_total", "counter", "Transactions; many records share one.",
         s.commits},
    };
    for (size_t i = 0; w && i < sizeof all / sizeof *all; i++) {
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", all[i].name, all[i].help,
                   all[i].name, all[i].type, all[i].name, (unsigned long long)all[i].value);
    }
}

static void print_bodies(struct buf *b, const struct platform *p)
{
    struct bodies_state s = {0};
    if (!p->gateway->bodies) {
        return;
    }
    bodies_state(p->gateway->bodies, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } all[] = {
        {"accord_bodies_writable", "gauge", "Whether the last bodies could be written.",
         s.error == 0},
        {"accord_bodies_held_bytes", "gauge",
         "What bodies take in memory that are being collected or are to be written.", s.held},
        {"accord_bodies_bytes", "gauge", "What they take on the disk, looked at once a minute.",
         s.bytes},
        {"accord_bodies_written_total", "counter", "Calls whose bodies were written.", s.written},
        {"accord_bodies_lost_total", "counter",
         "Calls whose bodies found no room in memory, or could not be written.", s.lost},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", all[i].name, all[i].help,
                   all[i].name, all[i].type, all[i].name, (unsigned long long)all[i].value);
    }
}

void platform_metrics(void *arg, struct buf *b)
{
    const struct platform *p = arg;
    print_conflicts(b, p);
    print_store(b, p);
    print_ledger(b, p);
    alerts_metrics(p->alerts, b);
    print_bodies(b, p);
}
