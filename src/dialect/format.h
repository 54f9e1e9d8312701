/* The wire formats of model calls, each a row: four functions, how its streams are framed, where it is found
 * at an upstream. To add one is to add its file and its row (format.c). */
#ifndef DIALECT_FORMAT_H
#define DIALECT_FORMAT_H

#include "dialect/format_id.h"
#include "dialect/ir_answer.h"

enum framing { FRAMING_SSE, FRAMING_LINES, FRAMING_AMAZON };

/* What vendors of one dialect do differently. A bit each; vendors.c has the table by host. */
enum quirk {
    QUIRK_MAX_COMPLETION = 1 << 0, /* max_completion_tokens, not max_tokens */
    QUIRK_ID_9 = 1 << 1,           /* tool ids of 9 letters and digits (Mistral) */
    QUIRK_RANDOM_SEED = 1 << 2,    /* random_seed, not seed */
    QUIRK_NO_STREAM_OPTIONS = 1 << 3,
    QUIRK_NO_SCHEMA = 1 << 4,    /* response_format knows json_object only */
    QUIRK_NO_EFFORT = 1 << 5,    /* reasoning_effort is refused */
    QUIRK_DEVELOPER = 1 << 6,    /* role developer is known */
    QUIRK_ANY_REQUIRED = 1 << 7, /* tool_choice "any" stands for required */
    QUIRK_NO_RESPONSES = 1 << 8, /* has no /responses */
    QUIRK_REASONING_OBJECT =
        1 << 9,                   /* reasoning:{effort} in place of reasoning_effort (OpenRouter) */
    QUIRK_NO_PARALLEL = 1 << 10,  /* parallel_tool_calls is refused */
    QUIRK_TEXT_CONTENT = 1 << 11, /* content must be a string where it is text only */
    QUIRK_GEMINI_3 = 1 << 12, /* calls in the history must carry a signature; levels, not budgets */
    QUIRK_ADAPTIVE = 1 << 13, /* Anthropic: thinking adaptive with an effort, no budgets */
    QUIRK_NO_SAMPLING = 1 << 14,     /* temperature and top_p are refused (reasoning models) */
    QUIRK_STRICT_MEMBERS = 1 << 16,  /* refuses members that are not in its reference */
    QUIRK_THINKING_OBJECT = 1 << 15, /* thinking:{type} turns thinking on and off (DeepSeek, GLM) */
    QUIRK_COUNTS_TOKENS = 1 << 18,   /* has /responses/input_tokens */
    QUIRK_ALWAYS_THINKS = 1 << 17,   /* thinking cannot be turned off, nor a tool be forced */
};

struct format {
    struct str name; /* "anthropic.messages" */
    enum family family;
    enum framing framing;
    struct str stream_type; /* content type of its streams */
    struct str version;     /* what stands before its paths when a base URL has none: "/v1" */
    size_t in_state, out_state;
    bool data_only; /* images and documents go as data, not by http(s) URLs */

    /* Reads a request whose body json_scan() accepts and whose top level is an object; `model`, `stream` and
     * what the gateway itself acts on are passed over. 0, or -EINVAL with c->bad. */
    int (*read_request)(struct ir_call *c, struct str body);
    /* Writes the body. May name losses; changes nothing else of the form. */
    void (*write_request)(struct buf *b, struct ir_call *c, const struct ir_target *t);
    /* Where at the upstream, behind the base URL's path: "/v1/messages". */
    void (*path)(struct buf *b, const struct ir_call *c, const struct ir_target *t);

    /* Reads one event of a stream: `data` is checked JSON, `name` the event's name, empty without one. What
     * is unknown is passed over. A data text that is no JSON ([DONE]) comes with `json` false. */
    void (*read_event)(struct ir_in *in, struct str name, struct str data, bool json);
    /* Reads a whole answer, checked JSON. Emits all its events, START to FINISH. */
    void (*read_answer)(struct ir_in *in, struct str body);
    /* Reads an error's body, if it can; `body` is checked JSON or not, as `json` says. Sets what it finds in
     * `e`, whose status is the answer's. */
    void (*read_error)(struct arena *a, struct str body, bool json, struct ir_error *e);

    /* Writes events to o->out, as they are to go over the wire. */
    void (*write_event)(struct ir_out *o, const struct ir_event *e);
    /* Writes a whole answer to o->out. */
    void (*write_answer)(struct ir_out *o, const struct ir_answer *a);
};

const struct format *format_of(enum format_id id);
/* The format of a route's name ("openai.chat"), or FORMAT_NONE. */
enum format_id format_of_route(struct str route);
/* The format in which a provider of this family takes calls that are translated. */
enum format_id format_of_family(enum family f);

/* The vendor's quirks, by the host of the provider's base URL, and by the model's name. */
uint32_t vendor_quirks(enum family f, struct str host);
uint32_t vendor_model_quirks(enum family f, struct str model);
/* The longest answer worth asking a model for when the caller has set no limit; 0: unknown. */
int64_t vendor_model_output(struct str model);

#endif
