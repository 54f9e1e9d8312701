/* The intermediate form of a model call: what any dialect asks of a model, in one shape. A dialect's
 * reader fills it, another's writer says it in its own words.
 *
 * All memory is the call's arena. Text is never decoded on the way: every text here is *escaped text*,
 * the inside of a JSON string exactly as it stood in the request (all dialects are JSON), so it is copied
 * out as it came in, and no number or character is spelled anew. Where a text must be compared or decoded,
 * ir_plain() does that. A value "as it stands" is a whole JSON value (number, object, string with quotes).
 *
 * What a reader finds and this form cannot hold, and what is in the form and a writer cannot say, is named
 * by ir_drop(): it comes to the caller as `accord-dropped`. */
#ifndef DIALECT_IR_H
#define DIALECT_IR_H

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/dialect.h"
#include "dialect/format_id.h"
#include "dialect/ir_set.h"

/* What a turn or an answer is made of. */
enum ir_kind {
    IR_TEXT,
    IR_IMAGE,
    IR_AUDIO,
    IR_DOCUMENT,
    IR_TOOL_CALL,
    IR_TOOL_RESULT, /* in turns of the user only */
    IR_THINKING,
    IR_REFUSAL, /* a text by which the model refused; in turns of the assistant only */
};

enum ir_cache { IR_CACHE_NONE, IR_CACHE_5M, IR_CACHE_1H };

struct ir_part {
    struct ir_part *next;
    struct ir_part *_last; /* of the list, in its first part: appending takes no walk */
    enum ir_kind kind;
    enum ir_cache cache; /* a prompt cache mark stands behind this part */
    struct str
        text; /* TEXT, REFUSAL: it. THINKING: what may be seen of it. DOCUMENT: plain text source */

    /* IMAGE, AUDIO, DOCUMENT: one of data (base64), url (http, https, gs ...), file (an id at the vendor),
     * or for a document `text`. */
    struct str media_type; /* "image/png"; empty: not told */
    struct str data, url, file;
    struct str title;  /* DOCUMENT: its title or file name */
    struct str detail; /* IMAGE: low, high, auto */

    /* TOOL_CALL, TOOL_RESULT */
    struct str id; /* of the call; both sides of it agree. Never empty */
    struct str
        name; /* of the function; for results filled in by ir_call_finish() where it can be */
    struct str args;       /* TOOL_CALL: a JSON object as it stands; never empty */
    bool freeform;         /* TOOL_CALL: of a tool that takes a text: args is {"input": text}.
                              TOOL_RESULT: of such a call, filled in by ir_call_finish() */
    bool is_error;         /* TOOL_RESULT */
    struct ir_part *parts; /* TOOL_RESULT: texts, images, documents; may be NULL */

    /* THINKING and TOOL_CALL (and TEXT, where Gemini's own have one): an opaque proof that only its issuer
     * understands. In requests it is there only when a dialect's own vendor made it, or another's mark was
     * taken off (ir_signature_in()). */
    struct str signature;
    enum family issuer;
    bool redacted; /* THINKING: nothing may be seen; `signature` is all of it */
};

enum ir_role { IR_USER, IR_ASSISTANT, IR_SYSTEM /* in the middle of a conversation */ };

struct ir_turn {
    struct ir_turn *next;
    enum ir_role role;
    struct ir_part *first, *last;
};

enum ir_tri { IR_UNSAID, IR_NO, IR_YES };

struct ir_tool {
    struct ir_tool *next;
    struct str name, description;
    struct str schema; /* of its parameters, a JSON object as it stands; empty: takes none */
    enum ir_tri strict;
    enum ir_cache cache;
    bool freeform; /* takes a text, not an object; writers offer {"input": string} in its place */
    struct str space, bare; /* of a tool in a namespace, whose `name` is both joined; else empty */
};

enum ir_choice { IR_CHOICE_UNSAID, IR_CHOICE_AUTO, IR_CHOICE_NONE, IR_CHOICE_ANY, IR_CHOICE_TOOL };
enum ir_format { IR_FORMAT_UNSAID, IR_FORMAT_TEXT, IR_FORMAT_JSON, IR_FORMAT_SCHEMA };

/* How much to think. Dialects have a scale of words, a budget in tokens, or levels; all three are kept apart. */
enum ir_effort {
    IR_EFFORT_UNSAID,
    IR_EFFORT_NONE, /* off: not the same as unsaid */
    IR_EFFORT_MINIMAL,
    IR_EFFORT_LOW,
    IR_EFFORT_MEDIUM,
    IR_EFFORT_HIGH,
    IR_EFFORT_XHIGH,
    IR_EFFORT_MAX,
};
enum { IR_BUDGET_UNSAID = -1, IR_BUDGET_DYNAMIC = -2 };

struct ir_member;
struct schema_cache;

struct ir_list {
    struct ir_list *next;
    struct ir_list *_last; /* in the first one */
    struct str text;
};

struct ir_call {
    struct arena *arena;
    bool stream;
    struct ir_part *system; /* instructions ahead of the conversation: texts */
    struct ir_turn *turns, *last_turn;

    struct ir_tool *tools;
    enum ir_choice choice;
    struct str choice_tool;       /* IR_CHOICE_TOOL: its name */
    struct ir_list *choice_among; /* with AUTO or ANY: only these; NULL: all */
    struct ir_set _among;         /* the same, to be looked up */
    enum ir_tri parallel;         /* several tool calls in one turn */

    enum ir_format format;
    struct str schema_name, schema_description, schema; /* the schema: a JSON object as it stands */
    enum ir_tri schema_strict;

    /* Numbers as they stand; empty: unsaid. */
    struct str max_tokens, temperature, top_p, top_k, min_p, seed, presence_penalty,
        frequency_penalty;
    struct str n;         /* answers wanted */
    struct ir_list *stop; /* escaped texts */
    enum ir_tri logprobs;
    struct str top_logprobs, logit_bias;

    enum ir_effort effort;
    int64_t budget;            /* tokens for thinking, or IR_BUDGET_*; ir_call_init() says UNSAID */
    enum ir_tri show_thinking; /* thinking (or its summary) is wanted in the answer */
    struct str verbosity;      /* low, medium, high */

    struct str end_user;  /* an opaque name of the end user */
    struct str metadata;  /* a JSON object as it stands */
    struct str tier;      /* service tier, the caller's word */
    struct str cache_key; /* prompt_cache_key */
    enum ir_tri store;
    /* openai.responses, told again in the answer: the response that this one follows (a JSON string), and
     * whether this one is kept. The gateway's, set before the request is read. */
    struct str follows;
    enum ir_tri kept;
    /* The upstream speaks the caller's own dialect and keeps things itself; the gateway's, set before the
     * request is read. Then the answer keeps its id, and members that only such an upstream understands go
     * along as they stand ("name": value). */
    bool own;
    struct ir_list *own_members;
    bool keep; /* the writer of the answer looks at this form again: its memory must last as long */

    struct ir_list *dropped; /* names, plain text, each once */
    struct str bad;       /* what is wrong with the request: a sentence (plain), set with -EINVAL */
    struct str bad_param; /* ... and the member it is about: "messages[2].content" */
    enum format_id caller; /* in whose words losses are named; its reader sets it */
    const struct ir_member
        *spelled; /* how the caller spells plain members, ir_member.h; NULL: unknown */
    void *extra;  /* a reader's own, for its dialect's writer of answers */
    struct schema_cache
        *schemas; /* compiled schemas of this worker, schema.h; NULL: none are kept */

    struct ir_tool *_last_tool;
    struct ir_part *_last_system;
};

/* Who the request is for: what a writer must know besides the form. */
struct ir_target {
    struct str model;   /* the upstream's name for it, plain text */
    uint32_t quirks;    /* of the vendor: enum quirk, format.h */
    enum family family; /* signatures of this issuer may be sent */
    int64_t max_output; /* the model's limit, for dialects that must be told one; 0: unknown */
};

void ir_call_init(struct ir_call *c, struct arena *a);
/* After reading: names of the functions in results, ids where a dialect has none. */
void ir_call_finish(struct ir_call *c);

/* Each appends and returns what it made, zeroed but for kind or role. */
struct ir_turn *ir_add_turn(struct ir_call *c, enum ir_role role);
struct ir_part *ir_add_part(struct ir_call *c, struct ir_turn *t, enum ir_kind kind);
struct ir_part *ir_add_system(struct ir_call *c, struct str text);
struct ir_tool *ir_add_tool(struct ir_call *c);
/* Whether the caller lets the model call this tool: it is among choice_among, or there is no such list. */
bool ir_is_among(const struct ir_call *c, const struct ir_tool *t);
/* Appends to any list of parts. */
struct ir_part *ir_append_part(struct ir_call *c, struct ir_part **list, enum ir_kind kind);
void ir_append(struct arena *a, struct ir_list **list, struct str text);
/* Appends a whole list of parts, which may be empty, to those of a turn. */
void ir_take_parts(struct ir_turn *t, struct ir_part *list);

/* Names a member that is not carried, once: "logit_bias", "messages.content[image]", in the caller's own words
 * (ir_loss.c has them). Plain text, not copied. */
void ir_drop(struct ir_call *c, struct str name);
/* The name of a loss as the caller of `c` would say it. */
struct str ir_loss_name(struct ir_call *c, struct str neutral);
/* For readers, whose words are the caller's: "tools[web_search]", with text of the request in it: cut to 64 bytes and to visible ASCII without commas. */
void ir_drop_found(struct ir_call *c, const char *front, struct str escaped, const char *back);

/* The request is wrong: sets bad and bad_param; returns -EINVAL. `param` as printf has it. */
__attribute__((format(printf, 3, 4))) int ir_bad(struct ir_call *c, const char *what,
                                                 const char *param, ...);

/* Decodes escaped text: the slice itself when there is no escape in it, else a copy in the arena. */
struct str ir_plain(struct arena *a, struct str escaped);
/* Puts plain text into escaped form, copied only when something must be escaped. */
struct str ir_escape(struct arena *a, struct str plain);
/* Escaped text without the escapes that it does not need: a solidus's, a letter's. */
struct str ir_tidy(struct arena *a, struct str escaped);
/* Whether escaped text is nothing but spaces, line ends and tabs. */
bool ir_is_blank(struct str escaped);
/* Whether escaped text that is longer than `plain` says it all the same. */
bool ir_spells(struct str escaped, struct str plain);
/* Whether escaped text says `plain`. Most words of protocols: fast. */
static inline bool ir_is(struct str escaped, struct str plain)
{
    /* an escape only makes a text longer */
    return escaped.n > plain.n ? ir_spells(escaped, plain) : str_eq(escaped, plain);
}

/* A JSON object out of the escaped text of one (`arguments` of OpenAI's dialects): decoded and checked. What
 * is no JSON object becomes {"input":"..."}, empty text {}. */
struct str ir_args_in(struct arena *a, struct str escaped);
/* The escaped text of a JSON value as it stands: the way back. */
struct str ir_args_out(struct arena *a, struct str value);
/* Writes a JSON value as it stands as escaped text, without quotes. */
void ir_add_escaped(struct buf *b, struct str value);

/* Tool call ids as a vendor takes them: `s` itself when it fits, else a name derived from it, always the same
 * for the same id, so that calls and results still agree. */
enum ir_id_rule {
    IR_ID_ANY,       /* up to 256 bytes */
    IR_ID_OPENAI,    /* up to 40: the narrower of its two dialects' limits */
    IR_ID_ANTHROPIC, /* [a-zA-Z0-9_-]+, up to 64 */
    IR_ID_MISTRAL,   /* 9 of [a-zA-Z0-9] */
};
struct str ir_id(struct arena *a, struct str id, enum ir_id_rule rule);
/* The same for names of functions: [a-zA-Z0-9_-]{1,64}. */
struct str ir_function_name(struct arena *a, struct str name);

/* The schema of a tool's parameters, as every dialect can be told it: that of a tool without any is the empty
 * object's, that of a freeform tool has one text, "input". */
struct str ir_tool_schema(const struct ir_tool *t);

/* "data:image/png;base64,..." taken apart; false when it is no base64 data URL. */
bool ir_data_url(struct arena *a, struct str escaped, struct str *ret_media_type,
                 struct str *ret_data);
/* The media type that a file name or URL ends like; empty when unknown. "png" becomes image/png as well. */
struct str ir_media_of(struct str name);
/* What stands behind the slash of a media type, as Bedrock and OpenAI name formats: "png", "wav". */
struct str ir_media_format(struct str media_type);

/* Signatures are bound to who made them. When one crosses into another dialect's answer it is marked with its
 * issuer; in a request the mark is taken off again, and what has none was made by the dialect's own vendor. A
 * marked one is valid base64, because some SDKs decode the member. */
#define IR_NO_SIGNATURE STR("-") /* stands, marked, for thinking that its maker does not sign */
struct str ir_signature_out(struct arena *a, struct str signature, enum family issuer,
                            enum family caller);
struct str ir_signature_in(struct arena *a, struct str text, enum family dialect,
                           enum family *ret_issuer);
/* Whether a request holds one of these marks: then it cannot be passed on as it is. */
bool ir_has_mark(struct str body);
/* Whether any could be: false until this process has made one. */
bool ir_may_be_marked(void);

/* Words, budgets and levels of thinking, each in terms of the other. */
enum ir_effort
ir_effort_of(struct str escaped); /* none minimal low medium high xhigh max; UNSAID: no such word */
struct str ir_effort_word(enum ir_effort e);
int64_t ir_effort_budget(enum ir_effort e);      /* NONE: 0 */
enum ir_effort ir_budget_effort(int64_t budget); /* DYNAMIC: MEDIUM */
/* What the caller wants of thinking, as a budget; 0: off; IR_BUDGET_UNSAID: nothing was said. */
int64_t ir_thinking_budget(const struct ir_call *c);
/* With thinking on, Anthropic's models want a tool loop to begin with the thinking that led to it: whether
 * the last turn answers calls, and what `issuer` has signed is not there (as it began at another vendor). */
bool ir_loop_lacks_thinking(const struct ir_call *c, enum family issuer);

/* Writing: `,"name":` and so on; the first member of an object is written without a comma by looking at what
 * stands before. */
void ir_put_key(struct buf *b, struct str name);
void ir_put_member(struct buf *b, struct str name, struct str escaped);
/* Inlined, because names are literals: their lengths are known then. */
static inline void ir_put_name(struct buf *b, const char *name)
{
    ir_put_key(b, str_of(name));
}
/* "name":"escaped"; nothing when p is NULL */
static inline void ir_put_text(struct buf *b, const char *name, struct str escaped)
{
    ir_put_member(b, str_of(name), escaped);
}
static inline void ir_put_i64(struct buf *b, const char *name, int64_t v)
{
    ir_put_name(b, name);
    buf_add_i64(b, v);
}
void ir_put_plain(struct buf *b, const char *name, struct str plain);
void ir_put_value(struct buf *b, const char *name, struct str value); /* nothing when empty */
void ir_put_bool(struct buf *b, const char *name, bool v);
void ir_put_list(struct buf *b, const char *name,
                 const struct ir_list *l); /* ["a","b"]; nothing when NULL */
/* A comma unless `b` ends in an opening bracket, a comma or a colon. */
void ir_comma(struct buf *b);

/* "name":"data:TYPE;base64,DATA", or the URL that the part has. */
void ir_put_media_url(struct buf *b, const char *name, const struct ir_part *p);

/* An integer as it stands as a number; 0 when it is none. */
int64_t ir_number(struct str value);
/* Whether OpenAI's two interfaces know this word for a service tier. */
bool ir_is_openai_tier(struct str escaped);
/* Sampling numbers that a vendor bounds: `value` when it lies in [0, max], else `max` as text, and the loss is
 * named. */
struct str ir_at_most(struct ir_call *c, struct str value, const char *name, double max);

#endif
