/* accord edit: what is there in $EDITOR, back with If-Match; a conflict is shown field by field. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/resource.h"
#include "model/yaml.h"
#include "platform/write.h"

struct editing {
    struct request *q;
    struct str etag;   /* of the state that the text was made from */
    struct json *base; /* that state's own fields */
    struct json *mine;
    char path[256];
};

/* What is there now is what the text is made from. */
static int read_present(struct editing *e)
{
    struct rest_answer a;
    struct request *q = e->q;
    int r = rest_call(&q->rest, "GET", request_path(q, q->operands[1], ""), (struct str){0},
                      (struct str){0}, &a);
    r = r ? r : rest_verdict(&q->rest, &a);
    if (!r) {
        e->etag = a.etag;
        e->base = a.json;
        strip_metadata(e->base);
    }
    return r;
}

static int write_file(struct editing *e, const struct json *tree)
{
    struct buf b = {0};
    const char *directory = getenv("TMPDIR");
    int fd = -1;
    yaml_print(&b, tree);
    if (e->path[0]) {
        fd = open(e->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    } else if (snprintf(e->path, sizeof e->path, "%s/accord-edit-XXXXXX",
                        directory && *directory ? directory : "/tmp") < (int)sizeof e->path) {
        fd = mkstemp(e->path);
    }
    bool ok = fd >= 0 && write(fd, b.p, b.n) == (ssize_t)b.n;
    if (fd >= 0) {
        close(fd);
    }
    buf_free(&b);
    if (!ok) {
        fprintf(stderr, "accord edit: %s: %s\n", e->path, strerror(errno));
    }
    return ok ? CLI_OK : CLI_FAILED;
}

static int run_editor(struct editing *e)
{
    const char *editor = getenv("VISUAL") ? getenv("VISUAL") : getenv("EDITOR");
    char *command = arena_dupz(&e->q->rest.arena, arena_printf(&e->q->rest.arena, "%s \"$1\"",
                                                               editor && *editor ? editor : "vi"));
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", command, "sh", e->path, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr, "accord edit: the editor (%s) failed; nothing was sent\n", command);
        return CLI_FAILED;
    }
    e->mine = read_tree(e->q, e->path);
    return e->mine ? CLI_OK : CLI_FAILED;
}

static int put(struct editing *e, bool merge, struct rest_answer *ret)
{
    struct rest *r = &e->q->rest;
    struct buf b = {.arena = &r->arena};
    struct str fields = if_match(e->q, e->etag);
    if (merge) {
        fields = arena_printf(&r->arena, "Prefer: conflict=merge; base=%.*s\r\n", STR_ARG(e->etag));
    }
    json_print(&b, e->mine, 0);
    return rest_call(r, "PUT", request_path(e->q, e->q->operands[1], ""), fields, buf_str(&b), ret);
}

/* My changes on top of what is there now; where both sides changed a field it is mine. What others
 * changed elsewhere stays. */
static int rebase(struct editing *e)
{
    struct arena *a = &e->q->rest.arena;
    const struct json *base = e->base, *mine = e->mine;
    struct merge_rules rules = kind_merge_rules(e->q->kind, a);
    struct merge m;
    int r = read_present(e);
    if (r == CLI_OK) {
        merge3(a, base, mine, e->base, &rules, &m); /* a conflict keeps the first side */
        e->mine = m.merged;
    }
    return r;
}

static void show_side(const char *name, const struct json *side)
{
    struct buf b = {0};
    if (side) {
        json_print(&b, side, 0);
    } else {
        buf_addz(&b, "(nothing)");
    }
    fprintf(stderr, "    %-7s %.*s\n", name, STR_ARG(buf_str(&b)));
    buf_free(&b);
}

static void show_conflict(const struct rest_answer *a)
{
    const struct json *conflicts = json_get(a->json, STR("conflicts"));
    const struct json *mergeable = json_get(a->json, STR("mergeable"));
    for (const struct json *c = conflicts ? conflicts->first : NULL; c; c = c->next) {
        struct str at = rest_text(c, "pointer"), who = rest_text(c, "changed_by");
        fprintf(stderr, "  %.*s  (changed by %.*s)\n", STR_ARG(at), STR_ARG(who));
        show_side("base", json_get(c, STR("base")));
        show_side("theirs", json_get(c, STR("theirs")));
        show_side("yours", json_get(c, STR("yours")));
    }
    for (const struct json *c = mergeable ? mergeable->first : NULL; c; c = c->next) {
        struct str at = rest_text(c, "pointer");
        fprintf(stderr, "  %.*s  can be merged\n", STR_ARG(at));
    }
}

/* 'm', 'o', 't', 'e' */
static int ask(void)
{
    char line[32];
    for (;;) {
        fputs("[m]erge what can be, [o]verwrite with mine, keep [t]heirs, [e]dit again? ", stderr);
        if (!fgets(line, sizeof line, stdin)) {
            return 't';
        }
        if (strchr("mote", line[0]) && line[0] != '\n') {
            return line[0];
        }
    }
}

/* Until it is there, or given up. */
static int settle(struct editing *e)
{
    struct rest_answer a;
    bool merge = false;
    for (;;) {
        int r = put(e, merge, &a);
        r = r ? r : rest_verdict(&e->q->rest, &a);
        if (r == CLI_OK) {
            print_one(e->q, a.json);
            return r;
        }
        if (r == CLI_CONFLICT) {
            show_conflict(&a);
        }
        int refused = r, answer = r == CLI_CONFLICT ? ask() : isatty(STDIN_FILENO) ? 'e' : 't';
        if (answer == 't') {
            return r;
        }
        merge = answer == 'm';
        r = merge || r != CLI_CONFLICT ? CLI_OK : rebase(e);
        if (r == CLI_OK && answer == 'e') {
            const struct json *before = e->mine;
            r = write_file(e, e->mine);
            r = r ? r : run_editor(e);
            if (r == CLI_OK && refused != CLI_CONFLICT && json_equal(before, e->mine)) {
                fputs("accord edit: it was not changed, so it is refused as before\n", stderr);
                return refused;
            }
        }
        if (r != CLI_OK) {
            return r;
        }
    }
}

int cli_edit(int argc, char **argv)
{
    struct request q = {0};
    struct editing e = {.q = &q};
    int r = request_read(&q, "edit", argc, argv, TAKES_KIND, 2, 2);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    r = read_present(&e);
    r = r ? r : write_file(&e, e.base);
    r = r ? r : run_editor(&e);
    if (r == CLI_OK && json_equal(e.base, e.mine)) {
        printf("unchanged\n");
    } else if (r == CLI_OK) {
        r = settle(&e);
    }
    if (r == CLI_OK) {
        unlink(e.path);
    } else if (e.path[0] && e.mine) {
        fprintf(stderr, "accord edit: your text is in %s\n", e.path);
    }
    request_end(&q);
    return r;
}
