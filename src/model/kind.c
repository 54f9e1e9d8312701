#include "model/kind.h"

#include <stdlib.h>
#include <string.h>

#include "model/names.h"

static const char *type_name(const struct json *j)
{
    switch (j->type) {
    case JSON_NULL:
        return "nothing";
    case JSON_ARRAY:
        return "a list";
    case JSON_OBJECT:
        return "a mapping";
    case JSON_STRING:
        return "a text";
    case JSON_NUMBER:
        return "a number";
    default:
        return "true or false";
    }
}

/* What stands in the document, for a message: texts as they are spelled there, that is before
 * anything was expanded. */
static struct str shown(struct arena *a, const struct json *j)
{
    struct buf b = {.arena = a};
    switch (j->type) {
    case JSON_STRING:
        buf_addc(&b, '"');
        buf_add_json(&b, str_first(j->text, 60));
        buf_addz(&b, j->text.n > 60 ? "...\"" : "\"");
        break;
    case JSON_NUMBER:
        buf_add(&b, str_first(j->text, 60));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_addz(&b, j->type == JSON_TRUE ? "true" : "false");
        break;
    default:
        buf_addz(&b, type_name(j));
    }
    return buf_str(&b);
}

static struct str listed(struct arena *a, const char *const *words)
{
    struct buf b = {.arena = a};
    for (size_t i = 0; words[i]; i++) {
        buf_printf(&b, "%s%s", i ? ", " : "", words[i]);
    }
    return buf_str(&b);
}

static void *slot(void *to, size_t at)
{
    return (char *)to + at;
}

/* The text of a node with everything expanded. False: a mistake was added. */
static bool text_of(struct kind_reader *r, const struct json *j, const struct path *path,
                    struct str *ret)
{
    struct str why;
    if (!r->expander || !expand_has(j->text)) {
        *ret = j->text;
        return true;
    }
    if (expand(r->arena, r->expander, j->text, ret, &why) < 0) {
        mistake_add(r->mistakes, j, path, "%.*s", STR_ARG(why));
        return false;
    }
    return true;
}

static bool decode_text(struct kind_reader *r, const struct field *f, const struct json *j,
                        const struct path *path, struct str *ret)
{
    struct str text, tidy;
    if (j->type != JSON_STRING && !(f->number && j->type == JSON_NUMBER)) {
        struct str s = shown(r->arena, j);
        const char *quote = j->type == JSON_NUMBER || j->type == JSON_TRUE || j->type == JSON_FALSE
                                ? "; put it in quotes if it is meant as one"
                                : "";
        mistake_add(r->mistakes, j, path, "%.*s is not a text%s%s%s", STR_ARG(s), quote,
                    f->rule ? "; allowed: " : "", f->rule ? f->rule->allowed : "");
        return false;
    }
    if (!text_of(r, j, path, &text)) {
        return false;
    }
    if (f->rule && !f->rule->check(r->arena, text, &tidy)) {
        struct str s = shown(r->arena, j);
        mistake_add(r->mistakes, j, path, "%.*s is not allowed; allowed: %s", STR_ARG(s),
                    f->rule->allowed);
        return false;
    }
    *ret = f->rule ? tidy : text;
    return true;
}

/* A text, or {file: /path}. What it holds is never shown, not even as it stands in the document,
 * nor the names of wrong members: a secret may have slipped into their place. */
static bool decode_secret(struct kind_reader *r, const struct field *f, const struct json *j,
                          const struct path *path, struct secret *ret)
{
    struct str text, why, tidy;
    if (f->may_be_unset && r->expander && j->type == JSON_STRING &&
        str_eq(j->text, arena_printf(r->arena, "${%s}", f->may_be_unset)) &&
        !getenv(f->may_be_unset)) {
        return false;
    }
    if (j->type == JSON_OBJECT && r->expander) {
        const struct json *file = json_get(j, STR("file"));
        if (json_count(j) != 1 || !file || file->type != JSON_STRING) {
            mistake_add(r->mistakes, j, path, "allowed: a text, or {file: /path} and nothing else");
            return false;
        }
        if (!text_of(r, file, path, &text)) {
            return false;
        }
        if (expand_file(r->arena, r->expander, text, &text, &why) < 0) {
            if (expand_has(file->text)) { /* the reason names the path as it was expanded */
                why = STR("the file that is named here cannot be read");
            }
            mistake_add(r->mistakes, file, path, "%.*s", STR_ARG(why));
            return false;
        }
    } else if (j->type != JSON_STRING) {
        mistake_add(r->mistakes, j, path, "%s stands here; allowed: a text%s", type_name(j),
                    r->expander ? " (in quotes if it looks like a number), or {file: /path}" : "");
        return false;
    } else if (!text_of(r, j, path, &text)) {
        return false;
    }
    if (f->rule && !f->rule->check(r->arena, text, &tidy)) {
        mistake_add(r->mistakes, j, path,
                    "this secret (%zu characters, not shown) is not allowed; "
                    "allowed: %s",
                    text.n, f->rule->allowed);
        return false;
    }
    *ret = secret_of(text);
    return true;
}

static bool decode_int(struct kind_reader *r, const struct field *f, const struct json *j,
                       const struct path *path, int64_t *ret)
{
    struct str text = j->text;
    int64_t v;
    bool is_text = j->type == JSON_STRING && r->expander && expand_has(j->text);
    if (is_text && !text_of(r, j, path, &text)) {
        return false;
    }
    if ((j->type != JSON_NUMBER && !is_text) || json_int(text, &v) < 0 || v < f->min ||
        v > f->max) {
        struct str s = shown(r->arena, j);
        mistake_add(r->mistakes, j, path,
                    "%.*s is not allowed; allowed: a whole number from %lld "
                    "to %lld",
                    STR_ARG(s), (long long)f->min, (long long)f->max);
        return false;
    }
    *ret = v;
    return true;
}

static bool decode_bool(struct kind_reader *r, const struct json *j, const struct path *path,
                        bool *ret)
{
    struct str text = {0};
    if (j->type == JSON_STRING && r->expander && expand_has(j->text) &&
        !text_of(r, j, path, &text)) {
        return false;
    }
    if (j->type == JSON_TRUE || str_eq(text, STR("true"))) {
        *ret = true;
    } else if (j->type == JSON_FALSE || str_eq(text, STR("false"))) {
        *ret = false;
    } else {
        struct str s = shown(r->arena, j);
        mistake_add(r->mistakes, j, path, "%.*s is not allowed; allowed: true or false",
                    STR_ARG(s));
        return false;
    }
    return true;
}

static bool choose(const char *const *words, struct str word, unsigned *ret)
{
    for (unsigned i = 0; words && words[i]; i++) {
        if (str_eq(word, str_of(words[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool decode_choice(struct kind_reader *r, const struct field *f, const struct json *j,
                          const struct path *path, unsigned *ret)
{
    struct str text = {0}, s = shown(r->arena, j), all = listed(r->arena, f->choices);
    if (j->type == JSON_STRING && !text_of(r, j, path, &text)) {
        return false;
    }
    if (choose(f->choices, text, ret)) {
        return true;
    }
    /* Only what the document itself says is compared: a guess would tell about an expanded text. */
    const char *near = nearest_word(j->text, f->choices);
    mistake_add(r->mistakes, j, path, "%.*s is not one of %.*s%s%s%s", STR_ARG(s), STR_ARG(all),
                near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return false;
}

static void decode_reference(struct kind_reader *r, const struct field *f, const struct json *j,
                             const struct path *path, void *to)
{
    struct str *id = slot(to, f->at);
    if (!decode_text(r, f, j, path, id)) {
        return;
    }
    struct reference *x = arena_zalloc(r->arena, sizeof *x);
    x->kind = f->kind;
    x->id = *id;
    x->index = f->indexed ? slot(to, f->at_n) : NULL;
    x->at = j;
    x->path = path_text(r->arena, path);
    x->next = r->references;
    r->references = x;
}

static bool count_is_right(struct kind_reader *r, const struct field *f, const struct json *j,
                           const struct path *path, size_t n)
{
    size_t max = f->max ? (size_t)f->max : FIELD_LIST_MAX;
    if (n < (size_t)f->min || n > max) {
        mistake_add(r->mistakes, j, path, "%zu stand here; allowed: %lld to %zu", n,
                    (long long)f->min, max);
        return false;
    }
    return true;
}

static void decode_texts(struct kind_reader *r, const struct field *f, const struct json *j,
                         const struct path *path, void *to)
{
    size_t n = j->type == JSON_ARRAY ? json_count(j) : 1, i = 0;
    struct names seen = {.arena = r->arena};
    if (j->type != JSON_ARRAY && (!f->one_or_many || j->type == JSON_OBJECT)) {
        mistake_add(r->mistakes, j, path, "%s stands here; allowed: a list of texts%s",
                    type_name(j), f->one_or_many ? ", or one text" : "");
        return;
    }
    if (!count_is_right(r, f, j, path, n)) {
        return;
    }
    struct str *all = arena_zalloc(r->arena, n * sizeof *all);
    for (const struct json *c = j->type == JSON_ARRAY ? j->first : j; c && i < n; c = c->next) {
        struct path p = {.up = path, .index = i};
        if (decode_text(r, f, c, j->type == JSON_ARRAY ? &p : path, &all[i]) &&
            !names_add(&seen, all[i], i, NULL)) {
            struct str s = shown(r->arena, c);
            mistake_add(r->mistakes, c, &p, "%.*s stands here twice", STR_ARG(s));
        }
        i++;
    }
    *(struct str **)slot(to, f->at) = all;
    *(size_t *)slot(to, f->at_n) = i;
}

static const struct field *unique_field(const struct kind *k)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (k->fields[i].unique) {
            return &k->fields[i];
        }
    }
    return NULL;
}

/* A list of one, where the mapping alone may stand for it. */
static const struct json *list_of_one(struct kind_reader *r, const struct json *j)
{
    struct json *list = json_new(r->arena, JSON_ARRAY), *element = json_clone(r->arena, j);
    list->line = j->line;
    list->column = j->column;
    json_append(list, element);
    return list;
}

/* Whether a mapping may be the value of that member: only {file: PATH}, of a secret. */
static bool may_be_mapping(const struct kind *k, const char *member)
{
    for (size_t i = 0; member && i < k->n_fields; i++) {
        if (strcmp(k->fields[i].name, member) == 0) {
            return k->fields[i].type == FIELD_SECRET;
        }
    }
    return false;
}

/* What is no list stands for a list with one element that has only the member `shorthand`. */
static const struct json *as_list(struct kind_reader *r, const struct field *f,
                                  const struct json *j)
{
    bool alone = f->one_or_many || (f->shorthand && !may_be_mapping(f->kind, f->shorthand));
    if (j->type == JSON_OBJECT && alone) {
        return list_of_one(r, j);
    }
    if (j->type == JSON_ARRAY || !f->shorthand) {
        return j;
    }
    struct json *list = json_new(r->arena, JSON_ARRAY), *element = json_new(r->arena, JSON_OBJECT);
    struct json *value = arena_alloc(r->arena, sizeof *value);
    *value = *j;
    value->next = NULL;
    list->line = element->line = j->line;
    list->column = element->column = j->column;
    json_set(element, str_of(f->shorthand), value);
    value->key_line = j->line;
    value->key_column = j->column;
    if (json_get(j, str_of(f->shorthand))) { /* the element itself, only its list is missing */
        *element = *j;
        element->next = NULL;
    }
    json_append(list, element);
    return list;
}

static void decode_objects(struct kind_reader *r, const struct field *f, const struct json *from,
                           const struct path *path, void *to)
{
    const struct json *j = as_list(r, f, from);
    const struct field *id = unique_field(f->kind);
    struct names seen = {.arena = r->arena};
    size_t n = json_count(j), i = 0, old;
    if (j->type != JSON_ARRAY) {
        mistake_add(r->mistakes, j, path, "%s stands here; allowed: a list of mappings%s",
                    type_name(j), f->one_or_many ? ", or one" : "");
        return;
    }
    if (!count_is_right(r, f, j, path, n)) {
        return;
    }
    char *all = arena_zalloc(r->arena, n * f->kind->size);
    for (const struct json *c = j->first; c; c = c->next, i++) {
        struct path p = {.up = path, .index = i};
        void *element = all + i * f->kind->size;
        kind_decode(r, f->kind, c, j == from ? &p : path, element);
        const struct str *name = id ? slot(element, id->at) : NULL;
        if (name && name->n && !names_add(&seen, *name, i, &old)) {
            struct path q = {.up = &p, .name = str_of(id->name)};
            const struct json *at = json_get(c, q.name);
            struct path first = {.up = path, .index = old};
            struct str other = path_text(r->arena, &first);
            mistake_add(r->mistakes, at ? at : c, &q, "\"%.*s\" is the %s of %.*s already",
                        STR_ARG(*name), id->name, STR_ARG(other));
        }
    }
    *(void **)slot(to, f->at) = all;
    *(size_t *)slot(to, f->at_n) = n;
}

static void decode_field(struct kind_reader *r, const struct field *f, const struct json *j,
                         const struct path *path, void *to)
{
    unsigned choice;
    switch (f->type) {
    case FIELD_TEXT:
        (void)decode_text(r, f, j, path, slot(to, f->at));
        break;
    case FIELD_TEXTS:
        decode_texts(r, f, j, path, to);
        break;
    case FIELD_INT:
        (void)decode_int(r, f, j, path, slot(to, f->at));
        break;
    case FIELD_BOOL:
        (void)decode_bool(r, j, path, slot(to, f->at));
        break;
    case FIELD_CHOICE:
        if (decode_choice(r, f, j, path, &choice)) {
            memcpy(slot(to, f->at), &choice, sizeof choice);
        }
        break;
    case FIELD_SECRET:
        (void)decode_secret(r, f, j, path, slot(to, f->at));
        break;
    case FIELD_REFERENCE:
        decode_reference(r, f, j, path, to);
        break;
    case FIELD_OBJECT:
        if (f->optional) {
            *(bool *)slot(to, f->at_n) = true;
        }
        kind_decode(r, f->kind, j, path, slot(to, f->at));
        break;
    case FIELD_OBJECTS:
        decode_objects(r, f, j, path, to);
        break;
    case FIELD_ORIGIN:
    case FIELD_LATER:
        break;
    }
}

static void set_fallback(struct kind_reader *r, const struct field *f, void *to)
{
    struct str text = str_of(f->fallback);
    unsigned choice;
    if (f->type == FIELD_OBJECT && !f->required &&
        !f->optional) { /* absent: every member has its own default */
        struct json *empty = json_new(r->arena, JSON_OBJECT);
        kind_decode(r, f->kind, empty, NULL, slot(to, f->at));
    }
    if (!text.p) {
        return;
    }
    if (f->type == FIELD_TEXT) {
        *(struct str *)slot(to, f->at) = text;
    } else if (f->type == FIELD_TEXTS) {
        struct str *one = arena_alloc(r->arena, sizeof *one);
        *one = text;
        *(struct str **)slot(to, f->at) = one;
        *(size_t *)slot(to, f->at_n) = 1;
    } else if (f->type == FIELD_INT) {
        (void)!json_int(text, slot(to, f->at));
    } else if (f->type == FIELD_BOOL) {
        *(bool *)slot(to, f->at) = str_eq(text, STR("true"));
    } else if (f->type == FIELD_CHOICE && choose(f->choices, text, &choice)) {
        memcpy(slot(to, f->at), &choice, sizeof choice);
    }
}

static const struct field *field_named(const struct kind *k, struct str name)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (k->fields[i].type != FIELD_ORIGIN && str_eq(name, str_of(k->fields[i].name))) {
            return &k->fields[i];
        }
    }
    return NULL;
}

bool field_is_here(const struct field *f, bool platform)
{
    return f->type != FIELD_LATER && f->type != FIELD_ORIGIN && (platform || !f->platform);
}

static struct str names_of_fields(struct kind_reader *r, const struct kind *k, const char **words)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n_fields; i++) {
        if (field_is_here(&k->fields[i], r->platform)) {
            words[n++] = k->fields[i].name;
        }
    }
    words[n] = NULL;
    return listed(r->arena, words);
}

static bool has_secret(const struct kind *k)
{
    for (size_t i = 0; i < k->n_fields; i++) {
        if (k->fields[i].type == FIELD_SECRET) {
            return true;
        }
    }
    return false;
}

static void unknown_field(struct kind_reader *r, const struct kind *k, const struct json *c,
                          const struct path *path)
{
    const char **words = arena_alloc(r->arena, (k->n_fields + 1) * sizeof *words);
    struct str all = names_of_fields(r, k, words);
    const char *near = nearest_word(c->key, words);
    if (has_secret(k) && !near && c->type == JSON_NULL) {
        /* `{sk-abc}` is a mapping in YAML: the name may be a secret. */
        mistake_add_key(r->mistakes, c, path->up,
                        "unknown field (its name is not shown); a %s "
                        "has: %.*s",
                        k->name, STR_ARG(all));
        return;
    }
    if (near) {
        mistake_add_key(r->mistakes, c, path, "unknown field; did you mean \"%s\"? A %s has: %.*s",
                        near, k->name, STR_ARG(all));
        return;
    }
    mistake_add_key(r->mistakes, c, path, "unknown field; a %s has: %.*s", k->name, STR_ARG(all));
}

static void decode_member(struct kind_reader *r, const struct kind *k, const struct json *c,
                          const struct path *path, void *to)
{
    const struct field *f = field_named(k, c->key);
    if (!f) {
        unknown_field(r, k, c, path);
    } else if (f->type == FIELD_LATER || (f->platform && !r->platform)) {
        const char **words = arena_alloc(r->arena, (k->n_fields + 1) * sizeof *words);
        struct str all = names_of_fields(r, k, words);
        mistake_add_key(r->mistakes, c, path, "%s; a %s supports: %.*s",
                        f->platform ? "belongs to the platform's API, not into a file"
                                    : "not supported by this version",
                        k->name, STR_ARG(all));
    } else if (c->type != JSON_NULL) { /* `name:` with nothing behind it is not there */
        decode_field(r, f, c, path, to);
    }
}

static bool is_given(const struct json *j, const struct field *f)
{
    const struct json *c = json_get(j, str_of(f->name));
    return c && c->type != JSON_NULL;
}

void kind_decode(struct kind_reader *r, const struct kind *k, const struct json *j,
                 const struct path *path, void *to)
{
    size_t before = r->mistakes->n;
    if (j->type != JSON_OBJECT) {
        struct str s = has_secret(k) ? str_of(type_name(j)) : shown(r->arena, j);
        mistake_add(r->mistakes, j, path,
                    "%.*s stands here; allowed: a mapping that describes a %s", STR_ARG(s),
                    k->name);
        return;
    }
    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        if (f->type == FIELD_ORIGIN) {
            *(struct str *)slot(to, f->at) =
                arena_printf(r->arena, "%.*s:%u", STR_ARG(r->source), j->line);
        } else if (!is_given(j, f)) {
            set_fallback(r, f, to);
            if (f->required) {
                struct path p = {.up = path ? path : &(struct path){0}, .name = str_of(f->name)};
                mistake_add(r->mistakes, j, &p, "missing: %s", f->help);
            }
        }
    }
    for (const struct json *c = j->first; c; c = c->next) {
        struct path p = {.up = path, .name = c->key.p ? c->key : STR("")};
        decode_member(r, k, c, &p, to);
    }
    if (k->finish && r->mistakes->n == before) {
        k->finish(r, j, path, to);
    }
}
