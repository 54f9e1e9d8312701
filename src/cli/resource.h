/* What the commands about resources share. */
#ifndef CLI_RESOURCE_H
#define CLI_RESOURCE_H

#include "cli/rest.h"
#include "model/resource_kind.h"

enum { OPERANDS_MAX = 64 };

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

/* A command with its options and operands, read. */
struct request {
    struct rest rest;
    const struct resource_kind *kind;
    const char *operands[OPERANDS_MAX];
    size_t n;
    const char *address, *output, *file, *from, *to, *match;
    bool json, force, dry_run;
    enum output form;
};

/* What a command takes besides --address, --output and --json. */
enum {
    TAKES_KIND = 1, /* as its first operand */
    TAKES_FILE = 2,
    TAKES_FROM = 4,
    TAKES_TO = 8,
    TAKES_MATCH = 16,
    TAKES_FORCE = 32,
    TAKES_DRY_RUN = 64,
};

/* Reads the options and `least` to `most` operands of `command`. 0, or the exit code + 1 after
 * everything was said. */
int request_read(struct request *q, const char *command, int argc, char **argv, unsigned takes,
                 size_t least, size_t most);
void request_end(struct request *q);

/* "/teams/core" and what follows it. */
struct str request_path(struct request *q, const char *id, const char *more);
struct str if_match(struct request *q, struct str etag);

/* A file of YAML or JSON ("-": standard input) as a tree; NULL: told. */
struct json *read_tree(struct request *q, const char *path);

/* Prints one resource, or a list by columns (NULL-terminated; NULL: of the kind). */
void print_one(const struct request *q, const struct json *j);
void print_list(struct request *q, const struct json *items, const char *const *columns);

#endif
