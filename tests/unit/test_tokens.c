/* Counting tokens: the vendors' endpoints, and how near the estimate comes to a real tokenizer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "dialect/tokens.h"
#include "json/scan.h"

static struct arena arena;
static struct ir_call c;

static struct str own(struct str s)
{
    return s.n ? arena_dup(&arena, s) : s;
}

static void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("have %.*s\nwant %s", STR_ARG(have), want);
    }
}

/* ---- the estimate ---- */

/* Counted by o200k_base (the package bpe-openai). */
static const struct {
    const char *what;
    int tokens;
    const char *text;
} counted[] = {
    {"english", 99,
     "When the harbour lights went out that evening, most of the town assumed it was another power "
     "cut and went back to their dinners. Only the lighthouse keeper, who had watched the channel "
     "for thirty-one years, noticed that the boats themselves had stopped moving. She wrote the "
     "time in her log, put on the heavy coat her father had left behind, and walked down the stone "
     "steps to see what the sea was doing. It was perfectly still, as though someone had poured "
     "glass across the whole bay."},
    {"german", 111,
     "Als am Abend die Lichter im Hafen ausgingen, hielten die meisten Einwohner der Stadt das für "
     "einen gewöhnlichen Stromausfall und setzten sich wieder an den Abendbrottisch. Nur die "
     "Leuchtturmwärterin, die seit einunddreißig Jahren die Fahrrinne beobachtete, bemerkte, dass "
     "auch die Boote sich nicht mehr bewegten. Sie trug die Uhrzeit in ihr Wachbuch ein, zog den "
     "schweren Mantel ihres Vaters an und stieg die Steintreppe hinunter."},
    {"chinese", 116,
     "那天晚上港口的灯熄灭时,镇上的大多数人都以为只是又一次停电,"
     "便回去继续吃晚饭。只有守了三十一年航道的灯塔看守人注意到,"
     "连船也不再移动了。她在日志里写下时间,穿上父亲留下的厚大衣,沿着石阶走下去,"
     "想看看大海到底在做什么。海面平静得出奇,仿佛有人把玻璃铺满了整个海湾。"},
    {"code", 145,
     "static int read_config(const char *path, struct config *out)\\n{\\n    FILE *f = fopen(path, "
     "\\\"re\\\");\\n    char line[256];\\n    if (!f) {\\n        return -errno;\\n    }\\n    "
     "while (fgets(line, sizeof line, f)) {\\n        char *eq = strchr(line, '=');\\n        if "
     "(line[0] == '#' || !eq) {\\n            continue;\\n        }\\n        *eq = 0;\\n        "
     "if (strcmp(line, \\\"max_connections\\\") == 0) {\\n            out->max_connections = "
     "(unsigned)strtoul(eq + 1, NULL, 10);\\n        }\\n    }\\n    fclose(f);\\n    return "
     "0;\\n}\\n"},
    {"json", 69,
     "{\\\"type\\\":\\\"object\\\",\\\"properties\\\":{\\\"location\\\":{\\\"type\\\":"
     "\\\"string\\\",\\\"description\\\":\\\"The city and state, e.g. San Francisco, "
     "CA\\\"},\\\"unit\\\":{\\\"type\\\":\\\"string\\\",\\\"enum\\\":[\\\"celsius\\\","
     "\\\"fahrenheit\\\"]},\\\"days\\\":{\\\"type\\\":\\\"integer\\\",\\\"minimum\\\":1,"
     "\\\"maximum\\\":14}},\\\"required\\\":[\\\"location\\\"],\\\"additionalProperties\\\":"
     "false}"},
    {"russian", 52,
     "Когда в тот вечер в гавани погасли огни, большинство жителей решило, что снова отключили "
     "электричество, и вернулось к ужину. Только смотрительница маяка заметила, что и лодки больше "
     "не двигаются."},
    {"escaped", 116,
     "\\u90a3\\u5929\\u665a\\u4e0a\\u6e2f\\u53e3\\u7684\\u706f\\u7184\\u706d\\u65f6,"
     "\\u9547\\u4e0a\\u7684\\u5927\\u591a\\u6570\\u4eba\\u90fd\\u4ee5\\u4e3a\\u53ea\\u662f\\u53c8\\"
     "u4e00\\u6b21\\u505c\\u7535,"
     "\\u4fbf\\u56de\\u53bb\\u7ee7\\u7eed\\u5403\\u665a\\u996d\\u3002\\u53ea\\u6709\\u5b88\\u4e86\\"
     "u4e09\\u5341\\u4e00\\u5e74\\u822a\\u9053\\u7684\\u706f\\u5854\\u770b\\u5b88\\u4eba\\u6ce8\\u6"
     "10f\\u5230,"
     "\\u8fde\\u8239\\u4e5f\\u4e0d\\u518d\\u79fb\\u52a8\\u4e86\\u3002\\u5979\\u5728\\u65e5\\u5fd7\\"
     "u91cc\\u5199\\u4e0b\\u65f6\\u95f4,"
     "\\u7a7f\\u4e0a\\u7236\\u4eb2\\u7559\\u4e0b\\u7684\\u539a\\u5927\\u8863,"
     "\\u6cbf\\u7740\\u77f3\\u9636\\u8d70\\u4e0b\\u53bb,"
     "\\u60f3\\u770b\\u770b\\u5927\\u6d77\\u5230\\u5e95\\u5728\\u505a\\u4ec0\\u4e48\\u3002\\u6d77\\"
     "u9762\\u5e73\\u9759\\u5f97\\u51fa\\u5947,"
     "\\u4eff\\u4f5b\\u6709\\u4eba\\u628a\\u73bb\\u7483\\u94fa\\u6ee1\\u4e86\\u6574\\u4e2a\\u6d77\\"
     "u6e7e\\u3002"},
};

static void the_estimate_is_near_the_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        int64_t n = tokens_of_text(own(str_of(counted[i].text)));
        if (n * 100 < counted[i].tokens * 85 || n * 100 > counted[i].tokens * 115) {
            fail_msg("%s: %d tokens, not %d", counted[i].what, (int)n, counted[i].tokens);
        }
    }
}

static void broken_text_is_counted_within_its_bounds(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\\",   "\\u",      "\\u12",        "\\ud83d", "\\ud83d\\ude00",
        "\xf0", "\xe4\xb8", "\\ud83d\\u00", "a\xc3"};
    assert_int_equal(tokens_of_text((struct str){0}), 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_true(tokens_of_text(own(str_of(texts[i]))) >= 1);
    }
}

static int read_messages(const char *body)
{
    struct str text = own(str_of(body));
    assert_int_equal(json_scan(text, NULL, 0, NULL, NULL), 0);
    ir_call_init(&c, &arena);
    return tokens_read_request(tokens_format_of_family(FAMILY_ANTHROPIC), &c, text);
}

static int64_t estimate(const char *body)
{
    assert_int_equal(read_messages(body), 0);
    return tokens_estimate(&c);
}

#define MESSAGES(content)                                                                          \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" content "}]}"

static void all_that_a_request_holds_has_weight(void **state)
{
    (void)state;
    int64_t plain = estimate(MESSAGES("\"hello there\""));
    assert_in_range(plain, 5, 12);
    assert_true(estimate("{\"system\":\"be brief and kind\",\"messages\":[{\"role\":\"user\","
                         "\"content\":\"hello there\"}]}") > plain + 3);
    assert_true(estimate("{\"tools\":[{\"name\":\"f\",\"description\":\"finds it\","
                         "\"input_schema\":{\"type\":\"object\"}}],\"messages\":[{\"role\":"
                         "\"user\",\"content\":\"hello there\"}]}") > plain + 10);
    int64_t image =
        estimate(MESSAGES("[{\"type\":\"text\",\"text\":\"hello there\"},{\"type\":\"image\","
                          "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
                          "\"AAAA\"}}]"));
    assert_int_equal(image, plain + 765);
    assert_int_equal(tokens_estimate_for(&c, FAMILY_GEMINI), 258 + 2 + 3);
}

/* Thinking that led to an answer before the last question is taken out by the vendors. */
static void only_thinking_about_the_last_question_counts(void **state)
{
    (void)state;
#define THOUGHT                                                                                    \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"a rather long "    \
    "chain of thoughts about what to do next\",\"signature\":\"AA==\"},{\"type\":\"tool_use\","    \
    "\"id\":\"t\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"       \
    "\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"x\"}]}"
#define QUESTION "{\"role\":\"user\",\"content\":\"q\"}"
    int64_t open = estimate("{\"messages\":[" QUESTION "," THOUGHT "]}");
    int64_t closed = estimate("{\"messages\":[" QUESTION "," THOUGHT "," QUESTION "]}");
    assert_true(closed < open);
}

/* ---- the endpoints ---- */

static void anthropics_endpoint_is_told_no_more_than_it_takes(void **state)
{
    (void)state;
    const struct tokens_format *f = tokens_format_of_route(STR("anthropic.count_tokens"));
    struct buf b = {.arena = &arena}, path = {.arena = &arena};
    struct ir_target t = {.model = STR("claude-x"), .family = FAMILY_ANTHROPIC};
    assert_ptr_equal(f, tokens_format_of_family(FAMILY_ANTHROPIC));
    assert_int_equal(read_messages("{\"model\":\"m\",\"max_tokens\":9,\"temperature\":0.5,"
                                   "\"system\":\"s\",\"messages\":[{\"role\":\"user\","
                                   "\"content\":\"hi\"}]}"),
                     0);
    assert_int_equal(tokens_write_request(f, &b, &c, &t), 0);
    assert_int_equal(json_scan(buf_str(&b), NULL, 0, NULL, NULL), 0);
    assert_true(str_find(buf_str(&b), STR("\"model\":\"claude-x\"")) > 0);
    assert_true(str_find(buf_str(&b), STR("\"messages\":[")) > 0);
    assert_true(str_find(buf_str(&b), STR("\"system\":")) > 0);
    assert_true(str_find(buf_str(&b), STR("max_tokens")) < 0);
    assert_true(str_find(buf_str(&b), STR("temperature")) < 0);
    tokens_path(f, &path, &t);
    is(buf_str(&path), "/messages/count_tokens");
    assert_int_equal(read_messages("{\"messages\":3}"), -EINVAL);
}

/* What comes in by one dialect's endpoint goes out by another's, where its conversations can be written. */
static void requests_are_wrapped_as_each_endpoint_wants(void **state)
{
    (void)state;
    static const struct {
        const char *route, *front, *end, *path;
    } rows[] = {
        {"gemini.count_tokens", "{\"generateContentRequest\":{\"model\":\"models/m\",", "}}",
         "/models/m:countTokens"},
        {"openai.count_tokens", "{\"", "}", "/responses/input_tokens"},
        {"bedrock.count_tokens", "{\"input\":{\"converse\":{", "}}}", "/model/m/count-tokens"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct tokens_format *f = tokens_format_of_route(str_of(rows[i].route));
        struct buf b = {.arena = &arena}, path = {.arena = &arena};
        struct ir_target t = {.model = STR("m"), .family = f->family};
        tokens_path(f, &path, &t);
        is(buf_str(&path), rows[i].path);
        assert_int_equal(read_messages(MESSAGES("\"hi\"")), 0);
        int r = tokens_write_request(f, &b, &c, &t);
        if (!format_of(f->format)) {
            assert_int_equal(r, -ENOSYS);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(json_scan(buf_str(&b), NULL, 0, NULL, NULL), 0);
        assert_true(str_starts(buf_str(&b), str_of(rows[i].front)));
        assert_true(str_ends(buf_str(&b), str_of(rows[i].end)));
        struct str text = own(buf_str(&b));
        ir_call_init(&c, &arena);
        assert_int_equal(tokens_read_request(f, &c, text), 0);
        is(c.turns->first->text, "hi");
    }
}

/* White space before a body is no part of it. */
static void bodies_may_begin_with_space(void **state)
{
    (void)state;
    struct str body = own(STR("\n {\"generateContentRequest\" : {\"contents\":[{\"role\":\"user\","
                              "\"parts\":[{\"text\":\"hi\"}]}]}}\n"));
    ir_call_init(&c, &arena);
    assert_int_equal(tokens_read_request(tokens_format_of_family(FAMILY_GEMINI), &c, body), 0);
    is(c.turns->first->text, "hi");
}

static void answers_cross(void **state)
{
    (void)state;
    static const struct {
        const char *route, *answer;
    } rows[] = {
        {"anthropic.count_tokens", "{\"input_tokens\":14}"},
        {"gemini.count_tokens", "{\"totalTokens\":14}"},
        {"openai.count_tokens", "{\"object\":\"response.input_tokens\",\"input_tokens\":14}"},
        {"bedrock.count_tokens", "{\"inputTokens\":14}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct tokens_format *f = tokens_format_of_route(str_of(rows[i].route));
        struct buf b = {.arena = &arena};
        tokens_write_answer(f, &b, 14);
        is(buf_str(&b), rows[i].answer);
        assert_int_equal(tokens_read_answer(f, own(buf_str(&b))), 14);
        assert_int_equal(tokens_read_answer(f, STR("{\"message\":\"no\"}")), -1);
        assert_int_equal(tokens_read_answer(f, STR("[]")), -1);
    }
    assert_int_equal(tokens_read_answer(tokens_format_of_family(FAMILY_ANTHROPIC),
                                        STR("{\"input_tokens\":\"14\"}")),
                     -1);
    assert_null(tokens_format_of_route(STR("ollama.chat")));
    assert_null(tokens_format_of_family(FAMILY_COHERE));
}

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_estimate_is_near_the_count),
        cmocka_unit_test(broken_text_is_counted_within_its_bounds),
        cmocka_unit_test(all_that_a_request_holds_has_weight),
        cmocka_unit_test(only_thinking_about_the_last_question_counts),
        cmocka_unit_test(anthropics_endpoint_is_told_no_more_than_it_takes),
        cmocka_unit_test(requests_are_wrapped_as_each_endpoint_wants),
        cmocka_unit_test(bodies_may_begin_with_space),
        cmocka_unit_test(answers_cross),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
