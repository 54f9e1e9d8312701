#include <stdio.h>

#include "cli/args.h"
#include "cli/cli.h"

#ifndef ACCORD_VERSION /* the build says it */
#define ACCORD_VERSION "0.1.0"
#endif

const char *cli_program_version(void)
{
    return ACCORD_VERSION;
}

int cli_version(int argc, char **argv)
{
    bool json = false;
    const struct args_option options[] = {{.name = "--json", .flag = &json}, {0}};
    int exit_code;
    if (args_read("version", argc, argv, options, &exit_code) < 0) {
        return exit_code;
    }
    printf(json ? "{\"version\":\"%s\"}\n" : "accord %s\n", cli_program_version());
    return CLI_OK;
}
