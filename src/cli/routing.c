/* Where calls would go, and how those are who take them: accord explain, accord routing. */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/resource.h"
#include "cli/table.h"
#include "http/query.h"

static struct str cell(const struct json *j, const char *name, const char *otherwise)
{
    const struct json *c = json_get(j, str_of(name));
    bool shown = c && (c->type == JSON_STRING || c->type == JSON_NUMBER) && c->text.n;
    return shown ? c->text : str_of(otherwise);
}

static void put_cells(const struct json *j, const char *const *names)
{
    for (size_t i = 0; names[i]; i++) {
        table_put(cell(j, names[i], "-"));
        putchar(names[i + 1] ? '\t' : '\n');
    }
}

static int finish(struct request *q, int r, const struct rest_answer *a,
                  void (*print)(const struct json *j))
{
    r = r ? r : rest_verdict(&q->rest, a);
    if (!r && q->json) {
        printf("%.*s\n", STR_ARG(a->body));
    } else if (!r) {
        table_begin();
        print(a->json);
        table_end();
    }
    arena_reset(&q->rest.arena);
    return r;
}

/* ---- accord explain ---- */

static void put_list(const struct json *list)
{
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        printf("%s", c == list->first ? " (" : "; ");
        table_put(c->text);
        printf("%s", c->next ? "" : ")");
    }
}

static void print_target(const struct json *t)
{
    struct str order = cell(t, "order", ""), until = cell(t, "rests_until", "");
    table_put(order.n ? order : STR("-"));
    putchar('\t');
    table_put(cell(t, "target", ""));
    putchar('\t');
    if (order.n) {
        printf("credential ");
        table_put(cell(t, "credential", "none"));
    } else {
        table_put(cell(t, "passed_by", "-"));
        put_list(json_get(t, STR("conditions")));
    }
    if (until.n) {
        printf(" until ");
        table_put(until);
    }
    printf("\tin flight ");
    table_put(cell(t, "in_flight", "0"));
    printf("\tms ");
    table_put(cell(t, "latency_ms", "-"));
    putchar('\n');
}

static void print_limit(const struct json *l)
{
    static const char *const names[] = {"policy", "what", "per"};
    printf("limit");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        putchar('\t');
        table_put(cell(l, names[i], "-"));
    }
    printf("\ttaken ");
    table_put(cell(l, "taken", "-"));
    printf(" of ");
    table_put(cell(l, "at_most", "-"));
    putchar('\n');
}

static void print_explanation(const struct json *j)
{
    const struct json *targets = json_get(j, STR("targets")), *error = json_get(j, STR("error")),
                      *policies = json_get(j, STR("policies"));
    const struct json *limits = json_get(j, STR("limits"));
    if (error) {
        printf("refused\t");
        table_put(cell(error, "status", ""));
        putchar(' ');
        table_put(cell(error, "code", ""));
        printf(": ");
        table_put(cell(error, "message", ""));
        putchar('\n');
    }
    if (error && json_get(error, STR("retry_after_ms"))) {
        printf("again after\t");
        table_put(cell(error, "retry_after_ms", ""));
        printf(" ms\n");
    }
    if (targets) {
        printf("model\t");
        table_put(cell(j, "model", "-"));
        printf("\nbalance\t");
        table_put(cell(j, "balance", ""));
        printf("\nsticks by\t");
        table_put(cell(j, "sticks_by", "-"));
        printf("\nattempts\t");
        table_put(cell(j, "attempts", ""));
        putchar('\n');
    }
    for (const struct json *p = policies ? policies->first : NULL; p; p = p->next) {
        printf("policy\t");
        table_put(cell(p, "id", ""));
        putchar('\n');
    }
    for (const struct json *l = limits ? limits->first : NULL; l; l = l->next) {
        print_limit(l);
    }
    for (const struct json *t = targets ? targets->first : NULL; t; t = t->next) {
        print_target(t);
    }
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "accord explain: %s \"%s\"; `accord help explain` shows how\n", what, value);
    return CLI_USAGE;
}

static void set_text(struct request *q, struct json *j, const char *name, const char *value)
{
    if (value) {
        json_set(j, str_of(name), json_new_str(&q->rest.arena, str_of(value)));
    }
}

/* The question, as POST /explain takes it. */
static int make_question(struct request *q, struct json *j)
{
    struct json *headers = json_new(&q->rest.arena, JSON_OBJECT);
    for (size_t i = 1; i < q->n; i++) {
        struct str value = str_of(q->operands[i]), name;
        if (!str_cut(&value, '=', &name)) {
            return wrong("HEADER=VALUE is expected, not", q->operands[i]);
        }
        json_set(headers, name, json_new_str(&q->rest.arena, value));
    }
    json_set(j, STR("headers"), headers);
    if (q->file) {
        struct json *body = read_tree(q, q->file);
        if (!body) {
            return CLI_FAILED;
        }
        json_set(j, STR("body"), body);
    }
    return CLI_OK;
}

int cli_explain(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a = {0};
    const char *key = NULL, *dialect = NULL, *path = NULL;
    const struct args_option options[] = {{"--address", 'a', .value = &q.address},
                                          {"--key", 'k', .value = &key},
                                          {"--dialect", 'd', .value = &dialect},
                                          {"--path", 'p', .value = &path},
                                          {"--file", 'f', .value = &q.file},
                                          {"--json", 'j', .flag = &q.json},
                                          {0}};
    int r;
    if (args_read_with("explain", argc, argv, options, q.operands, OPERANDS_MAX, &q.n, &r) < 0) {
        return r;
    }
    if (q.n == 0) {
        fprintf(stderr, "accord explain: the model is missing; `accord help explain` shows how\n");
        return CLI_USAGE;
    }
    rest_open(&q.rest, "explain", q.address);
    struct json *j = json_new(&q.rest.arena, JSON_OBJECT);
    struct buf b = {.arena = &q.rest.arena};
    set_text(&q, j, "model", q.operands[0]);
    set_text(&q, j, "key", key);
    set_text(&q, j, "dialect", dialect);
    set_text(&q, j, "path", path);
    r = make_question(&q, j);
    json_print(&b, j, 0);
    r = r ? r : rest_call(&q.rest, "POST", STR("/explain"), (struct str){0}, buf_str(&b), &a);
    return finish(&q, r, &a, print_explanation);
}

/* ---- accord routing ---- */

static void print_state(const struct json *j)
{
    static const char *const of_target[] = {"target",     "state",       "in_flight",
                                            "attempts",   "failed",      "failures",
                                            "latency_ms", "rests_until", NULL};
    static const char *const of_provider[] = {"id", "state", "failures", "rests_until", NULL};
    const struct json *providers = json_get(j, STR("providers")),
                      *targets = json_get(j, STR("targets"));
    puts("PROVIDER\tSTATE\tFAILURES\tRESTS_UNTIL");
    for (const struct json *p = providers ? providers->first : NULL; p; p = p->next) {
        const struct json *credentials = json_get(p, STR("credentials"));
        put_cells(p, of_provider);
        for (const struct json *k = credentials ? credentials->first : NULL; k; k = k->next) {
            table_put(cell(p, "id", ""));
            printf(" credential ");
            put_cells(k, of_provider);
        }
    }
    puts("\nTARGET\tSTATE\tIN_FLIGHT\tATTEMPTS\tFAILED\tFAILURES\tMS\tRESTS_UNTIL");
    for (const struct json *t = targets ? targets->first : NULL; t; t = t->next) {
        put_cells(t, of_target);
    }
}

int cli_routing(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a = {0};
    const char *provider = NULL, *model = NULL;
    const struct args_option options[] = {{"--address", 'a', .value = &q.address},
                                          {"--provider", 'p', .value = &provider},
                                          {"--model", 'm', .value = &model},
                                          {"--json", 'j', .flag = &q.json},
                                          {0}};
    int r;
    if (args_read("routing", argc, argv, options, &r) < 0) {
        return r;
    }
    rest_open(&q.rest, "routing", q.address);
    struct buf path = {.arena = &q.rest.arena};
    buf_addz(&path, "/routing/state?limit=2000");
    for (unsigned i = 0; i < 2; i++) {
        const char *value = i ? model : provider;
        if (value) {
            buf_printf(&path, "&%s=", i ? "model" : "provider");
            url_encode(&path, str_of(value));
        }
    }
    r = rest_call(&q.rest, "GET", buf_str(&path), (struct str){0}, (struct str){0}, &a);
    return finish(&q, r, &a, print_state);
}
