/* How resources are printed: a table on a terminal, TSV in a pipe, JSON, YAML. */
#include <stdio.h>

#include "cli/resource.h"
#include "cli/table.h"
#include "model/yaml.h"

enum { COLUMNS_MAX = 16 };

static struct str cell(struct arena *a, const struct json *item, const char *column)
{
    const struct json *j = json_get(item, str_of(column));
    if (!j || j->type == JSON_NULL) {
        return (struct str){0};
    }
    if (j->type == JSON_STRING) {
        return j->text;
    }
    struct buf b = {.arena = a};
    json_print(&b, j, 0);
    return buf_str(&b);
}

static size_t columns_of(const struct resource_kind *k, const char **ret)
{
    size_t n = 0;
    ret[n++] = "id";
    for (size_t i = 0; i < k->kind->n_fields && n < 6; i++) {
        const struct field *f = &k->kind->fields[i];
        bool scalar =
            f->type == FIELD_TEXT || f->type == FIELD_CHOICE || f->type == FIELD_REFERENCE;
        if (scalar && field_is_here(f, true) && !f->hashed &&
            !str_eq(str_of(f->name), STR("description")) && !str_eq(str_of(f->name), STR("id")) &&
            !str_eq(str_of(f->name), STR("state"))) {
            ret[n++] = f->name;
        }
    }
    if (k->states) {
        ret[n++] = "state";
    }
    ret[n++] = "revision";
    ret[n++] = "updated_at";
    return n;
}

static void print_rows(struct request *q, const struct json *items, const char *const *columns,
                       size_t n)
{
    table_begin();
    for (size_t i = 0; i < n; i++) {
        fputs(columns[i], stdout);
        putchar(i + 1 == n ? '\n' : '\t');
    }
    for (const struct json *x = items->first; x; x = x->next) {
        for (size_t i = 0; i < n; i++) {
            table_put(cell(&q->rest.arena, x, columns[i]));
            putchar(i + 1 == n ? '\n' : '\t');
        }
    }
    table_end();
}

void print_list(struct request *q, const struct json *items, const char *const *columns)
{
    const char *own[COLUMNS_MAX];
    struct buf b = {.arena = &q->rest.arena};
    size_t n = 0;
    if (q->form == OUTPUT_JSON) {
        json_print(&b, items, 2);
        printf("%.*s\n", STR_ARG(buf_str(&b)));
        return;
    }
    if (q->form == OUTPUT_YAML) {
        struct json *j = json_new(&q->rest.arena, JSON_OBJECT);
        json_set(j, q->kind ? str_of(q->kind->plural) : STR("items"),
                 json_clone(&q->rest.arena, items));
        yaml_print(&b, j);
        printf("%.*s", STR_ARG(buf_str(&b)));
        return;
    }
    for (; columns && columns[n]; n++) {
        own[n] = columns[n];
    }
    if (!columns) {
        n = columns_of(q->kind, own);
    }
    print_rows(q, items, own, n);
}

void print_one(const struct request *q, const struct json *j)
{
    struct arena a = {0};
    struct buf b = {.arena = &a};
    if (q->form == OUTPUT_JSON) {
        json_print(&b, j, 2);
        buf_addc(&b, '\n');
    } else {
        yaml_print(&b, j);
    }
    fwrite(b.p, 1, b.n, stdout);
    arena_reset(&a);
}
