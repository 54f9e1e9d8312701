/* The addresses of names: looked up by the system's resolver off the loop, and remembered by the
 * loop for a while. Only for connect.c and loop.c; belongs to the loop's thread. */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include "net/loop.h"

struct address {
    uint8_t bytes[16]; /* network order */
    uint8_t n;         /* 4 or 16 */
    uint32_t scope;    /* of a link-local IPv6 address */
};

enum { NAMES_ADDRESSES = 8, NAMES_ENTRIES = 512, NAMES_MAX = 253 };

struct names_answer {
    const char *why; /* when n is 0: in plain words, a literal */
    size_t n;
    struct address at[NAMES_ADDRESSES]; /* in the order to try them, families taking turns */
};

/* Somebody who waits; embedded in whatever waits, zero at the start. */
struct names_wait {
    struct names_wait *_next, **_link; /* NULL when not waiting */
    void (*done)(struct names_wait *w, const struct names_answer *a);
};

/* True: the answer was remembered (or the name is hopeless) and `ret` is filled. False: `w->done`
 * comes later, from the loop. An answer that is too old still serves while a new one is fetched. */
bool names_lookup(struct loop *l, struct str host, struct names_wait *w, struct names_answer *ret);
void names_cancel(struct names_wait *w); /* also when it does not wait */

/* No address of this name took a connection: its next use fetches a new answer. */
void names_doubt(struct loop *l, struct str host);

/* A literal IPv4 or IPv6 address. */
bool names_literal(struct str host, struct address *ret);

/* Before the loop's last turn: what has not begun will not begin. After it: frees. */
void names_stop(struct loop *l);
void names_free(struct loop *l);

#endif
