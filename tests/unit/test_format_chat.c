/* openai.chat and anthropic.messages: what is written, byte for byte, and the traps of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "json/scan.h"

/* ---- requests ---- */

struct request {
    enum format_id from, to;
    uint32_t quirks;
    const char *body, *want;
    const char *dropped; /* names, with commas between */
};

static void read_into(struct ir_call *c, struct arena *a, enum format_id from, struct str body)
{
    enum json_type top;
    struct json_error e = {0};
    ir_call_init(c, a);
    if (json_scan(body, NULL, 0, &top, &e) < 0) {
        fail_msg("%s at %zu of %.*s", e.why, e.at, STR_ARG(body));
    }
    if (format_of(from)->read_request(c, body) < 0) {
        fail_msg("%.*s: %.*s", STR_ARG(c->bad), STR_ARG(body));
    }
    ir_call_finish(c);
}

static struct str names(struct arena *a, const struct ir_list *l)
{
    struct buf b = {.arena = a};
    for (; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(",") : STR(""));
    }
    return buf_str(&b);
}

static void check_request(const struct request *r)
{
    struct arena a = {0};
    struct ir_call c;
    struct buf b = {.arena = &a};
    const struct format *to = format_of(r->to);
    read_into(&c, &a, r->from, str_of(r->body));
    struct ir_target t = {.model = STR("up"), .family = to->family, .quirks = r->quirks};
    to->write_request(&b, &c, &t);
    struct str lost = names(&a, c.dropped);
    if (!str_eq(buf_str(&b), str_of(r->want)) || !str_eq(lost, str_of(r->dropped))) {
        fail_msg("%s\nbecame\n%.*s\nand not\n%s\nlost: %.*s, and not %s", r->body,
                 STR_ARG(buf_str(&b)), r->want, STR_ARG(lost), r->dropped);
    }
    arena_reset(&a);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_MSG                                                                                     \
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]"
#define FRONT_A "{\"model\":\"up\",\"max_tokens\":8192,"

static const struct request requests[] = {
    /* max_tokens is required at Anthropic; same roles merge; results come first */
    {FORMAT_CHAT, FORMAT_MESSAGES, 0,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"},"
     "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call.1\",\"type\":"
     "\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},{\"role\":\"user\",\"content\":\"c\"},"
     "{\"role\":\"tool\",\"tool_call_id\":\"call.1\",\"content\":\"r\"}]}",
     FRONT_A
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
     "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_"
     "use\","
     "\"id\":\"toolu_BSD8NeGOoEbWGTX2GJOl\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\","
     "\"content\":["
     "{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_BSD8NeGOoEbWGTX2GJOl\",\"content\":\"r\"},"
     "{\"type\":\"text\",\"text\":\"c\"}]}]}",
     ""},
    /* instructions go to the top, those in the middle as well; an assistant's turn cannot be first */
    {FORMAT_CHAT, FORMAT_MESSAGES, 0,
     "{\"messages\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"assistant\","
     "\"content\":\"x\"},"
     "{\"role\":\"system\",\"content\":\"late\"}]}",
     FRONT_A
     "\"system\":[{\"type\":\"text\",\"text\":\"d\"},{\"type\":\"text\",\"text\":\"late\"}],"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]},"
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]}",
     ""},
    /* thinking: a budget below max_tokens, no sampling and no forced tool beside it */
    {FORMAT_CHAT, FORMAT_MESSAGES, 0,
     "{" HI ",\"reasoning_effort\":\"high\",\"max_tokens\":5000,\"temperature\":0.5,\"top_p\":0.9,"
     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":"
     "\"required\"}",
     "{\"model\":\"up\",\"max_tokens\":5000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":"
     "4999}," HI_MSG
     ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
     "\"tool_choice\":{\"type\":\"auto\"}}",
     "tool_choice,temperature,top_p"},
    {FORMAT_CHAT, FORMAT_MESSAGES, 0, "{" HI ",\"reasoning_effort\":\"none\"}",
     FRONT_A "\"thinking\":{\"type\":\"disabled\"}," HI_MSG "}", ""},
    {FORMAT_CHAT, FORMAT_MESSAGES, QUIRK_ADAPTIVE,
     "{" HI ",\"reasoning_effort\":\"minimal\",\"response_format\":{\"type\":\"json_schema\","
     "\"json_schema\":"
     "{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}",
     FRONT_A "\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\","
             "\"format\":{\"type\":"
             "\"json_schema\",\"schema\":{\"type\":\"object\"}}}," HI_MSG "}",
     ""},
    /* models that think as they like: no budget, no sampling, no forced tool, no turning off */
    {FORMAT_CHAT, FORMAT_MESSAGES, QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING | QUIRK_ALWAYS_THINKS,
     "{" HI ",\"reasoning_effort\":\"none\",\"temperature\":1,\"tools\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"f\"}}],\"tool_choice\":\"required\"}",
     FRONT_A HI_MSG
     ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
     "\"tool_choice\":{\"type\":\"auto\"}}",
     "reasoning_effort,tool_choice,temperature"},
    /* a tool loop that began at another vendor cannot go on with thinking */
    {FORMAT_CHAT, FORMAT_MESSAGES, 0,
     "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"reasoning_"
     "content\":\"t\","
     "\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{}\"}}]},"
     "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"r\"}],\"reasoning_effort\":\"low\"}",
     "{\"model\":\"up\",\"max_tokens\":10240,"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":"
     "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}]}"
     ","
     "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":"
     "\"r\"}]}]}",
     "reasoning_effort,messages.reasoning_content"},
    /* what Anthropic has no word for is named */
    {FORMAT_CHAT, FORMAT_MESSAGES, 0,
     "{" HI ",\"n\":2,\"seed\":1,\"logit_bias\":{\"1\":1},\"temperature\":1.7,\"future_thing\":1,"
     "\"stop\":\"x\"}",
     FRONT_A HI_MSG ",\"temperature\":1,\"stop_sequences\":[\"x\"]}",
     "future_thing,temperature>1,seed,n,logit_bias"},
    /* Mistral: ids of nine, random_seed, "any", no stream_options */
    {FORMAT_MESSAGES, FORMAT_CHAT,
     QUIRK_ID_9 | QUIRK_RANDOM_SEED | QUIRK_NO_STREAM_OPTIONS | QUIRK_ANY_REQUIRED,
     "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
     "\"assistant\",\"content\":["
     "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"q\":\"\\\"\"}}]},{"
     "\"role\":\"user\","
     "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":\"r\"}]}],"
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{"
     "\"type\":\"any\"}}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
     "\"assistant\",\"content\":null,"
     "\"tool_calls\":[{\"id\":\"zFYHfheqO\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":"
     "\"{\\\"q\\\":\\\"\\\\\\\"\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"zFYHfheqO\","
     "\"name\":\"f\","
     "\"content\":\"r\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"parameters\":{\"type\":"
     "\"object\"}}}],\"tool_choice\":\"any\",\"max_tokens\":9}",
     ""},
    /* OpenAI's reasoning models: max_completion_tokens, no sampling */
    {FORMAT_MESSAGES, FORMAT_CHAT,
     QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING | QUIRK_DEVELOPER | QUIRK_STRICT_MEMBERS,
     "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"temperature\":0.1,"
     "\"top_k\":3,"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":8000},\"metadata\":{\"user_id\":\"u\"}}",
     "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"reasoning_effort\":"
     "\"medium\","
     "\"max_completion_tokens\":9,\"safety_identifier\":\"u\"}",
     "temperature,top_k"},
    /* DeepSeek: thinking on or off, no schema */
    {FORMAT_CHAT, FORMAT_CHAT, QUIRK_THINKING_OBJECT | QUIRK_NO_SCHEMA,
     "{" HI
     ",\"reasoning_effort\":\"none\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
     "{\"name\":\"n\",\"schema\":{}}}}",
     "{\"model\":\"up\"," HI
     ",\"response_format\":{\"type\":\"json_object\"},\"thinking\":{\"type\":\"disabled\"}}",
     "response_format.json_schema"},
};

static void requests_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        check_request(&requests[i]);
    }
}

/* ---- vendors ---- */

static void vendors_by_name(void **state)
{
    (void)state;
    static const struct {
        enum family family;
        const char *model;
        uint32_t quirks;
        int64_t output;
    } want[] = {
        {FAMILY_ANTHROPIC, "claude-sonnet-4-5-20250929", 0, 32000},
        {FAMILY_ANTHROPIC, "claude-3-haiku-20240307", 0, 4096},
        {FAMILY_ANTHROPIC, "claude-opus-4-6", QUIRK_ADAPTIVE, 32000},
        {FAMILY_ANTHROPIC, "claude-opus-4-7", QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING, 32000},
        {FAMILY_ANTHROPIC, "anthropic/claude-sonnet-5", QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING, 32000},
        {FAMILY_ANTHROPIC, "claude-sonnet-5-5",
         QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING | QUIRK_ALWAYS_THINKS, 32000},
        {FAMILY_BEDROCK, "eu.anthropic.claude-opus-4-8", QUIRK_ADAPTIVE | QUIRK_NO_SAMPLING, 32000},
        {FAMILY_BEDROCK, "amazon.nova-pro-v1:0", 0, 0},
        {FAMILY_GEMINI, "gemini-3-pro", QUIRK_GEMINI_3, 0},
        {FAMILY_OPENAI, "openai/gpt-5.2", QUIRK_MAX_COMPLETION | QUIRK_NO_SAMPLING, 0},
        {FAMILY_OPENAI, "gpt-4o", 0, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct str model = str_of(want[i].model);
        assert_int_equal(vendor_model_quirks(want[i].family, model), want[i].quirks);
        assert_int_equal(vendor_model_output(model), want[i].output);
    }
    assert_true(vendor_quirks(FAMILY_OPENAI, STR("x.openai.azure.com")) & QUIRK_DEVELOPER);
    assert_true(vendor_quirks(FAMILY_OPENAI, STR("API.Mistral.ai")) & QUIRK_ID_9);
    assert_int_equal(vendor_quirks(FAMILY_OPENAI, STR("127.0.0.1")), 0);
    assert_int_equal(vendor_quirks(FAMILY_ANTHROPIC, STR("api.openai.com")), 0);
}

/* ---- what is wrong is told ---- */

/* Numbers whose look alone tells that they are below the most, and those that must be read. */
static void numbers_step_back(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        double most;
        const char *want;
    } cases[] = {
        {"0", 1, "0"},           {"0.7", 1, "0.7"}, {"1", 1, "1"},       {"1.0", 1, "1.0"},
        {"1.01", 1, "1"},        {"2", 1, "1"},     {"10", 2, "2"},      {"1.9", 2, "1.9"},
        {"0.3e1", 1, "1"},       {"0.3E1", 1, "1"}, {"3e-1", 1, "3e-1"}, {"5e0", 2, "2"},
        {"0.20e1", 2, "0.20e1"}, {"-3", 1, "-3"},   {"9.5", 9, "9"},
    };
    struct arena a = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ir_call c;
        ir_call_init(&c, &a);
        struct str is = ir_at_most(&c, str_of(cases[i].value), "t", cases[i].most);
        bool lost = strcmp(cases[i].value, cases[i].want) != 0;
        if (!str_eq(is, str_of(cases[i].want)) || lost != (c.dropped != NULL)) {
            fail_msg("%s became %.*s", cases[i].value, STR_ARG(is));
        }
    }
    arena_reset(&a);
}

static void bad_requests(void **state)
{
    (void)state;
    static const struct {
        enum format_id format;
        const char *body, *param, *what;
    } bad[] = {
        {FORMAT_CHAT, "{}", "messages", "messages is missing"},
        {FORMAT_CHAT, "{\"messages\":{}}", "messages", "messages must be an array"},
        {FORMAT_CHAT, "{\"messages\":[1]}", "messages[0]", "messages[0] must be an object"},
        {FORMAT_CHAT, "{\"messages\":[{\"role\":\"owner\",\"content\":\"\"}]}", "messages[0].role",
         "messages[0].role must be system, developer, user, assistant or tool"},
        {FORMAT_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content",
         "messages[0].content must be a string, an array of parts or null"},
        {FORMAT_CHAT, "{\"messages\":[],\"temperature\":\"hot\"}", "temperature",
         "temperature must be a number"},
        {FORMAT_CHAT, "{\"messages\":[],\"stop\":[1]}", "stop", "stop must hold strings only"},
        {FORMAT_CHAT, "{\"messages\":[],\"tool_choice\":\"maybe\"}", "tool_choice",
         "tool_choice must be auto, none, required or an object that names a function"},
        {FORMAT_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"r\"}]}",
         "messages[0].tool_call_id",
         "messages[0].tool_call_id is missing: a tool's message says which call it answers"},
        {FORMAT_MESSAGES, "{\"messages\":[]}", "messages", "messages is missing or empty"},
        {FORMAT_MESSAGES, "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}",
         "messages[0].role", "messages[0].role must be user or assistant"},
        {FORMAT_MESSAGES, "{\"messages\":[{\"role\":\"user\",\"content\":[{}]}]}",
         "messages[0].content", "messages[0].content has a block without a type"},
        {FORMAT_MESSAGES, "{\"messages\":[],\"tools\":[{}]}", "tools[0].name",
         "tools[0].name is missing"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena a = {0};
        struct ir_call c;
        ir_call_init(&c, &a);
        assert_true(format_of(bad[i].format)->read_request(&c, str_of(bad[i].body)) < 0);
        if (!str_eq(c.bad, str_of(bad[i].what)) || !str_eq(c.bad_param, str_of(bad[i].param))) {
            fail_msg("%s: %.*s (%.*s)", bad[i].body, STR_ARG(c.bad), STR_ARG(c.bad_param));
        }
        arena_reset(&a);
    }
}

/* ---- streams ---- */

struct sink {
    const struct format *to;
    struct ir_out out;
    struct ir_fold fold;
};

static void both(void *arg, const struct ir_event *e)
{
    struct sink *s = arg;
    s->to->write_event(&s->out, e);
    ir_fold_event(&s->fold, e);
}

/* Feeds events (one a line) and gives the fold as a text. */
static struct str fold_of(struct arena *a, enum format_id from, const char *events,
                          struct ir_in *ret)
{
    struct buf text = {.arena = a}, b = {.arena = a};
    const struct format *f = format_of(from), *to = format_of(FORMAT_MESSAGES);
    struct sink s = {.to = to, .fold = {.arena = a, .copy = true}};
    s.out = (struct ir_out){.arena = a,
                            .out = &text,
                            .scratch = a,
                            .state = arena_zalloc(a, to->out_state + 16),
                            .model = STR("m"),
                            .id = STR("1"),
                            .stream = true};
    *ret = (struct ir_in){.arena = a,
                          .event = both,
                          .arg = &s,
                          .state = arena_zalloc(a, f->in_state + 16),
                          .usage = USAGE_NONE,
                          .request_id = "req_00000000000000000000000000"};
    struct str rest = str_of(events), line;
    while (rest.n) {
        enum json_type top;
        str_cut(&rest, '\n', &line);
        f->read_event(ret, (struct str){0}, line, json_scan(line, NULL, 0, &top, NULL) == 0);
    }
    for (const struct ir_part *p = s.fold.answer.parts; p; p = p->next) {
        buf_printf(&b, "%d:%.*s%.*s ", (int)p->kind, STR_ARG(p->name),
                   STR_ARG(p->kind == IR_TOOL_CALL ? p->args : p->text));
    }
    buf_printf(&b, "finish %d in %lld out %lld", (int)s.fold.answer.finish,
               (long long)ret->usage.input, (long long)ret->usage.output);
    return buf_str(&b);
}

#define DELTA(d)    "{\"choices\":[{\"index\":0,\"delta\":" d "}]}\n"
#define CALLS(c)    DELTA("{\"tool_calls\":[" c "]}")
#define FINISH(why) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" why "\"}]}\n"

static const struct {
    const char *events, *want;
    bool finished, failed;
} streams[] = {
    /* role and content together, usage on every chunk, two finishes */
    {"{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_"
     "reason\":\"\"}],"
     "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n" DELTA("{\"content\":\"lo\"}")
         FINISH("stop") FINISH("stop") "{\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
                                       "\"completion_tokens\":2}}\n[DONE]\n",
     "0:Hello finish 1 in 3 out 2", true, false},
    /* interleaved arguments */
    {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"
           "{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}")
         CALLS("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\":\\\"}\"}}")
             CALLS("{\"index\":1,\"function\":{\"arguments\":\"{\\\"y\\\"\"}}")
                 CALLS("{\"index\":0,\"function\":{\"arguments\":\"\\\"}\"}}") CALLS(
                     "{\"index\":1,\"function\":{\"arguments\":\":2}\"}}") FINISH("tool_calls"),
     "4:f{\"x\":\"}\"} 4:g{\"y\":2} finish 5 in -1 out -1", true, false},
    /* no index; the id repeated; no arguments at all; "stop" although tools were called */
    {CALLS("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
         CALLS("{\"id\":\"b\",\"function\":{\"name\":\"g\"}}")
             CALLS("{\"id\":\"b\",\"function\":{\"name\":\"g\"}}") FINISH("stop"),
     "4:f{} 4:g{} finish 5 in -1 out -1", true, false},
    /* the name in pieces; arguments as an object */
    {CALLS("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"get_\"}}")
         CALLS("{\"index\":0,\"function\":{\"name\":\"it\",\"arguments\":{\"a\":1}}}")
             FINISH("tool_calls"),
     "4:get_it{\"a\":1} finish 5 in -1 out -1", true, false},
    /* thinking, then text; Mistral's content in chunks */
    {DELTA("{\"reasoning_content\":\"hm\"}") DELTA(
         "{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"m\"}]},"
         "{\"type\":\"text\",\"text\":\"ok\"}]}") FINISH("length"),
     "6:hmm 0:ok finish 3 in -1 out -1", true, false},
    /* an error in place of the rest; and an end without a reason is none */
    {DELTA("{\"content\":\"a\"}") "{\"error\":{\"message\":\"overloaded\",\"code\":503}}\n",
     "0:a finish 0 in -1 out -1", false, true},
    {DELTA("{\"content\":\"a\"}") "[DONE]\n", "0:a finish 0 in -1 out -1", false, false},
};

static void streams_of_chat(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct arena a = {0};
        struct ir_in in;
        struct str got = fold_of(&a, FORMAT_CHAT, streams[i].events, &in);
        if (!str_eq(got, str_of(streams[i].want)) || in.finished != streams[i].finished ||
            in.failed != streams[i].failed) {
            fail_msg("%s\ngave %.*s (finished %d, failed %d)\nand not %s", streams[i].events,
                     STR_ARG(got), in.finished, in.failed, streams[i].want);
        }
        arena_reset(&a);
    }
}

/* A call whose input stands in its start, an empty one, a block without its stop, a block that nobody knows. */
static void streams_of_messages(void **state)
{
    (void)state;
    struct arena a = {0};
    struct ir_in in;
    struct str got = fold_of(&a, FORMAT_MESSAGES,
                             "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":"
                             "2,\"cache_read_input_tokens\":3}}}\n"
                             "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{"
                             "\"type\":\"tool_use\",\"id\":\"t\","
                             "\"name\":\"f\",\"input\":{\"a\":1}}}\n"
                             "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{"
                             "\"type\":\"server_tool_use\"}}\n"
                             "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
                             "\"input_json_delta\",\"partial_json\":\"{}\"}}\n"
                             "{\"type\":\"content_block_stop\",\"index\":1}\n"
                             "{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{"
                             "\"type\":\"tool_use\",\"id\":\"u\","
                             "\"name\":\"g\",\"input\":{}}}\n"
                             "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":"
                             "\"input_json_delta\",\"partial_json\":\"\"}}\n"
                             "{\"type\":\"content_block_stop\",\"index\":2}\n"
                             "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},"
                             "\"usage\":{\"output_tokens\":7}}\n"
                             "{\"type\":\"message_stop\"}\n",
                             &in);
    assert_true(in.ended && in.finished);
    if (!str_eq(got, STR("4:f{\"a\":1} 4:g{} finish 5 in 5 out 7"))) {
        fail_msg("%.*s", STR_ARG(got));
    }
    arena_reset(&a);
}

/* Calls that go out whole: nothing of one before its end, then all of it in one chunk. What the events hold is
 * gone behind each of them, as it is behind each read of a socket. */
static void calls_in_one_chunk(void **state)
{
    (void)state;
    const struct ir_event events[] = {
        {.type = IR_START},
        {.type = IR_BLOCK_START, .kind = IR_TOOL_CALL, .id = STR("i"), .name = STR("f")},
        {.type = IR_DELTA, .kind = IR_TOOL_CALL, .text = STR("{\\\"a\\\"")},
        {.type = IR_DELTA, .kind = IR_TOOL_CALL, .text = STR(":1}")},
        {.type = IR_SIGNATURE,
         .kind = IR_TOOL_CALL,
         .signature = STR("sig"),
         .issuer = FAMILY_GEMINI},
        {.type = IR_BLOCK_STOP, .kind = IR_TOOL_CALL},
        {.type = IR_BLOCK_START, .kind = IR_TOOL_CALL, .id = STR("j"), .name = STR("g")},
        {.type = IR_BLOCK_STOP, .kind = IR_TOOL_CALL},
        {.type = IR_FINISH, .finish = IR_FINISH_TOOLS},
    };
#define WHOLE(c)                                                                                   \
    "data: "                                                                                       \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"m\","   \
    "\"choices\":[{\"index\":0,\"delta\":{" c "},\"logprobs\":null,\"finish_reason\":"
    const char *want = WHOLE("\"role\":\"assistant\",\"content\":\"\"") "null}]}\n\n" WHOLE(
        "\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"type\":\"function\",\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"extra_content\":{\"google\":{"
        "\"thought_signature\":\"sig\"}}}]") "null}]}\n\n" WHOLE("\"tool_calls\":[{\"index\":1,"
                                                                 "\"id\":\"j\",\"type\":"
                                                                 "\"function\",\"function\":{"
                                                                 "\"name\":\"g\",\"arguments\":\"{}"
                                                                 "\"}}]") "null}]}\n\n" WHOLE("") "\"tool_calls\"}]}\n\n";
    const struct format *to = format_of(FORMAT_CHAT);
    struct arena a = {0};
    struct buf text = {.arena = &a};
    struct ir_out out = {.arena = &a,
                         .out = &text,
                         .state = arena_zalloc(&a, to->out_state + 16),
                         .model = STR("m"),
                         .id = STR("1"),
                         .stream = true,
                         .whole_calls = true};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct arena scratch = {0};
        struct ir_event e = events[i];
        e.text = arena_dup(&scratch, e.text);
        e.name = arena_dup(&scratch, e.name);
        e.id = arena_dup(&scratch, e.id);
        e.signature = arena_dup(&scratch, e.signature);
        out.scratch = &scratch;
        to->write_event(&out, &e);
        arena_reset(&scratch);
    }
    if (!str_eq(buf_str(&text), str_of(want))) {
        fail_msg("%.*s", STR_ARG(buf_str(&text)));
    }
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written), cmocka_unit_test(vendors_by_name),
        cmocka_unit_test(numbers_step_back),    cmocka_unit_test(bad_requests),
        cmocka_unit_test(streams_of_chat),      cmocka_unit_test(streams_of_messages),
        cmocka_unit_test(calls_in_one_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
