/* What a new state must keep: the rules of its kind, what the asker may, who manages it. */
#include <errno.h>

#include "conflict/http_date.h"
#include "gateway/mask_rules.h"
#include "platform/world.h"
#include "platform/write_stages.h"

static struct str text_of(const struct json *j, const char *name)
{
    const struct json *c = json_get(j, str_of(name));
    return c && c->type == JSON_STRING ? c->text : (struct str){0};
}

/* ---- who manages it ---- */

struct json *managers_of(struct visit *v, const struct resource *r)
{
    struct json *j;
    struct json_error e;
    return r->managers.n && json_parse(&v->work, r->managers, &j, &e) == 0 && j->type == JSON_OBJECT
               ? j
               : json_new(&v->work, JSON_OBJECT);
}

struct str manager_at(const struct json *managers, struct str pointer)
{
    for (;;) {
        const struct json *m = json_get(managers, pointer);
        if (m) {
            return m->text;
        }
        if (pointer.n == 0) {
            return (struct str){0};
        }
        do {
            pointer.n--;
        } while (pointer.n && pointer.p[pointer.n] != '/');
    }
}

/* A file, the environment or the program itself declares the whole resource: it would put back what
 * is changed here at its next reading. */
static bool is_managed_elsewhere(struct writing *w)
{
    struct visit *v = w->v;
    if (!w->exists || !is_declared(&w->now)) {
        return false;
    }
    struct str manager = manager_at(managers_of(v, &w->now), (struct str){0});
    bool file = str_starts(manager, STR("file:"));
    refuse(v, PROBLEM_MANAGED_ELSEWHERE, "The %s \"%.*s\" is declared by %s%.*s; change it there.",
           w->kind->kind->name, STR_ARG(w->id), file ? "the file " : "the ",
           file ? (int)manager.n - 5 : (int)manager.n, file ? manager.p + 5 : manager.p);
    tell_current(v, w->kind, &w->now);
    json_set(refusal_members(v), STR("manager"), json_new_str(&v->work, manager));
    return true;
}

/* ---- what they may ---- */

int check_new_team(struct writing *w, const struct json *tree)
{
    struct visit *v = w->v;
    struct str team;
    const char *verb = w->exists ? "update" : "create";
    bool own = w->kind->issues == ISSUED_TOKEN && v->who.user.n &&
               str_eq(text_of(tree, "user"), v->who.user) &&
               grants_in_scope(&v->who.grants, STR("token.create"));
    int r = team_of_tree(v, w->db, w->kind, w->id, tree, NULL, &team);
    if (r < 0 || own || (w->exists && (w->action || str_eq(team, w->team)))) {
        return r;
    }
    if (w->kind->owner && str_eq(str_of(w->kind->owner), STR("id")) && !w->exists) {
        team = (struct str){0}; /* a new team belongs to nobody yet */
    }
    if (!may(v, w->kind, verb, team)) {
        refuse(v, PROBLEM_FORBIDDEN, "%.*s may not %s %s %s%s%.*s%s; that needs %s.%s.",
               STR_ARG(v->who.name), verb, article_of(w->kind->kind->name), w->kind->kind->name,
               team.n ? " of the team \"" : "", STR_ARG(team),
               team.n ? "\"" : " of the whole organisation", w->kind->kind->name, verb);
    }
    return 0;
}

/* Nobody gives away what they do not have. */
static void check_role(struct writing *w, struct str role, struct str team)
{
    struct visit *v = w->v;
    const struct str *permissions;
    size_t n;
    if (!role.n || str_eq(role, text_of(w->own, "role"))) {
        return;
    }
    if (!role_permissions(v, w->db, role, &permissions, &n)) {
        refuse(v, PROBLEM_INVALID,
               "role: there is no role \"%.*s\"; built in are owner, admin, developer, viewer and "
               "auditor.",
               STR_ARG(role));
    } else if (!grants_cover(&v->who.grants, permissions, n, team)) {
        refuse(v, PROBLEM_FORBIDDEN,
               "%.*s may not give the role \"%.*s\", which allows more than they may themselves.",
               STR_ARG(v->who.name), STR_ARG(role));
    }
}

static void check_permissions_given(struct writing *w)
{
    struct visit *v = w->v;
    const struct json *list = json_get(w->doc.tree, STR("permissions"));
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        if (!grants_may(&v->who.grants, c->text, (struct str){0})) {
            refuse(v, PROBLEM_FORBIDDEN,
                   "%.*s may not put \"%.*s\" into a role: they may not do that themselves.",
                   STR_ARG(v->who.name), STR_ARG(c->text));
            return;
        }
    }
}

/* A narrow token makes no wider one. */
static void check_scopes_given(struct writing *w)
{
    struct visit *v = w->v;
    const struct json *list = json_get(w->doc.tree, STR("scopes"));
    for (const struct json *c = list ? list->first : NULL; c; c = c->next) {
        if (!grants_in_scope(&v->who.grants, c->text)) {
            refuse(
                v, PROBLEM_FORBIDDEN,
                "scopes: \"%.*s\" is more than the token that asks may itself; name what it is to "
                "be limited to.",
                STR_ARG(c->text));
            return;
        }
    }
}

static void check_rights_given(struct writing *w)
{
    struct str kind = str_of(w->kind->kind->name), role = text_of(w->doc.tree, "role");
    if (str_eq(kind, STR("role"))) {
        check_permissions_given(w);
    } else if (str_eq(kind, STR("user"))) {
        check_role(w, role, (struct str){0});
    } else if (str_eq(kind, STR("membership")) || str_eq(kind, STR("token"))) {
        check_role(w, role, text_of(w->doc.tree, "team"));
    }
    if (w->kind->issues == ISSUED_TOKEN) {
        check_scopes_given(w);
    }
}

/* A token without a user and a role is its maker's own. Another user's token would be their rights
 * in somebody else's hands. */
static void settle_token(struct writing *w)
{
    struct visit *v = w->v;
    struct str user = text_of(w->given, "user"), role = text_of(w->given, "role");
    if (w->kind->issues != ISSUED_TOKEN || w->exists || w->given->type != JSON_OBJECT) {
        return;
    }
    if (!user.n && !role.n && v->who.user.n) {
        json_set(w->given, STR("user"), json_new_str(&v->work, v->who.user));
    } else if (!user.n && !role.n) {
        refuse(v, PROBLEM_INVALID, "role: missing: a machine's token needs a role of its own.");
    } else if (user.n && !str_eq(user, v->who.user)) {
        refuse(v, PROBLEM_FORBIDDEN,
               "A personal token is made by its user: \"%.*s\" is somebody else.", STR_ARG(user));
    }
}

/* ---- fields of others ---- */

/* An apply takes no field that somebody else has since taken, unless told to. */
static void check_fields_of_others(struct writing *w, const struct changes *c,
                                   const struct json *managers, struct str mine)
{
    struct visit *v = w->v;
    struct json *list = json_new(&v->work, JSON_ARRAY);
    struct buf fields = {.arena = &v->work};
    struct str first = {0};
    buf_addc(&fields, '[');
    for (size_t i = 0; i < c->n; i++) {
        struct str theirs = manager_at(managers, c->all[i].pointer);
        if (!c->all[i].from || !theirs.n || str_eq(theirs, mine)) {
            continue;
        }
        struct json *j = json_new(&v->work, JSON_OBJECT);
        json_set(j, STR("pointer"), json_new_str(&v->work, c->all[i].pointer));
        json_set(j, STR("manager"), json_new_str(&v->work, theirs));
        json_set(j, STR("theirs"), json_clone(&v->work, c->all[i].from));
        if (c->all[i].to) {
            json_set(j, STR("yours"), json_clone(&v->work, c->all[i].to));
        }
        json_append(list, j);
        buf_printf(&fields, "%s\"%.*s\"", fields.n > 1 ? "," : "", STR_ARG(c->all[i].pointer));
        first = first.n ? first : theirs;
    }
    buf_addc(&fields, ']');
    if (!list->first) {
        return;
    }
    refuse(v, PROBLEM_MANAGED_ELSEWHERE,
           "%zu field%s of the %s \"%.*s\" belong%s to %.*s; apply with force=true (accord apply "
           "--force) to take over.",
           json_count(list), list->first->next ? "s" : "", w->kind->kind->name, STR_ARG(w->id),
           list->first->next ? "" : "s", STR_ARG(first));
    tell_current(v, w->kind, &w->now);
    json_set(refusal_members(v), STR("conflicts"), list);
    json_set(refusal_members(v), STR("manager"), json_new_str(&v->work, first));
    v->refusal.fields = buf_str(&fields);
}

/* Each changed field is its changer's from now on. */
static void take_fields(struct writing *w, const struct changes *c, struct json *managers,
                        struct str mine)
{
    struct arena *a = &w->v->work;
    struct buf b = {.arena = a};
    for (size_t i = 0; i < c->n; i++) {
        if (!c->all[i].to) {
            json_remove(managers, c->all[i].pointer);
        } else if (!str_eq(manager_at(managers, c->all[i].pointer), mine)) {
            json_set(managers, c->all[i].pointer, json_new_str(a, mine));
        }
    }
    json_print(&b, managers, 0);
    w->out.r.managers = buf_str(&b);
}

static void settle_managers(struct writing *w)
{
    struct visit *v = w->v;
    struct str mine = w->mode == WRITE_APPLY ? w->manager : v->who.name;
    struct json *managers = w->exists ? managers_of(v, &w->now) : json_new(&v->work, JSON_OBJECT);
    struct changes c = {.arena = &v->work};
    if (!w->exists) {
        json_set(managers, STR(""), json_new_str(&v->work, mine));
    } else {
        diff(&c, w->own, w->doc.tree, NULL);
    }
    if (w->mode == WRITE_APPLY && w->exists && !w->force) {
        check_fields_of_others(w, &c, managers, mine);
    }
    take_fields(w, &c, managers, mine);
}

/* ---- actions ---- */

static void set_text(struct writing *w, const char *name, struct str value)
{
    json_set(w->doc.tree, str_of(name), json_new_str(&w->v->work, value));
}

static void act(struct writing *w)
{
    if (w->action->to) {
        set_text(w, "state", str_of(w->action->to));
    }
    if (w->action->effect == EFFECT_ROTATE) {
        set_text(w, "rotated_at", time_print(&w->v->work, w->v->now_us));
    }
}

/* A file: people and programs are managers of what they change by who they are. */
static bool is_manager(struct str s)
{
    enum { MANAGER_MAX = 200 };
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    return str_starts(s, STR("file:")) && s.n > 5 && s.n <= MANAGER_MAX + 5;
}

/* What only compiling tells: a regular expression that is none, a name that is taken. */
static void check_masking(struct writing *w)
{
    struct visit *v = w->v;
    struct buf lines = {.arena = &v->work};
    if (w->kind == &resource_policy && w->doc.decoded &&
        mask_rules_check(w->doc.decoded, 1, &lines) < 0) {
        struct str first, rest = buf_str(&lines);
        str_cut(&rest, '\n', &first);
        refuse(v, PROBLEM_INVALID, "%.*s.", STR_ARG(first));
    }
}

int stage_check(struct writing *w)
{
    struct visit *v = w->v;
    if (is_managed_elsewhere(w)) {
        return 0;
    }
    if (w->mode == WRITE_DELETE) {
        return 0;
    }
    if (w->mode == WRITE_APPLY && !is_manager(w->manager)) {
        refuse(v, PROBLEM_BAD_QUERY,
               "manager: \"%.*s\" is not allowed; allowed: file: and a name of 1 to 200 "
               "characters, such as file:prod.yaml.",
               STR_ARG(str_first(w->manager, 80)));
        return 0;
    }
    settle_token(w);
    int r = v->refusal.set ? 0 : complete_document(w, w->given, &w->doc);
    if (r < 0 || v->refusal.set) {
        return r;
    }
    r = check_new_team(w, w->doc.tree);
    if (r < 0 || v->refusal.set) {
        return r;
    }
    check_rights_given(w);
    check_masking(w);
    if (w->action) {
        act(w);
    }
    settle_managers(w);
    return v->refusal.set ? 0 : write_secrets_of(w);
}
