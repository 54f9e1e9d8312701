/* openai.responses: what its files share. */
#ifndef DIALECT_RESPONSES_H
#define DIALECT_RESPONSES_H

#include "dialect/chat.h"
#include "json/walk.h"

/* Members of the request that the response object says again, as they stood; empty: not given. */
struct responses_echo {
    struct str instructions, tools, tool_choice, temperature, top_p, top_logprobs, parallel, text;
    struct str reasoning, metadata, store, max_output_tokens, truncation, user, tier, cache_key;
    struct str safety, previous;
};

int responses_read_request(struct ir_call *c, struct str body);
void responses_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void responses_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

enum { RESPONSES_OUT_STATE = 208 };
void responses_write_event(struct ir_out *o, const struct ir_event *e);
void responses_write_answer(struct ir_out *o, const struct ir_answer *a);

/* Each takes the value at the walk. 0 or -EINVAL. */
int responses_read_tools(struct ir_call *c, struct walk *w);
int responses_read_choice(struct ir_call *c, struct walk *w);
/* Takes a value that the form has no place for, and names it unless it says nothing. */
void responses_drop_member(struct ir_call *c, const char *front, struct str key, struct walk *w);

/* The name by which a tool of a namespace is called elsewhere. */
struct str responses_joined(struct arena *a, struct str space, struct str name);
/* The text that stands as "input" in a freeform tool's arguments; escaped. */
struct str responses_input_of(struct str args);

#endif
