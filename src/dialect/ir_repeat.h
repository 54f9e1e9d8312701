/* Most events of a stream differ from the one before in the text of their delta alone. The bytes around that
 * text are remembered, and an event that has the same ones means the same: it is taken without being read.
 *
 * That holds because readers of answers do with a piece of text or thinking what they did with the one just
 * before, whatever it says. Pieces of tool calls are not taken, since readers put their JSON in order. */
#ifndef DIALECT_IR_REPEAT_H
#define DIALECT_IR_REPEAT_H

#include "dialect/ir_answer.h"

enum { IR_REPEAT_MAX = 448 };

/* Zero is a valid one that knows nothing. */
struct ir_repeat {
    char *bytes; /* what stands ahead of the text, and behind it; in the call's arena */
    uint16_t ahead, behind;
    uint8_t misses; /* in a row: this upstream's events change elsewhere too */
    /* Noted by the receiver of events: how many the last frame brought, and the text of its delta. */
    uint8_t events;
    struct str text;
};

/* For the receiver: an event has come. */
static inline void ir_repeat_see(struct ir_repeat *r, const struct ir_event *e)
{
    bool fits =
        r->events == 0 && e->type == IR_DELTA && (e->kind == IR_TEXT || e->kind == IR_THINKING);
    r->events = r->events < 2 ? r->events + 1 : 2;
    r->text = fits ? e->text : (struct str){0};
}

/* The frame at p when it is like the one that was noted: its length, and the text of its delta, which is escaped,
 * valid and not empty; 0 when it is any other, or is not whole. */
size_t ir_repeat_take(struct ir_repeat *r, const char *p, size_t n, struct str *ret_text);

/* The frame has been read, after `events` was set to 0: it is what the next one is compared with if it brought
 * one piece of text and nothing else. */
void ir_repeat_note(struct ir_repeat *r, struct arena *a, struct str frame);

#endif
