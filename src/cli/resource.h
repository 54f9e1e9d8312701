/* What the commands about resources share. */
#ifndef CLI_RESOURCE_H
#define CLI_RESOURCE_H

#include "cli/rest.h"
#include "model/resource_kind.h"

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

/* A command with its options and operands, read. */
struct request {
    struct rest rest;
    const struct resource_kind *kind;
    const char *operands[64];
    size_t n;
    const char *address, *output, *file, *from, *to, *match, *note;
    bool json, force, dry_run;
    enum output form;
};

/* Reads the options of `command`, and its first operand as a kind when `takes_kind`; at least `least`
 * operands. 0, or the exit code + 1 after everything was said. */
int request_read(struct request *q, const char *command, int argc, char **argv, bool takes_kind,
                 size_t least);
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
