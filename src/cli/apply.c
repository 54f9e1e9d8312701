/* accord apply: what a file declares becomes so, field by field. Each field that was applied belongs
 * to the file; one that somebody else has changed since is a conflict, not an overwrite. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/resource.h"
#include "http/query.h"
#include "model/names.h"

struct applying {
    struct request *q;
    struct str manager; /* "file:team.yaml" */
    size_t created, changed, unchanged, failed;
    struct names made; /* "kind/id" of what this run has created */
    int exit;
};

static struct str made_name(struct applying *p, struct str kind, struct str id)
{
    return arena_printf(&p->q->rest.arena, "%.*s/%.*s", STR_ARG(kind), STR_ARG(id));
}

/* A dry run keeps nothing, so what refers to something new of the same file finds it missing. */
static bool is_only_dry(struct applying *p, const struct rest_answer *a)
{
    const struct json *missing = json_get(a->json, STR("missing"));
    return p->q->dry_run && a->status == 422 && missing &&
           names_find(&p->made, made_name(p, rest_text(missing, "kind"), rest_text(missing, "id")),
                      NULL);
}

static struct str apply_path(struct applying *p, const struct resource_kind *k, struct str id)
{
    struct buf b = {.arena = &p->q->rest.arena};
    buf_printf(&b, "/%s/", k->plural);
    url_encode(&b, id);
    buf_addz(&b, "?manager=");
    url_encode(&b, p->manager);
    buf_printf(&b, "%s%s", p->q->dry_run ? "&dry_run=true" : "", p->q->force ? "&force=true" : "");
    return buf_str(&b);
}

static void tell_conflicts(const struct rest_answer *a)
{
    const struct json *conflicts = json_get(a->json, STR("conflicts"));
    for (const struct json *c = conflicts ? conflicts->first : NULL; c; c = c->next) {
        struct str at = rest_text(c, "pointer"), who = rest_text(c, "manager");
        fprintf(stderr, "  %.*s belongs to %.*s\n", STR_ARG(at), STR_ARG(who));
    }
}

static void apply_one(struct applying *p, const struct resource_kind *k, const struct json *from)
{
    struct rest *r = &p->q->rest;
    struct json *tree = json_clone(&r->arena, from);
    struct str id = arena_dup(&r->arena, rest_text(from, "id"));
    struct rest_answer before, a = {0};
    struct buf body = {.arena = &r->arena}, path = {.arena = &r->arena};
    if (!id.n) {
        fprintf(stderr, "accord apply: %s: an element without an id; applied is what has a name\n",
                k->plural);
        p->failed++;
        p->exit = CLI_FAILED;
        return;
    }
    json_remove(tree, STR("id"));
    json_print(&body, tree, 0);
    buf_printf(&path, "/%s/", k->plural);
    url_encode(&path, id);
    int e = rest_call(r, "GET", buf_str(&path), (struct str){0}, (struct str){0}, &before);
    e = e ? e
          : rest_call(r, "PATCH", apply_path(p, k, id),
                      STR("Content-Type: application/apply-patch+json\r\n"), buf_str(&body), &a);
    bool dry = !e && is_only_dry(p, &a);
    e = e || dry ? e : rest_verdict(r, &a);
    if (e) {
        tell_conflicts(&a);
        fprintf(stderr, "accord apply: the %s \"%.*s\" is not applied\n", k->kind->name,
                STR_ARG(id));
        p->failed++;
        p->exit = p->exit == CLI_CONFLICT ? p->exit : e;
        return;
    }
    bool fresh = before.status == 404, same = !fresh && str_eq(before.etag, a.etag);
    if (fresh) {
        names_add(&p->made, made_name(p, str_of(k->kind->name), id), 0, NULL);
    }
    *(fresh ? &p->created : same ? &p->unchanged : &p->changed) += 1;
    if (!same) {
        printf("%s %s %.*s\n", fresh ? "created" : "changed", k->kind->name, STR_ARG(id));
        struct str secret = rest_text(a.json, "secret");
        if (secret.n && k->issues != ISSUED_NONE) {
            printf("  its secret, shown once: %.*s\n", STR_ARG(secret));
        }
    }
}

/* In the order of the kinds: what is referred to comes first. */
static void apply_all(struct applying *p, const struct json *tree)
{
    for (const struct json *c = tree->first; c; c = c->next) {
        if (!resource_kind_by_path(c->key) || c->type != JSON_ARRAY) {
            fprintf(stderr, "accord apply: %.*s: is no kind with a list of resources\n",
                    STR_ARG(c->key));
            p->exit = CLI_FAILED;
            p->failed++;
        }
    }
    for (const struct resource_kind *const *k = resource_kinds; *k && !p->exit; k++) {
        const struct json *list = json_get(tree, str_of((*k)->plural));
        for (const struct json *x = list ? list->first : NULL; x; x = x->next) {
            apply_one(p, *k, x);
        }
    }
}

int cli_apply(int argc, char **argv)
{
    struct request q = {0};
    int r = request_read(&q, "apply", argc, argv, TAKES_FILE | TAKES_FORCE | TAKES_DRY_RUN, 0, 0);
    if (!r && !q.file) {
        fprintf(stderr, "accord apply: -f FILE is missing; `accord help apply` shows how\n");
        r = CLI_USAGE + 1;
    }
    const struct json *tree = r ? NULL : read_tree(&q, q.file);
    if (!tree) {
        request_end(&q);
        return r ? r - 1 : CLI_FAILED;
    }
    const char *name = strrchr(q.file, '/');
    struct applying p = {.q = &q,
                         .made.arena = &q.rest.arena,
                         .manager =
                             arena_printf(&q.rest.arena, "file:%s", name ? name + 1 : q.file)};
    apply_all(&p, tree);
    printf("%s%zu created, %zu changed, %zu unchanged%s", q.dry_run ? "dry run: " : "", p.created,
           p.changed, p.unchanged, p.failed ? "" : "\n");
    if (p.failed) {
        printf(", %zu not applied\n", p.failed);
    }
    request_end(&q);
    return p.exit;
}
