/* Below policy/mask_look.h: words in front of a number that say what it is. */
#ifndef POLICY_MASK_NEAR_H
#define POLICY_MASK_NEAR_H

#include "policy/mask_look.h"

enum near_list_id {
    NEAR_PHONE,
    NEAR_POSTAL,
    NEAR_STREET,
    NEAR_SIN,
    NEAR_SSN,
    NEAR_CARD,
    NEAR_OTHER, /* another kind of number: an order, a ticket, a part */
    NEAR_VERSION,
    NEAR_HOST,
    NEAR_MONEY,
    NEAR_LISTS,
};

/* Before the first look; from one thread. */
void near_compile(void);

/* Whether a word of the list stands within `reach` bytes (at most 48) in front of i, with no digit between it and i. */
bool text_near(const struct text *t, size_t i, size_t reach, enum near_list_id list);

#endif
