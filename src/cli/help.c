#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void cli_print_help(const struct cli_command *command)
{
    if (command) {
        fputs(command->help, stdout);
        return;
    }
    puts("accord: one endpoint and one key for the APIs of language models\n");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        printf("  accord %-18s %s\n", c->name, c->summary);
    }
    puts("\n`accord help COMMAND` tells more. Exit codes: 0 ok, 1 failed, 2 usage, 3 "
         "configuration,\n"
         "4 unreachable, 5 denied, 6 conflict, 130 interrupted.");
}

int cli_help(int argc, char **argv)
{
    char name[64];
    if (argc < 2) {
        cli_print_help(NULL);
        return CLI_OK;
    }
    snprintf(name, sizeof name, "%s%s%s", argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        size_t first = strcspn(c->name, " ");
        bool only_first = argc == 2 && strlen(name) == first && !memcmp(name, c->name, first);
        if (strcmp(c->name, name) == 0 || only_first) {
            cli_print_help(c);
            return CLI_OK;
        }
    }
    fprintf(stderr, "accord help: there is no command \"%s\"\n", name);
    fprintf(stderr, "accord: `accord help` lists the commands\n");
    return CLI_USAGE;
}
