/* Anthropic: messages, and counting their tokens. */
#include "gateway/sim_call.h"

/* ---- answers ---- */

static void write_usage(struct sim_call *c, struct buf *b, uint64_t output)
{
    buf_printf(
        b,
        "\"usage\":{\"input_tokens\":%llu,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"output_tokens\":%llu,\"service_tier\":\"standard\"}",
        (unsigned long long)c->input_tokens, (unsigned long long)output);
}

static void write_head(struct sim_call *c, struct buf *b)
{
    buf_printf(
        b,
        "{\"id\":\"sim_msg_%.*s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%.*s\",",
        STR_ARG(c->id), STR_ARG(c->name));
}

static void write_tool(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "{\"type\":\"tool_use\",\"id\":\"sim_toolu_%.*s\",\"name\":", STR_ARG(c->id));
    sim_string(b, c->tool);
    buf_add(b, STR(",\"input\":"));
}

static const char *stop_reason(const struct sim_call *c)
{
    return c->tool.n ? "tool_use" : c->truncated ? "max_tokens" : "end_turn";
}

/* ---- streamed ---- */

static void message_start(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("message_start"));
    buf_add(b, STR("{\"type\":\"message_start\",\"message\":"));
    write_head(c, b);
    buf_add(b, STR("\"content\":[],\"stop_reason\":null,\"stop_sequence\":null"));
    if (sim_tells_usage(c)) {
        buf_addc(b, ',');
        write_usage(c, b, 0);
    }
    buf_add(b, STR("}}"));
    sim_event_end(c, b);
}

static void block_start(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("content_block_start"));
    buf_add(b, STR("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"));
    if (c->tool.n) {
        write_tool(c, b);
        buf_add(b, STR("{}}}"));
    } else {
        buf_add(b, STR("{\"type\":\"text\",\"text\":\"\"}}"));
    }
    sim_event_end(c, b);
}

static void ping(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("ping"));
    buf_add(b, STR("{\"type\":\"ping\"}"));
    sim_event_end(c, b);
}

static void block_delta(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("content_block_delta"));
    buf_add(b, STR("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"));
    buf_add(b, c->tool.n ? STR("\"input_json_delta\",\"partial_json\":")
                         : STR("\"text_delta\",\"text\":"));
    sim_string(b, c->piece);
    buf_add(b, STR("}}"));
    sim_event_end(c, b);
}

static void block_stop(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("content_block_stop"));
    buf_add(b, STR("{\"type\":\"content_block_stop\",\"index\":0}"));
    sim_event_end(c, b);
}

static void message_delta(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("message_delta"));
    buf_printf(
        b, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null}",
        stop_reason(c));
    if (sim_tells_usage(c)) {
        buf_addc(b, ',');
        write_usage(c, b, c->output_tokens);
    }
    buf_addc(b, '}');
    sim_event_end(c, b);
}

static void message_stop(struct sim_call *c, struct buf *b)
{
    sim_event(c, b, STR("message_stop"));
    buf_add(b, STR("{\"type\":\"message_stop\"}"));
    sim_event_end(c, b);
}

static const struct sim_part message_stream[] = {
    {SIM_ONCE, message_start}, {SIM_ONCE, block_start}, {SIM_ONCE, ping},
    {SIM_PACED, block_delta},  {SIM_END, block_stop},   {SIM_END, message_delta},
    {SIM_END, message_stop},
};

/* ---- whole ---- */

static void message_open(struct sim_call *c, struct buf *b)
{
    write_head(c, b);
    buf_add(b, STR("\"content\":["));
    if (c->tool.n) {
        write_tool(c, b);
    } else {
        buf_add(b, STR("{\"type\":\"text\",\"text\":\""));
    }
}

/* The text of a block, or the arguments as the JSON that they are. */
static void message_piece(struct sim_call *c, struct buf *b)
{
    if (c->tool.n) {
        buf_add(b, c->piece);
    } else {
        sim_write_piece(c, b);
    }
}

static void message_close(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "%s}],\"stop_reason\":\"%s\",\"stop_sequence\":null", c->tool.n ? "" : "\"",
               stop_reason(c));
    if (sim_tells_usage(c)) {
        buf_addc(b, ',');
        write_usage(c, b, c->output_tokens);
    }
    buf_addc(b, '}');
}

static const struct sim_part message_whole[] = {
    {SIM_ONCE, message_open}, {SIM_FILL, message_piece}, {SIM_END, message_close}};

static void write_count(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "{\"input_tokens\":%llu}", (unsigned long long)c->input_tokens);
}

static const struct sim_part count_whole[] = {{SIM_ONCE, write_count}};

/* ---- the request ---- */

/* A user's message: its text, or, where it has none, the results of tools. */
static void read_user(struct sim_call *c, const struct json *content)
{
    bool text = !content || content->type != JSON_ARRAY;
    for (const struct json *block = text ? NULL : content->first; block; block = block->next) {
        text = text || sim_is(json_get(block, STR("type")), STR("text"));
    }
    sim_turn(c, !text);
    for (const struct json *block = content && content->type == JSON_ARRAY ? content->first : NULL;
         block; block = block->next) {
        if (sim_is(json_get(block, STR("type")), STR("tool_result"))) {
            sim_hear_content(c, json_get(block, STR("content")), !text);
        }
    }
    sim_hear_content(c, content, true);
}

static bool read_messages(struct sim_call *c, const struct json *body)
{
    const struct json *m;
    if (!sim_read_array(c, body, "messages", &m)) {
        return false;
    }
    sim_hear_content(c, json_get(body, STR("system")), false);
    for (; m; m = m->next) {
        const struct json *role = json_get(m, STR("role")), *content = json_get(m, STR("content"));
        if (!role || role->type != JSON_STRING) {
            return sim_refuse(c, 400, "invalid_value", "messages",
                              "Each message needs a \"role\".");
        }
        if (sim_is(role, STR("user"))) {
            read_user(c, content);
        } else {
            c->turn_open = false;
            sim_hear_content(c, content, false);
        }
    }
    return true;
}

static bool read_tools(struct sim_call *c, const struct json *body)
{
    const struct json *tools = json_get(body, STR("tools")),
                      *choice = json_get(body, STR("tool_choice"));
    const struct json *type = json_get(choice, STR("type"));
    for (const struct json *t = tools ? tools->first : NULL; t; t = t->next) {
        sim_offer_tool(c, sim_text(json_get(t, STR("name"))), json_get(t, STR("input_schema")));
    }
    if (sim_is(type, STR("none"))) {
        return true;
    }
    bool named = sim_is(type, STR("tool"));
    return sim_choose_tool(c, named || sim_is(type, STR("any")),
                           named ? sim_text(json_get(choice, STR("name"))) : STR(""));
}

static bool read_message(struct sim_call *c, const struct json *body)
{
    if (!read_messages(c, body) ||
        !sim_read_count(c, body, "max_tokens", INT32_MAX, &c->max_tokens)) {
        return false;
    }
    if (c->max_tokens < 0) {
        return sim_refuse(c, 400, "invalid_value", "max_tokens", "max_tokens: Field required");
    }
    if (!read_tools(c, body) || !sim_choose_text(c, "max_tokens")) {
        return false;
    }
    if (sim_true(json_get(body, STR("stream")))) {
        sim_answer(c, SIM_EVENTS, message_stream);
    } else {
        sim_answer(c, SIM_WHOLE, message_whole);
    }
    return true;
}

static bool read_count(struct sim_call *c, const struct json *body)
{
    sim_answer(c, SIM_WHOLE, count_whole);
    return read_messages(c, body);
}

const struct sim_format sim_messages = {.path = {"/messages", 9}, .read = read_message};
const struct sim_format sim_count_messages = {.path = {"/messages/count_tokens", 22},
                                              .read = read_count};
