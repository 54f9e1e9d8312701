/* What a server needs before it can run, and again at each reload: its configuration with what
 * belongs beside it, its data directory, its keys. */
#ifndef CLI_STARTUP_H
#define CLI_STARTUP_H

#include "auth/keyfile.h"
#include "gateway/snapshot.h"

/* A key that was made, until it is shown: once, and never again. */
struct made_key {
    struct str id;
    struct secret secret;
    struct made_key *next;
};

struct startup {
    const char *config_path; /* NULL: none */
    struct config_overrides over;
    uint64_t generation;   /* of the snapshot that runs */
    int pid_fd;            /* holds the lock of the data directory; -1: none yet */
    struct made_key *made; /* in the order in which they were made; who shows them takes them off */
    struct arena arena;    /* of texts that live as long as the process */
};

/* Reads configuration and key file, and looks for an Ollama. 0 or -Exxx with lines in `errors`; the
 * input's arena is the caller's to reset then. */
__attribute__((warn_unused_result)) int startup_load(struct startup *s, struct snapshot_input *in,
                                                     struct buf *errors);

/* The server's TLS context, NULL without one. 0 or -EINVAL with lines in `errors`. */
__attribute__((warn_unused_result)) int startup_tls(struct arena *a, const struct config *c,
                                                    struct tls_ctx **ret, struct buf *errors);

/* Makes the data directory and takes it for this process; says what is wrong. */
__attribute__((warn_unused_result)) int startup_data(struct startup *s, struct str data);

/* Completes the keys: ACCORD_FIRST_KEY, declared keys without a secret, which are made, and a
 * first key when there is none at all. Says what is wrong. */
__attribute__((warn_unused_result)) int startup_keys(struct startup *s, struct snapshot_input *in);

#endif
