/* What the ledger tells: accord logs, accord usage, accord top, accord alerts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/resource.h"
#include "cli/table.h"
#include "conflict/http_date.h"
#include "http/query.h"
#include "json/tree.h"

enum { FILTERS_MAX = 16, RECONNECTS_MAX = 30, RECONNECT_MS = 500, TOP_ROWS = 20, TOP_S = 2 };

struct asking {
    struct rest rest;
    const char *address, *since, *until, *number, *by, *interval, *output, *body;
    bool json, follow, once;
    const char *filters[FILTERS_MAX];
    size_t n_filters;
};

/* ---- the request ---- */

static int wrong(const char *command, const char *what, const char *value)
{
    fprintf(stderr, "accord %s: %s \"%s\"; `accord help %s` shows how\n", command, what, value,
            command);
    return CLI_USAGE;
}

/* "90s", "15m", "6h", "7d" ago, or a time. */
static bool add_time(struct asking *q, struct buf *b, const char *name, const char *text)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct str s = str_of(text), t = s;
    uint64_t n;
    int64_t us;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (s.n > 1 && s.p[s.n - 1] == units[i].letter &&
            str_to_u64(str_first(s, s.n - 1), &n) == 0 && n < 1000000) {
            t = time_print(&q->rest.arena,
                           ((int64_t)time(NULL) - (int64_t)(n * units[i].seconds)) * 1000000);
        }
    }
    if (time_parse(t, &us) < 0) {
        return false;
    }
    buf_printf(b, "&%s=", name);
    url_encode(b, t);
    return true;
}

static int add_filters(struct asking *q, struct buf *b, const char *command)
{
    for (size_t i = 0; i < q->n_filters; i++) {
        struct str value = str_of(q->filters[i]), name;
        if (!str_cut(&value, '=', &name)) {
            return wrong(command, "FIELD=VALUE is expected, not", q->filters[i]);
        }
        buf_addc(b, '&');
        url_encode(b, name);
        buf_addc(b, '=');
        url_encode(b, value);
    }
    if (q->since && !add_time(q, b, "from", q->since)) {
        return wrong(command, "--since takes 90s, 15m, 6h, 7d or a time, not", q->since);
    }
    if (q->until && !add_time(q, b, "to", q->until)) {
        return wrong(command, "--until takes 90s, 15m, 6h, 7d or a time, not", q->until);
    }
    return CLI_OK;
}

static void add_option(struct buf *b, const char *name, const char *value)
{
    if (value) {
        buf_printf(b, "&%s=", name);
        url_encode(b, str_of(value));
    }
}

static int get(struct asking *q, struct str path, struct rest_answer *ret)
{
    int r = rest_call(&q->rest, "GET", path, (struct str){0}, (struct str){0}, ret);
    return r ? r : rest_verdict(&q->rest, ret);
}

/* ---- one call as a line ---- */

static struct str number(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_NUMBER ? c->text : STR("-");
}

static struct str text_or(const struct json *j, const char *name, const char *otherwise)
{
    struct str s = rest_text(j, name);
    return s.n ? s : str_of(otherwise);
}

static void print_call(const struct json *j)
{
    const struct json *tokens = json_get(j, STR("tokens")),
                      *latency = json_get(j, STR("latency_ms"));
    const struct str cells[] = {
        rest_text(j, "ended_at"),
        number(j, "status"),
        text_or(j, "key", "-"),
        text_or(j, "model", "-"),
        text_or(j, "provider", "-"),
        number(tokens, "input"),
        number(tokens, "output"),
        text_or(j, "cost_usd", "unknown"),
        number(latency, "total"),
        text_or(j, "error", str_eq(rest_text(j, "outcome"), STR("ok")) ? "" : "-"),
        rest_text(j, "id"),
    };
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        table_put(cells[i]);
        putchar(i + 1 == sizeof cells / sizeof *cells ? '\n' : '\t');
    }
}

static void print_item(const struct asking *q, const struct json *j)
{
    struct arena a = {0};
    struct buf b = {.arena = &a};
    if (q->json) {
        json_print(&b, j, 0);
        printf("%.*s\n", STR_ARG(buf_str(&b)));
    } else {
        print_call(j);
    }
    arena_reset(&a);
}

static void print_head(const struct asking *q)
{
    if (!q->json && isatty(STDOUT_FILENO)) {
        puts("ENDED\tSTATUS\tKEY\tMODEL\tPROVIDER\tINPUT\tOUTPUT\tUSD\tMS\tERROR\tID");
    }
}

/* ---- accord logs ---- */

struct following {
    const struct asking *q;
    char id[32]; /* of the last event */
};

static void on_line(void *arg, struct str line)
{
    struct following *f = arg;
    struct arena a = {0};
    struct json *j;
    if (str_starts(line, STR("id: ")) && line.n - 4 < sizeof f->id) {
        memcpy(f->id, line.p + 4, line.n - 4);
        f->id[line.n - 4] = 0;
    } else if (str_starts(line, STR("data: ")) &&
               json_parse(&a, str_from(line, 6), &j, NULL) == 0) {
        table_begin();
        print_item(f->q, j);
        table_end();
        fflush(stdout);
    }
    arena_reset(&a);
}

/* A stream that ends goes on from its last event: nothing is missed while the server restarts. */
static int follow(struct asking *q, struct str query)
{
    struct following f = {.q = q};
    int r = CLI_OK;
    struct str path = arena_printf(&q->rest.arena, "/calls/watch?%.*s", STR_ARG(query));
    for (unsigned tries = 0; tries < RECONNECTS_MAX; tries++) {
        struct str from = arena_printf(&q->rest.arena, "Last-Event-ID: %s\r\n", f.id);
        r = rest_stream(&q->rest, path, f.id[0] ? from : (struct str){0}, on_line, &f);
        if (r != CLI_OK && (r != CLI_UNREACHABLE || !f.id[0])) {
            break;
        }
        tries = r == CLI_OK ? 0 : tries;
        usleep(RECONNECT_MS * 1000);
    }
    return r;
}

/* The oldest of them first, as a log is read. */
static void print_backwards(const struct asking *q, const struct json *items)
{
    size_t n = json_count(items), i = n;
    const struct json **all = mem_zalloc((n + 1) * sizeof *all);
    for (const struct json *j = items ? items->first : NULL; j; j = j->next) {
        all[--i] = j;
    }
    for (i = 0; i < n; i++) {
        print_item(q, all[i]);
    }
    free(all);
}

static int list(struct asking *q, struct str query)
{
    struct rest_answer a;
    struct str path = arena_printf(&q->rest.arena, "/calls?%.*s", STR_ARG(query));
    int r = get(q, path, &a);
    if (!r) {
        print_backwards(q, json_get(a.json, STR("items")));
    }
    return r;
}

/* As table_put(), but lines stay lines. */
static void put_lines(struct str s)
{
    struct str line;
    while (s.n) {
        bool ends = str_cut(&s, '\n', &line);
        table_put(line);
        if (ends) {
            putchar('\n');
        }
    }
}

static void print_part(const struct json *body, const char *name)
{
    const struct json *j = json_get(body, str_of(name)), *cut = json_get(j, STR("cut"));
    struct str text = rest_text(j, "text"), base64 = rest_text(j, "base64");
    printf("%s, ", name);
    table_put(text_or(j, "content_type", "without a type"));
    printf(", %.*s bytes%s%s:\n", STR_ARG(number(j, "bytes")),
           cut && cut->type == JSON_TRUE ? ", cut" : "", base64.n ? ", base64" : "");
    put_lines(text.n ? text : base64.n ? base64 : rest_text(j, "absent"));
    putchar('\n');
}

/* What was asked and answered. */
static int print_body(struct asking *q)
{
    struct rest_answer a;
    struct buf path = {.arena = &q->rest.arena};
    buf_addz(&path, "/calls/");
    url_encode(&path, str_of(q->body));
    buf_addz(&path, "/body");
    int r = get(q, buf_str(&path), &a);
    if (!r && q->json) {
        printf("%.*s\n", STR_ARG(a.body));
    } else if (!r) {
        print_part(a.json, "request");
        print_part(a.json, "answer");
    }
    return r;
}

int cli_logs(int argc, char **argv)
{
    struct asking q = {0};
    const struct args_option options[] = {
        {"--address", 'a', .value = &q.address}, {"--since", 's', .value = &q.since},
        {"--until", 0, .value = &q.until},       {"--number", 'n', .value = &q.number},
        {"--follow", 'f', .flag = &q.follow},    {"--json", 'j', .flag = &q.json},
        {"--body", 0, .value = &q.body},         {0}};
    int r;
    if (args_read_with("logs", argc, argv, options, q.filters, FILTERS_MAX, &q.n_filters, &r) < 0) {
        return r;
    }
    rest_open(&q.rest, "logs", q.address);
    if (q.body) {
        r = print_body(&q);
        arena_reset(&q.rest.arena);
        return r;
    }
    struct buf filters = {.arena = &q.rest.arena}, query = {.arena = &q.rest.arena};
    q.until = q.follow ? NULL : q.until;
    const char *since = q.since;
    q.since = NULL;
    r = add_filters(&q, &filters, "logs"); /* those that a stream knows as well */
    struct str of_stream = str_from(buf_str(&filters), 1);
    q.since = since;
    q.n_filters = r ? 0 : q.n_filters;
    r = r ? r : add_filters(&q, &query, "logs");
    add_option(&query, "limit", q.number ? q.number : q.follow ? "10" : "50");
    if (!r) {
        table_begin();
        print_head(&q);
        r = list(&q, str_from(buf_str(&query), 1));
        table_end();
    }
    if (!r && q.follow) {
        fflush(stdout);
        r = follow(&q, of_stream);
    }
    arena_reset(&q.rest.arena);
    return r;
}

/* ---- accord usage ---- */

static const char *const measures[] = {"calls", "errors", NULL};

static void print_row(const struct json *j, const char *by, bool started)
{
    const struct json *tokens = json_get(j, STR("tokens")),
                      *latency = json_get(j, STR("latency_ms"));
    struct str rest = str_of(by), one;
    if (started) {
        table_put(rest_text(j, "start"));
        putchar('\t');
    }
    while (rest.n) {
        char name[32];
        (void)str_cut(&rest, ',', &one);
        snprintf(name, sizeof name, "%.*s", STR_ARG(str_first(one, 31)));
        table_put(text_or(j, name, "-"));
        putchar('\t');
    }
    for (size_t i = 0; measures[i]; i++) {
        table_put(number(j, measures[i]));
        putchar('\t');
    }
    table_put(number(tokens, "input"));
    putchar('\t');
    table_put(number(tokens, "output"));
    putchar('\t');
    table_put(rest_text(j, "cost_usd"));
    putchar('\t');
    table_put(number(j, "cost_unknown"));
    putchar('\t');
    table_put(number(latency, "p50"));
    putchar('\t');
    table_put(number(latency, "p95"));
    putchar('\n');
}

static void print_usage_head(const char *by, bool started)
{
    printf("%s", started ? "start\t" : "");
    for (const char *p = by; p && *p; p++) {
        putchar(*p == ',' ? '\t' : *p);
    }
    printf("%scalls\terrors\tinput\toutput\tusd\tunknown\tp50_ms\tp95_ms\n", by ? "\t" : "");
}

static void print_usage(const struct asking *q, const struct json *items, size_t most)
{
    bool started = q->interval && strcmp(q->interval, "none") != 0;
    table_begin();
    print_usage_head(q->by, started);
    for (const struct json *j = items ? items->first : NULL; j && most; j = j->next, most--) {
        print_row(j, q->by, started);
    }
    table_end();
}

static int ask_usage(struct asking *q, const char *command, struct rest_answer *ret)
{
    struct buf query = {.arena = &q->rest.arena};
    int r = add_filters(q, &query, command);
    add_option(&query, "by", q->by);
    add_option(&query, "interval", q->interval);
    add_option(&query, "format", q->output && strcmp(q->output, "csv") == 0 ? "csv" : "json");
    struct str path =
        arena_printf(&q->rest.arena, "/usage?%.*s", STR_ARG(str_from(buf_str(&query), 1)));
    return r ? r : get(q, path, ret);
}

int cli_usage(int argc, char **argv)
{
    struct asking q = {0};
    struct rest_answer a;
    const struct args_option options[] = {
        {"--address", 'a', .value = &q.address},   {"--since", 's', .value = &q.since},
        {"--until", 0, .value = &q.until},         {"--by", 'b', .value = &q.by},
        {"--interval", 'i', .value = &q.interval}, {"--output", 'o', .value = &q.output},
        {"--json", 'j', .flag = &q.json},          {0}};
    int r;
    if (args_read_with("usage", argc, argv, options, q.filters, FILTERS_MAX, &q.n_filters, &r) <
        0) {
        return r;
    }
    if (q.output && strcmp(q.output, "table") != 0 && strcmp(q.output, "json") != 0 &&
        strcmp(q.output, "csv") != 0) {
        return wrong("usage", "--output is table, json or csv, not", q.output);
    }
    rest_open(&q.rest, "usage", q.address);
    r = ask_usage(&q, "usage", &a);
    if (!r && (q.json || (q.output && strcmp(q.output, "table") != 0))) {
        printf("%.*s%s", STR_ARG(a.body), q.output && *q.output == 'c' ? "" : "\n");
    } else if (!r) {
        print_usage(&q, json_get(a.json, STR("items")), SIZE_MAX);
    }
    arena_reset(&q.rest.arena);
    return r;
}

/* ---- accord top ---- */

int cli_top(int argc, char **argv)
{
    struct asking q = {.by = "model", .since = "15m"};
    struct rest_answer a;
    const struct args_option options[] = {{"--address", 'a', .value = &q.address},
                                          {"--since", 's', .value = &q.since},
                                          {"--by", 'b', .value = &q.by},
                                          {"--once", 0, .flag = &q.once},
                                          {0}};
    bool terminal = isatty(STDOUT_FILENO);
    int r;
    if (args_read_with("top", argc, argv, options, q.filters, FILTERS_MAX, &q.n_filters, &r) < 0) {
        return r;
    }
    do {
        rest_open(&q.rest, "top", q.address);
        r = ask_usage(&q, "top", &a);
        if (!r && terminal && !q.once) {
            printf("\033[H\033[2Jthe last %s by %s; Ctrl-C ends\n\n", q.since, q.by);
        }
        if (!r) {
            print_usage(&q, json_get(a.json, STR("items")), TOP_ROWS);
            fflush(stdout);
        }
        arena_reset(&q.rest.arena);
        if (!r && terminal && !q.once) {
            sleep(TOP_S);
        }
    } while (!r && terminal && !q.once);
    return r;
}

/* ---- accord alerts ---- */

static void print_alerts(const struct json *items)
{
    table_begin();
    puts("id\tstate\twhen\tsubject\tvalue\tabove\tsince");
    for (const struct json *j = items ? items->first : NULL; j; j = j->next) {
        const struct str cells[] = {rest_text(j, "id"),      rest_text(j, "state"),
                                    rest_text(j, "when"),    text_or(j, "subject", "-"),
                                    number(j, "value"),      number(j, "above"),
                                    text_or(j, "since", "-")};
        for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
            table_put(cells[i]);
            putchar(i + 1 == sizeof cells / sizeof *cells ? '\n' : '\t');
        }
    }
    table_end();
}

int cli_alerts(int argc, char **argv)
{
    struct asking q = {0};
    struct rest_answer a;
    const struct args_option options[] = {
        {"--address", 'a', .value = &q.address}, {"--json", 'j', .flag = &q.json}, {0}};
    int r;
    if (args_read_with("alerts", argc, argv, options, q.filters, 0, &q.n_filters, &r) < 0) {
        return r;
    }
    rest_open(&q.rest, "alerts", q.address);
    r = get(&q, STR("/alerts"), &a);
    if (!r && q.json) {
        printf("%.*s\n", STR_ARG(a.body));
    } else if (!r) {
        print_alerts(json_get(a.json, STR("items")));
    }
    arena_reset(&q.rest.arena);
    return r;
}
