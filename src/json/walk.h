/* Walks through a document that json_scan() has found valid, front to back, each byte once: for
 * readers that take most of what is there. Slices point into the document.
 *
 *     walk_enter(&w);
 *     while (walk_member(&w, &key)) {
 *         ... exactly one of: walk_text(), walk_value(), or walk_enter() and its loop to the end ...
 *     }
 */
#ifndef JSON_WALK_H
#define JSON_WALK_H

#include "json/span.h"

struct walk {
    const char *p; /* at the first byte of a value, or behind one */
    const char *end;
};

/* At the value that a valid span holds. */
struct walk walk_at(struct str span);

/* The type of the value that comes next. */
static inline enum json_type walk_type(const struct walk *w)
{
    return json_type_of(*w->p);
}

/* Steps into the array or object that comes next. */
static inline void walk_enter(struct walk *w)
{
    w->p++;
}

/* The next member of the object that was entered: its name (the inside of its string, escapes as they
 * stand) and the walk at its value; false at the object's end, which is then behind us. */
bool walk_member(struct walk *w, struct str *ret_key);
/* The same for the elements of an array. */
bool walk_element(struct walk *w);

/* Takes the string that comes next: its inside, escapes as they stand. A value of another type is passed
 * over, and the answer empty. */
struct str walk_text(struct walk *w);
/* Takes any value, as it stands. */
struct str walk_value(struct walk *w);

/* Walks through the object that comes next, and passes over a value of another type:
 * for (bool in = walk_object(&w); in && walk_member(&w, &key);) */
bool walk_object(struct walk *w);
bool walk_array(struct walk *w);

#endif
