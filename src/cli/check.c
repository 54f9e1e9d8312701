#include <errno.h>
#include <stdio.h>

#include "auth/keyfile.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/startup.h"
#include "gateway/mask_rules.h"
#include "model/config.h"
#include "net/tls.h"

static int print(struct buf *b)
{
    bool ok = !b->overflow && fwrite(b->p, 1, b->n, stdout) == b->n && fflush(stdout) == 0;
    buf_free(b);
    if (!ok) {
        fputs("accord check: the output cannot be written\n", stderr);
    }
    return ok ? CLI_OK : CLI_FAILED;
}

static int print_schema(void)
{
    struct buf b = {0};
    config_schema(&b);
    return print(&b);
}

/* One text per mistake, as they are printed for people. */
static void add_errors(struct buf *b, struct str lines)
{
    struct str line;
    buf_addz(b, "{\"valid\":false,\"errors\":[");
    for (bool first = true; lines.n; first = false) {
        str_cut(&lines, '\n', &line);
        buf_addz(b, first ? "\"" : ",\"");
        buf_add_json(b, line);
        buf_addc(b, '"');
    }
    buf_addz(b, "]}\n");
}

static int refuse(const struct buf *errors, bool json)
{
    struct buf b = {0};
    if (!json) {
        fwrite(errors->p, 1, errors->n, stderr);
        return CLI_CONFIG;
    }
    add_errors(&b, buf_str(errors));
    print(&b);
    return CLI_CONFIG;
}

static int accept(const struct config *c, bool json)
{
    struct buf b = {0};
    if (json) {
        buf_addz(&b, "{\"valid\":true,\"config\":");
        config_print_json(&b, c);
        buf_addz(&b, "}\n");
    } else {
        config_print(&b, c);
    }
    return print(&b);
}

/* The certificate is there, can be read, and its key fits. */
static int check_tls(struct arena *a, const struct config *c, struct buf *errors)
{
    struct tls_ctx *tls;
    int r = startup_tls(a, c, &tls, errors);
    tls_ctx_unref(tls);
    buf_addz(errors, r < 0 ? "\n" : "");
    return r;
}

int cli_check(int argc, char **argv)
{
    const char *path = NULL, *data = NULL;
    bool json = false, schema = false;
    const struct args_option options[] = {
        {"--config", 'c', .value = &path},
        {"--data", 0, .value = &data},
        {"--json", 0, .flag = &json},
        {"--schema", 0, .flag = &schema},
        {0},
    };
    int r;
    if (args_read("check", argc, argv, options, &r) < 0) {
        return r;
    }
    if (schema) {
        return print_schema();
    }
    struct arena a = {0};
    struct buf errors = {0};
    struct config *c;
    struct config_overrides over = {.data = str_of(data), .key_exists = keyfile_has};
    r = config_load(&a, path, &over, &c, &errors);
    r = r < 0 ? r : check_tls(&a, c, &errors);
    r = r < 0 ? r : mask_rules_check(c->policies, c->n_policies, &errors);
    r = r < 0 ? refuse(&errors, json) : accept(c, json);
    buf_free(&errors);
    arena_reset(&a);
    return r;
}
