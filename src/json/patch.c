#include "json/patch.h"

#include <errno.h>

/* One patch on its way. */
struct patcher {
    struct arena *arena;
    struct json *root;
    const struct json *op; /* the operation at hand */
    size_t index;
    size_t copied; /* nodes */
    struct json_patch_error *error;
};

/* A place in the tree: the container and which child of it. */
struct place {
    struct json *container; /* NULL: the root itself */
    struct json *child;     /* NULL: nothing is there yet */
    struct str token;       /* decoded */
};

__attribute__((format(printf, 3, 4))) static int fail(struct patcher *p, int code, const char *fmt,
                                                      ...)
{
    va_list ap;
    const struct json *op = json_get(p->op, STR("op")), *path = json_get(p->op, STR("path"));
    va_start(ap, fmt);
    p->error->operation = p->index;
    p->error->op = op && op->type == JSON_STRING ? op->text : (struct str){0};
    p->error->path = path && path->type == JSON_STRING ? path->text : (struct str){0};
    p->error->message = arena_vprintf(p->arena, fmt, ap);
    va_end(ap);
    return code;
}

/* ---- lists of children ---- */

static void insert(struct json *container, struct json *before, struct json *child)
{
    struct json **at = &container->first;
    while (*at != before) {
        at = &(*at)->next;
    }
    child->next = before;
    *at = child;
    if (!before) {
        container->last = child;
    }
}

static void unlink_child(struct json *container, struct json *child)
{
    struct json **at = &container->first, *last = NULL;
    while (*at != child) {
        last = *at;
        at = &(*at)->next;
    }
    *at = child->next;
    if (container->last == child) {
        container->last = last;
    }
    child->next = NULL;
}

static struct json *nth(const struct json *array, uint64_t n)
{
    struct json *c = array->first;
    while (c && n-- > 0) {
        c = c->next;
    }
    return c;
}

/* ---- pointers ---- */

/* Takes the first token off a pointer that is not empty, and decodes it. */
static int next_token(struct patcher *p, struct str whole, struct str *pointer, struct str *ret)
{
    struct str raw, rest = str_from(*pointer, 1);
    if (pointer->p[0] != '/') {
        return fail(p, -EBADMSG, "\"%.*s\" is not a JSON Pointer: it must be empty or begin with /",
                    STR_ARG(str_first(whole, 200)));
    }
    *pointer = str_cut(&rest, '/', &raw) ? str_make(rest.p - 1, rest.n + 1) : (struct str){0};
    struct buf b = {.arena = p->arena};
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] != '~') {
            buf_addc(&b, raw.p[i]);
        } else if (i + 1 < raw.n && (raw.p[i + 1] == '0' || raw.p[i + 1] == '1')) {
            buf_addc(&b, raw.p[++i] == '0' ? '~' : '/');
        } else {
            return fail(p, -EBADMSG,
                        "\"%.*s\" is not a JSON Pointer: ~ must be written as ~0, / in a name as "
                        "~1",
                        STR_ARG(str_first(whole, 200)));
        }
    }
    *ret = buf_str(&b);
    return 0;
}

/* An index has no sign and no leading zero (RFC 6901, 4). */
static bool index_of(struct str token, uint64_t *ret)
{
    return str_to_u64(token, ret) == 0 && (token.n == 1 || token.p[0] != '0');
}

static int find(struct patcher *p, struct str pointer, struct place *ret)
{
    struct str rest = pointer;
    struct place at = {.child = p->root};
    while (rest.n) {
        uint64_t i;
        at.container = at.child;
        int r = next_token(p, pointer, &rest, &at.token);
        if (r < 0) {
            return r;
        }
        if (!at.container ||
            (at.container->type != JSON_OBJECT && at.container->type != JSON_ARRAY)) {
            return fail(p, -ENOENT,
                        "nothing can be at %.*s: what is above it is not there, or is "
                        "neither a list nor an object",
                        STR_ARG(str_first(pointer, 200)));
        }
        if (at.container->type == JSON_OBJECT) {
            at.child = json_get(at.container, at.token);
        } else if (index_of(at.token, &i)) {
            at.child = nth(at.container, i);
        } else if (str_eq(at.token, STR("-"))) {
            at.child = NULL;
        } else {
            return fail(p, -ENOENT,
                        "%.*s: \"%.*s\" is not an index of a list (digits without a "
                        "leading zero, or - for behind the last)",
                        STR_ARG(str_first(pointer, 200)), STR_ARG(str_first(at.token, 80)));
        }
    }
    *ret = at;
    return 0;
}

static int must_exist(struct patcher *p, struct str pointer, struct place *ret)
{
    int r = find(p, pointer, ret);
    if (r == 0 && !ret->child) {
        r = fail(p, -ENOENT, "nothing is at %.*s", STR_ARG(str_first(pointer, 200)));
    }
    return r;
}

/* ---- operations ---- */

static int put(struct patcher *p, struct str pointer, struct json *value)
{
    struct place at;
    uint64_t i;
    int r = find(p, pointer, &at);
    if (r < 0) {
        return r;
    }
    if (!at.container) {
        p->root = value;
        return 0;
    }
    if (at.container->type == JSON_OBJECT) {
        json_set(at.container, at.token, value);
        return 0;
    }
    if (str_eq(at.token, STR("-"))) {
        insert(at.container, NULL, value);
        return 0;
    }
    if (!index_of(at.token, &i) || i > json_count(at.container)) {
        return fail(p, -ENOENT, "%.*s is behind the end of the list, which has %zu elements",
                    STR_ARG(str_first(pointer, 200)), json_count(at.container));
    }
    insert(at.container, at.child, value);
    return 0;
}

static int take(struct patcher *p, struct str pointer, struct json **ret)
{
    struct place at;
    int r = must_exist(p, pointer, &at);
    if (r < 0) {
        return r;
    }
    if (at.container) {
        unlink_child(at.container, at.child);
    } else {
        p->root = NULL;
    }
    *ret = at.child;
    return 0;
}

static int replace(struct patcher *p, struct str pointer, struct json *value)
{
    struct place at;
    int r = must_exist(p, pointer, &at);
    if (r < 0) {
        return r;
    }
    if (!at.container) {
        p->root = value;
    } else if (at.container->type == JSON_OBJECT) {
        json_set(at.container, at.token, value);
    } else {
        insert(at.container, at.child, value);
        unlink_child(at.container, at.child);
    }
    return 0;
}

static size_t count_nodes(const struct json *j)
{
    size_t n = 1;
    for (const struct json *c = j->first; c; c = c->next) {
        n += count_nodes(c);
    }
    return n;
}

static int copy(struct patcher *p, struct str from, struct str pointer)
{
    struct place at;
    int r = must_exist(p, from, &at);
    if (r < 0) {
        return r;
    }
    p->copied += count_nodes(at.child);
    if (p->copied > JSON_PATCH_NODES_MAX) {
        return fail(p, -E2BIG, "the operations `copy` make more than %d values",
                    JSON_PATCH_NODES_MAX);
    }
    return put(p, pointer, json_clone(p->arena, at.child));
}

static int move(struct patcher *p, struct str from, struct str pointer)
{
    struct json *value;
    if (pointer.n > from.n && str_starts(pointer, from) && pointer.p[from.n] == '/') {
        return fail(p, -ENOENT, "%.*s cannot be moved into itself", STR_ARG(str_first(from, 200)));
    }
    int r = take(p, from, &value);
    return r < 0 ? r : put(p, pointer, value);
}

static int test(struct patcher *p, struct str pointer, const struct json *value)
{
    struct place at;
    int r = must_exist(p, pointer, &at);
    if (r == 0 && !json_equal(at.child, value)) {
        struct buf b = {.arena = p->arena};
        json_print(&b, at.child, 0);
        r = fail(p, -ECANCELED, "the test failed: at %.*s is %.*s",
                 STR_ARG(str_first(pointer, 200)), STR_ARG(str_first(buf_str(&b), 200)));
    }
    return r;
}

/* A member of the operation that must be a pointer. */
static int text_member(struct patcher *p, const char *name, struct str *ret)
{
    const struct json *j = json_get(p->op, str_of(name));
    if (!j || j->type != JSON_STRING) {
        return fail(p, -EBADMSG, "the member \"%s\" is %s; it must be a JSON Pointer", name,
                    j ? "not a text" : "missing");
    }
    *ret = j->text;
    return 0;
}

static int apply(struct patcher *p)
{
    static const char *const names[] = {"add", "remove", "replace", "move", "copy", "test"};
    enum { ADD, REMOVE, REPLACE, MOVE, COPY, TEST, UNKNOWN } kind = ADD;
    struct str op, path, from = {0};
    struct json *taken;
    const struct json *value = json_get(p->op, STR("value"));
    if (p->op->type != JSON_OBJECT) {
        return fail(p, -EBADMSG, "an operation must be an object with op and path");
    }
    int r = text_member(p, "op", &op);
    r = r < 0 ? r : text_member(p, "path", &path);
    if (r < 0) {
        return r;
    }
    while (kind < UNKNOWN && !str_eq(op, str_of(names[kind]))) {
        kind++;
    }
    if ((kind == MOVE || kind == COPY) && (r = text_member(p, "from", &from)) < 0) {
        return r;
    }
    if ((kind == ADD || kind == REPLACE || kind == TEST) && !value) {
        return fail(p, -EBADMSG, "the member \"value\" is missing");
    }
    switch (kind) {
    case ADD:
        return put(p, path, json_clone(p->arena, value));
    case REMOVE:
        return take(p, path, &taken);
    case REPLACE:
        return replace(p, path, json_clone(p->arena, value));
    case MOVE:
        return move(p, from, path);
    case COPY:
        return copy(p, from, path);
    case TEST:
        return test(p, path, value);
    default:
        return fail(p, -EBADMSG,
                    "\"%.*s\" is not an operation; allowed: add, remove, replace, "
                    "move, copy, test",
                    STR_ARG(str_first(op, 80)));
    }
}

int json_patch(struct arena *a, const struct json *doc, const struct json *patch, struct json **ret,
               struct json_patch_error *ret_error)
{
    struct patcher p = {.arena = a, .error = ret_error};
    if (patch->type != JSON_ARRAY) {
        return fail(&p, -EBADMSG, "a JSON Patch must be a list of operations");
    }
    if (json_count(patch) > JSON_PATCH_OPS_MAX) {
        return fail(&p, -E2BIG, "a JSON Patch has at most %d operations", JSON_PATCH_OPS_MAX);
    }
    p.root = json_clone(a, doc);
    for (p.op = patch->first; p.op; p.op = p.op->next, p.index++) {
        int r = apply(&p);
        if (r < 0) {
            return r;
        }
    }
    *ret = p.root ? p.root : json_new(a, JSON_NULL);
    return 0;
}

/* RFC 7396, 2: the pseudocode of the standard. */
struct json *json_merge_patch(struct arena *a, const struct json *target, const struct json *patch)
{
    if (patch->type != JSON_OBJECT) {
        return json_clone(a, patch);
    }
    struct json *to =
        target && target->type == JSON_OBJECT ? json_clone(a, target) : json_new(a, JSON_OBJECT);
    for (const struct json *c = patch->first; c; c = c->next) {
        /* Looked for in what was there, not in what has been added: no name stands in a patch
         * twice, and it may have very many. */
        const struct json *had = json_get(target, c->key);
        if (had && c->type == JSON_NULL) {
            json_remove(to, c->key);
        } else if (had) {
            json_set(to, arena_dup(a, c->key), json_merge_patch(a, had, c));
        } else if (c->type != JSON_NULL) {
            json_add(to, arena_dup(a, c->key), json_merge_patch(a, NULL, c));
        }
    }
    return to;
}
