/* ollama.chat and ollama.generate: what their files share. */
#ifndef DIALECT_OLLAMA_H
#define DIALECT_OLLAMA_H

#include "dialect/chat.h"
#include "dialect/ir_member.h"

extern const struct format format_ollama, format_ollama_generate;

/* What stands in `options`, and what beside it. */
extern const struct ir_member ollama_options[], ollama_beside[];

int ollama_read_request(struct ir_call *c, struct str body);
int ollama_read_generate(struct ir_call *c, struct str body);
void ollama_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void ollama_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

/* Images come as bare base64: their type, by how they begin. */
struct str ollama_image_type(struct str base64);

#endif
