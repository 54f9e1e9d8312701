/* A conversation as strict vendors want it (Anthropic, Bedrock): user and assistant in turns, no text blank, each
 * call answered in the very next message, by one result that stands ahead of all else in it, and nothing else a
 * result. For writers: which turns are one message, and what answers what. */
#ifndef DIALECT_IR_TALK_H
#define DIALECT_IR_TALK_H

#include "dialect/ir.h"
#include "dialect/ir_set.h"

struct ir_talk {
    const struct ir_call *c;
    /* Whether something is written of this part of an assistant's turn. Calls are always. */
    bool (*says)(const void *writer, const struct ir_part *p);
    const void *writer;
};

/* The turns of one message: from `from` up to `end`, without those that say nothing. */
struct ir_group {
    const struct ir_turn *from, *end;
};

/* `t` or the first turn behind it that is part of a message. Instructions are not (they go ahead of all), nor is
 * an answer that says nothing: no message may be empty. */
const struct ir_turn *ir_talk_on(const struct ir_talk *k, const struct ir_turn *t);
/* The message that begins with `from`: all turns of one role. */
struct ir_group ir_talk_group(const struct ir_talk *k, const struct ir_turn *from);

/* A place in a group; all zero in front of its first part. */
struct ir_spot {
    const struct ir_turn *t;
    const struct ir_part *p;
};
/* The next part; false behind the last one. */
bool ir_talk_step(const struct ir_talk *k, const struct ir_group *g, struct ir_spot *s);

/* What the results of a message are to answer: the calls of the message before. */
struct ir_due {
    struct ir_set asked, answered;
    unsigned open; /* asked and not answered */
};
struct ir_due ir_talk_due(const struct ir_talk *k, const struct ir_group *before);
/* Whether a result may stand as one: it is the first to answer a call that was asked. Notes it. */
bool ir_due_take(const struct ir_talk *k, struct ir_due *d, const struct ir_part *result);
/* What stands for the result of a call that has none; the loss is named. */
#define IR_NO_RESULT STR("No result was given.")
bool ir_due_is_open(struct ir_call *c, const struct ir_due *d, const struct ir_part *call);
/* A text that is left out because it is blank: named unless it is empty. */
bool ir_leave_blank(struct ir_call *c, struct str text);

#endif
