/* bedrock.converse: what its files share. Source: the service model of Amazon Bedrock Runtime (2023-09-30) as
 * botocore 1.44 has it, and the Amazon Bedrock User Guide. */
#ifndef DIALECT_CONVERSE_H
#define DIALECT_CONVERSE_H

#include "dialect/format.h"
#include "dialect/ir_member.h"
#include "dialect/ir_set.h"
#include "json/walk.h"

extern const struct format format_converse;

/* Whose model stands behind an id: what may be sent besides messages differs. */
enum converse_vendor {
    CONVERSE_UNKNOWN, /* an ARN or an alias that does not tell */
    CONVERSE_ANTHROPIC,
    CONVERSE_NOVA,
    CONVERSE_MISTRAL,
    CONVERSE_OPENAI,
    CONVERSE_OTHER,
};

/* A request that is being written. */
struct converse_writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
    enum converse_vendor vendor;
    bool thinking;
    bool calls;                  /* a call stands in the messages: tools must be declared */
    bool has_text, has_document; /* in the message that is being written */
    struct ir_set names;         /* of documents: each must be another */
    unsigned documents;
};

extern const struct ir_member converse_spelled[]; /* plain members, as a caller names them */
int converse_read_request(struct ir_call *c, struct str body);
/* additionalModelRequestFields, outputConfig and other settings; 0 when `key` is none of them. */
int converse_read_setting(struct ir_call *c, struct str key, struct walk *w);

void converse_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t);
void converse_put_messages(struct converse_writer *w);
void converse_put_system(struct converse_writer *w);
void converse_put_cache_point(struct converse_writer *w, enum ir_cache cache);
void converse_path(struct buf *b, const struct ir_call *c, const struct ir_target *t);

/* "image/png" as "png", among the formats that are known of this kind; empty: none of them. */
struct str converse_format_word(struct arena *a, enum ir_kind kind, struct str media_type);
struct str converse_media_type(struct arena *a, enum ir_kind kind, struct str word);

enum { CONVERSE_OUT_STATE = 32 };
void converse_write_event(struct ir_out *o, const struct ir_event *e);
void converse_write_answer(struct ir_out *o, const struct ir_answer *a);

#endif
