/* The platform's API as the commands use it: where it is, who asks, and calls that are tried again
 * when, and only when, the server's verdict says that it helps. Blocking. */
#ifndef CLI_REST_H
#define CLI_REST_H

#include "http/h1.h"
#include "json/tree.h"

struct rest {
    struct arena arena;
    const char *command; /* for messages */
    struct str address;  /* http://HOST:PORT */
    struct str token;    /* empty: none */
    struct str cookie;   /* of a sign-in: instead of the token, with the CSRF token */
    struct str csrf;
};

struct rest_answer {
    unsigned status;
    struct str etag, cookie, body;
    struct json *json; /* NULL: the body is none */
};

/* Where and who: `address` (may be NULL), ACCORD_ADDRESS, what `accord login` has kept, else
 * http://127.0.0.1:4090; ACCORD_TOKEN, else what login has kept for this address. */
void rest_open(struct rest *r, const char *command, const char *address);

/* One request. `path` begins behind /api/v1; `fields` are lines with their CRLF. Every write gets an
 * Idempotency-Key, so that a repeat after a lost answer is answered like the first. 0, or an exit
 * code after a line that says why. */
int rest_call(struct rest *r, const char *method, struct str path, struct str fields,
              struct str body, struct rest_answer *ret);

/* A stream of events: `on_line` gets each line until it ends. 0, or an exit code after a line that
 * says why. */
int rest_stream(struct rest *r, struct str path, struct str fields,
                void (*on_line)(void *arg, struct str line), void *arg);

/* Reads a whole answer, its end being that of the connection; false: it is none, or not whole. And
 * whether, by its verdict or because the connection broke (`e` is -ECONNRESET), the same may be sent
 * again, after how long. Both for rest_call() and the fuzzer. */
bool rest_read(struct rest *r, struct str whole, enum h1_method method, struct rest_answer *ret);
bool rest_may_repeat(int e, const struct rest_answer *a, uint64_t *ret_after_ms);

/* The exit code for an answer; what is not a success is told on stderr. */
int rest_verdict(struct rest *r, const struct rest_answer *a);

/* Keeps who signed in, for later commands: ~/.config/accord/login.json, mode 0600. */
int rest_keep(struct rest *r, struct str token);

/* The text of a member; empty. */
struct str rest_text(const struct json *j, const char *name);

#endif
