#include "cli/welcome.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"

static void print_json(const struct welcome *w, struct str base)
{
    const struct made_key *made = w->made;
    struct buf b = {0};
    buf_addz(&b, "{\"address\":\"");
    buf_add_json(&b, base);
    if (made) {
        buf_printf(&b, "\",\"key\":\"%.*s\",\"keys\":{", STR_ARG(secret_reveal(made->secret)));
        for (const struct made_key *k = made; k; k = k->next) {
            buf_printf(&b, "%s\"%.*s\":\"%.*s\"", k == made ? "" : ",", STR_ARG(k->id),
                       STR_ARG(secret_reveal(k->secret)));
        }
        buf_addc(&b, '}');
    } else {
        buf_addz(&b, "\",\"key\":null");
    }
    if (w->admin_link.n) {
        buf_printf(&b, ",\"admin_link\":\"%.*s\"", STR_ARG(w->admin_link));
    }
    buf_printf(&b, ",\"pid\":%ld}\n", (long)getpid());
    fwrite(b.p, 1, b.n, stdout);
    buf_free(&b);
}

void welcome_print_made(const struct made_key *made, bool json)
{
    for (const struct made_key *k = made; k; k = k->next) {
        printf(json ? "{\"id\":\"%.*s\",\"secret\":\"%.*s\"}\n" : "Key %.*s: %.*s   (shown once)\n",
               STR_ARG(k->id), STR_ARG(secret_reveal(k->secret)));
    }
    fflush(stdout);
}

static void print_keys(const struct made_key *made)
{
    if (!made) {
        printf("Keys:        those that are declared or were made before; \"accord key create\" "
               "makes another\n");
    } else if (str_eq(made->id, STR("first"))) { /* nobody has declared any */
        printf("First key:   %.*s   (shown once; it has all models)\n",
               STR_ARG(secret_reveal(made->secret)));
    } else {
        welcome_print_made(made, false);
    }
}

static void print_try(struct str base, struct str key)
{
    bool is_unix = str_starts(base, STR("unix:"));
    struct str at = is_unix ? str_from(base, 5) : base;
    /* Single quotes around a key that is known, double ones where the shell is to fill it in. */
    const char *quote = key.n ? "'" : "\"";
    key = key.n ? key : STR("$ACCORD_KEY");
    printf("Try it:\n  curl %s%.*s%s/v1/chat/completions -H %sAuthorization: Bearer %.*s%s \\\n"
           "    -H 'Content-Type: application/json' \\\n"
           "    -d "
           "'{\"model\":\"sim/echo\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n",
           is_unix ? "--unix-socket " : "", STR_ARG(at), is_unix ? " http://localhost" : "", quote,
           STR_ARG(key), quote);
}

void welcome_print(const struct welcome *w)
{
    struct arena a = {0};
    struct str base = w->addresses[0];
    if (!str_starts(base, STR("unix:"))) {
        base = arena_printf(&a, "%s://%.*s", w->tls ? "https" : "http", STR_ARG(base));
    }
    if (w->json) {
        print_json(w, base);
    } else {
        printf("Accord %s listens on %.*s\n", ACCORD_VERSION, STR_ARG(base));
        for (size_t i = 1; i < w->n_addresses; i++) {
            printf("                and on %.*s\n", STR_ARG(w->addresses[i]));
        }
        print_keys(w->made);
        if (w->admin_link.n) {
            printf("Administrator: admin@localhost; set the password with this one-time link:\n"
                   "  %s login --address %.*s --link %.*s\n",
                   program_invocation_name, STR_ARG(base), STR_ARG(w->admin_link));
        }
        print_try(base, w->made ? secret_reveal(w->made->secret) : (struct str){0});
    }
    fflush(stdout);
    arena_reset(&a);
}
