#include "policy/retry.h"

/* In thousandths of a token, so that asking often loses no fraction of what time gives. */
enum { FULL = 500000, PER_MS = 140, BACK = 2800, BASE_MS = 50, CAP_MS = 2000 };

bool retry_take(struct retry_budget *b, unsigned cost, uint64_t now_ms)
{
    if (!b->started) {
        *b = (struct retry_budget){.tokens = FULL, .at_ms = now_ms, .started = true};
    }
    uint64_t missing = FULL - b->tokens, waited_ms = now_ms - b->at_ms;
    b->tokens += (uint32_t)(waited_ms > missing / PER_MS ? missing : waited_ms * PER_MS);
    b->at_ms = now_ms;
    if (b->tokens < cost * 1000) {
        return false;
    }
    b->tokens -= cost * 1000;
    return true;
}

void retry_succeeded(struct retry_budget *b)
{
    if (b->started) {
        b->tokens = b->tokens > FULL - BACK ? FULL : b->tokens + BACK;
    }
}

uint64_t retry_delay_ms(unsigned n, uint64_t random)
{
    uint64_t most = n > 6 ? CAP_MS : (uint64_t)BASE_MS << (n ? n - 1 : 0);
    most = most > CAP_MS ? CAP_MS : most;
    return random % (most + 1);
}
