/* What the server says to whoever started it, on standard output: for people, or as one line of JSON for programs. */
#ifndef CLI_WELCOME_H
#define CLI_WELCOME_H

#include "cli/startup.h"

struct welcome {
    const struct str *addresses; /* as they were declared: HOST:PORT, unix:/PATH */
    size_t n_addresses;
    bool tls, json;
    struct str admin_link;       /* empty: there is an administrator already */
    const struct made_key *made; /* NULL: none */
};

/* It listens. */
void welcome_print(const struct welcome *w);
/* Keys that a reload has made, a line for each. */
void welcome_print_made(const struct made_key *made, bool json);

#endif
