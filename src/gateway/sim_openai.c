/* OpenAI: chat completions and the older completions. */
#include "gateway/sim_call.h"

/* ---- answers: what they share ---- */

static void write_head(struct sim_call *c, struct buf *b, const char *prefix, const char *object)
{
    buf_printf(b,
               "{\"id\":\"sim-%s-%.*s\",\"object\":\"%s\",\"created\":%llu,\"model\":\"%.*s\","
               "\"system_fingerprint\":\"sim\",",
               prefix, STR_ARG(c->id), object, (unsigned long long)c->made_s, STR_ARG(c->name));
}

static void write_usage(struct sim_call *c, struct buf *b)
{
    buf_printf(b,
               "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"
               "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
               (unsigned long long)c->input_tokens, (unsigned long long)c->output_tokens,
               (unsigned long long)(c->input_tokens + c->output_tokens));
}

static const char *finish_reason(const struct sim_call *c)
{
    return c->tool.n ? "tool_calls" : c->truncated ? "length" : "stop";
}

static void write_whole_usage(struct sim_call *c, struct buf *b)
{
    if (sim_tells_usage(c)) {
        buf_add(b, STR(",\"usage\":"));
        write_usage(c, b);
    }
}

/* ---- chat ---- */

/* A chunk, up to its delta. */
static void open_chunk(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR(""));
    write_head(c, b, "chatcmpl", "chat.completion.chunk");
    buf_add(b, STR("\"choices\":[{\"index\":0,\"delta\":"));
}

static void close_chunk(struct sim_call *c, struct buf *b, const char *reason)
{
    buf_add(b, STR(",\"logprobs\":null,\"finish_reason\":"));
    if (reason) {
        sim_string(b, str_of(reason));
    } else {
        buf_add(b, STR("null"));
    }
    buf_add(b, c->usage_asked && sim_tells_usage(c) ? STR("}],\"usage\":null}") : STR("}]}"));
    sim_event_end(c, b);
}

static void chat_role(struct sim_call *c, struct buf *b)
{
    open_chunk(c, b);
    buf_add(b, STR("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"));
    close_chunk(c, b, NULL);
}

static void chat_delta(struct sim_call *c, struct buf *b)
{
    open_chunk(c, b);
    buf_add(b, STR("{\"content\":"));
    sim_string(b, c->piece);
    buf_addc(b, '}');
    close_chunk(c, b, NULL);
}

static void open_tool(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "\"id\":\"sim_call_%.*s\",\"type\":\"function\",\"function\":{\"name\":",
               STR_ARG(c->id));
    sim_string(b, c->tool);
    buf_add(b, STR(",\"arguments\":\""));
}

static void chat_tool(struct sim_call *c, struct buf *b)
{
    open_chunk(c, b);
    buf_add(b, STR("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,"));
    open_tool(c, b);
    buf_add(b, STR("\"}}],\"refusal\":null}"));
    close_chunk(c, b, NULL);
}

static void chat_arguments(struct sim_call *c, struct buf *b)
{
    open_chunk(c, b);
    buf_add(b, STR("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"));
    sim_string(b, c->piece);
    buf_add(b, STR("}}]}"));
    close_chunk(c, b, NULL);
}

static void chat_finish(struct sim_call *c, struct buf *b)
{
    open_chunk(c, b);
    buf_add(b, STR("{}"));
    close_chunk(c, b, finish_reason(c));
}

static void chat_usage(struct sim_call *c, struct buf *b)
{
    if (c->usage_asked && sim_tells_usage(c)) {
        sim_event(c, b, STR(""));
        write_head(c, b, "chatcmpl", "chat.completion.chunk");
        buf_add(b, STR("\"choices\":[],\"usage\":"));
        write_usage(c, b);
        buf_addc(b, '}');
        sim_event_end(c, b);
    }
}

static void stream_done(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR(""));
    buf_add(b, STR("[DONE]"));
    sim_event_end(c, b);
}

static const struct sim_part chat_stream[] = {
    {SIM_ONCE, chat_role}, {SIM_PACED, chat_delta}, {SIM_END, chat_finish},
    {SIM_END, chat_usage}, {SIM_END, stream_done},
};

static const struct sim_part chat_tool_stream[] = {
    {SIM_ONCE, chat_tool}, {SIM_PACED, chat_arguments}, {SIM_END, chat_finish},
    {SIM_END, chat_usage}, {SIM_END, stream_done},
};

static void chat_open(struct sim_call *c, struct buf *b)
{
    write_head(c, b, "chatcmpl", "chat.completion");
    buf_add(b, STR("\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"refusal\":null,"
                   "\"annotations\":[],"));
    if (c->tool.n) {
        buf_add(b, STR("\"content\":null,\"tool_calls\":[{"));
        open_tool(c, b);
    } else {
        buf_add(b, STR("\"content\":\""));
    }
}

static void chat_close(struct sim_call *c, struct buf *b)
{
    buf_add(b, c->tool.n ? STR("\"}}]}") : STR("\"}"));
    buf_printf(b, ",\"logprobs\":null,\"finish_reason\":\"%s\"}]", finish_reason(c));
    write_whole_usage(c, b);
    buf_addc(b, '}');
}

static const struct sim_part chat_whole[] = {
    {SIM_ONCE, chat_open}, {SIM_FILL, sim_write_piece}, {SIM_END, chat_close}};

/* ---- chat: the request ---- */

static bool read_messages(struct sim_call *c, const struct json *body)
{
    const struct json *m;
    if (!sim_read_array(c, body, "messages", &m)) {
        return false;
    }
    for (; m; m = m->next) {
        const struct json *role = json_get(m, STR("role"));
        bool tool = sim_is(role, STR("tool")) || sim_is(role, STR("function"));
        bool user = sim_is(role, STR("user"));
        if (!role || role->type != JSON_STRING) {
            return sim_refuse(c, 400, "invalid_value", "messages",
                              "Each message needs a \"role\".");
        }
        if (tool || user) {
            sim_turn(c, tool);
        }
        c->turn_open = tool || user;
        sim_hear_content(c, json_get(m, STR("content")), tool || user);
    }
    return true;
}

static bool read_tools(struct sim_call *c, const struct json *body)
{
    const struct json *tools = json_get(body, STR("tools")),
                      *choice = json_get(body, STR("tool_choice"));
    const struct json *allowed = json_get(choice, STR("allowed_tools"));
    for (const struct json *t = tools ? tools->first : NULL; t; t = t->next) {
        const struct json *f = json_get(t, STR("function"));
        sim_offer_tool(c, sim_text(json_get(f, STR("name"))), json_get(f, STR("parameters")));
    }
    if (sim_is(choice, STR("none"))) {
        return true;
    }
    struct str name = sim_text(json_get(json_get(choice, STR("function")), STR("name")));
    bool forced = name.n || sim_is(choice, STR("required")) ||
                  sim_is(json_get(allowed, STR("mode")), STR("required"));
    return sim_choose_tool(c, forced, name);
}

static void read_stream(struct sim_call *c, const struct json *body)
{
    const struct json *options = json_get(body, STR("stream_options"));
    c->usage_asked = sim_true(json_get(options, STR("include_usage")));
}

/* The simulated models give one choice. */
static bool read_limits(struct sim_call *c, const struct json *body, const char *max_name)
{
    int64_t n = 1;
    return sim_read_count(c, body, "n", 1, &n) &&
           sim_read_count(c, body, "max_tokens", INT32_MAX, &c->max_tokens) &&
           sim_read_count(c, body, max_name, INT32_MAX, &c->max_tokens);
}

static bool read_chat(struct sim_call *c, const struct json *body)
{
    if (!read_messages(c, body) || !read_limits(c, body, "max_completion_tokens") ||
        !read_tools(c, body) || !sim_choose_text(c, "max_tokens")) {
        return false;
    }
    read_stream(c, body);
    if (!sim_true(json_get(body, STR("stream")))) {
        sim_answer(c, SIM_WHOLE, chat_whole);
    } else if (c->tool.n) {
        sim_answer(c, SIM_EVENTS, chat_tool_stream);
    } else {
        sim_answer(c, SIM_EVENTS, chat_stream);
    }
    return true;
}

const struct sim_format sim_chat = {.path = {"/chat/completions", 17}, .read = read_chat};

/* ---- completions ---- */

static void completion_chunk(struct sim_call *c, struct buf *b, struct str text, const char *reason)
{
    sim_event(c, b, STR(""));
    write_head(c, b, "cmpl", "text_completion");
    buf_add(b, STR("\"choices\":[{\"index\":0,\"text\":"));
    sim_string(b, text);
    close_chunk(c, b, reason);
}

static void completion_delta(struct sim_call *c, struct buf *b)
{
    completion_chunk(c, b, c->piece, NULL);
}

static void completion_finish(struct sim_call *c, struct buf *b)
{
    completion_chunk(c, b, STR(""), finish_reason(c));
}

static void completion_usage(struct sim_call *c, struct buf *b)
{
    if (c->usage_asked && sim_tells_usage(c)) {
        sim_event(c, b, STR(""));
        write_head(c, b, "cmpl", "text_completion");
        buf_add(b, STR("\"choices\":[],\"usage\":"));
        write_usage(c, b);
        buf_addc(b, '}');
        sim_event_end(c, b);
    }
}

static void completion_open(struct sim_call *c, struct buf *b)
{
    write_head(c, b, "cmpl", "text_completion");
    buf_add(b, STR("\"choices\":[{\"index\":0,\"text\":\""));
}

static void completion_close(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "\",\"logprobs\":null,\"finish_reason\":\"%s\"}]", finish_reason(c));
    write_whole_usage(c, b);
    buf_addc(b, '}');
}

static const struct sim_part completion_stream[] = {
    {SIM_PACED, completion_delta},
    {SIM_END, completion_finish},
    {SIM_END, completion_usage},
    {SIM_END, stream_done},
};

static const struct sim_part completion_whole[] = {
    {SIM_ONCE, completion_open}, {SIM_FILL, sim_write_piece}, {SIM_END, completion_close}};

static bool read_completion(struct sim_call *c, const struct json *body)
{
    const struct json *prompt = json_get(body, STR("prompt"));
    bool one = prompt && (prompt->type == JSON_STRING ||
                          (prompt->type == JSON_ARRAY && json_count(prompt) == 1 &&
                           prompt->first->type == JSON_STRING));
    if (!one) {
        return sim_refuse(c, 400, "invalid_value", "prompt",
                          "\"prompt\" must be a string, or an array of one string.");
    }
    sim_turn(c, false);
    sim_hear_content(c, prompt, true);
    if (!read_limits(c, body, "max_tokens") || !sim_choose_text(c, "max_tokens")) {
        return false;
    }
    read_stream(c, body);
    if (sim_true(json_get(body, STR("stream")))) {
        sim_answer(c, SIM_EVENTS, completion_stream);
    } else {
        sim_answer(c, SIM_WHOLE, completion_whole);
    }
    return true;
}

const struct sim_format sim_completions = {.path = {"/completions", 12}, .read = read_completion};
