#include "cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "model/mistake.h"

enum { OPTIONS_MAX = 32 };

static const struct args_option *find(const struct args_option *options, const char *arg,
                                      const char **ret_value)
{
    size_t name_n = strcspn(arg, "=");
    for (const struct args_option *o = options; o->name; o++) {
        if (arg[0] == '-' && arg[1] == o->letter && o->letter && !arg[2]) {
            *ret_value = NULL;
            return o;
        }
        if (strlen(o->name) == name_n && memcmp(o->name, arg, name_n) == 0) {
            *ret_value = arg[name_n] ? arg + name_n + 1 : NULL;
            return o;
        }
    }
    return NULL;
}

static int usage(const char *command, int *ret_exit)
{
    fprintf(stderr, "accord: `accord help %s` lists the options\n", command);
    *ret_exit = CLI_USAGE;
    return -EINVAL;
}

static int unknown(const char *command, const char *arg, const struct args_option *options,
                   int *ret_exit)
{
    const char *names[OPTIONS_MAX];
    size_t n = 0;
    for (; options[n].name && n < OPTIONS_MAX - 1; n++) {
        names[n] = options[n].name;
    }
    names[n] = NULL;
    const char *near = nearest_word(str_make(arg, strcspn(arg, "=")), names);
    if (arg[0] != '-') {
        const char *value;
        const char *hint = find(options, "-c", &value) ? "; a configuration follows -c" : "";
        fprintf(stderr, "accord %s: \"%s\" is not expected here%s\n", command, arg, hint);
    } else {
        fprintf(stderr, "accord %s: there is no option %s%s%s%s\n", command, arg,
                near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return usage(command, ret_exit);
}

static int show_help(const char *command, int *ret_exit)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, command) == 0) {
            cli_print_help(c);
        }
    }
    *ret_exit = CLI_OK;
    return -ECANCELED;
}

int args_read(const char *command, int argc, char **argv, const struct args_option *options,
              int *ret_exit)
{
    size_t n;
    return args_read_with(command, argc, argv, options, NULL, 0, &n, ret_exit);
}

int args_read_with(const char *command, int argc, char **argv, const struct args_option *options,
                   const char **operands, size_t max, size_t *ret_n, int *ret_exit)
{
    *ret_n = 0;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return show_help(command, ret_exit);
        }
        if ((argv[i][0] != '-' || !argv[i][1]) && *ret_n < max) {
            operands[(*ret_n)++] = argv[i];
            continue;
        }
        const struct args_option *o = find(options, argv[i], &value);
        if (!o) {
            return unknown(command, argv[i], options, ret_exit);
        }
        if (!o->value && value) {
            fprintf(stderr, "accord %s: %s takes no value\n", command, o->name);
            return usage(command, ret_exit);
        }
        if (!o->value) {
            *o->flag = true;
            continue;
        }
        if (!value && i + 1 < argc) {
            value = argv[++i];
        }
        if (!value || !*value) {
            fprintf(stderr, "accord %s: %s needs a value\n", command, o->name);
            return usage(command, ret_exit);
        }
        *o->value = value;
    }
    return 0;
}
