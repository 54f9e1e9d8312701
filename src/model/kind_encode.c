#include "model/kind.h"

struct str secret_mask(struct arena *a, struct secret s)
{
    enum { SHOW_FROM = 12, SHOWN = 4 };
    struct str text = secret_reveal(s);
    if (text.n == 0) {
        return text;
    }
    if (text.n < SHOW_FROM) {
        return STR("****");
    }
    return arena_printf(a, "****%.*s", SHOWN, text.p + text.n - SHOWN);
}

static const void *slot(const void *from, size_t at)
{
    return (const char *)from + at;
}

static struct json *encode_texts(struct arena *a, const struct str *all, size_t n)
{
    struct json *list = json_new(a, JSON_ARRAY);
    for (size_t i = 0; i < n; i++) {
        json_append(list, json_new_str(a, all[i]));
    }
    return list;
}

static struct json *encode_objects(struct arena *a, const struct kind *k, const char *all, size_t n)
{
    struct json *list = json_new(a, JSON_ARRAY);
    for (size_t i = 0; i < n; i++) {
        json_append(list, kind_encode(a, k, all + i * k->size));
    }
    return list;
}

/* NULL: an empty text, that is one which was not given and has no default. */
static struct json *encode_text(struct arena *a, struct str s)
{
    return s.n ? json_new_str(a, s) : NULL;
}

static struct json *encode_field(struct arena *a, const struct field *f, const void *from)
{
    const void *at = slot(from, f->at);
    unsigned choice;
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_REFERENCE:
    case FIELD_ORIGIN:
        return encode_text(a, *(const struct str *)at);
    case FIELD_TEXTS:
        return encode_texts(a, *(struct str *const *)at, *(const size_t *)slot(from, f->at_n));
    case FIELD_INT: /* less than is allowed: it was not given */
        if (!f->fallback && *(const int64_t *)at < f->min) {
            return NULL;
        }
        return json_new_int(a, *(const int64_t *)at);
    case FIELD_BOOL: /* without a default, false is the same as absent */
        if (!f->fallback && !*(const bool *)at) {
            return NULL;
        }
        return json_new_bool(a, *(const bool *)at);
    case FIELD_CHOICE:
        memcpy(&choice, at, sizeof choice);
        return encode_text(a, str_of(f->choices[choice])); /* behind the last one: none */
    case FIELD_SECRET:
        return encode_text(a, secret_mask(a, *(const struct secret *)at));
    case FIELD_OBJECT:
        if (f->optional && !*(const bool *)slot(from, f->at_n)) {
            return NULL;
        }
        return kind_encode(a, f->kind, at);
    case FIELD_OBJECTS:
        return encode_objects(a, f->kind, *(const char *const *)at,
                              *(const size_t *)slot(from, f->at_n));
    case FIELD_LATER:
        break;
    }
    return NULL;
}

struct json *kind_encode(struct arena *a, const struct kind *k, const void *from)
{
    struct json *j = json_new(a, JSON_OBJECT);
    for (size_t i = 0; i < k->n_fields; i++) {
        struct json *value = encode_field(a, &k->fields[i], from);
        /* An empty list says something where its absence would mean a default. */
        bool empty = !value || ((value->type == JSON_OBJECT || value->type == JSON_ARRAY) &&
                                !value->first && !k->fields[i].fallback);
        if (!empty) {
            json_set(j, str_of(k->fields[i].name), value);
        }
    }
    return j;
}
