/* What /metrics tells of limits and budgets. */
#include "gateway/counter_journal.h"
#include "gateway/limits.h"
#include "gateway/shared.h"
#include "json/tree.h"

/* Policies are made by administrators, not by clients; still, their number has no other bound. */
enum { SHOWN_MAX = 500 };

static const char *const what_name[] = {"concurrency",   "requests", "input_tokens",
                                        "output_tokens", "tokens",   "usd"};
static const char *const per_name[] = {"second", "minute", "hour", "day", "month", ""};

static void add_value(struct buf *b, const struct snap_limit *l, uint64_t v)
{
    if (l->rule.what == LIMIT_USD) {
        buf_printf(b, "%llu.%09llu\n", (unsigned long long)(v / 1000000000),
                   (unsigned long long)(v % 1000000000));
    } else {
        buf_printf(b, "%llu\n", (unsigned long long)v);
    }
}

static void add_line(struct buf *b, const char *name, const struct snap_limit *l)
{
    /* Several of one policy may count the same. */
    buf_printf(b, "accord_%s{policy=\"%.*s\",limit=\"%u\",what=\"%s\",per=\"%s\",soft=\"%s\"} ",
               name, STR_ARG(l->policy), l->number, what_name[l->rule.what], per_name[l->rule.per],
               l->rule.soft ? "true" : "false");
}

enum value { AT_MOST, USED, RESERVED, REFUSED, EXCEEDED };

static uint64_t value_of(const struct snap_limit *l, enum value which, const struct limit_now *now)
{
    const struct limit_rule *r = &l->rule;
    bool at_once = r->what == LIMIT_CONCURRENCY;
    uint64_t taken, settled;
    switch (which) {
    case AT_MOST:
        return r->at_most;
    case USED:
        return at_once ? 0 : limit_settled(r, now);
    case RESERVED:
        if (at_once) {
            return (uint64_t)atomic_load(&l->counter->running);
        }
        settled = limit_settled(r, now); /* first: what is settled meanwhile is not below 0 then */
        taken = limit_taken(r, now);
        return taken > settled ? taken - settled : 0;
    case REFUSED:
        return atomic_load(&l->counter->refused);
    case EXCEEDED:
        return atomic_load(&l->counter->exceeded);
    }
    return 0;
}

static struct json *amount(struct arena *a, const struct snap_limit *l, uint64_t v)
{
    struct buf b = {.arena = a};
    struct json *j = json_new(a, JSON_NUMBER);
    add_value(&b, l, v);
    j->text = str_first(buf_str(&b), b.n - 1); /* without the end of the line */
    return j;
}

struct json *limits_json(struct arena *a, const struct snap_limit *l, const struct limit_now *now)
{
    const struct limit_rule *r = &l->rule;
    struct json *j = json_new(a, JSON_OBJECT);
    bool at_once = r->what == LIMIT_CONCURRENCY;
    json_set(j, STR("policy"), json_new_str(a, arena_dup(a, l->policy)));
    json_set(j, STR("what"), json_new_str(a, str_of(what_name[r->what])));
    if (!at_once) {
        json_set(j, STR("per"), json_new_str(a, str_of(per_name[r->per])));
    }
    json_set(j, STR("at_most"), amount(a, l, r->at_most));
    uint64_t here = value_of(l, USED, now) + value_of(l, RESERVED, now);
    json_set(j, STR("taken"), amount(a, l, here + atomic_load(&l->counter->limit.others)));
    json_set(j, STR("soft"), json_new_bool(a, r->soft));
    return j;
}

void limits_print(struct buf *b, const struct snapshot *s, const struct limit_now *now)
{
    static const struct {
        const char *name, *type, *help;
        bool count; /* a number of calls, whatever is limited */
    } all[] = {
        [AT_MOST] = {"limit_at_most", "gauge", "What a policy allows in the window.", false},
        [USED] = {"limit_used", "gauge", "What calls that have ended used of it.", false},
        [RESERVED] = {"limit_reserved", "gauge", "What calls under way hold of it.", false},
        [REFUSED] = {"limit_refused_total", "counter", "Calls that it refused.", true},
        [EXCEEDED] = {"limit_exceeded_total", "counter", "Calls beyond it that it let pass.", true},
    };
    for (unsigned v = 0; s->n_limits && v < sizeof all / sizeof *all; v++) {
        buf_printf(b, "# HELP accord_%s %s\n# TYPE accord_%s %s\n", all[v].name, all[v].help,
                   all[v].name, all[v].type);
        for (size_t i = 0; i < s->n_limits && i < SHOWN_MAX; i++) {
            const struct snap_limit *l = &s->limits[i];
            uint64_t value = value_of(l, (enum value)v, now);
            add_line(b, all[v].name, l);
            if (all[v].count) {
                buf_printf(b, "%llu\n", (unsigned long long)value);
            } else {
                add_value(b, l, value);
            }
        }
    }
    buf_printf(b,
               "# HELP accord_limit_journal_failures_total Times that what was used could not be "
               "written down.\n# TYPE accord_limit_journal_failures_total counter\n"
               "accord_limit_journal_failures_total %llu\n",
               (unsigned long long)counter_journal_failures());
    struct shared_stats shared = shared_stats();
    if (shared.on) {
        buf_printf(
            b,
            "# HELP accord_limits_shared_up Whether what servers count together can be told.\n"
            "# TYPE accord_limits_shared_up gauge\naccord_limits_shared_up %d\n"
            "# HELP accord_limits_shared_told_total Times that others were told of a limit.\n"
            "# TYPE accord_limits_shared_told_total counter\n"
            "accord_limits_shared_told_total %llu\n"
            "# HELP accord_limits_shared_failures_total Connections for it that broke or "
            "did not come about.\n# TYPE accord_limits_shared_failures_total counter\n"
            "accord_limits_shared_failures_total %llu\n",
            shared.reachable, (unsigned long long)shared.told, (unsigned long long)shared.failures);
    }
}
