/* The query of a request: a name that is not known or a value that is not allowed is refused, never
 * passed over; who mistypes dry_run must not write. */
#include "platform/visit.h"

bool known_parameters(struct visit *v, const char *const *names)
{
    struct buf all = {.arena = &v->work};
    for (const char *const *n = names; *n; n++) {
        buf_printf(&all, "%s%s", n == names ? "" : ", ", *n);
    }
    for (size_t i = 0; i < v->query.n; i++) {
        const char *const *n = names;
        while (*n && !str_eq(v->query.all[i].name, str_of(*n))) {
            n++;
        }
        if (!*n) {
            refuse(v, PROBLEM_BAD_QUERY, "\"%.*s\" is not a parameter here; allowed: %.*s.",
                   STR_ARG(str_first(v->query.all[i].name, 80)), STR_ARG(buf_str(&all)));
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
