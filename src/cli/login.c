/* accord login: with a password or a one-time link; what is kept is an access token. */
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/rest.h"

enum { PASSWORD_MAX = 1024 };

/* From ACCORD_PASSWORD, else a line of standard input, without an echo on a terminal. */
static struct str ask_password(struct arena *a, const char *prompt)
{
    struct termios before, quiet;
    char line[PASSWORD_MAX];
    const char *given = getenv("ACCORD_PASSWORD");
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (given) {
        return str_of(given);
    }
    if (terminal) {
        fputs(prompt, stderr);
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char *got = fgets(line, sizeof line, stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    struct str s = got ? str_of(line) : (struct str){0};
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r')) {
        s.n--;
    }
    return arena_dup(a, s);
}

static int post(struct rest *r, const char *path, struct json *body, struct rest_answer *ret)
{
    struct buf b = {.arena = &r->arena};
    json_print(&b, body, 0);
    int e = rest_call(r, "POST", str_of(path), (struct str){0}, buf_str(&b), ret);
    return e ? e : rest_verdict(r, ret);
}

static void set(struct rest *r, struct json *j, const char *name, struct str value)
{
    json_set(j, str_of(name), json_new_str(&r->arena, value));
}

/* The session makes a token of its own and ends: a cookie is for browsers. */
static int token_of_session(struct rest *r, const struct rest_answer *session, struct str *ret)
{
    struct json *body = json_new(&r->arena, JSON_OBJECT), *scopes = json_new(&r->arena, JSON_ARRAY);
    struct rest_answer a;
    char host[128] = "this computer";
    gethostname(host, sizeof host - 1);
    json_append(scopes, json_new_str(&r->arena, STR("*")));
    set(r, body, "name", arena_printf(&r->arena, "accord login on %s", host));
    set(r, body, "user", rest_text(session->json, "user"));
    json_set(body, STR("scopes"), scopes);
    r->cookie = session->cookie;
    r->csrf = rest_text(session->json, "csrf_token");
    int e = post(r, "/tokens", body, &a);
    if (!e) {
        *ret = rest_text(a.json, "secret");
        e = rest_call(r, "DELETE", STR("/session"), (struct str){0}, (struct str){0}, &a);
    }
    r->cookie = r->csrf = (struct str){0};
    return e;
}

static int sign_in(struct rest *r, const char *email, const char *link, struct str *ret_token)
{
    struct json *body = json_new(&r->arena, JSON_OBJECT);
    struct rest_answer a;
    r->token = (struct str){0};
    if (link) {
        set(r, body, "link", str_of(link));
    } else {
        set(r, body, "email", str_of(email));
    }
    set(r, body, "password",
        ask_password(&r->arena, link ? "New password (at least 12 characters): " : "Password: "));
    int e = post(r, link ? "/session/redeem" : "/session", body, &a);
    return e ? e : token_of_session(r, &a, ret_token);
}

int cli_login(int argc, char **argv)
{
    const char *address = NULL, *email = NULL, *link = NULL, *token = NULL;
    const struct args_option options[] = {{"--address", 'a', .value = &address},
                                          {"--email", 'e', .value = &email},
                                          {"--link", 'l', .value = &link},
                                          {"--token", 't', .value = &token},
                                          {0}};
    struct rest rest;
    struct rest_answer me;
    int r;
    if (args_read("login", argc, argv, options, &r) < 0) {
        return r;
    }
    if (!email && !link && !token) {
        fprintf(stderr, "accord login: one of --email, --link and --token is needed; "
                        "`accord help login` shows how\n");
        return CLI_USAGE;
    }
    rest_open(&rest, "login", address);
    rest.token = str_of(token);
    r = token ? CLI_OK : sign_in(&rest, email, link, &rest.token);
    r = r ? r : rest_call(&rest, "GET", STR("/me"), (struct str){0}, (struct str){0}, &me);
    r = r ? r : rest_verdict(&rest, &me);
    r = r ? r : rest_keep(&rest, rest.token);
    if (!r) {
        struct str name = rest_text(me.json, "name");
        printf("signed in at %.*s as %.*s\n", STR_ARG(rest.address), STR_ARG(name));
    }
    arena_reset(&rest.arena);
    return r;
}
