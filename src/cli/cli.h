/* The command line: one function and one file per command. A command gets its own name as argv[0]
 * and answers the exit code of the process. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CONFIG = 3, /* the configuration is wrong */
    CLI_UNREACHABLE = 4,
    CLI_DENIED = 5,
    CLI_CONFLICT = 6,
    CLI_INTERRUPTED = 130,
};

struct cli_command {
    const char *name;    /* "key create": two words where there are */
    const char *summary; /* one line */
    const char *help;    /* its usage and options */
    int (*run)(int argc, char **argv);
};

/* All commands, in the order of the help; the end has no name. */
extern const struct cli_command cli_commands[];

int cli_main(int argc, char **argv);

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_key_create(int argc, char **argv);
int cli_key_rotate_master(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_restore_any(int argc, char **argv); /* of a backup, or of a resource */
int cli_get(int argc, char **argv);
int cli_create(int argc, char **argv);
int cli_edit(int argc, char **argv);
int cli_apply(int argc, char **argv);
int cli_delete(int argc, char **argv);
int cli_action(int argc, char **argv); /* argv[0] is its name: revoke, approve ... */
int cli_history(int argc, char **argv);
int cli_diff(int argc, char **argv);
int cli_watch(int argc, char **argv);
int cli_login(int argc, char **argv);
int cli_whoami(int argc, char **argv);
int cli_conflicts(int argc, char **argv);
int cli_logs(int argc, char **argv);
int cli_usage(int argc, char **argv);
int cli_alerts(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_routing(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_audit_verify(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_help(int argc, char **argv);

/* Prints the help of one command, or of all when NULL. */
void cli_print_help(const struct cli_command *command);

const char *cli_program_version(void);

#endif
