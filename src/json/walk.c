#include "json/walk.h"

#include "json/quote.h"

/* What json_scan() has accepted has no other bytes as low as these outside of its strings. */
static inline bool is_space(char c)
{
    return (unsigned char)c <= ' ';
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p)) {
        p++;
    }
    return p;
}

struct walk walk_at(struct str span)
{
    if (span.n == 0) {
        span = STR("null"); /* nothing to walk through */
    }
    const char *end = span.p + span.n;
    return (struct walk){skip_space(span.p, end), end};
}

/* To the next value or name of the container; false behind its end. */
static inline bool next(struct walk *w, char close)
{
    const char *p = skip_space(w->p, w->end);
    if (*p == ',') {
        p = skip_space(p + 1, w->end);
    }
    if (*p == close) {
        w->p = p + 1;
        return false;
    }
    w->p = p;
    return true;
}

/* The inside of the string at p, and `*p` behind it. Most are short and without an escape. */
static inline struct str take_string(const char **p, const char *end)
{
    const char *from = *p + 1, *behind = quote_end_any(from, end, NULL);
    *p = behind;
    return str_make(from, (size_t)(behind - 1 - from));
}

bool walk_member(struct walk *w, struct str *ret_key)
{
    if (!next(w, '}')) {
        return false;
    }
    *ret_key = take_string(&w->p, w->end);
    w->p = skip_space(skip_space(w->p, w->end) + 1, w->end);
    return true;
}

bool walk_element(struct walk *w)
{
    return next(w, ']');
}

struct str walk_text(struct walk *w)
{
    if (*w->p == '"') {
        return take_string(&w->p, w->end);
    }
    walk_value(w);
    return (struct str){0};
}

static const char *skip_container(const char *p, const char *end)
{
    unsigned depth = 0;
    do {
        char c = *p;
        if (c == '"') {
            p = quote_end_any(p + 1, end, NULL);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        p++;
    } while (depth);
    return p;
}

struct str walk_value(struct walk *w)
{
    const char *from = w->p, *p = from;
    if (*p == '"') {
        p = quote_end_any(p + 1, w->end, NULL);
    } else if (*p == '{' || *p == '[') {
        p = skip_container(p, w->end);
    } else {
        while (p < w->end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p)) {
            p++;
        }
    }
    w->p = p;
    return str_make(from, (size_t)(p - from));
}

bool walk_object(struct walk *w)
{
    if (*w->p == '{') {
        walk_enter(w);
        return true;
    }
    walk_value(w);
    return false;
}

bool walk_array(struct walk *w)
{
    if (*w->p == '[') {
        walk_enter(w);
        return true;
    }
    walk_value(w);
    return false;
}
