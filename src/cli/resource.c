/* Commands about the platform's resources: get, create, delete, history, diff, restore, watch,
 * conflicts, whoami. */
#include "cli/resource.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "http/query.h"
#include "model/yaml.h"

/* ---- what all of them begin with ---- */

static void print_kinds(void)
{
    fputs("the kinds are:", stderr);
    for (size_t i = 0; resource_kinds[i]; i++) {
        fprintf(stderr, " %s", resource_kinds[i]->plural);
    }
    fputc('\n', stderr);
}

static const struct resource_kind *kind_of(const char *command, const char *word)
{
    const char *names[64];
    size_t n = 0;
    const struct resource_kind *k = resource_kind_by_path(str_of(word));
    k = k ? k : resource_kind_named(str_of(word));
    if (k) {
        return k;
    }
    for (; resource_kinds[n] && n < 63; n++) {
        names[n] = resource_kinds[n]->plural;
    }
    names[n] = NULL;
    const char *near = nearest_word(str_of(word), names);
    fprintf(stderr, "accord %s: there is no kind \"%s\"%s%s%s; ", command, word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    print_kinds();
    return NULL;
}

static int usage(const char *command, const char *what)
{
    fprintf(stderr, "accord %s: %s; `accord help %s` shows how\n", command, what, command);
    return CLI_USAGE + 1;
}

int request_read(struct request *q, const char *command, int argc, char **argv, unsigned takes,
                 size_t least, size_t most)
{
    const struct {
        unsigned takes; /* 0: every command */
        struct args_option option;
    } all[] = {
        {0, {"--address", 'a', .value = &q->address}},
        {0, {"--output", 'o', .value = &q->output}},
        {0, {"--json", 'j', .flag = &q->json}},
        {TAKES_FILE, {"--file", 'f', .value = &q->file}},
        {TAKES_FROM, {"--from", 0, .value = &q->from}},
        {TAKES_TO, {"--to", 0, .value = &q->to}},
        {TAKES_MATCH, {"--if-match", 0, .value = &q->match}},
        {TAKES_FORCE, {"--force", 0, .flag = &q->force}},
        {TAKES_DRY_RUN, {"--dry-run", 0, .flag = &q->dry_run}},
    };
    struct args_option options[sizeof all / sizeof *all + 1] = {0};
    size_t n = 0;
    int r;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if ((all[i].takes & takes) == all[i].takes) {
            options[n++] = all[i].option;
        }
    }
    if (args_read_with(command, argc, argv, options, q->operands, most, &q->n, &r) < 0) {
        return r + 1;
    }
    if (q->n < least) {
        int wrong = usage(command, q->n ? "ID is missing" : "KIND is missing");
        if (!q->n) {
            print_kinds();
        }
        return wrong;
    }
    if (q->output && strcmp(q->output, "yaml") != 0 && strcmp(q->output, "json") != 0 &&
        strcmp(q->output, "table") != 0) {
        return usage(command, "--output is table, json or yaml");
    }
    q->form = q->json || (q->output && q->output[0] == 'j') ? OUTPUT_JSON
              : q->output && q->output[0] == 'y'            ? OUTPUT_YAML
                                                            : OUTPUT_TABLE;
    if ((takes & TAKES_KIND) && !(q->kind = kind_of(command, q->operands[0]))) {
        return CLI_USAGE + 1;
    }
    rest_open(&q->rest, command, q->address);
    return 0;
}

void request_end(struct request *q)
{
    arena_reset(&q->rest.arena);
}

struct str request_path(struct request *q, const char *id, const char *more)
{
    struct buf b = {.arena = &q->rest.arena};
    buf_printf(&b, "/%s", q->kind->plural);
    if (id) {
        buf_addc(&b, '/');
        url_encode(&b, str_of(id));
    }
    buf_addz(&b, more);
    return buf_str(&b);
}

struct str if_match(struct request *q, struct str etag)
{
    return etag.n ? arena_printf(&q->rest.arena, "If-Match: %.*s\r\n", STR_ARG(etag)) : etag;
}

struct json *read_tree(struct request *q, const char *path)
{
    struct buf text = {.arena = &q->rest.arena, .limit = YAML_SIZE_MAX}, said = {0};
    struct mistakes m = {.arena = &q->rest.arena};
    char piece[4096];
    size_t n;
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (!f) {
        fprintf(stderr, "accord %s: %s cannot be read: %s\n", q->rest.command, path,
                strerror(errno));
        return NULL;
    }
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        buf_add(&text, str_make(piece, n));
    }
    if (f != stdin) {
        fclose(f);
    }
    struct json *j = yaml_read(&q->rest.arena, buf_str(&text), &m);
    if (m.n || !j) {
        mistakes_print(&said, &m, str_of(path));
        fwrite(said.p, 1, said.n, stderr);
        buf_free(&said);
        return NULL;
    }
    return j;
}

static int call(struct request *q, const char *method, struct str path, struct str fields,
                struct str body, struct rest_answer *ret)
{
    int r = rest_call(&q->rest, method, path, fields, body, ret);
    return r ? r : rest_verdict(&q->rest, ret);
}

/* ---- get ---- */

/* All pages; FIELD=VALUE operands are filters. */
static int get_list(struct request *q)
{
    struct json *all = json_new(&q->rest.arena, JSON_ARRAY), *next;
    struct rest_answer a;
    struct buf query = {.arena = &q->rest.arena};
    struct str cursor = {0};
    for (size_t i = 1; i < q->n; i++) {
        struct str rest = str_of(q->operands[i]), name;
        (void)str_cut(&rest, '=', &name);
        buf_addc(&query, '&');
        url_encode(&query, name);
        buf_addc(&query, '=');
        url_encode(&query, rest);
    }
    do {
        struct buf more = {.arena = &q->rest.arena};
        buf_addz(&more, "?limit=500");
        buf_add(&more, buf_str(&query));
        if (cursor.n) {
            buf_addz(&more, "&cursor=");
            url_encode(&more, cursor);
        }
        struct str path = request_path(q, NULL, arena_dupz(&q->rest.arena, buf_str(&more)));
        int r = call(q, "GET", path, (struct str){0}, (struct str){0}, &a);
        if (r) {
            return r;
        }
        const struct json *items = json_get(a.json, STR("items"));
        for (struct json *x = items ? items->first : NULL; x; x = next) {
            next = x->next;
            x->next = NULL;
            json_append(all, x);
        }
        cursor = rest_text(a.json, "next_cursor");
    } while (cursor.n);
    print_list(q, all, NULL);
    return CLI_OK;
}

int cli_get(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    int r = request_read(&q, "get", argc, argv, TAKES_KIND, 1, OPERANDS_MAX);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    if (q.n == 1 || strchr(q.operands[1], '=')) {
        r = get_list(&q);
    } else {
        r = call(&q, "GET", request_path(&q, q.operands[1], ""), (struct str){0}, (struct str){0},
                 &a);
        if (!r) {
            print_one(&q, a.json);
        }
    }
    request_end(&q);
    return r;
}

/* ---- create ---- */

/* NAME=VALUE: a value that is JSON but no text is taken as such. */
static void set_field(struct request *q, struct json *to, const char *operand)
{
    struct str rest = str_of(operand), name;
    struct json *value;
    (void)str_cut(&rest, '=', &name);
    if (json_parse(&q->rest.arena, rest, &value, NULL) < 0) {
        value = json_new_str(&q->rest.arena, rest);
    }
    json_set(to, name, value);
}

int cli_create(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    int r = request_read(&q, "create", argc, argv, TAKES_KIND | TAKES_FILE | TAKES_DRY_RUN, 1,
                         OPERANDS_MAX);
    struct json *body = r        ? NULL
                        : q.file ? read_tree(&q, q.file)
                                 : json_new(&q.rest.arena, JSON_OBJECT);
    for (size_t i = 1; body && i < q.n; i++) {
        if (strchr(q.operands[i], '=')) {
            set_field(&q, body, q.operands[i]);
        } else {
            json_set(body, STR("id"), json_new_str(&q.rest.arena, str_of(q.operands[i])));
        }
    }
    if (body) {
        struct buf b = {.arena = &q.rest.arena};
        json_print(&b, body, 0);
        r = call(&q, "POST", request_path(&q, NULL, q.dry_run ? "?dry_run=true" : ""),
                 (struct str){0}, buf_str(&b), &a);
        if (!r) {
            print_one(&q, a.json);
        }
        if (!r && q.dry_run) {
            fputs("accord create: a dry run: nothing was kept\n", stderr);
        }
    } else {
        r = r ? r - 1 : CLI_FAILED;
    }
    request_end(&q);
    return r;
}

/* ---- delete ---- */

static int etag_of(struct request *q, struct str *ret)
{
    struct rest_answer a;
    *ret = str_of(q->match);
    if (ret->n) {
        return CLI_OK;
    }
    int r =
        call(q, "GET", request_path(q, q->operands[1], ""), (struct str){0}, (struct str){0}, &a);
    *ret = a.etag;
    return r;
}

static bool has_action(const struct request *q, const char *name)
{
    for (size_t i = 0; i < q->kind->n_actions; i++) {
        if (str_eq(str_of(name), str_of(q->kind->actions[i].name))) {
            return true;
        }
    }
    fprintf(stderr, "accord %s: %s %s has no such action\n", name, article_of(q->kind->kind->name),
            q->kind->kind->name);
    return false;
}

/* revoke, rotate, approve ...: of the state that is there now, or the one that is named. */
int cli_action(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    struct str etag;
    int r = request_read(&q, argv[0], argc, argv, TAKES_KIND | TAKES_MATCH, 2, OPERANDS_MAX);
    r = r || has_action(&q, argv[0]) ? r : CLI_USAGE + 1;
    if (r) {
        request_end(&q);
        return r - 1;
    }
    struct json *body = json_new(&q.rest.arena, JSON_OBJECT);
    struct buf text = {.arena = &q.rest.arena}, to = {.arena = &q.rest.arena};
    for (size_t i = 2; i < q.n; i++) {
        if (!strchr(q.operands[i], '=')) {
            fprintf(stderr, "accord %s: \"%s\" is not FIELD=VALUE\n", argv[0], q.operands[i]);
            request_end(&q);
            return CLI_USAGE;
        }
        set_field(&q, body, q.operands[i]);
    }
    json_print(&text, body, 0);
    buf_printf(&to, "/%s", argv[0]);
    r = etag_of(&q, &etag);
    r = r ? r
          : call(&q, "POST",
                 request_path(&q, q.operands[1], arena_dupz(&q.rest.arena, buf_str(&to))),
                 if_match(&q, etag), buf_str(&text), &a);
    if (!r) {
        print_one(&q, a.json);
    }
    request_end(&q);
    return r;
}

int cli_delete(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    struct str etag;
    int r = request_read(&q, "delete", argc, argv, TAKES_KIND | TAKES_MATCH, 2, 2);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    r = etag_of(&q, &etag);
    r = r ? r
          : call(&q, "DELETE", request_path(&q, q.operands[1], ""), if_match(&q, etag),
                 (struct str){0}, &a);
    if (!r) {
        printf("deleted %s %s\n", q.kind->kind->name, q.operands[1]);
    }
    request_end(&q);
    return r;
}

/* ---- the past ---- */

int cli_history(int argc, char **argv)
{
    static const char *const columns[] = {"revision",   "action", "updated_by",
                                          "updated_at", "etag",   NULL};
    struct request q = {0};
    struct rest_answer a;
    int r = request_read(&q, "history", argc, argv, TAKES_KIND, 2, 2);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    r = call(&q, "GET", request_path(&q, q.operands[1], "/history?limit=500"), (struct str){0},
             (struct str){0}, &a);
    if (!r) {
        print_list(&q, json_get(a.json, STR("items")), columns);
    }
    request_end(&q);
    return r;
}

static void print_side(const char *sign, const struct json *side)
{
    struct buf b = {0};
    if (side) {
        json_print(&b, side, 0);
        printf("  %s %.*s\n", sign, STR_ARG(buf_str(&b)));
        buf_free(&b);
    }
}

int cli_diff(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    struct buf more = {0};
    int r = request_read(&q, "diff", argc, argv, TAKES_KIND | TAKES_FROM | TAKES_TO, 2, 2);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    buf_printf(&more, "/diff?%s%s%s%s%s", q.from ? "from=" : "", q.from ? q.from : "",
               q.from && q.to ? "&" : "", q.to ? "to=" : "", q.to ? q.to : "");
    r = call(&q, "GET", request_path(&q, q.operands[1], arena_dupz(&q.rest.arena, buf_str(&more))),
             (struct str){0}, (struct str){0}, &a);
    if (!r && q.form != OUTPUT_TABLE) {
        print_one(&q, a.json);
    } else if (!r) {
        const struct json *changes = json_get(a.json, STR("changes"));
        for (const struct json *c = changes ? changes->first : NULL; c; c = c->next) {
            printf("%.*s\n", STR_ARG(rest_text(c, "pointer")));
            print_side("-", json_get(c, STR("from")));
            print_side("+", json_get(c, STR("to")));
        }
    }
    buf_free(&more);
    request_end(&q);
    return r;
}

/* `accord restore KIND ID --to REVISION`; with one operand it is the restore of a backup. */
int cli_restore_any(int argc, char **argv)
{
    struct request q = {0};
    struct rest_answer a;
    struct str etag;
    bool resource = argc > 2 && argv[1][0] != '-' && argv[2][0] != '-';
    if (!resource) {
        return cli_restore(argc, argv);
    }
    int r = request_read(&q, "restore", argc, argv, TAKES_KIND | TAKES_TO | TAKES_MATCH, 2, 2);
    if (!r && !q.to) {
        r = usage("restore", "--to REVISION is missing");
    }
    if (r) {
        request_end(&q);
        return r - 1;
    }
    r = etag_of(&q, &etag);
    r = r ? r
          : call(&q, "POST", request_path(&q, q.operands[1], "/restore"), if_match(&q, etag),
                 arena_printf(&q.rest.arena, "{\"revision\":%s}", q.to), &a);
    if (!r) {
        print_one(&q, a.json);
    }
    request_end(&q);
    return r;
}

/* ---- watch ---- */

enum { RECONNECTS_MAX = 30, RECONNECT_MS = 500 };

struct watching {
    bool json;
    char id[32]; /* of the last event */
    char event[64];
};

static void keep(char *to, size_t size, struct str s)
{
    s = str_first(s, size - 1);
    memcpy(to, s.p, s.n);
    to[s.n] = 0;
}

static void print_event(const struct watching *w, struct str data)
{
    struct arena a = {0};
    struct json *j;
    if (w->json || json_parse(&a, data, &j, NULL) < 0) {
        printf("%.*s\n", STR_ARG(data));
    } else {
        const struct json *revision = json_get(j, STR("revision"));
        struct str id = rest_text(j, "id"), by = rest_text(j, "updated_by");
        struct str n = revision ? revision->text : (struct str){0};
        printf("%s\t%.*s\t%.*s\t%.*s\n", w->event, STR_ARG(id), STR_ARG(n), STR_ARG(by));
    }
    fflush(stdout);
    arena_reset(&a);
}

static void on_line(void *arg, struct str line)
{
    struct watching *w = arg;
    if (str_starts(line, STR("id: "))) {
        keep(w->id, sizeof w->id, str_from(line, 4));
    } else if (str_starts(line, STR("event: "))) {
        keep(w->event, sizeof w->event, str_from(line, 7));
    } else if (str_starts(line, STR("data: "))) {
        print_event(w, str_from(line, 6));
    }
}

/* A stream that ends goes on from its last event: nothing is missed while the server restarts. */
int cli_watch(int argc, char **argv)
{
    struct request q = {0};
    int r = request_read(&q, "watch", argc, argv, TAKES_KIND, 1, 1);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    struct watching w = {.json = q.form == OUTPUT_JSON};
    for (unsigned tries = 0; tries < RECONNECTS_MAX; tries++) {
        struct str from = arena_printf(&q.rest.arena, "Last-Event-ID: %s\r\n", w.id);
        r = rest_stream(&q.rest, request_path(&q, NULL, "/watch"), w.id[0] ? from : (struct str){0},
                        on_line, &w);
        if (r != CLI_OK && (r != CLI_UNREACHABLE || !w.id[0])) {
            break;
        }
        tries = r == CLI_OK ? 0 : tries;
        usleep(RECONNECT_MS * 1000);
    }
    request_end(&q);
    return r;
}

/* ---- who, and what was refused ---- */

static int get_plain(const char *command, int argc, char **argv, const char *path,
                     const char *const *columns)
{
    struct request q = {0};
    struct rest_answer a;
    int r = request_read(&q, command, argc, argv, 0, 0, columns ? 1 : 0);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    struct buf b = {.arena = &q.rest.arena};
    buf_addz(&b, path);
    if (q.n) {
        buf_addc(&b, '/');
        url_encode(&b, str_of(q.operands[0]));
    }
    r = call(&q, "GET", buf_str(&b), (struct str){0}, (struct str){0}, &a);
    if (!r && columns && !q.n) {
        print_list(&q, json_get(a.json, STR("items")), columns);
    } else if (!r) {
        print_one(&q, a.json);
    }
    request_end(&q);
    return r;
}

int cli_whoami(int argc, char **argv)
{
    return get_plain("whoami", argc, argv, "/me", NULL);
}

int cli_conflicts(int argc, char **argv)
{
    static const char *const columns[] = {"id",          "at",   "who",    "kind",
                                          "resource_id", "code", "fields", NULL};
    return get_plain("conflicts", argc, argv, "/conflicts", columns);
}
