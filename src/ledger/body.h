/* What a caller asked and was answered, on its way from the call to the file that keeps it (bodies.h).
 *
 * It is kept as masking leaves it. The request is taken as it is passed on. The answer is taken as the client gets it,
 * and in that the client's own words may be again: tokens that became values, requests that are repeated to him. So all
 * that masking has hidden in the request comes with it (body_hides()), and is hidden once more wherever it stands in the
 * answer, before anything is written. */
#ifndef LEDGER_BODY_H
#define LEDGER_BODY_H

#include "base/buf.h"

struct bodies;

/* Why a text is not there. */
enum body_absent {
    BODY_THERE,
    BODY_NOT_HELD,   /* the call was over before all of it had come */
    BODY_NOT_MASKED, /* masking holds for the call and has not looked through it, or has refused it */
};

struct body_part {
    struct buf text; /* the first of it */
    uint64_t bytes;  /* all of it */
    struct str type; /* Content-Type, in `_type` */
    uint8_t absent;  /* enum body_absent */
    char _type[96];
};

struct body {
    struct body *_next;
    struct bodies *_owner;
    size_t _held;
    bool _lost;
    char id[32]; /* of the request */
    uint16_t status;
    bool only_bad; /* of its owner: it is kept when the call has gone wrong */
    bool masked;   /* a policy has looked through it */
    uint32_t keep_days;
    size_t max_bytes; /* of each text */
    size_t slack;     /* that the answer may have beyond, for what is hidden at its end */
    struct body_part request, answer;
    struct buf hidden; /* body_hides() */
};

void body_type(struct body_part *p, struct str type);
/* Wherever `plain` (as it stood in the request, the inside of a JSON string or a number) stands in the answer, `with` is
 * to stand. False: it is too much. */
bool body_hides(struct body *b, struct str plain, struct str with);
/* What is kept of it, as GET /calls/ID/body answers it. Hides. */
void body_json(struct body *b, struct str kept_until, struct buf *to);

#endif
