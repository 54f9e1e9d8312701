#include "dialect/ir_repeat.h"

#include "json/judge.h"
#include "json/span.h"

enum { MISSES_MAX = 8 };

size_t ir_repeat_take(struct ir_repeat *r, const char *p, size_t n, struct str *ret_text)
{
    const char *end = p + n, *text = p + r->ahead;
    if (!r->ahead || n < (size_t)r->ahead + r->behind || memcmp(p, r->bytes, r->ahead) != 0) {
        return 0;
    }
    const char *quote = json_text_end(text, end);
    if (!quote || (size_t)(end - --quote) < r->behind ||
        memcmp(quote, r->bytes + r->ahead, r->behind) != 0) {
        return 0;
    }
    *ret_text = str_make(text, (size_t)(quote - text));
    if (!json_texts_are_good(*ret_text)) {
        return 0;
    }
    r->misses = 0;
    return r->ahead + ret_text->n + r->behind;
}

/* Whether the text is the whole inside of a string of the frame. */
static bool is_inside(struct str text, struct str frame)
{
    const char *end = frame.p + frame.n;
    return text.n && text.p > frame.p && text.p + text.n < end && text.p[-1] == '"' &&
           text.p[text.n] == '"';
}

void ir_repeat_note(struct ir_repeat *r, struct arena *a, struct str frame)
{
    r->ahead = r->behind = 0;
    if (r->events != 1 || r->misses == MISSES_MAX || !is_inside(r->text, frame) ||
        frame.n - r->text.n > IR_REPEAT_MAX) {
        return;
    }
    r->misses++;
    r->bytes = r->bytes ? r->bytes : arena_alloc(a, IR_REPEAT_MAX);
    r->ahead = (uint16_t)(r->text.p - frame.p);
    r->behind = (uint16_t)(frame.n - r->ahead - r->text.n);
    memcpy(r->bytes, frame.p, r->ahead);
    memcpy(r->bytes + r->ahead, r->text.p + r->text.n, r->behind);
}
