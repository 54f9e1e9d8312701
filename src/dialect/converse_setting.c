/* bedrock.converse, the settings of requests as they are read: lengths, sampling, thinking, the shape of the
 * answer. What only one vendor's models know stands in additionalModelRequestFields. */
#include <errno.h>

#include "dialect/converse.h"
#include "dialect/ir_member.h"
#include "json/scan.h"

static const struct ir_member inference[] = {
    IR_MEMBER("maxTokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("topP", top_p, JSON_NUMBER),
    IR_MEMBER("topK", top_k, JSON_NUMBER), /* Nova's: in additionalModelRequestFields */
    IR_MEMBER_END,
};

/* As losses are named. */
const struct ir_member converse_spelled[] = {
    IR_MEMBER("inferenceConfig.maxTokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("inferenceConfig.temperature", temperature, JSON_NUMBER),
    IR_MEMBER("inferenceConfig.topP", top_p, JSON_NUMBER),
    IR_MEMBER("additionalModelRequestFields.top_k", top_k, JSON_NUMBER),
    IR_MEMBER("requestMetadata", metadata, JSON_OBJECT),
    IR_MEMBER("serviceTier", tier, JSON_STRING),
    IR_MEMBER_END,
};

static const struct ir_member extra[] = {
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER_END,
};

static int read_inference(struct ir_call *c, const char *front, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        int r = ir_read_member(c, inference, front, key, w);
        if (r == 0 && str_eq(key, STR("stopSequences"))) {
            r = ir_read_stop(c, "inferenceConfig.stopSequences", w);
        } else if (r == 0) {
            ir_drop_found(c, front, key, "");
            walk_value(w);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- thinking ---- */

/* Anthropic's {"type","budget_tokens"}, also Nova's {"type","maxReasoningEffort"}. */
static int read_thinking_wish(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("budget_tokens"))) {
            (void)!json_int(walk_value(w), &c->budget);
        } else if (str_eq(key, STR("maxReasoningEffort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else {
            ir_drop_found(c, "additionalModelRequestFields.thinking.", key, "");
            walk_value(w);
        }
    }
    if (ir_is(type, STR("disabled"))) {
        c->budget = 0;
    } else if (ir_is(type, STR("adaptive"))) {
        c->budget = IR_BUDGET_DYNAMIC;
    } else if (ir_is(type, STR("enabled")) && c->budget < 0 && !c->effort) {
        return ir_bad(c, "is missing", "additionalModelRequestFields.thinking.budget_tokens");
    }
    if (type.n && c->budget != 0) {
        c->show_thinking = IR_YES;
    }
    return 0;
}

static void read_effort(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("effort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else {
            ir_drop_found(c, "additionalModelRequestFields.output_config.", key, "");
            walk_value(w);
        }
    }
}

static int read_extra(struct ir_call *c, struct walk *w)
{
    const char *front = "additionalModelRequestFields.";
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        int r = ir_read_member(c, extra, front, key, w);
        if (r) {
            /* taken, or wrong */
        } else if (str_eq(key, STR("thinking")) || str_eq(key, STR("reasoning_config")) ||
                   str_eq(key, STR("reasoningConfig"))) {
            r = read_thinking_wish(c, w);
        } else if (str_eq(key, STR("reasoning_effort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else if (str_eq(key, STR("output_config"))) {
            read_effort(c, w);
        } else if (str_eq(key, STR("inferenceConfig"))) {
            r = read_inference(c, "additionalModelRequestFields.inferenceConfig.", w);
        } else {
            ir_drop_found(c, front, key, "");
            walk_value(w);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- the shape of the answer ---- */

/* The schema is the text of one, not the object itself. */
static int read_json_schema(struct ir_call *c, struct walk *w)
{
    struct str key, schema = {0};
    enum json_type top;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("schema"))) {
            schema = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            c->schema_name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            c->schema_description = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    schema = str_trim(ir_plain(c->arena, schema));
    if (json_scan(schema, NULL, 0, &top, NULL) < 0 || top != JSON_OBJECT) {
        return ir_bad(c, "must be the text of a JSON object",
                      "outputConfig.textFormat.structure.jsonSchema.schema");
    }
    c->format = IR_FORMAT_SCHEMA;
    c->schema = schema;
    return 0;
}

/* {"type":"json_schema","structure":{"jsonSchema":{...}}} */
static int read_text_format(struct ir_call *c, struct walk *w)
{
    struct str key;
    int r = 0;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (!str_eq(key, STR("structure"))) {
            walk_value(w);
            continue;
        }
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (str_eq(key, STR("jsonSchema")) && walk_type(w) == JSON_OBJECT) {
                r = read_json_schema(c, w);
            } else {
                walk_value(w);
            }
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static int read_output_config(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        int r = 0;
        if (str_eq(key, STR("textFormat"))) {
            r = read_text_format(c, w);
        } else if (str_eq(key, STR("effort"))) {
            c->effort = ir_effort_of(walk_text(w));
        } else {
            ir_drop_found(c, "outputConfig.", key, "");
            walk_value(w);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static void read_tier(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            c->tier = walk_text(w);
        } else {
            walk_value(w);
        }
    }
}

/* ---- by name ---- */

static int taken(int r)
{
    return r < 0 ? r : 1;
}

int converse_read_setting(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("inferenceConfig"))) {
        return taken(read_inference(c, "inferenceConfig.", w));
    }
    if (str_eq(key, STR("additionalModelRequestFields"))) {
        return taken(read_extra(c, w));
    }
    if (str_eq(key, STR("outputConfig"))) {
        return taken(read_output_config(c, w));
    }
    if (str_eq(key, STR("requestMetadata"))) {
        return ir_read_member(c, converse_spelled, "", key, w);
    }
    if (str_eq(key, STR("serviceTier"))) {
        read_tier(c, w);
        return 1;
    }
    return 0;
}

/* ---- formats of media ---- */

static const struct {
    enum ir_kind kind;
    struct str word;
} formats[] = {
    {IR_IMAGE, {"png", 3}},     {IR_IMAGE, {"jpeg", 4}},    {IR_IMAGE, {"gif", 3}},
    {IR_IMAGE, {"webp", 4}},    {IR_DOCUMENT, {"pdf", 3}},  {IR_DOCUMENT, {"csv", 3}},
    {IR_DOCUMENT, {"doc", 3}},  {IR_DOCUMENT, {"docx", 4}}, {IR_DOCUMENT, {"xls", 3}},
    {IR_DOCUMENT, {"xlsx", 4}}, {IR_DOCUMENT, {"html", 4}}, {IR_DOCUMENT, {"txt", 3}},
    {IR_DOCUMENT, {"md", 2}},   {IR_AUDIO, {"mp3", 3}},     {IR_AUDIO, {"opus", 4}},
    {IR_AUDIO, {"wav", 3}},     {IR_AUDIO, {"aac", 3}},     {IR_AUDIO, {"flac", 4}},
    {IR_AUDIO, {"mp4", 3}},     {IR_AUDIO, {"ogg", 3}},     {IR_AUDIO, {"m4a", 3}},
    {IR_AUDIO, {"webm", 4}},    {IR_AUDIO, {"pcm", 3}},
};

struct str converse_format_word(struct arena *a, enum ir_kind kind, struct str media_type)
{
    struct str plain = ir_plain(a, media_type), type;
    str_cut(&plain, ';', &type); /* "text/plain; charset=utf-8" */
    type = str_trim(type);
    struct str word = ir_media_format(type);
    if (kind == IR_IMAGE && str_eq(word, STR("jpg"))) {
        word = STR("jpeg");
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (formats[i].kind == kind && str_ieq(word, formats[i].word)) {
            return formats[i].word;
        }
    }
    bool text =
        str_istarts(type, STR("text/")) || str_eq(word, STR("json")) || str_eq(word, STR("xml"));
    return kind == IR_DOCUMENT && text ? STR("txt") : (struct str){0};
}

struct str converse_media_type(struct arena *a, enum ir_kind kind, struct str word)
{
    struct str known = ir_media_of(word);
    bool ends_only = kind == IR_AUDIO && word.n;
    return known.n || !ends_only ? known : arena_printf(a, "audio/%.*s", STR_ARG(word));
}
