#include "mock_answers.h"

#include "sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text completion[MOCK_DIALECTS];
static struct text error_answer;
static struct text stream_head[MOCK_DIALECTS];
static size_t completion_body_len;

/* A chunk as a template: the digits of the stamp and of the index are patched in place. */
static struct chunk {
    char text[MOCK_CHUNK_MAX];
    size_t len;
    char *stamp; /* STAMP_DIGITS digits */
    char *index; /* INDEX_DIGITS digits */
} chunks_of[MOCK_DIALECTS];
static char model_name[128];

enum { STAMP_DIGITS = 19, INDEX_DIGITS = 5 };

static const char PROSE[] =
    "A gateway stands between applications and the models they call. It takes one key from each "
    "application, finds the model that was asked for, passes the request on to where that model "
    "lives, and brings the answer back while counting what it cost.";

static struct text build(const char *status, const char *body)
{
    size_t max = strlen(body) + 512;
    struct text t = {.p = malloc(max)};
    if (!t.p) {
        sock_die("malloc");
    }
    int n = snprintf(t.p, max,
                     "HTTP/1.1 %s\r\n"
                     "Content-Type: application/json\r\n"
                     "Content-Length: %zu\r\n"
                     "x-request-id: req_0123456789abcdef\r\n"
                     "openai-processing-ms: 1\r\n"
                     "\r\n%s",
                     status, strlen(body), body);
    t.n = (size_t)n;
    return t;
}

static void put_digits(char *at, int digits, uint64_t value)
{
    while (digits > 0) {
        digits--;
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

static size_t add_event(char *out, size_t max, const char *event)
{
    return (size_t)snprintf(out, max, "%zx\r\n%s\r\n", strlen(event), event);
}

static void init_chunk(struct chunk *k, const char *event)
{
    k->len = add_event(k->text, sizeof(k->text), event);
    k->stamp = strstr(k->text, "fp_") + 3;
    k->index = strstr(k->text, " t00000") + 2;
}

static void init_chunks(void)
{
    char event[MOCK_CHUNK_MAX];
    snprintf(event, sizeof(event),
             "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
             "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
             "\"system_fingerprint\":\"fp_0000000000000000000\",\"choices\":[{\"index\":0,"
             "\"delta\":{\"content\":\" t00000\"},\"logprobs\":null,"
             "\"finish_reason\":null}]}\n\n",
             model_name);
    init_chunk(&chunks_of[MOCK_CHAT], event);
    init_chunk(&chunks_of[MOCK_MESSAGES],
               "event: content_block_delta\n"
               "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
               "{\"type\":\"text_delta\",\"text\":\" t00000 fp_0000000000000000000\"}}\n\n");
}

static void init_stream_heads(void)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n"
                               "x-request-id: req_0123456789abcdef\r\n"
                               "\r\n";
    static char chat[sizeof(head)];
    static char messages[2048];
    char event[1024];
    memcpy(chat, head, sizeof(head));
    stream_head[MOCK_CHAT] = (struct text){.p = chat, .n = sizeof(head) - 1};
    size_t n = sizeof(head) - 1;
    memcpy(messages, head, n);
    snprintf(
        event, sizeof(event),
        "event: message_start\n"
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_bench0000000000000000001\","
        "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\",\"content\":[],"
        "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,"
        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
        "\"output_tokens\":1,\"service_tier\":\"standard\"}}}\n\n",
        model_name, MOCK_PROMPT_TOKENS);
    n += add_event(messages + n, sizeof(messages) - n, event);
    n += add_event(messages + n, sizeof(messages) - n,
                   "event: content_block_start\n"
                   "data: {\"type\":\"content_block_start\",\"index\":0,"
                   "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    stream_head[MOCK_MESSAGES] = (struct text){.p = messages, .n = n};
}

static void init_message(void)
{
    char body[2048];
    snprintf(body, sizeof(body),
             "{\"id\":\"msg_bench0000000000000000001\",\"type\":\"message\",\"role\":\"assistant\","
             "\"model\":\"%s\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
             "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,"
             "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_creation\":"
             "{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},"
             "\"output_tokens\":%d,\"service_tier\":\"standard\"}}",
             model_name, PROSE, MOCK_PROMPT_TOKENS, MOCK_COMPLETION_TOKENS);
    completion[MOCK_MESSAGES] = build("200 OK", body);
}

void mock_answers_init(const char *model)
{
    snprintf(model_name, sizeof(model_name), "%s", model);
    char body[2048];
    int n =
        snprintf(body, sizeof(body),
                 "{\"id\":\"chatcmpl-bench0000000000000000001\",\"object\":\"chat.completion\","
                 "\"created\":1760000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":"
                 "{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,"
                 "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,"
                 "\"completion_tokens\":%d,\"total_tokens\":%d,\"prompt_tokens_details\":"
                 "{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
                 "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\"}",
                 model_name, PROSE, MOCK_PROMPT_TOKENS, MOCK_COMPLETION_TOKENS,
                 MOCK_PROMPT_TOKENS + MOCK_COMPLETION_TOKENS);
    completion_body_len = (size_t)n;
    completion[MOCK_CHAT] = build("200 OK", body);
    error_answer = build("500 Internal Server Error",
                         "{\"error\":{\"message\":\"The bench asked for this failure.\","
                         "\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    init_message();
    init_stream_heads();
    init_chunks();
}

struct text mock_answer_completion(enum mock_dialect d)
{
    return completion[d];
}

struct text mock_answer_error(void)
{
    return error_answer;
}

struct text mock_answer_stream_head(enum mock_dialect d)
{
    return stream_head[d];
}

size_t mock_answer_completion_body_len(void)
{
    return completion_body_len;
}

size_t mock_answer_chunk(enum mock_dialect d, uint32_t index, uint64_t stamp_ns, char *out)
{
    struct chunk *k = &chunks_of[d];
    put_digits(k->stamp, STAMP_DIGITS, stamp_ns);
    put_digits(k->index, INDEX_DIGITS, index);
    memcpy(out, k->text, k->len);
    return k->len;
}

static size_t chat_end(uint32_t chunks, bool usage, char *out)
{
    char event[MOCK_CHUNK_MAX];
    snprintf(event, sizeof(event),
             "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
             "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
             "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
             "\"finish_reason\":\"stop\"}]}\n\n",
             model_name);
    size_t n = add_event(out, MOCK_END_MAX, event);
    if (usage) {
        snprintf(event, sizeof(event),
                 "data: {\"id\":\"chatcmpl-bench0000000000000000001\","
                 "\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"%s\","
                 "\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%u,"
                 "\"total_tokens\":%u}}\n\n",
                 model_name, MOCK_PROMPT_TOKENS, chunks, chunks + MOCK_PROMPT_TOKENS);
        n += add_event(out + n, MOCK_END_MAX - n, event);
    }
    return n + add_event(out + n, MOCK_END_MAX - n, "data: [DONE]\n\n");
}

static size_t messages_end(uint32_t chunks, char *out)
{
    char event[MOCK_CHUNK_MAX];
    snprintf(event, sizeof(event),
             "event: message_delta\n"
             "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
             "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%u}}\n\n",
             chunks);
    size_t n = add_event(out, MOCK_END_MAX,
                         "event: content_block_stop\n"
                         "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    n += add_event(out + n, MOCK_END_MAX - n, event);
    return n + add_event(out + n, MOCK_END_MAX - n,
                         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

size_t mock_answer_stream_end(enum mock_dialect d, uint32_t chunks, bool usage, char *out)
{
    size_t n = d == MOCK_MESSAGES ? messages_end(chunks, out) : chat_end(chunks, usage, out);
    return n + (size_t)snprintf(out + n, MOCK_END_MAX - n, "0\r\n\r\n");
}
