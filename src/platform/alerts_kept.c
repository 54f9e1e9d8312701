/* What fires when the server stops is known to the next one: DATA/alerts.json, written anew whenever it changes.
 *
 *   {"firing":[{"id":"errors","when":"error_rate","above":5,"clear":-1,"since":"2026-11-28T10:00:00Z","subject":"",
 *     "told":true}]}
 *
 * "told" is false while messages wait: they are lost when the server stops, so the next one tells again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conflict/http_date.h"
#include "json/tree.h"
#include "platform/alerts.h"

#define NAME "alerts.json"
#define NONE "{\"firing\":[]}\n"

enum { LONGEST = 1 << 20 };

/* ---- reading ---- */

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

static int64_t number_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    int64_t v;
    return c && c->type == JSON_NUMBER && json_int(c->text, &v) == 0 ? v : 0;
}

static bool read_one(const struct json *j, struct alert_kept *to)
{
    const struct json *told = json_get(j, STR("told"));
    struct str when = text_of(j, "when"), subject = text_of(j, "subject");
    struct watched *w = &to->was;
    to->rule = (struct config_alert){.id = text_of(j, "id"),
                                     .when = ALERT_WHENS,
                                     .above = number_of(j, "above"),
                                     .clear = number_of(j, "clear")};
    for (size_t i = 0; i < ALERT_WHENS; i++) {
        to->rule.when =
            str_eq(when, str_of(alert_when_name[i])) ? (enum alert_when)i : to->rule.when;
    }
    *w = (struct watched){.state.phase = ALERT_FIRING, .told = told && told->type == JSON_TRUE};
    snprintf(w->last.subject, sizeof w->last.subject, "%.*s", STR_ARG(subject));
    return to->rule.id.n && to->rule.when != ALERT_WHENS &&
           time_parse(text_of(j, "since"), &w->since_us) == 0;
}

static int read_file(const char *path, struct arena *a, struct str *ret)
{
    struct stat s;
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 || fstat(fd, &s) < 0 ? -errno : s.st_size > LONGEST ? -EFBIG : 0;
    if (r == 0) {
        char *text = arena_alloc(a, (size_t)s.st_size + 1);
        n = read(fd, text, (size_t)s.st_size);
        r = n < 0 ? -errno : 0;
        *ret = str_make(text, n < 0 ? 0 : (size_t)n);
    }
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int read_all(struct alerts *a)
{
    struct str text;
    struct json *j;
    struct json_error e;
    int r = read_file(a->_path, &a->_kept_arena, &text);
    if (r == -ENOENT) {
        buf_add(&a->_written, STR(NONE));
        return 0;
    }
    r = r < 0 ? r : json_parse(&a->_kept_arena, text, &j, &e);
    if (r < 0) {
        return r;
    }
    buf_add(&a->_written, text);
    const struct json *all = json_get(j, STR("firing"));
    a->_kept = arena_zalloc(&a->_kept_arena, (json_count(all) + 1) * sizeof *a->_kept);
    for (const struct json *one = all ? all->first : NULL; one; one = one->next) {
        if (!read_one(one, &a->_kept[a->_n_kept])) {
            return -EBADMSG;
        }
        a->_n_kept++;
    }
    return 0;
}

int alerts_recall(struct alerts *a, const char *dir)
{
    snprintf(a->_path, sizeof a->_path, "%s/" NAME, dir);
    int r = read_all(a);
    if (r < 0 || !a->_n_kept) {
        a->_n_kept = 0;
        arena_reset(&a->_kept_arena);
    }
    return r;
}

/* ---- writing ---- */

static void add_one(struct buf *b, struct arena *a, const struct config_alert *r,
                    const struct watched *w)
{
    struct str since = time_print(a, w->since_us);
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, r->id);
    buf_printf(b, "\",\"when\":\"%s\",\"above\":%lld,\"clear\":%lld,\"since\":\"%.*s\"",
               alert_when_name[r->when], (long long)r->above, (long long)r->clear, STR_ARG(since));
    buf_addz(b, ",\"subject\":\"");
    buf_add_json(b, str_of(w->last.subject));
    buf_printf(b, "\",\"told\":%s}", w->told ? "true" : "false");
}

static struct str text_now(const struct alerts *a, struct arena *scratch)
{
    struct buf b = {.arena = scratch};
    const char *comma = "";
    buf_addz(&b, "{\"firing\":[");
    for (size_t i = 0; i < a->_n; i++) {
        if (a->_all[i].state.phase == ALERT_FIRING) {
            buf_addz(&b, comma);
            add_one(&b, scratch, &a->_snap->config->alerts.rules[i], &a->_all[i]);
            comma = ",";
        }
    }
    buf_addz(&b, "]}\n");
    return buf_str(&b);
}

static int write_file(const char *path, struct arena *a, struct str text)
{
    char *beside = arena_dupz(a, arena_printf(a, "%s.new", path));
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = write(fd, text.p, text.n);
    int r = n < 0 ? -errno : (size_t)n < text.n ? -ENOSPC : fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r < 0 ? r : rename(beside, path) < 0 ? -errno : 0;
}

int alerts_keep(struct alerts *a)
{
    struct arena scratch = {0};
    struct str text = text_now(a, &scratch);
    bool same = str_eq(text, buf_str(&a->_written));
    int r = same ? 0 : write_file(a->_path, &scratch, text);
    if (r == 0 && !same) {
        a->_written.n = 0;
        buf_add(&a->_written, text);
    }
    arena_reset(&scratch);
    return r;
}
