/* The query of a request: a name that is not known or a value that is not allowed is refused, never
 * passed over; who mistypes dry_run must not write. */
#include "platform/route.h"

/* "{field}" in a route's list stands for any member of the kind, to filter by. */
static bool knows(const struct visit *v, struct str name)
{
    struct str rest = str_of(v->route->parameters), one;
    while (rest.n) {
        (void)str_cut(&rest, ' ', &one);
        if (str_eq(one, name) || (str_eq(one, STR("{field}")) && kind_shows(v->kind->kind, name))) {
            return true;
        }
    }
    return false;
}

static void add_fields(struct buf *b, const struct kind *k)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (field_is_here(&k->fields[i], true)) {
            buf_printf(b, " %s", k->fields[i].name);
        }
    }
}

/* What a route takes, for a refusal. */
static struct str allowed(struct visit *v)
{
    struct buf b = {.arena = &v->work};
    struct str rest = str_of(v->route->parameters), one;
    if (!rest.n) {
        return STR(" none");
    }
    while (rest.n) {
        (void)str_cut(&rest, ' ', &one);
        if (str_eq(one, STR("{field}"))) {
            buf_addz(&b, ", or a field:");
            add_fields(&b, v->kind->kind);
        } else {
            buf_addc(&b, ' ');
            buf_add(&b, one);
        }
    }
    return buf_str(&b);
}

bool known_parameters(struct visit *v)
{
    for (size_t i = 0; i < v->query.n; i++) {
        struct str name = v->query.all[i].name;
        if (!knows(v, name)) {
            struct str all = allowed(v);
            refuse(v, PROBLEM_BAD_QUERY, "\"%.*s\" is not a parameter here; allowed:%.*s.",
                   STR_ARG(str_first(name, 80)), STR_ARG(all));
            return false;
        }
    }
    return true;
}

bool flag_parameter(struct visit *v, const char *name, bool *ret)
{
    struct str value = query_get(&v->query, str_of(name));
    *ret = str_eq(value, STR("true"));
    if (value.p && !*ret && !str_eq(value, STR("false"))) {
        refuse(v, PROBLEM_BAD_QUERY, "%s: \"%.*s\" is not allowed; allowed: true, false.", name,
               STR_ARG(str_first(value, 80)));
        return false;
    }
    return true;
}

bool kind_shows(const struct kind *k, struct str name)
{
    static const char *const metadata[] = {"id",         "revision",   "etag",      "created_at",
                                           "created_by", "updated_at", "updated_by"};
    for (size_t i = 0; i < k->n_fields; i++) {
        if (str_eq(name, str_of(k->fields[i].name)) && field_is_here(&k->fields[i], true)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
        if (str_eq(name, str_of(metadata[i]))) {
            return true;
        }
    }
    return false;
}

bool fields_parameter(struct visit *v, struct str *ret)
{
    struct str rest = query_get(&v->query, STR("fields")), one;
    *ret = rest;
    if (rest.p && !rest.n) {
        refuse(v, PROBLEM_BAD_QUERY, "fields: no name stands there.");
        return false;
    }
    while (rest.n) {
        bool more = str_cut(&rest, ',', &one);
        if (!kind_shows(v->kind->kind, one) || (more && !rest.n)) {
            refuse(v, PROBLEM_BAD_QUERY, "fields: %s %s has no field \"%.*s\".",
                   article_of(v->kind->kind->name), v->kind->kind->name,
                   STR_ARG(str_first(one, 80)));
            return false;
        }
    }
    return true;
}
