#include "json/walk.h"

#include "json/quote.h"

/* What json_scan() has accepted has no other bytes as low as these outside of its strings. */
static inline bool is_space(char c)
{
    return (unsigned char)c <= ' ';
}

/* Inside of a container, where its end follows at the latest. */
static inline const char *skip_space(const char *p)
{
    while (is_space(*p)) {
        p++;
    }
    return p;
}

struct walk walk_at(struct str span)
{
    if (span.n == 0) {
        span = STR("null"); /* nothing to walk through */
    }
    const char *p = span.p, *end = span.p + span.n;
    while (p < end && is_space(*p)) {
        p++;
    }
    return (struct walk){p, end};
}

/* To the next value or name of the container; false behind its end. */
static inline bool next(struct walk *w, char close)
{
    const char *p = skip_space(w->p);
    if (*p == ',') {
        p = skip_space(p + 1);
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
    const char *from = *p + 1, *behind = NULL;
#ifdef __SSE2__
    if (end - from >= 16) {
        behind = quote_first(from, quote_bits_sse2(from));
    }
#endif
    *p = behind = behind ? behind : json_text_end(from, end);
    return str_make(from, (size_t)(behind - 1 - from));
}

bool walk_member(struct walk *w, struct str *ret_key)
{
    if (!next(w, '}')) {
        return false;
    }
    *ret_key = take_string(&w->p, w->end);
    w->p = skip_space(skip_space(w->p) + 1);
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

struct str walk_value(struct walk *w)
{
    const char *from = w->p, *p = from;
    if (*p == '"') {
        p = json_text_end(p + 1, w->end);
    } else if (*p == '{' || *p == '[') {
        p = json_container_end(p, w->end);
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
