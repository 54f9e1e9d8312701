/* accord edit: what is there in $EDITOR, back with If-Match; a conflict is shown field by field. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/resource.h"
#include "model/yaml.h"

struct editing {
    struct request *q;
    struct str etag; /* of what was read, or is to be overwritten */
    struct str base; /* of what was read */
    char path[64];
    struct json *mine;
};

static struct json *own_fields(struct request *q, const struct json *from)
{
    static const char *const others[] = {"id",         "revision",   "etag",      "created_at",
                                         "created_by", "updated_at", "updated_by"};
    struct json *j = json_clone(&q->rest.arena, from);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        json_remove(j, str_of(others[i]));
    }
    return j;
}

static int read_present(struct editing *e, struct json **ret)
{
    struct rest_answer a;
    struct request *q = e->q;
    int r = rest_call(&q->rest, "GET", request_path(q, q->operands[1], ""), (struct str){0},
                      (struct str){0}, &a);
    r = r ? r : rest_verdict(&q->rest, &a);
    if (!r) {
        e->etag = e->base = a.etag;
        *ret = own_fields(q, a.json);
    }
    return r;
}

static int write_file(struct editing *e, const struct json *tree)
{
    struct buf b = {0};
    yaml_print(&b, tree);
    strcpy(e->path, "/tmp/accord-edit-XXXXXX");
    int fd = mkstemp(e->path);
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
    struct str base = e->base;
    if (base.n > 2) { /* without its quotes */
        base = str_make(base.p + 1, base.n - 2);
    }
    json_print(&b, e->mine, 0);
    return rest_call(
        r, "PUT", request_path(e->q, e->q->operands[1], ""),
        merge ? arena_printf(&r->arena, "Prefer: conflict=merge; base=\"%.*s\"\r\n", STR_ARG(base))
              : if_match(e->q, e->etag),
        buf_str(&b), ret);
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
        int answer = r == CLI_CONFLICT ? ask() : isatty(STDIN_FILENO) ? 'e' : 't';
        if (answer == 't') {
            return r;
        }
        merge = answer == 'm';
        if (answer == 'o' && a.etag.n) {
            e->etag = a.etag;
        }
        if (answer == 'e' && run_editor(e) != CLI_OK) {
            return CLI_FAILED;
        }
    }
}

int cli_edit(int argc, char **argv)
{
    struct request q = {0};
    struct editing e = {.q = &q};
    struct json *present = NULL;
    int r = request_read(&q, "edit", argc, argv, true, 2);
    if (r) {
        request_end(&q);
        return r - 1;
    }
    r = read_present(&e, &present);
    r = r ? r : write_file(&e, present);
    r = r ? r : run_editor(&e);
    if (r == CLI_OK && json_equal(present, e.mine)) {
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
