/* The simulated provider: what it refuses, its faults, its pace, and its memory when the client is
 * slow or leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simbench.h"

/* ---- refusals ---- */

static void what_cannot_be_simulated_is_refused(void **state)
{
    (void)state;
#define CHAT_SAYING(text)                                                                          \
    "{\"model\":\"fault\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
    static const struct {
        const char *path, *headers, *body;
        unsigned status;
        const char *part;
    } rows[] = {
        {"/chat/completions", NULL, "{\"model\":", 400, "not valid JSON"},
        {"/chat/completions", NULL, "[]", 400, "must be a JSON object"},
        {"/chat/completions", NULL, "", 400, "not valid JSON"},
        {"/chat/completions", NULL, "{\"messages\":[]}", 400, "\\\"model\\\" must be"},
        {"/chat/completions", NULL, "{\"model\":\"gpt\"}", 404, "no model \\\"gpt\\\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\"}", 400, "\"param\":\"messages\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[1]}", 400, "needs a"},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[],\"n\":2}", 400,
         "\"param\":\"n\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[],\"max_tokens\":0}", 400,
         "max_tokens"},
        {"/chat/completions", NULL, "{\"model\":\"lorem\",\"messages\":[],\"max_tokens\":100001}",
         400, "at most 100000"},
        {"/chat/completions", NULL,
         "{\"model\":\"echo\",\"messages\":[],\"tool_choice\":\"required\"}", 400, "offers none"},
        {"/v1/messages", NULL, "{\"model\":\"echo\",\"messages\":[]}", 400, "max_tokens"},
        {"/v1/messages", NULL, "{\"model\":\"gpt\",\"messages\":[]}", 404,
         "\"type\":\"not_found_error\""},
        {"/v1beta/models/gpt:generateContent", NULL, "{}", 404, "\"status\":\"NOT_FOUND\""},
        {"/v1beta/models/%zz:generateContent", NULL, "{}", 400, "malformed"},
        {"/v1beta/models/echo:generateContent", NULL, "{}", 400, "contents"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":\"a\",\"dimensions\":4000}", 400,
         "3072"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":[]}", 400, "input"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":{}}", 400, "input"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":\"a\",\"encoding_format\":\"x\"}", 400,
         "base64"},
        {"/images/generations", NULL, "{\"model\":\"echo\"}", 404, "does not answer POST /images"},
        {"/nowhere", NULL, "{}", 404, "does not answer"},
        {"/chat/completions", NULL, CHAT_SAYING("statuss=500"), 400, "did you mean \\\"status\\\""},
        {"/chat/completions", NULL, CHAT_SAYING("zebra=500"), 400,
         "knows no \\\"zebra\\\". It knows"},
        {"/chat/completions", NULL, CHAT_SAYING("status=200"), 400, "from 400 to 599"},
        {"/chat/completions", NULL, CHAT_SAYING("status=x"), 400, "not \\\"x\\\""},
        {"/chat/completions", NULL, CHAT_SAYING("status="), 400, "status"},
        {"/chat/completions", NULL, CHAT_SAYING("cut_after=b"), 400, "of bytes"},
        {"/chat/completions", NULL, CHAT_SAYING("latency_ms=600001"), 400, "600000"},
        {"/chat/completions", NULL, CHAT_SAYING("status=99999999999999999999"), 400, "status"},
        {"/chat/completions", "sim-nonsense: 1\r\n", CHAT_SAYING("hi"), 400, "nonsense"},
        {"/chat/completions", "Sim-First-Token-MS: -1\r\n", CHAT_SAYING("hi"), 400,
         "first_token_ms"},
        {"/chat/completions", "sim-status: 500\r\n", "{\"model\":\"echo\",\"messages\":[]}", 400,
         "by sim/fault only"},
    };
    struct client *c = client_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        call(c, rows[i].path, rows[i].headers, str_of(rows[i].body));
        expect_status(c, rows[i].status, rows[i].part);
    }
    client_free(c);
}

/* ---- faults ---- */

static void errors_are_those_of_the_dialect(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "\"type\":\"rate_limit_error\"", "\"code\":\"rate_limit_exceeded\"", "\"param\":null",
        "{\"type\":\"error\",\"error\":{", "\"retryDelay\":\"1.050s\""};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            ask(c, way, "fault", "please status=429 and retry_after_ms=1050", 9, stream);
            expect_status(c, 429, shapes[way]);
            assert_true(str_eq(h1_get(&c->head, H_RETRY_AFTER), STR("2")));
            assert_true(str_eq(h1_find(&c->head, STR("retry-after-ms")), STR("1050")));
            assert_true(str_eq(h1_find(&c->head, STR("accord-simulated")), STR("true")));
        }
    }
    client_free(c);
}

static void faults_come_where_they_were_asked_for(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        ask(c, way, "fault", "cut_after=3", 9, true);
        assert_int_equal(c->ending, CUT_OFF);
        struct heard h = hear_stream(c, way);
        assert_int_equal(h.events, 3);
        assert_false(h.ended);
        buf_free(&h.text);
        ask(c, way, "fault", "cut_after=100b", 9, true);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->body.n, 100);
        ask(c, way, "fault", "cut_after=100", 9, false);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->body.n, 100);
        ask(c, way, "fault", "cut_after=0", 9, false);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->in.n, 0);
        ask(c, way, "fault", "error_in_stream=2", 9, true);
        assert_int_equal(c->ending, COMPLETE);
        assert_non_null(strstr(c->body.p, "This error 503 is simulated"));
        ask(c, way, "fault", "no_end=1", 9, true);
        assert_int_equal(c->ending, COMPLETE);
        h = hear_stream(c, way);
        assert_false(h.ended);
        assert_int_equal(words(h.text.p), 9);
        buf_free(&h.text);
        ask(c, way, "fault", "no_usage=1", 9, true);
        h = hear_stream(c, way);
        assert_true(h.ended);
        assert_int_equal(h.usage.output, -1);
        buf_free(&h.text);
        ask(c, way, "fault", "html=1 status=502", 9, true);
        expect_status(c, 502, "<!doctype html>");
    }
    client_free(c);
}

static void malformed_json_is_malformed(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        ask(c, way, "fault", "malformed=1", 9, false);
        assert_int_equal(c->ending, COMPLETE);
        assert_true(json_scan(buf_str(&c->body), NULL, 0, NULL, NULL) < 0);
        ask(c, way, "fault", "malformed=2", 9, true);
        struct str rest = buf_str(&c->body);
        for (int event = 1; event <= 3; event++) {
            struct arena a = {0};
            size_t n = sse_event_end(rest.p, rest.n, 0);
            struct str data = sse_data(&a, str_first(rest, n), NULL);
            rest = str_from(rest, n);
            assert_int_equal(json_scan(data, NULL, 0, NULL, NULL) < 0, event == 2);
            arena_reset(&a);
        }
    }
    client_free(c);
}

static void a_stalled_answer_waits_for_its_client(void **state)
{
    (void)state;
    struct client *c = client_new();
    c->patience = 60;
    ask(c, CHAT, "fault", "stall_after=2", 9, true);
    assert_int_equal(c->ending, OPEN);
    struct heard h = hear_stream(c, CHAT);
    assert_int_equal(h.events, 2);
    buf_free(&h.text);
    ask(c, CHAT, "fault", "stall_after=20", 9, false);
    assert_int_equal(c->ending, OPEN);
    assert_int_equal(c->body.n, 20);
    ask(c, CHAT, "fault", "stall_after=0", 9, true);
    assert_int_equal(c->ending, OPEN);
    assert_int_equal(c->head.status, 200);
    assert_int_equal(c->body.n, 0);
    client_free(c);
}

/* ---- pace ---- */

static void the_pace_is_kept(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct str stream =
        STR("{\"model\":\"lorem\",\"max_tokens\":11,\"stream\":true,\"messages\":[]}");
    struct str whole = STR("{\"model\":\"lorem\",\"max_tokens\":10,\"messages\":[]}");
    const char *pace = "sim-first-token-ms: 50\r\nSim-Tokens-Per-Second: 100\r\n";
    call(c, "/chat/completions", pace, stream); /* 50 ms, then ten intervals of 10 ms */
    assert_int_equal(c->ending, COMPLETE);
    assert_in_range(c->took_us, 145000, 1000000); /* the loop counts in ms */
    assert_in_range(c->first_us, 0, 45000);       /* the role comes at once */
    call(c, "/chat/completions", pace, whole);
    assert_int_equal(c->ending, COMPLETE);
    assert_in_range(c->first_us, 145000, 1000000);
    ask(c, MESSAGES, "fault", "latency_ms=80", 9, true);
    assert_in_range(c->first_us, 75000, 1000000);
    client_free(c);
}

/* ---- memory ---- */

static void a_slow_client_costs_little_memory(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            c->read_after_ms = 40;
            ask(c, way, "lorem", "go", 100000, stream);
            assert_int_equal(c->ending, COMPLETE);
            assert_in_range(c->held, 0, 256 * 1024);
            struct heard h = stream ? hear_stream(c, way) : hear_whole(c, way);
            assert_int_equal(words(h.text.p), 100000);
            assert_int_equal(h.usage.output, 100000);
            buf_free(&h.text);
        }
    }
    client_free(c);
}

static void a_client_may_leave_at_any_point(void **state)
{
    (void)state;
    static const size_t places[] = {1, 100, 300, 700, 2000, 40000, 300000};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            for (int stream = 0; stream < 2; stream++) {
                c->leave_at = places[i];
                ask(c, way, "lorem", "go", 20000, stream);
            }
        }
    }
    c->leave_at = 0;
    c->patience = 20;
    ask(c, CHAT, "fault", "latency_ms=5000", 20, true); /* before the answer */
    ask(c, CHAT, "fault", "first_token_ms=5000", 20, true);
    ask(c, CHAT, "fault", "tokens_per_second=1", 20, true);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_simulated_is_refused),
        cmocka_unit_test(errors_are_those_of_the_dialect),
        cmocka_unit_test(faults_come_where_they_were_asked_for),
        cmocka_unit_test(malformed_json_is_malformed),
        cmocka_unit_test(a_stalled_answer_waits_for_its_client),
        cmocka_unit_test(the_pace_is_kept),
        cmocka_unit_test(a_slow_client_costs_little_memory),
        cmocka_unit_test(a_client_may_leave_at_any_point),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
