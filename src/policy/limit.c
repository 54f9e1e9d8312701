#include "policy/limit.h"

#include "json/wide.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum {
    STAMPS = 1 << LIMIT_STAMP_BITS,
    AHEAD_MAX = LIMIT_SLOT_TICKS, /* ticks that another worker's clock may be ahead, and counts */
    LATE_MAX = 512,               /* ... and that a worker may be behind */
};

/* For what each window of each call goes through: no call is left in it. */
#define FLATTEN __attribute__((flatten))

/* ---- time ---- */

uint64_t limit_tick_us(enum limit_per per)
{
    /* Rounded up, so that LIMIT_TICKS are a window at least. */
    static const uint64_t tick_us[] = {
        [PER_SECOND] = 8334, [PER_MINUTE] = 500000, [PER_HOUR] = 30000000};
    return limit_is_calendar(per) ? 0 : tick_us[per];
}

uint64_t limit_tick(enum limit_per per, const struct zone *zone, const struct limit_now *now)
{
    int64_t wall_s = (int64_t)(now->wall_us / 1000000);
    switch (per) {
    case PER_DAY:
        return (uint64_t)zone_day(zone, wall_s);
    case PER_MONTH:
        return (uint64_t)zone_month(zone, wall_s);
    default:
        return now->mono_us / limit_tick_us(per);
    }
}

/* ---- slots ---- */

static uint64_t slot_ticks(bool calendar)
{
    return calendar ? 1 : LIMIT_SLOT_TICKS;
}

static unsigned place_of(uint64_t tick, bool calendar)
{
    return (unsigned)(tick / slot_ticks(calendar) % LIMIT_SLOTS);
}

static uint64_t amount_of(uint64_t word)
{
    return word & LIMIT_AMOUNT_MAX;
}

static uint64_t word_of(uint64_t tick, uint64_t amount)
{
    return tick << LIMIT_AMOUNT_BITS | amount;
}

/* How many ticks ago something was taken last in a slot; below 0: of another worker, whose clock is ahead. */
static int32_t age_of(uint64_t word, uint64_t tick)
{
    uint32_t age = (uint32_t)(tick - (word >> LIMIT_AMOUNT_BITS)) & (STAMPS - 1);
    return age >= STAMPS / 2 ? (int32_t)age - STAMPS : (int32_t)age;
}

static bool counts(uint64_t word, uint64_t tick, bool calendar)
{
    int32_t age = age_of(word, tick);
    return calendar ? age == 0 : age >= -AHEAD_MAX && age <= LIMIT_TICKS;
}

/* What a slot is for: when it is the same as that of `tick`, the tick that is to stand in it, else 0. Two ticks in one
 * place are of one slot, or a whole round apart. */
static uint64_t same_slot(uint64_t word, uint64_t tick, bool calendar)
{
    uint64_t stamp = tick - (uint64_t)(int64_t)age_of(word, tick);
    if (!amount_of(word) || stamp / slot_ticks(calendar) != tick / slot_ticks(calendar)) {
        return 0;
    }
    return stamp > tick ? stamp : tick;
}

/* Whether the slot has moved on while this worker was on its way. */
static bool is_late(uint64_t word, uint64_t tick, bool calendar)
{
    int32_t age = age_of(word, tick);
    return !calendar && amount_of(word) && age < 0 && age >= -LATE_MAX &&
           !same_slot(word, tick, calendar);
}

/* The stamp is on top, so one subtraction tells whether it is one that counts, round the end of its numbers, too. */
#define FIRST_COUNTED(tick) word_of((tick)-LIMIT_TICKS, 0)
#define RANGE_COUNTED       word_of(LIMIT_TICKS + AHEAD_MAX + 1, 0)

#if defined(__SANITIZE_THREAD__)
#define ACCORD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ACCORD_TSAN 1
#endif
#endif
#if defined(__x86_64__) && !defined(ACCORD_TSAN)
#define SUM_WIDE
/* By fours: this is most of what a limit costs. Processors that have AVX read 16 aligned bytes at once (Intel's SDM,
 * volume 3, 9.1.1; AMD's manual, volume 2, 7.3.2), and loads of this machine come in their order. */
__attribute__((target("avx2"))) static uint64_t sum_avx2(const _Atomic uint64_t *slots,
                                                         uint64_t tick)
{
    /* Compared as signed numbers: the smallest one is added on both sides. */
    const uint64_t low = (uint64_t)INT64_MIN;
    const __m256i first = _mm256_set1_epi64x((int64_t)(FIRST_COUNTED(tick) + low));
    const __m256i range = _mm256_set1_epi64x((int64_t)(RANGE_COUNTED + low));
    const __m256i amount = _mm256_set1_epi64x((int64_t)LIMIT_AMOUNT_MAX);
    __m256i sum = _mm256_setzero_si256();
    for (unsigned i = 0; i < LIMIT_SLOTS; i += 4) {
        const __m128i *at = (const __m128i *)(const void *)(slots + i);
        __m256i x = _mm256_set_m128i(_mm_loadu_si128(at + 1), _mm_loadu_si128(at));
        __m256i in = _mm256_cmpgt_epi64(range, _mm256_sub_epi64(x, first));
        sum = _mm256_add_epi64(sum, _mm256_and_si256(_mm256_and_si256(x, amount), in));
    }
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}
#endif

static uint64_t sum_of(const _Atomic uint64_t *slots, uint64_t tick, bool calendar)
{
    uint64_t sum = 0;
    if (calendar) {
        uint64_t word = atomic_load(&slots[place_of(tick, true)]);
        return counts(word, tick, true) ? amount_of(word) : 0;
    }
#ifdef SUM_WIDE
    if (wide.level == WIDE_AVX2) {
        return sum_avx2(slots, tick);
    }
#endif
    const uint64_t first = FIRST_COUNTED(tick);
    for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
        uint64_t word = atomic_load(&slots[i]);
        sum += word - first < RANGE_COUNTED ? amount_of(word) : 0;
    }
    return sum;
}

/* Where this worker counts: its own clock, unless another is ahead of it. Monotonic time does not go back, so to be
 * behind is to be late; on the wall clock it may be that somebody has set it. */
static uint64_t present(const struct limit_rule *r, const struct limit_now *now)
{
    uint64_t mine = limit_tick(r->per, r->zone, now), head;
    if (limit_is_calendar(r->per)) {
        return mine;
    }
    head = atomic_load_explicit(&r->counter->head, memory_order_relaxed);
    while (head < mine) {
        if (atomic_compare_exchange_weak(&r->counter->head, &head, mine)) {
            return mine;
        }
    }
    return head;
}

static uint64_t clipped(uint64_t amount)
{
    return amount < LIMIT_AMOUNT_MAX ? amount : LIMIT_AMOUNT_MAX;
}

/* Adds to the slot of `tick`, or, when that has gone by meanwhile, to the one that has its place. Returns when. */
static uint64_t add(_Atomic uint64_t *slots, uint64_t tick, bool calendar, uint64_t amount)
{
    _Atomic uint64_t *slot = &slots[place_of(tick, calendar)];
    uint64_t word = atomic_load(slot), sum, to;
    do {
        bool late = is_late(word, tick, calendar);
        uint64_t same =
            late ? tick - (uint64_t)(int64_t)age_of(word, tick) : same_slot(word, tick, calendar);
        to = same ? same : tick;
        sum = (same ? amount_of(word) : 0) + amount;
    } while (!atomic_compare_exchange_weak(slot, &word, word_of(to, clipped(sum))));
    return to;
}

/* Takes back what was added there, if the slot is still the same. */
static void take_back(_Atomic uint64_t *slots, uint64_t tick, bool calendar, uint64_t amount)
{
    _Atomic uint64_t *slot = &slots[place_of(tick, calendar)];
    uint64_t word = atomic_load(slot), left;
    do {
        if (!same_slot(word, tick, calendar)) {
            return;
        }
        left = amount_of(word) > amount ? amount_of(word) - amount : 0;
    } while (!atomic_compare_exchange_weak(slot, &word, (word & ~LIMIT_AMOUNT_MAX) | left));
}

/* ---- reserving ---- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Of a shared counter no more than the lease is taken before the other processes know of it; or one call, of any size. */
static uint64_t leased(const struct limit_counter *c, uint64_t taken, uint64_t left)
{
    uint64_t lease = atomic_load_explicit(&c->lease, memory_order_relaxed);
    uint64_t known = atomic_load_explicit(&c->known, memory_order_relaxed);
    uint64_t room = less(known + lease, taken);
    return lease == 0 || taken <= known || room > left ? left : room;
}

/* Whether there is room beside what is taken; what may shrink does. */
static bool fits(struct limit_item *i, uint64_t taken)
{
    const struct limit_rule *r = i->rule;
    uint64_t others = atomic_load_explicit(&r->counter->others, memory_order_relaxed);
    uint64_t left = less(r->at_most, taken + others);
    i->left = left;
    if (r->soft) {
        i->exceeded = !left || i->amount > left;
        return true;
    }
    left = leased(r->counter, taken, left);
    if (i->amount <= left) {
        return true;
    }
    if (i->may_shrink && left) {
        i->amount = left;
        return true;
    }
    return false;
}

/* What is taken is counted first; that nobody has taken any meanwhile in the same slot is what the compare-and-swap
 * makes sure of. Around the moment when one slot follows the other, two workers may be in two of them: each looks at
 * its neighbours again after it has taken its own, and the one that finds too much gives back and begins anew. */
FLATTEN static bool take_sliding(struct limit_item *i, const struct limit_now *now)
{
    struct limit_counter *c = i->rule->counter;
    const uint64_t asked = i->amount;
    for (unsigned tries = 0; tries < LIMIT_TRIES; tries++) {
        uint64_t tick = present(i->rule, now);
        unsigned place = place_of(tick, false);
        _Atomic uint64_t *slot = &c->taken[place];
        _Atomic uint64_t *before = &c->taken[(place - 1) % LIMIT_SLOTS];
        _Atomic uint64_t *after = &c->taken[(place + 1) % LIMIT_SLOTS];
        uint64_t was_before = atomic_load(before), was_after = atomic_load(after);
        uint64_t word = atomic_load(slot);
        if (is_late(word, tick, false)) {
            continue; /* the head has moved on since */
        }
        i->amount = asked;
        if (!fits(i, sum_of(c->taken, tick, false))) {
            return false;
        }
        uint64_t same = same_slot(word, tick, false), base = same ? amount_of(word) : 0;
        if (!atomic_compare_exchange_strong(
                slot, &word, word_of(same ? same : tick, clipped(base + i->amount)))) {
            continue;
        }
        i->at = tick;
        if (i->rule->soft ||
            (atomic_load(before) == was_before && atomic_load(after) == was_after) ||
            sum_of(c->taken, tick, false) <= i->rule->at_most) {
            return true;
        }
        take_back(c->taken, tick, false, i->amount);
    }
    return false;
}

FLATTEN static bool take_calendar(struct limit_item *i, const struct limit_now *now)
{
    uint64_t tick = limit_tick(i->rule->per, i->rule->zone, now);
    _Atomic uint64_t *slot = &i->rule->counter->taken[place_of(tick, true)];
    uint64_t word = atomic_load(slot), base;
    const uint64_t asked = i->amount;
    for (unsigned tries = 0; tries < LIMIT_TRIES; tries++) {
        base = counts(word, tick, true) ? amount_of(word) : 0;
        i->amount = asked;
        if (!fits(i, base)) {
            return false;
        }
        if (atomic_compare_exchange_weak(slot, &word, word_of(tick, clipped(base + i->amount)))) {
            i->at = tick;
            return true;
        }
    }
    return false;
}

size_t limit_reserve(struct limit_item *items, size_t n, const struct limit_now *now)
{
    for (size_t i = 0; i < n; i++) {
        struct limit_item *x = &items[i];
        x->amount = clipped(x->amount);
        if (limit_is_calendar(x->rule->per) ? take_calendar(x, now) : take_sliding(x, now)) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            const struct limit_item *y = &items[k];
            take_back(y->rule->counter->taken, y->at, limit_is_calendar(y->rule->per), y->amount);
        }
        return i;
    }
    return n;
}

size_t limit_look(struct limit_item *items, size_t n, const struct limit_now *now)
{
    size_t i = 0;
    while (i < n) {
        items[i].amount = clipped(items[i].amount);
        if (!fits(&items[i], limit_taken(items[i].rule, now))) {
            return i;
        }
        i++;
    }
    return n;
}

/* What was used beyond the reservation counts where that stands; where it has gone by already, now. */
FLATTEN void limit_settle(struct limit_item *i, uint64_t used, const struct limit_now *now)
{
    struct limit_counter *c = i->rule->counter;
    bool calendar = limit_is_calendar(i->rule->per);
    uint64_t at = i->at;
    used = clipped(used);
    if (!calendar) {
        uint64_t tick = present(i->rule, now);
        if (tick - at > LIMIT_TICKS) {
            used = used > i->amount ? used - i->amount : 0;
            i->amount = 0;
            at = tick;
        }
    }
    if (used > i->amount) {
        at = add(c->taken, at, calendar, used - i->amount);
    } else if (used < i->amount) {
        take_back(c->taken, at, calendar, i->amount - used);
    }
    if (used) {
        add(c->settled, at, calendar, used);
    }
    i->amount = used;
    i->at = at;
}

/* ---- looking ---- */

uint64_t limit_settled(const struct limit_rule *r, const struct limit_now *now)
{
    return sum_of(r->counter->settled, limit_tick(r->per, r->zone, now), limit_is_calendar(r->per));
}

uint64_t limit_settled_by_all(const struct limit_rule *r, const struct limit_now *now)
{
    return limit_settled(r, now) + atomic_load(&r->counter->others_settled);
}

/* When the present day or month ends, in microseconds from now. */
static uint64_t calendar_left_us(const struct limit_rule *r, const struct limit_now *now)
{
    int64_t next = (int64_t)limit_tick(r->per, r->zone, now) + 1;
    int64_t ends =
        r->per == PER_DAY ? zone_day_begins(r->zone, next) : zone_month_begins(r->zone, next);
    uint64_t ends_us = ends > 0 ? (uint64_t)ends * 1000000 : 0;
    return ends_us > now->wall_us ? ends_us - now->wall_us : 1;
}

/* How long a slot of this age counts still. */
static uint64_t slot_left_us(const struct limit_rule *r, uint64_t tick, int32_t age,
                             const struct limit_now *now)
{
    uint64_t ends = (tick - (uint64_t)(int64_t)age + LIMIT_TICKS + 1) * limit_tick_us(r->per);
    return ends > now->mono_us ? ends - now->mono_us : 1;
}

uint64_t limit_taken(const struct limit_rule *r, const struct limit_now *now)
{
    return sum_of(r->counter->taken, limit_tick(r->per, r->zone, now), limit_is_calendar(r->per));
}

uint64_t limit_reset_us(const struct limit_rule *r, const struct limit_now *now)
{
    return limit_is_calendar(r->per) ? calendar_left_us(r, now)
                                     : slot_left_us(r, limit_tick(r->per, r->zone, now), 0, now);
}

uint64_t limit_wait_us(const struct limit_rule *r, uint64_t amount, const struct limit_now *now)
{
    uint64_t tick = limit_tick(r->per, r->zone, now), taken = 0, wait = 0;
    uint64_t words[LIMIT_SLOTS];
    if (amount > r->at_most) {
        return LIMIT_NEVER;
    }
    const uint64_t others = atomic_load(&r->counter->others);
    if (limit_is_calendar(r->per)) {
        taken = sum_of(r->counter->taken, tick, true);
        return taken + others + amount <= r->at_most ? 0 : calendar_left_us(r, now);
    }
    for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
        words[i] = atomic_load_explicit(&r->counter->taken[i], memory_order_relaxed);
        words[i] = counts(words[i], tick, false) ? words[i] : 0;
        taken += amount_of(words[i]);
    }
    while (taken + others + amount > r->at_most) { /* the oldest goes first */
        unsigned oldest = LIMIT_SLOTS;
        for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
            if (amount_of(words[i]) &&
                (oldest == LIMIT_SLOTS || age_of(words[i], tick) > age_of(words[oldest], tick))) {
                oldest = i;
            }
        }
        if (oldest ==
            LIMIT_SLOTS) { /* the rest is other processes': when theirs goes is not known */
            uint64_t some = LIMIT_SLOT_TICKS * limit_tick_us(r->per);
            return wait > some ? wait : some;
        }
        taken -= amount_of(words[oldest]);
        wait = slot_left_us(r, tick, age_of(words[oldest], tick), now);
        words[oldest] = 0;
    }
    return wait;
}

/* ---- keeping ---- */

/* Of the calendar, a call of the day before may still be settled where it was reserved. */
static bool is_kept(uint64_t word, uint64_t tick, bool calendar)
{
    int32_t age = age_of(word, tick);
    return calendar ? age >= -1 && age <= 1 : counts(word, tick, false);
}

static bool sweep(_Atomic uint64_t *slots, uint64_t tick, bool calendar)
{
    bool any = false;
    for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
        uint64_t word = atomic_load(&slots[i]);
        if (word == 0 || is_kept(word, tick, calendar)) {
            any = any || amount_of(word);
        } else if (!atomic_compare_exchange_strong(&slots[i], &word, 0)) {
            any = true;
        }
    }
    return any;
}

bool limit_sweep(struct limit_counter *c, enum limit_per per, const struct zone *zone,
                 const struct limit_now *now)
{
    uint64_t tick = limit_tick(per, zone, now);
    bool taken = sweep(c->taken, tick, limit_is_calendar(per));
    return sweep(c->settled, tick, limit_is_calendar(per)) || taken;
}

bool limit_settled_slot(const struct limit_counter *c, enum limit_per per, unsigned slot,
                        uint64_t present_tick, uint64_t *ret_tick, uint64_t *ret_amount)
{
    uint64_t word = atomic_load(&c->settled[slot]);
    *ret_tick = present_tick - (uint64_t)(int64_t)age_of(word, present_tick);
    *ret_amount = amount_of(word);
    return amount_of(word) && is_kept(word, present_tick, limit_is_calendar(per));
}

void limit_restore(struct limit_counter *c, enum limit_per per, uint64_t tick,
                   uint64_t present_tick, uint64_t amount)
{
    bool calendar = limit_is_calendar(per);
    if (tick <= present_tick && present_tick - tick <= (calendar ? 0 : LIMIT_TICKS)) {
        add(c->taken, tick, calendar, amount);
        add(c->settled, tick, calendar, amount);
    }
}
