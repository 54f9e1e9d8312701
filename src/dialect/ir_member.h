/* The plain members of requests (numbers, words, flags, whole objects) by tables: one table per dialect says
 * how it spells those that it has, for its reader and its writer alike; what a writer's table lacks is a
 * loss, named as the caller spelled it. */
#ifndef DIALECT_IR_MEMBER_H
#define DIALECT_IR_MEMBER_H

#include "dialect/ir.h"
#include "json/walk.h"

struct ir_member {
    struct str name;
    uint16_t at; /* offset in struct ir_call */
    enum json_type
        type; /* NUMBER, ARRAY, OBJECT: as it stands; STRING: its inside; TRUE: enum ir_tri; NONE: any, as it stands */
};
/* Rows of a table; it ends with IR_MEMBER_END. */
#define IR_MEMBER(spelled, member, json)                                                           \
    {                                                                                              \
        {spelled, sizeof(spelled) - 1}, offsetof(struct ir_call, member), json                     \
    }
#define IR_MEMBER_END                                                                              \
    {                                                                                              \
        {0}, 0, JSON_NONE                                                                          \
    }

/* Takes the value at the walk when the table has `key`: 1; 0 when it has not (nothing is taken); -EINVAL when
 * the value's type is wrong. null is the same as absent. `front` names the object it stands in: "" or
 * "options.". */
int ir_read_member(struct ir_call *c, const struct ir_member *table, const char *front,
                   struct str key, struct walk *w);

/* Writes all members of the table that the form holds into the open object. */
void ir_put_members(struct buf *b, const struct ir_call *c, const struct ir_member *table);
/* Names as lost what the form holds and none of both tables has (the second may be NULL). The caller's
 * spelling is looked up in `c->spelled`, where its reader has put its own table. */
void ir_drop_members(struct ir_call *c, const struct ir_member *one, const struct ir_member *two);

/* How the caller spells the plain member of this name; the name itself when it has another word or none. */
struct str ir_member_name(const struct ir_call *c, struct str neutral);

/* Stop sequences: a string or an array of them. 0 or -EINVAL. */
int ir_read_stop(struct ir_call *c, const char *name, struct walk *w);

/* messages[i].content, as OpenAI and Cohere have it: a string, null, or an array whose elements `read` appends to
 * the list. 0 or -EINVAL. */
typedef int ir_read_part_fn(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i);
int ir_read_content(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i,
                    ir_read_part_fn *read);

/* cache_control: {"type":"ephemeral","ttl":"5m"|"1h"}, Bedrock's cachePoint; none when it is null. */
enum ir_cache ir_read_cache_mark(struct walk *w);

#endif
