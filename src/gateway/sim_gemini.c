/* Gemini: generateContent, whole and streamed (server-sent events, or one JSON array), countTokens.
 */
#include "gateway/sim_call.h"

/* ---- answers ---- */

static void write_usage(struct sim_call *c, struct buf *b, uint64_t output)
{
    if (sim_tells_usage(c)) {
        buf_printf(b,
                   "\"usageMetadata\":{\"promptTokenCount\":%llu,\"candidatesTokenCount\":%llu,"
                   "\"totalTokenCount\":%llu,\"promptTokensDetails\":[{\"modality\":\"TEXT\","
                   "\"tokenCount\":%llu}]},",
                   (unsigned long long)c->input_tokens, (unsigned long long)output,
                   (unsigned long long)(c->input_tokens + output),
                   (unsigned long long)c->input_tokens);
    }
}

static void write_tail(struct sim_call *c, struct buf *b, uint64_t output)
{
    buf_addc(b, ',');
    write_usage(c, b, output);
    buf_printf(b, "\"modelVersion\":\"%.*s\",\"responseId\":\"sim-%.*s\"}", STR_ARG(c->name),
               STR_ARG(c->id));
}

static const char *finish_reason(const struct sim_call *c)
{
    return c->truncated ? "MAX_TOKENS" : "STOP"; /* STOP also where a function is called */
}

static void open_parts(struct buf *b)
{
    buf_add(b, STR("{\"candidates\":[{\"content\":{\"parts\":[{"));
}

static void open_call(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "\"functionCall\":{\"id\":\"sim_%.*s\",\"name\":", STR_ARG(c->id));
    sim_string(b, c->tool);
    buf_add(b, STR(",\"args\":"));
}

/* Behind the one part: `reason` NULL while there is more to come. */
static void close_parts(struct buf *b, const char *reason)
{
    buf_add(b, STR("}],\"role\":\"model\"}"));
    if (reason) {
        buf_printf(b, ",\"finishReason\":\"%s\"", reason);
    }
    buf_add(b, STR(",\"index\":0}]"));
}

/* ---- streamed ---- */

static void chunk(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR(""));
    open_parts(b);
    buf_add(b, STR("\"text\":"));
    sim_string(b, c->piece);
    close_parts(b, NULL);
    write_tail(c, b, c->word_at);
    sim_event_end(c, b);
}

static void last_chunk(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR(""));
    open_parts(b);
    buf_add(b, STR("\"text\":\"\""));
    close_parts(b, finish_reason(c));
    write_tail(c, b, c->output_tokens);
    sim_event_end(c, b);
}

static void array_end(struct sim_call *c, struct buf *b)
{
    if (c->framing == SIM_JSON_ARRAY) {
        buf_addc(b, ']');
    }
}

/* A call comes whole, in one chunk. */
static void call_open(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR(""));
    open_parts(b);
    open_call(c, b);
}

static void raw_piece(struct sim_call *c, struct buf *b)
{
    buf_add(b, c->piece);
}

static void call_close(struct sim_call *c, struct buf *b)
{
    buf_addc(b, '}');
    close_parts(b, finish_reason(c));
    write_tail(c, b, c->output_tokens);
    sim_event_end(c, b);
}

static const struct sim_part text_stream[] = {
    {SIM_PACED, chunk}, {SIM_END, last_chunk}, {SIM_END, array_end}};

static const struct sim_part call_stream[] = {
    {SIM_ONCE, call_open}, {SIM_FILL, raw_piece}, {SIM_ONCE, call_close}, {SIM_END, array_end}};

/* ---- whole ---- */

static void whole_open(struct sim_call *c, struct buf *b)
{
    open_parts(b);
    if (c->tool.n) {
        open_call(c, b);
    } else {
        buf_add(b, STR("\"text\":\""));
    }
}

static void whole_piece(struct sim_call *c, struct buf *b)
{
    if (c->tool.n) {
        raw_piece(c, b);
    } else {
        sim_write_piece(c, b);
    }
}

static void whole_close(struct sim_call *c, struct buf *b)
{
    buf_addc(b, c->tool.n ? '}' : '"');
    close_parts(b, finish_reason(c));
    write_tail(c, b, c->output_tokens);
}

static const struct sim_part whole[] = {
    {SIM_ONCE, whole_open}, {SIM_FILL, whole_piece}, {SIM_END, whole_close}};

static void write_count(struct sim_call *c, struct buf *b)
{
    buf_printf(b,
               "{\"totalTokens\":%llu,\"promptTokensDetails\":[{\"modality\":\"TEXT\","
               "\"tokenCount\":%llu}]}",
               (unsigned long long)c->input_tokens, (unsigned long long)c->input_tokens);
}

static const struct sim_part count_whole[] = {{SIM_ONCE, write_count}};

/* ---- the request ---- */

/* Google's JSON takes names in both spellings. */
static const struct json *get(const struct json *object, struct str camel, struct str snake)
{
    const struct json *j = json_get(object, camel);
    return j ? j : json_get(object, snake);
}

/* What a function answered is heard as JSON, or as its text where it has one. */
static void hear_result(struct sim_call *c, const struct json *result, bool said)
{
    const struct json *response = json_get(result, STR("response"));
    const struct json *text = json_get(response, STR("result"));
    if (!text) {
        text = json_get(response, STR("output"));
    }
    if (text && text->type == JSON_STRING) {
        sim_hear(c, text->text, said);
    } else if (response) {
        struct buf b = {.arena = &c->req->input};
        json_print(&b, response, 0);
        sim_hear(c, buf_str(&b), said);
    }
}

static void read_turn(struct sim_call *c, const struct json *content)
{
    const struct json *role = json_get(content, STR("role")),
                      *parts = json_get(content, STR("parts"));
    bool user = !role || role->type == JSON_NULL || sim_is(role, STR("user")) ||
                sim_is(role, STR("function"));
    bool text = false;
    for (const struct json *p = parts ? parts->first : NULL; p; p = p->next) {
        text = text || json_get(p, STR("text"));
    }
    if (user) {
        sim_turn(c, !text && parts && parts->first);
    }
    c->turn_open = user;
    for (const struct json *p = parts ? parts->first : NULL; p; p = p->next) {
        const struct json *result = get(p, STR("functionResponse"), STR("function_response"));
        if (result) {
            hear_result(c, result, user && !text);
        }
    }
    sim_hear_content(c, parts, user);
}

static bool read_contents(struct sim_call *c, const struct json *body)
{
    const struct json *content;
    if (!sim_read_array(c, body, "contents", &content)) {
        return false;
    }
    sim_hear_content(
        c, json_get(get(body, STR("systemInstruction"), STR("system_instruction")), STR("parts")),
        false);
    for (; content; content = content->next) {
        read_turn(c, content);
    }
    return true;
}

static bool read_limits(struct sim_call *c, const struct json *body)
{
    const struct json *config = get(body, STR("generationConfig"), STR("generation_config"));
    int64_t one = 1;
    return sim_read_count(c, config, "maxOutputTokens", INT32_MAX, &c->max_tokens) &&
           sim_read_count(c, config, "max_output_tokens", INT32_MAX, &c->max_tokens) &&
           sim_read_count(c, config, "candidateCount", 1, &one);
}

static bool read_tools(struct sim_call *c, const struct json *body)
{
    const struct json *tools = json_get(body, STR("tools"));
    const struct json *config = get(get(body, STR("toolConfig"), STR("tool_config")),
                                    STR("functionCallingConfig"), STR("function_calling_config"));
    const struct json *allowed =
        get(config, STR("allowedFunctionNames"), STR("allowed_function_names"));
    const struct json *mode = json_get(config, STR("mode"));
    for (const struct json *t = tools ? tools->first : NULL; t; t = t->next) {
        const struct json *list = get(t, STR("functionDeclarations"), STR("function_declarations"));
        for (const struct json *f = list ? list->first : NULL; f; f = f->next) {
            const struct json *schema = json_get(f, STR("parameters"));
            if (!schema) {
                schema = get(f, STR("parametersJsonSchema"), STR("parameters_json_schema"));
            }
            sim_offer_tool(c, sim_text(json_get(f, STR("name"))), schema);
        }
    }
    if (sim_is(mode, STR("NONE"))) {
        return true;
    }
    bool any = sim_is(mode, STR("ANY"));
    return sim_choose_tool(c, any, any && allowed ? sim_text(allowed->first) : STR(""));
}

static bool read_generate(struct sim_call *c, const struct json *body)
{
    sim_answer(c, SIM_WHOLE, whole);
    return read_contents(c, body) && read_limits(c, body) && read_tools(c, body) &&
           sim_choose_text(c, "maxOutputTokens");
}

static bool read_stream(struct sim_call *c, const struct json *body)
{
    enum sim_framing framing = c->alt_sse ? SIM_EVENTS : SIM_JSON_ARRAY;
    if (!read_generate(c, body)) {
        return false;
    }
    if (c->tool.n) {
        sim_answer(c, framing, call_stream);
    } else {
        sim_answer(c, framing, text_stream);
    }
    return true;
}

static bool read_count(struct sim_call *c, const struct json *body)
{
    const struct json *inner =
        get(body, STR("generateContentRequest"), STR("generate_content_request"));
    sim_answer(c, SIM_WHOLE, count_whole);
    return read_contents(c, inner ? inner : body);
}

const struct sim_format sim_generate = {.path = {"generateContent", 15}, .read = read_generate};
const struct sim_format sim_stream_generate = {.path = {"streamGenerateContent", 21},
                                               .read = read_stream};
const struct sim_format sim_count_contents = {.path = {"countTokens", 11}, .read = read_count};
