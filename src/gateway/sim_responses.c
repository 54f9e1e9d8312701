/* OpenAI's Responses: one output item, a message or a function call; streamed with numbered events,
 * the last four of which say the text again. */
#include "gateway/sim_call.h"

/* ---- the response object, in pieces ---- */

static void write_usage(struct sim_call *c, struct buf *b)
{
    buf_printf(b,
               "\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":0,"
               "\"cache_write_tokens\":0},\"output_tokens\":%llu,"
               "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%llu}",
               (unsigned long long)c->input_tokens, (unsigned long long)c->output_tokens,
               (unsigned long long)(c->input_tokens + c->output_tokens));
}

static const char *final_status(const struct sim_call *c)
{
    return c->truncated ? "incomplete" : "completed";
}

/* All members but output and usage. */
static void write_head(struct sim_call *c, struct buf *b, const char *status)
{
    bool done = strcmp(status, "in_progress") != 0;
    buf_printf(
        b,
        "{\"id\":\"sim_resp_%.*s\",\"object\":\"response\",\"created_at\":%llu,\"status\":\"%s\","
        "\"background\":false,\"error\":null,\"incomplete_details\":%s,\"instructions\":null,",
        STR_ARG(c->id), (unsigned long long)c->made_s, status,
        done && c->truncated ? "{\"reason\":\"max_output_tokens\"}" : "null");
    if (c->max_tokens >= 0) {
        buf_printf(b, "\"max_output_tokens\":%lld,", (long long)c->max_tokens);
    } else {
        buf_add(b, STR("\"max_output_tokens\":null,"));
    }
    buf_printf(
        b,
        "\"model\":\"%.*s\",\"parallel_tool_calls\":true,\"previous_response_id\":null,"
        "\"reasoning\":{\"effort\":null,\"summary\":null},\"store\":false,\"temperature\":1.0,"
        "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],"
        "\"top_p\":1.0,\"truncation\":\"disabled\",\"user\":null,"
        "\"metadata\":{\"simulated\":\"true\"}",
        STR_ARG(c->name));
}

/* The item up to its text or arguments, then the rest of it. */
static void open_item(struct sim_call *c, struct buf *b, const char *status)
{
    if (c->tool.n) {
        buf_printf(
            b,
            "{\"type\":\"function_call\",\"id\":\"sim_fc_%.*s\",\"call_id\":\"sim_call_%.*s\","
            "\"status\":\"%s\",\"name\":",
            STR_ARG(c->id), STR_ARG(c->id), status);
        sim_string(b, c->tool);
        buf_add(b, STR(",\"arguments\":\""));
    } else {
        buf_printf(b,
                   "{\"type\":\"message\",\"id\":\"sim_msg_%.*s\",\"status\":\"%s\",\"role\":"
                   "\"assistant\","
                   "\"content\":[",
                   STR_ARG(c->id), status);
    }
}

static void open_text(struct buf *b)
{
    buf_add(b, STR("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\""));
}

static void open_full_item(struct sim_call *c, struct buf *b)
{
    open_item(c, b, c->truncated ? "incomplete" : "completed");
    if (!c->tool.n) {
        open_text(b);
    }
}

static void close_full_item(struct sim_call *c, struct buf *b)
{
    buf_add(b, c->tool.n ? STR("\"}") : STR("\"}]}"));
}

/* ---- whole ---- */

static void whole_open(struct sim_call *c, struct buf *b)
{
    write_head(c, b, final_status(c));
    buf_add(b, STR(",\"output\":["));
    open_full_item(c, b);
}

static void whole_close(struct sim_call *c, struct buf *b)
{
    close_full_item(c, b);
    buf_addc(b, ']');
    if (sim_tells_usage(c)) {
        buf_addc(b, ',');
        write_usage(c, b);
    }
    buf_addc(b, '}');
}

static const struct sim_part response_whole[] = {
    {SIM_ONCE, whole_open}, {SIM_FILL, sim_write_piece}, {SIM_END, whole_close}};

/* ---- streamed ---- */

static void open_event(struct sim_call *c, struct buf *b, const char *type)
{
    sim_event(c, b, str_of(type));
    buf_printf(b, "{\"type\":\"%s\",\"sequence_number\":%llu", type,
               (unsigned long long)c->sequence++);
}

static void close_event(struct sim_call *c, struct buf *b)
{
    buf_addc(b, '}');
    sim_event_end(c, b);
}

/* An event about the item. */
static void open_item_event(struct sim_call *c, struct buf *b, const char *type)
{
    open_event(c, b, type);
    buf_printf(b, ",\"item_id\":\"sim_%s_%.*s\",\"output_index\":0", c->tool.n ? "fc" : "msg",
               STR_ARG(c->id));
    if (!c->tool.n) {
        buf_add(b, STR(",\"content_index\":0"));
    }
}

static void early_response(struct sim_call *c, struct buf *b, const char *type)
{
    open_event(c, b, type);
    buf_add(b, STR(",\"response\":"));
    write_head(c, b, "in_progress");
    buf_add(b, STR(",\"output\":[],\"usage\":null}"));
    close_event(c, b);
}

static void created(struct sim_call *c, struct buf *b)
{
    early_response(c, b, "response.created");
}

static void in_progress(struct sim_call *c, struct buf *b)
{
    early_response(c, b, "response.in_progress");
}

static void item_added(struct sim_call *c, struct buf *b)
{
    open_event(c, b, "response.output_item.added");
    buf_add(b, STR(",\"output_index\":0,\"item\":"));
    open_item(c, b, "in_progress");
    buf_add(b, c->tool.n ? STR("\"}") : STR("]}"));
    close_event(c, b);
}

static void part_added(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.content_part.added");
    buf_add(b, STR(",\"part\":"));
    open_text(b);
    buf_add(b, STR("\"}"));
    close_event(c, b);
}

static void text_delta(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.output_text.delta");
    buf_add(b, STR(",\"logprobs\":[],\"delta\":"));
    sim_string(b, c->piece);
    close_event(c, b);
}

static void text_done(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.output_text.done");
    buf_add(b, STR(",\"logprobs\":[],\"text\":\""));
}

static void text_done_end(struct sim_call *c, struct buf *b)
{
    buf_addc(b, '"');
    close_event(c, b);
}

static void part_done(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.content_part.done");
    buf_add(b, STR(",\"part\":"));
    open_text(b);
}

static void part_done_end(struct sim_call *c, struct buf *b)
{
    buf_add(b, STR("\"}"));
    close_event(c, b);
}

static void arguments_delta(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.function_call_arguments.delta");
    buf_add(b, STR(",\"delta\":"));
    sim_string(b, c->piece);
    close_event(c, b);
}

static void arguments_done(struct sim_call *c, struct buf *b)
{
    open_item_event(c, b, "response.function_call_arguments.done");
    buf_add(b, STR(",\"name\":"));
    sim_string(b, c->tool);
    buf_add(b, STR(",\"arguments\":\""));
}

static void item_done(struct sim_call *c, struct buf *b)
{
    open_event(c, b, "response.output_item.done");
    buf_add(b, STR(",\"output_index\":0,\"item\":"));
    open_full_item(c, b);
}

static void item_done_end(struct sim_call *c, struct buf *b)
{
    close_full_item(c, b);
    close_event(c, b);
}

static void completed(struct sim_call *c, struct buf *b)
{
    open_event(c, b, c->truncated ? "response.incomplete" : "response.completed");
    buf_add(b, STR(",\"response\":"));
    whole_open(c, b);
}

static void completed_end(struct sim_call *c, struct buf *b)
{
    whole_close(c, b);
    close_event(c, b);
}

static const struct sim_part text_stream[] = {
    {SIM_ONCE, created},         {SIM_ONCE, in_progress},   {SIM_ONCE, item_added},
    {SIM_ONCE, part_added},      {SIM_PACED, text_delta},   {SIM_ONCE, text_done},
    {SIM_FILL, sim_write_piece}, {SIM_ONCE, text_done_end}, {SIM_ONCE, part_done},
    {SIM_FILL, sim_write_piece}, {SIM_ONCE, part_done_end}, {SIM_ONCE, item_done},
    {SIM_FILL, sim_write_piece}, {SIM_ONCE, item_done_end}, {SIM_END, completed},
    {SIM_FILL, sim_write_piece}, {SIM_ONCE, completed_end},
};

static const struct sim_part call_stream[] = {
    {SIM_ONCE, created},          {SIM_ONCE, in_progress},    {SIM_ONCE, item_added},
    {SIM_PACED, arguments_delta}, {SIM_ONCE, arguments_done}, {SIM_FILL, sim_write_piece},
    {SIM_ONCE, text_done_end},    {SIM_ONCE, item_done},      {SIM_FILL, sim_write_piece},
    {SIM_ONCE, item_done_end},    {SIM_END, completed},       {SIM_FILL, sim_write_piece},
    {SIM_ONCE, completed_end},
};

static void error_event(struct sim_call *c, struct buf *b, const struct api_error *e)
{
    open_event(c, b, "error");
    buf_add(b, STR(",\"code\":"));
    sim_string(b, e->code);
    buf_add(b, STR(",\"message\":"));
    sim_string(b, e->message);
    buf_add(b, STR(",\"param\":null"));
    close_event(c, b);
}

/* ---- the request ---- */

static void read_item(struct sim_call *c, const struct json *item)
{
    const struct json *role = json_get(item, STR("role")), *type = json_get(item, STR("type"));
    bool tool =
        sim_is(type, STR("function_call_output")) || sim_is(type, STR("custom_tool_call_output"));
    bool user = sim_is(role, STR("user"));
    if (tool || user) {
        sim_turn(c, tool);
    }
    c->turn_open = tool || user;
    sim_hear_content(c, json_get(item, tool ? STR("output") : STR("content")), tool || user);
}

static bool read_input(struct sim_call *c, const struct json *input)
{
    if (input && input->type == JSON_STRING) {
        sim_turn(c, false);
        sim_hear(c, input->text, true);
        return true;
    }
    if (!input || input->type != JSON_ARRAY) {
        return sim_refuse(c, 400, "invalid_value", "input",
                          "\"input\" must be a string or an array.");
    }
    for (const struct json *item = input->first; item; item = item->next) {
        read_item(c, item);
    }
    return true;
}

static bool read_tools(struct sim_call *c, const struct json *body)
{
    const struct json *tools = json_get(body, STR("tools")),
                      *choice = json_get(body, STR("tool_choice"));
    for (const struct json *t = tools ? tools->first : NULL; t; t = t->next) {
        if (sim_is(json_get(t, STR("type")), STR("function"))) {
            sim_offer_tool(c, sim_text(json_get(t, STR("name"))), json_get(t, STR("parameters")));
        }
    }
    if (sim_is(choice, STR("none"))) {
        return true;
    }
    struct str name = sim_text(json_get(choice, STR("name")));
    return sim_choose_tool(c,
                           name.n || sim_is(choice, STR("required")) ||
                               sim_is(json_get(choice, STR("mode")), STR("required")),
                           name);
}

static bool read_response(struct sim_call *c, const struct json *body)
{
    const struct json *previous = json_get(body, STR("previous_response_id"));
    if (previous && previous->type != JSON_NULL) {
        return sim_refuse(c, 400, "previous_response_not_found", "previous_response_id",
                          "The simulated provider keeps no responses: send the conversation itself "
                          "as \"input\".");
    }
    sim_hear_content(c, json_get(body, STR("instructions")), false);
    if (!read_input(c, json_get(body, STR("input"))) ||
        !sim_read_count(c, body, "max_output_tokens", INT32_MAX, &c->max_tokens) ||
        !read_tools(c, body) || !sim_choose_text(c, "max_output_tokens")) {
        return false;
    }
    if (!sim_true(json_get(body, STR("stream")))) {
        sim_answer(c, SIM_WHOLE, response_whole);
    } else if (c->tool.n) {
        sim_answer(c, SIM_EVENTS, call_stream);
    } else {
        sim_answer(c, SIM_EVENTS, text_stream);
    }
    return true;
}

const struct sim_format sim_responses = {
    .path = {"/responses", 10}, .read = read_response, .error_event = error_event};
