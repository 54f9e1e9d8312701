#include "policy/retry.h"

enum { FULL = 500, COST = 14, PER_SECOND = 140, BASE_MS = 50, CAP_MS = 2000 };

bool retry_take(struct retry_budget *b, uint64_t now_ms)
{
    if (!b->started) {
        *b = (struct retry_budget){.tokens = FULL, .at_ms = now_ms, .started = true};
    }
    uint64_t earned = (now_ms - b->at_ms) * PER_SECOND / 1000;
    if (earned) {
        b->tokens = earned > FULL - b->tokens ? FULL : b->tokens + (uint32_t)earned;
        b->at_ms = now_ms;
    }
    if (b->tokens < COST) {
        return false;
    }
    b->tokens -= COST;
    return true;
}

void retry_succeeded(struct retry_budget *b)
{
    if (b->started && b->tokens < FULL) {
        b->tokens++;
    }
}

uint64_t retry_delay_ms(unsigned n, uint64_t random)
{
    uint64_t most = n > 6 ? CAP_MS : (uint64_t)BASE_MS << (n ? n - 1 : 0);
    most = most > CAP_MS ? CAP_MS : most;
    return random % (most + 1);
}
