/* Options of a command: "--name VALUE", "--name=VALUE", "-n VALUE", "--flag". Every command takes
 * --help. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct args_option {
    const char *name;   /* "--config" */
    char letter;        /* 'c', or 0 */
    const char **value; /* where its value goes, or NULL for a flag */
    bool *flag;
};

/* Reads argv[1..]; operands are refused. 0: go on. Otherwise everything was said and `*ret_exit` is
 * the exit code (-ECANCELED after --help, -EINVAL after a mistake). `options` ends with an entry
 * without a name. */
__attribute__((warn_unused_result)) int args_read(const char *command, int argc, char **argv,
                                                  const struct args_option *options, int *ret_exit);

/* The same for a command with operands: up to `max` of them are put into `operands`. */
__attribute__((warn_unused_result)) int args_read_with(const char *command, int argc, char **argv,
                                                       const struct args_option *options,
                                                       const char **operands, size_t max,
                                                       size_t *ret_n, int *ret_exit);

#endif
