/* GET of an action: whether it is possible now, so that a button can be grey before it is pressed. The
 * tag is the resource's, ready for the If-Match of the POST. */
#include "platform/route.h"
#include "platform/write.h"

static const struct action *action_of(const struct visit *v)
{
    for (size_t i = 0; i < v->kind->n_actions; i++) {
        if (str_eq(v->args[1], str_of(v->kind->actions[i].name))) {
            return &v->kind->actions[i];
        }
    }
    return NULL; /* restore, which every kind has */
}

/* False: not in the state that the resource is in; the states are listed. */
static bool fits_state(struct visit *v, const struct action *a, const struct json *own,
                       struct json *answer)
{
    const struct json *state = json_get(own, STR("state"));
    struct json *from = json_new(&v->work, JSON_ARRAY);
    bool fits = !a || !a->from;
    for (const char *const *s = a ? a->from : NULL; s && *s; s++) {
        json_append(from, json_new_str(&v->work, str_of(*s)));
        fits = fits || (state && str_eq(state->text, str_of(*s)));
    }
    if (state) {
        json_set(answer, STR("state"), json_new_str(&v->work, state->text));
    }
    if (from->first) {
        json_set(answer, STR("from"), from);
    }
    return fits;
}

int read_action(struct visit *v, struct db *db)
{
    struct resource r;
    struct str team;
    bool ok;
    int e = begin_reading(v, db, &r, &ok);
    if (e < 0 || !ok) {
        return e;
    }
    const struct action *a = action_of(v);
    struct json *own = own_fields(v, &r), *answer = json_new(&v->work, JSON_OBJECT);
    const char *verb = a ? a->name : "update";
    e = team_of_tree(v, db, v->kind, r.id, own, a ? a->owner : NULL, &team);
    json_set(answer, STR("action"), json_new_str(&v->work, str_of(a ? a->name : "restore")));
    json_set(answer, STR("possible"), json_new_bool(&v->work, fits_state(v, a, own, answer)));
    json_set(answer, STR("permitted"),
             json_new_bool(&v->work, may(v, v->kind, verb, team) || is_own(v, v->kind, &r, verb)));
    answer_json(v, 200, answer);
    return e;
}
