/* gemini.generate: what its files share. Google's JSON takes names in camelCase and in snake_case. */
#ifndef DIALECT_GENERATE_H
#define DIALECT_GENERATE_H

#include "dialect/format.h"
#include "dialect/ir_member.h"

int generate_read_request(struct ir_call *c, struct str body);
void generate_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void generate_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

enum { GENERATE_OUT_STATE = 192 };
void generate_write_event(struct ir_out *o, const struct ir_event *e);
void generate_write_answer(struct ir_out *o, const struct ir_answer *a);

/* Whether a member's name is this one; `snake` has its words apart: "inline_data". */
bool generate_is(struct str key, struct str snake);
/* Base64 in the alphabet that all others take: some of Google's SDKs send the one for URLs. */
struct str generate_base64(struct arena *a, struct str text);
/* What a media type is about: IR_IMAGE, IR_AUDIO, else IR_DOCUMENT. */
enum ir_kind generate_kind(struct str media_type);
/* A name as Gemini takes it: [a-zA-Z_][a-zA-Z0-9_.:-]{0,63}; derived from `name` when that is none. */
struct str generate_function_name(struct arena *a, struct str name);
/* All but the contents, as members of the open object. */
void generate_put_config(struct buf *b, struct ir_call *c, const struct ir_target *t);
/* Pieces of the reader, each at its value: 0 or -EINVAL. */
int generate_read_tools(struct ir_call *c, struct walk *w);
int generate_read_choice(struct ir_call *c, struct walk *w);
int generate_read_config(struct ir_call *c, struct walk *w);
/* The table of the reader: a caller whose form has it speaks this dialect. First those of the top level, then
 * those of generationConfig. */
enum { GENERATE_TOP_MEMBERS = 4 };
extern const struct ir_member generate_members[];

#endif
