/* Losses in the caller's words. Writers name what they cannot say as openai.chat would, or by a word of ours in
 * brackets; this table has the other dialects' names for the same. What has no row is a plain member, whose
 * names the readers' own tables have (ir_member.h). */
#include "dialect/format_id.h"
#include "dialect/ir_member.h"

#define WORD(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define SAME                                                                                       \
    {                                                                                              \
        0                                                                                          \
    }
#define ROW(neutral, chat, responses, messages, generate, ollama, cohere, converse)                \
    {                                                                                              \
        WORD(neutral),                                                                             \
        {                                                                                          \
            [FORMAT_CHAT] = chat, [FORMAT_RESPONSES] = responses, [FORMAT_MESSAGES] = messages,    \
            [FORMAT_GENERATE] = generate, [FORMAT_OLLAMA] = ollama, [FORMAT_COHERE] = cohere,      \
            [FORMAT_CONVERSE] = converse, [FORMAT_OLLAMA_GENERATE] = ollama,                       \
        }                                                                                          \
    }

static const struct {
    struct str neutral;
    struct str names[FORMAT_COUNT]; /* empty: the same */
} rows[] = {
    /* settings */
    ROW("stop", SAME, SAME, WORD("stop_sequences"), WORD("stopSequences"), SAME,
        WORD("stop_sequences"), WORD("inferenceConfig.stopSequences")),
    ROW("user", SAME, SAME, WORD("metadata.user_id"), SAME, SAME, SAME,
        WORD("requestMetadata.user_id")),
    ROW("tool_choice", SAME, SAME, SAME, WORD("toolConfig.functionCallingConfig"), SAME, SAME,
        WORD("toolConfig.toolChoice")),
    ROW("parallel_tool_calls", SAME, SAME, WORD("tool_choice.disable_parallel_tool_use"), SAME,
        SAME, SAME, SAME),
    ROW("reasoning_effort", SAME, WORD("reasoning"), WORD("output_config.effort"),
        WORD("thinkingConfig"), WORD("think"), WORD("thinking"), WORD("outputConfig.effort")),
    ROW("thinking_budget", WORD("reasoning_effort"), WORD("reasoning"), WORD("thinking"),
        WORD("thinkingConfig"), WORD("think"), WORD("thinking"),
        WORD("additionalModelRequestFields.thinking")),
    ROW("response_format", SAME, WORD("text.format"), WORD("output_config.format"),
        WORD("responseMimeType"), WORD("format"), SAME, WORD("outputConfig.textFormat")),
    ROW("response_format.json_schema", SAME, WORD("text.format.schema"),
        WORD("output_config.format.schema"), WORD("responseSchema"), WORD("format"),
        WORD("response_format.json_schema"), WORD("outputConfig.textFormat.structure")),
    ROW("response_format.description", SAME, WORD("text.format.description"), SAME, SAME, SAME,
        SAME, WORD("outputConfig.textFormat.structure.jsonSchema.description")),
    ROW("response_format.json_object", SAME, WORD("text.format[json_object]"),
        WORD("output_config.format"), WORD("responseMimeType"), WORD("format"), SAME, SAME),
    ROW("cache_control", SAME, WORD("prompt_cache_breakpoint"), SAME, SAME, SAME, SAME,
        WORD("cachePoint")),
    ROW("cache_control.ttl", SAME, SAME, SAME, SAME, SAME, SAME, WORD("cachePoint.ttl")),
    ROW("tools.strict", WORD("tools.function.strict"), SAME, SAME, SAME,
        WORD("tools.function.strict"), WORD("strict_tools"),
        WORD("toolConfig.tools.toolSpec.strict")),
    /* what turns are made of */
    ROW("tool_result.is_error", SAME, SAME, WORD("messages.content.is_error"), SAME, SAME, SAME,
        WORD("messages.content.toolResult.status")),
    ROW("messages.content[image]", WORD("messages.content[image_url]"),
        WORD("input.content[input_image]"), SAME, WORD("contents.parts[inlineData]"),
        WORD("messages.images"), WORD("messages.content[image_url]"), SAME),
    ROW("messages.content.image_url", SAME, WORD("input.content.image_url"),
        WORD("messages.content.source.url"), WORD("contents.parts.fileData.fileUri"),
        WORD("messages.images"), SAME, WORD("messages.content.image.source.s3Location")),
    ROW("messages.content[audio]", WORD("messages.content[input_audio]"),
        WORD("input.content[input_audio]"), SAME, WORD("contents.parts[inlineData]"), SAME,
        WORD("messages.content[input_audio]"), SAME),
    ROW("messages.content[document]", WORD("messages.content[file]"),
        WORD("input.content[input_file]"), SAME, WORD("contents.parts[inlineData]"), SAME, SAME,
        SAME),
    ROW("messages.content[file_id]", WORD("messages.content.file.file_id"),
        WORD("input.content.file_id"), WORD("messages.content.source.file_id"),
        WORD("contents.parts[fileData]"), SAME, SAME, SAME),
    ROW("messages.content[blank]", SAME, WORD("input.content[blank]"), SAME,
        WORD("contents.parts[blank]"), SAME, SAME, SAME),
    ROW("messages.thinking", WORD("messages.reasoning_content"), WORD("input[reasoning]"),
        WORD("messages.content[thinking]"), WORD("contents.parts[thought]"), SAME,
        WORD("messages.content[thinking]"), WORD("messages.content[reasoningContent]")),
    ROW("messages.content[tool_result]", WORD("messages[tool]"),
        WORD("input[function_call_output]"), SAME, WORD("contents.parts[functionResponse]"),
        WORD("messages[tool]"), WORD("messages[tool]"), WORD("messages.content[toolResult]")),
    ROW("messages.tool_calls[unanswered]", SAME, WORD("input[function_call][unanswered]"),
        WORD("messages.content[tool_use][unanswered]"),
        WORD("contents.parts[functionCall][unanswered]"), SAME, SAME,
        WORD("messages.content[toolUse][unanswered]")),
};

static struct str row_name(const struct ir_call *c, struct str neutral)
{
    if (str_eq(neutral, STR("reasoning_effort")) && c->budget != IR_BUDGET_UNSAID) {
        neutral = STR("thinking_budget"); /* writers do not mind how it was asked for */
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (str_eq(rows[i].neutral, neutral)) {
            struct str name = rows[i].names[c->caller];
            return name.n ? name : neutral;
        }
    }
    return ir_member_name(c, neutral);
}

/* What a name goes on with when it tells of a part of what it names: "stop[4]", "temperature>1". */
static size_t front_of(struct str name)
{
    size_t n = 0;
    while (n < name.n && !strchr("[<>", name.p[n])) {
        n++;
    }
    return n;
}

struct str ir_loss_name(struct ir_call *c, struct str neutral)
{
    struct str name = row_name(c, neutral);
    struct str front = str_first(neutral, front_of(neutral));
    if (name.p != neutral.p || front.n == neutral.n) {
        return name;
    }
    name = row_name(c, front);
    return name.p == front.p ? neutral
                             : arena_printf(c->arena, "%.*s%.*s", STR_ARG(name),
                                            STR_ARG(str_from(neutral, front.n)));
}
