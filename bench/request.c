#include "request.h"

#include "sock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE_FROM = 65536, KEY_DIGITS = 6, MODEL_DIGITS = 5 };

/* What people send: sentences, some escapes, some text that is not ASCII. */
static const char *const MESSAGES[] = {
    "Summarise the incident report below in five sentences for someone who was not on call. "
    "Keep the times, leave the names out, and say plainly what is still unknown.",
    "At 09:14 the queue of the payment service began to grow.\\nAt 09:21 the first customer wrote "
    "that \\\"nothing happens after I press pay\\\". The dashboard showed no error, because the "
    "requests were not failing: they were waiting.",
    "The database had reached its limit of connections. Each worker holds two while a payment is "
    "under way \\u2013 one for the ledger and one for the audit trail \\u2013 and a deployment at "
    "09:10 had doubled the number of workers.",
    "Bitte fasse auch zusammen, was der Kunde in M\xc3\xbcnchen gemeldet hat: "
    "\\u201eZahlung h\xc3\xa4ngt seit 20 Minuten\\u201c.",
    "Here is the function in question:\\n```c\\nstatic int take(struct pool *p)\\n{\\n\\tif "
    "(p->n == p->max) {\\n\\t\\treturn -EAGAIN;\\n\\t}\\n\\treturn p->free[p->n++];\\n}\\n```",
    "Thank you. Now rewrite it as a list of actions with an owner for each, at most eight lines, "
    "and mark those that can be done today.",
};

struct writer {
    char *p;
    size_t n;
    size_t max;
};

static void put(struct writer *w, const char *text)
{
    size_t len = strlen(text);
    if (w->n + len > w->max) {
        fprintf(stderr, "load: the body is too small for a chat completion\n");
        exit(2);
    }
    memcpy(w->p + w->n, text, len);
    w->n += len;
}

static void put_messages(struct writer *w, size_t end_len)
{
    static const char *const heads[] = {",{\"role\":\"user\",\"content\":\"",
                                        ",{\"role\":\"assistant\",\"content\":\""};
    put(w, "{\"role\":\"system\",\"content\":\"You are a careful assistant who writes short "
           "sentences.\"}");
    size_t count = sizeof(MESSAGES) / sizeof(MESSAGES[0]);
    for (size_t i = 0;; i++) {
        const char *head = heads[i % 2];
        const char *text = MESSAGES[i % count];
        /* Another one must fit with what has to follow it: the padded last message. */
        if (w->n + strlen(head) + strlen(text) + 2 + 64 + end_len > w->max) {
            break;
        }
        put(w, head);
        put(w, text);
        put(w, "\"}");
    }
}

/* Fills up to the exact size with words, so that the text stays text. */
static void put_padding(struct writer *w, size_t end_len)
{
    static const char words[] = "and then we looked at the graph again, which ";
    while (w->n + end_len < w->max) {
        w->p[w->n] = words[w->n % (sizeof(words) - 1)];
        w->n++;
    }
}

static void put_image(struct writer *w, size_t end_len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state = 2463534242u;
    while (w->n + end_len < w->max) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        w->p[w->n++] = digits[state % 64];
    }
}

static void put_body(struct writer *w, const struct request_options *o)
{
    char end[256];
    bool image = o->body_len > IMAGE_FROM;
    snprintf(end, sizeof(end), "%s],\"temperature\":0.7,\"max_tokens\":256%s%s}",
             image ? "\"}}]}" : "\"}", o->stream ? ",\"stream\":true" : "",
             o->include_usage ? ",\"stream_options\":{\"include_usage\":true}" : "");
    put(w, "{\"model\":\"");
    put(w, o->model);
    put(w, "\",\"messages\":[");
    if (image) {
        put(w, "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is in this "
               "picture?\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
               "\"data:image/png;base64,");
        put_image(w, strlen(end));
    } else {
        put_messages(w, strlen(end));
        put(w, ",{\"role\":\"user\",\"content\":\"");
        put_padding(w, strlen(end));
    }
    put(w, end);
}

struct request request_build(const struct request_options *o)
{
    char head[1024];
    int head_len = snprintf(head, sizeof(head),
                            "POST /v1/chat/completions HTTP/1.1\r\n"
                            "Host: %s\r\n"
                            "User-Agent: accord-bench/1.0\r\n"
                            "Accept: application/json\r\n"
                            "Authorization: Bearer %s\r\n"
                            "Content-Type: application/json\r\n"
                            "Content-Length: %zu\r\n"
                            "\r\n",
                            o->host, o->key, o->body_len);
    struct request r = {.bytes = malloc((size_t)head_len + o->body_len)};
    if (!r.bytes) {
        sock_die("malloc");
    }
    memcpy(r.bytes, head, (size_t)head_len);
    struct writer w = {.p = r.bytes + head_len, .max = o->body_len};
    put_body(&w, o);
    if (w.n != o->body_len) {
        fprintf(stderr, "load: the body came out with %zu bytes, not %zu\n", w.n, o->body_len);
        exit(2);
    }
    r.len = (size_t)head_len + w.n;
    r.keys = o->vary_keys;
    r.models = o->vary_models;
    r.key_end = strstr(r.bytes, o->key) + strlen(o->key) - KEY_DIGITS;
    r.model_end = r.bytes + head_len + strlen("{\"model\":\"") + strlen(o->model) - MODEL_DIGITS;
    return r;
}

static void put_digits(char *at, int digits, unsigned long value)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void request_vary(struct request *r, unsigned long n)
{
    if (r->keys) {
        put_digits(r->key_end, KEY_DIGITS, n * 7919 % r->keys);
    }
    if (r->models) {
        put_digits(r->model_end, MODEL_DIGITS, n * 4999 % r->models);
    }
}
