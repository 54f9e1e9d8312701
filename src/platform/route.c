#include "platform/route.h"

/* Shorthands, so that a row is a line or two. */
#define VERB(v)       ACCESS_VERB, v
#define PERMISSION(p) ACCESS_PERMISSION, p
#define KNOWN         ACCESS_KNOWN, ""
#define PUBLIC        ACCESS_PUBLIC, ""
#define CHANGE        ROUTE_WRITE | ROUTE_BODY

/* Parameters of writes. */
#define DRY "dry_run"

const struct route routes[] = {
    {M_GET, "/{kind}", VERB("read"), list_resources, 0, "list*s", "List the *s that you may see",
     "limit cursor sort fields {field}"},
    {M_POST, "/{kind}", VERB("create"), create_resource, CHANGE, "create*", "Create a *", DRY},
    {M_GET, "/{kind}/watch", VERB("read"), watch_resources, ROUTE_STREAM, "watch*s",
     "Follow the changes of *s as they happen", "id"},
    {M_GET, "/{kind}/{id}", VERB("read"), read_resource, 0, "read*", "Read a *", "fields"},
    {M_PUT, "/{kind}/{id}", VERB("update"), replace_resource, CHANGE, "replace*",
     "Replace a *, or create it under this id", DRY},
    {M_PATCH, "/{kind}/{id}", VERB("update"), patch_resource, CHANGE, "patch*",
     "Change some fields of a *", DRY " force manager"},
    {M_DELETE, "/{kind}/{id}", VERB("delete"), delete_resource, ROUTE_WRITE, "delete*",
     "Delete a *", DRY},
    {M_GET, "/{kind}/{id}/history", VERB("read"), read_history, 0, "list*Revisions",
     "List the states that a * had", "limit cursor"},
    {M_GET, "/{kind}/{id}/history/{revision}", VERB("read"), read_revision, 0, "read*Revision",
     "Read a * as it was", ""},
    {M_GET, "/{kind}/{id}/diff", VERB("read"), read_diff, 0, "diff*", "Compare two states of a *",
     "from to"},
    {M_GET, "/{kind}/{id}/restore", VERB("read"), read_action, 0, "mayRestore*",
     "Ask whether a * can be restored", ""},
    {M_POST, "/{kind}/{id}/restore", VERB("update"), restore_resource, CHANGE, "restore*",
     "Make a * again what it was", DRY},
    {M_GET, "/{kind}/{id}/{action}", VERB("read"), read_action, ROUTE_ACTION, "may", "", ""},
    {M_POST, "/{kind}/{id}/{action}", VERB("update"), act_on_resource, CHANGE | ROUTE_ACTION, "",
     "", DRY},

    {M_GET, "/me", KNOWN, read_me, 0, "readMe", "Who you are and what you may do", ""},
    {M_PUT, "/me/password", KNOWN, change_password, CHANGE, "changePassword",
     "Change your password; all other sessions end", ""},
    {M_POST, "/session", PUBLIC, sign_in, CHANGE, "signIn", "Sign in with e-mail and password", ""},
    {M_DELETE, "/session", KNOWN, sign_out, ROUTE_WRITE, "signOut", "Sign out", ""},
    {M_POST, "/session/redeem", PUBLIC, redeem_link, CHANGE, "redeemLink",
     "Set a password with a one-time link, and sign in", ""},
    {M_GET, "/audit", PERMISSION("audit.read"), list_audit, 0, "listAudit",
     "Read the audit trail, newest first", "limit cursor who kind id"},
    {M_GET, "/conflicts", KNOWN, list_conflicts, 0, "listConflicts",
     "List refused writes: all that you may read, or your own",
     "limit cursor who kind resource_id"},
    {M_GET, "/conflicts/{id}", KNOWN, read_conflict, 0, "readConflict", "Read a refused write", ""},
    {M_GET, "/calls", PERMISSION("call.read"), list_calls, 0, "listCalls",
     "List what was called, newest first",
     "limit cursor format from to key application team provider model route status outcome errors"},
    {M_GET, "/calls/watch", PERMISSION("call.read"), watch_calls, ROUTE_STREAM, "watchCalls",
     "Follow calls as they end", "key application team provider model route status outcome errors"},
    {M_GET, "/calls/{id}", PERMISSION("call.read"), read_call, 0, "readCall",
     "Read what is known of a call, by its request id", ""},
    {M_GET, "/calls/{id}/body", PERMISSION("call.read_body"), read_call_body, ROUTE_WRITE,
     "readCallBody", "Read what was asked and answered, where a policy keeps it; it is audited",
     ""},
    {M_DELETE, "/calls/{id}/body", PERMISSION("call.delete_body"), delete_call_body, ROUTE_WRITE,
     "deleteCallBody", "Forget what was asked and answered; it is audited", ""},
    {M_GET, "/usage", PERMISSION("call.read"), read_usage, 0, "readUsage",
     "Add up calls, tokens and cost",
     "from to interval by key application team provider model format limit"},
    {M_GET, "/alerts", PERMISSION("call.read"), read_alerts, 0, "listAlerts",
     "List what is watched, and how it is", ""},
    {M_POST, "/explain", PERMISSION("explain.read"), explain_call, ROUTE_BODY, "explainCall",
     "Ask where a call would go, and why; nothing is sent", ""},
    {M_GET, "/routing/state", PERMISSION("routing.read"), read_routing_state, 0, "readRoutingState",
     "See how providers, models there and credentials are doing", "provider model limit"},
    {M_GET, "/status", KNOWN, read_status, 0, "readStatus", "How the server is", ""},
    {M_GET, "/openapi.json", PUBLIC, read_openapi, ROUTE_NO_STORE, "readOpenapi",
     "This description", ""},
};

const size_t n_routes = sizeof routes / sizeof *routes;

/* ---- finding ---- */

enum { SEGMENTS_MAX = 5 };

/* Cuts the path behind /api/v1 into its decoded segments. */
static bool segments_of(struct visit *v, struct str path, struct str *to, size_t *ret_n)
{
    struct str one;
    size_t n = 0;
    path = str_from(path, 1);
    while (path.p && path.n) {
        bool more = str_cut(&path, '/', &one);
        if (n == SEGMENTS_MAX || one.n == 0 || (more && path.n == 0) ||
            url_decode(&v->in, one, false, &to[n]) < 0) {
            return false;
        }
        n++;
    }
    *ret_n = n;
    return true;
}

static bool fits(struct visit *v, const struct route *r, const struct str *segments, size_t n)
{
    struct str pattern = str_from(str_of(r->path), 1), one;
    const struct resource_kind *kind = NULL;
    size_t i = 0, args = 0;
    for (; pattern.n; i++) {
        (void)str_cut(&pattern, '/', &one);
        if (i == n) {
            return false;
        }
        if (str_eq(one, STR("{kind}"))) {
            kind = resource_kind_by_path(segments[i]);
            if (!kind) {
                return false;
            }
        } else if (one.p[0] == '{') {
            v->args[args++] = segments[i];
        } else if (!str_eq(one, segments[i])) {
            return false;
        }
    }
    if (i != n) {
        return false;
    }
    v->kind = kind;
    return true;
}

static const char *method_name(enum h1_method m)
{
    static const char *const names[] = {
        [M_GET] = "GET",     [M_HEAD] = "HEAD",     [M_POST] = "POST",      [M_PUT] = "PUT",
        [M_PATCH] = "PATCH", [M_DELETE] = "DELETE", [M_OPTIONS] = "OPTIONS"};
    return names[m];
}

static bool has_action(const struct resource_kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_actions; i++) {
        if (str_eq(name, str_of(k->actions[i].name))) {
            return true;
        }
    }
    return false;
}

bool route_of_kind(const struct route *r, const struct resource_kind *k)
{
    return !k->single || (r->handler != delete_resource && r->handler != create_resource);
}

/* "/{kind}/{id}/{action}" is there only for the actions of the kind. */
static bool is_there(const struct visit *v, const struct route *r)
{
    if (v->kind && !route_of_kind(r, v->kind)) {
        return false;
    }
    return !(r->flags & ROUTE_ACTION) || has_action(v->kind, v->args[1]);
}

static void add_method(struct buf *allow, const char *name)
{
    if (str_find(buf_str(allow), str_of(name)) < 0) {
        buf_printf(allow, "%s%s", allow->n ? ", " : "", name);
    }
}

enum route_found route_find(struct visit *v, struct buf *allow)
{
    enum h1_method method = v->head.method == M_HEAD ? M_GET : v->head.method;
    struct str segments[SEGMENTS_MAX];
    bool known_path = false;
    size_t n;
    if (!segments_of(v, str_from(v->path, 7), segments, &n)) {
        return ROUTE_NOWHERE;
    }
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *r = &routes[i];
        if (!fits(v, r, segments, n) || !is_there(v, r)) {
            continue;
        }
        if (r->method == method) {
            v->route = r;
            return ROUTE_FOUND;
        }
        known_path = true;
        add_method(allow, method_name(r->method));
        if (r->method == M_GET) {
            add_method(allow, "HEAD");
        }
    }
    if (known_path) {
        add_method(allow, "OPTIONS");
    }
    return known_path ? ROUTE_WRONG_METHOD : ROUTE_NOWHERE;
}
