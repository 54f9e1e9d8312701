/* The effective configuration, for people (YAML with origins as comments) and for programs (JSON).
 */

#include "model/config.h"
#include "model/kinds.h"
#include "model/yaml.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether a text reads as itself without quotes, to us and to readers of YAML 1.1: it begins like a
 * word, a path or an address with a port, holds nothing that YAML gives a meaning, and is no word
 * that means something else. */
static bool is_plain(struct str s)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "y", "n", NULL};
    bool address = str_chr(s, '.') > 0 && str_chr(s, ':') > 0 && s.p[0] >= '0' && s.p[0] <= '9';
    if (s.n == 0 || !(is_letter(s.p[0]) || s.p[0] == '/' || str_starts(s, STR("./")) || address)) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        if (!is_letter(s.p[i]) && !digit && (s.p[i] == 0 || !strchr("._-/:+@", s.p[i]))) {
            return false;
        }
    }
    for (size_t i = 0; words[i]; i++) {
        if (str_ieq(s, str_of(words[i]))) {
            return false;
        }
    }
    return s.p[s.n - 1] != ':';
}

/* JSON, and with the line ends of Unicode escaped, which YAML would take for line ends. */
static void add_json(struct buf *b, struct str s)
{
    static const struct {
        struct str bytes;
        const char *escape;
    } ends[] = {{{"\xC2\x85", 2}, "\\u0085"},
                {{"\xE2\x80\xA8", 3}, "\\u2028"},
                {{"\xE2\x80\xA9", 3}, "\\u2029"}};
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
            if (str_starts(str_from(s, i), ends[k].bytes)) {
                buf_add_json(b, str_make(s.p + from, i - from));
                buf_addz(b, ends[k].escape);
                from = i + ends[k].bytes.n;
            }
        }
    }
    buf_add_json(b, str_from(s, from));
}

static void add_text(struct buf *b, struct str s)
{
    ptrdiff_t at;
    if (is_plain(s)) {
        buf_add(b, s);
        return;
    }
    buf_addc(b, '"');
    while ((at = str_find(s, STR("${"))) >= 0) { /* would be expanded when it is read again */
        add_json(b, str_first(s, (size_t)at));
        buf_addz(b, "$${");
        s = str_from(s, (size_t)at + 2);
    }
    add_json(b, s);
    buf_addc(b, '"');
}

static void add_scalar(struct buf *b, const struct json *j)
{
    if (j->type == JSON_STRING) {
        add_text(b, j->text);
    } else {
        json_print(b, j, 0);
    }
}

static bool is_scalar(const struct json *j)
{
    return j->type != JSON_OBJECT && j->type != JSON_ARRAY;
}

static void add_spaces(struct buf *b, unsigned n)
{
    buf_printf(b, "%*s", (int)n, "");
}

static void add_flow_list(struct buf *b, const struct json *j)
{
    buf_addc(b, '[');
    for (const struct json *c = j->first; c; c = c->next) {
        add_scalar(b, c);
        buf_addz(b, c->next ? ", " : "");
    }
    buf_addz(b, "]\n");
}

static void add_object(struct buf *b, const struct json *j, unsigned indent, bool first_inline);

static void add_member(struct buf *b, const struct json *c, unsigned indent)
{
    buf_add(b, c->key);
    if (is_scalar(c)) {
        buf_addz(b, ": ");
        add_scalar(b, c);
        buf_addc(b, '\n');
    } else if (c->type == JSON_OBJECT) {
        buf_addz(b, ":\n");
        add_object(b, c, indent + 2, false);
    } else if (!c->first || is_scalar(c->first)) {
        buf_addz(b, ": ");
        add_flow_list(b, c);
    } else {
        buf_addz(b, ":\n");
        for (const struct json *x = c->first; x; x = x->next) {
            add_spaces(b, indent + 2);
            buf_addz(b, "- ");
            add_object(b, x, indent + 4, true);
        }
    }
}

static void add_object(struct buf *b, const struct json *j, unsigned indent, bool first_inline)
{
    const struct json *origin = json_get(j, STR("origin"));
    for (const struct json *c = j->first; c; c = c->next) {
        if (c == origin) {
            continue;
        }
        if (!first_inline || c != j->first) {
            add_spaces(b, indent);
        }
        add_member(b, c, indent);
        if (origin && c == j->first) { /* the id; its comment goes to the end of the line */
            b->n -= b->n ? 1 : 0;
            buf_printf(b, "  # %.*s\n", STR_ARG(origin->text));
        }
    }
}

void yaml_print(struct buf *b, const struct json *object)
{
    add_object(b, object, 0, false);
}

static struct json *tree_of(struct arena *a, const struct config *c)
{
    return kind_encode(a, &kind_settings, c);
}

/* What was not declared is told, but not as something that could be declared like this: the known
 * models of a provider are only counted, and the built-in provider is a comment. */
static struct json *without_known(struct arena *a, const struct config *c)
{
    struct config shown = *c;
    shown.providers = arena_alloc(a, (c->n_providers + 1) * sizeof *shown.providers);
    shown.n_providers = 0;
    for (size_t i = 0; i < c->n_providers; i++) {
        struct config_provider p = c->providers[i];
        if (p.builtin_sim) {
            continue;
        }
        if (str_starts(p.origin, STR("environment "))) {
            p.origin = arena_printf(a, "%.*s; %zu known models", STR_ARG(p.origin), p.n_models);
            p.n_models = 0;
        }
        shown.providers[shown.n_providers++] = p;
    }
    return tree_of(a, &shown);
}

void config_print(struct buf *b, const struct config *c)
{
    struct arena a = {0};
    add_object(b, without_known(&a, c), 0, false);
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct config_provider *p = &c->providers[i];
        if (p->builtin_sim) {
            buf_addz(b, "# built in:");
            for (size_t k = 0; k < p->n_models; k++) {
                buf_printf(b, " %.*s/%.*s", STR_ARG(p->id), STR_ARG(p->models[k]));
            }
            buf_addc(b, '\n');
        }
    }
    arena_reset(&a);
}

void config_print_json(struct buf *b, const struct config *c)
{
    struct arena a = {0};
    json_print(b, tree_of(&a, c), 0);
    arena_reset(&a);
}
