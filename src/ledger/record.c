#include "ledger/record.h"

#include <emmintrin.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/buf.h"

const char *const outcome_name[OUTCOMES] = {
#define NAME_OF(upper, name) name,
    OUTCOME_LIST(NAME_OF)
#undef NAME_OF
};

struct record *record_next(struct record_ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - atomic_load_explicit(&r->tail, memory_order_acquire) >= RING_RECORDS) {
        r->dropped++;
        return NULL;
    }
    return &r->slot[head % RING_RECORDS];
}

void record_push(struct record_ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    uint32_t held = head + 1 - atomic_load_explicit(&r->tail, memory_order_relaxed);
    /* At each quarter: a wake-up that comes while the ledger is about to sleep is lost. */
    if (held % (RING_RECORDS / 4) == 0 && r->ledger) {
        ledger_wake(r->ledger);
    }
}

void record_ring_trim(struct record_ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&r->tail, memory_order_acquire)) {
        /* Nobody reads an empty ring; what is written next finds zeroed pages. */
        madvise(r->slot, sizeof r->slot / RING_PAGE * RING_PAGE, MADV_DONTNEED);
    }
}

uint8_t record_text(char *to, size_t cap, struct str from)
{
    size_t n = from.n < cap ? from.n : cap;
    if (n) { /* an empty slice may be NULL */
        memcpy(to, from.p, n);
    }
    return (uint8_t)n;
}

/* ---- printing: by hand, because it happens for every call ---- */

static char *put(char *at, const char *text, size_t n)
{
    memcpy(at, text, n);
    return at + n;
}
#define PUT(at, literal) put((at), "" literal, sizeof(literal) - 1)

static char *put_u64(char *at, uint64_t v)
{
    return at + u64_print(at, v);
}

static char *put_2(char *at, unsigned v)
{
    at[0] = (char)('0' + v / 10);
    at[1] = (char)('0' + v % 10);
    return at + 2;
}

/* Copies the bytes at the front that need no escape, by whole registers: the fields of a record are multiples
 * of 16, and a line has room for more than any of them. Returns how many they are. */
static size_t put_plain(char *to, const char *p, size_t n)
{
    const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'),
                  slash = _mm_set1_epi8('\\'), del = _mm_set1_epi8(0x7f);
    for (size_t at = 0; at < n; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        _mm_storeu_si128((__m128i *)(void *)(to + at), x);
        /* Signed: bytes from 0x80 on are below 0x20, too. */
        __m128i odd = _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_cmpeq_epi8(x, quote));
        odd = _mm_or_si128(odd, _mm_or_si128(_mm_cmpeq_epi8(x, slash), _mm_cmpeq_epi8(x, del)));
        unsigned bits = (unsigned)_mm_movemask_epi8(odd);
        if (bits) {
            size_t found = at + (size_t)__builtin_ctz(bits);
            return found < n ? found : n;
        }
    }
    return n;
}

/* Names come from configuration and clients: escaped, and never longer than six bytes for one. */
static char *put_text(char *at, const char *p, size_t n)
{
    size_t i = put_plain(at, p, n);
    at += i;
    for (; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *at++ = (char)c;
            continue;
        }
        /* What a record cut in the middle of a character is printed byte by byte, as Latin-1. */
        static const char hex[] = "0123456789abcdef";
        at = PUT(at, "\\u00");
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

/* 2026-11-22T10:00:00.123Z; the date is worked out once per second and thread. */
static char *put_time(char *at, uint64_t wall_us)
{
    static _Thread_local uint64_t last_s = UINT64_MAX;
    static _Thread_local char text[24];
    uint64_t s = wall_us / 1000000;
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);
    if (s != last_s) {
        struct tm tm;
        time_t t = (time_t)s;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
        last_s = s;
    }
    at = put(at, text, 20);
    *at++ = (char)('0' + ms / 100);
    at = put_2(at, ms % 100);
    *at++ = 'Z';
    return at;
}

/* Microseconds as milliseconds with three decimals. */
static char *put_ms(char *at, uint32_t us)
{
    at = put_u64(at, us / 1000);
    *at++ = '.';
    us %= 1000;
    *at++ = (char)('0' + us / 100);
    return put_2(at, us % 100);
}

static char *put_count(char *at, const char *name, size_t name_n, int64_t v)
{
    if (v < 0) {
        return at;
    }
    at = put(at, name, name_n);
    return put_u64(at, (uint64_t)v);
}
#define PUT_COUNT(at, name, v) put_count((at), "" name, sizeof(name) - 1, (v))

size_t record_print(const struct record *r, char *to)
{
    char *at = PUT(to, "{\"ts\":\"");
    at = put_time(at, r->ended_us);
    at = PUT(at, "\",\"level\":\"info\",\"msg\":\"call\",\"request_id\":\"");
    at = put(at, r->request_id, strnlen(r->request_id, sizeof r->request_id));
    at = PUT(at, "\",\"key_id\":\"");
    at = put_text(at, r->key, r->key_n);
    if (r->application_n) {
        at = PUT(at, "\",\"application\":\"");
        at = put_text(at, r->application, r->application_n);
        at = PUT(at, "\",\"team\":\"");
        at = put_text(at, r->team, r->team_n);
    }
    at = PUT(at, "\",\"route\":\"");
    at = put_text(at, r->route, r->route_n);
    at = PUT(at, "\",\"provider\":\"");
    at = put_text(at, r->provider, r->provider_n);
    at = PUT(at, "\",\"model\":\"");
    at = put_text(at, r->model, r->model_n);
    at = PUT(at, "\",\"upstream_model\":\"");
    at = put_text(at, r->upstream_model, r->upstream_model_n);
    at = PUT(at, "\",\"status\":");
    at = put_u64(at, r->status);
    at = PUT(at, ",\"outcome\":\"");
    at = put(at, outcome_name[r->outcome], strlen(outcome_name[r->outcome]));
    if (r->code_n) {
        at = PUT(at, "\",\"error\":\"");
        at = put_text(at, r->code, r->code_n);
    }
    at = r->stream ? PUT(at, "\",\"stream\":true,\"dur_ms\":")
                   : PUT(at, "\",\"stream\":false,\"dur_ms\":");
    at = put_ms(at, r->total_us);
    at = PUT(at, ",\"ttft_ms\":");
    at = put_ms(at, r->ttft_us);
    at = PUT(at, ",\"own_ms\":");
    at = put_ms(at, r->own_us);
    at = PUT_COUNT(at, ",\"input_tokens\":", r->usage.input);
    at = PUT_COUNT(at, ",\"output_tokens\":", r->usage.output);
    at = PUT_COUNT(at, ",\"cache_read_tokens\":", r->usage.cache_read);
    at = PUT_COUNT(at, ",\"cache_write_tokens\":", r->usage.cache_write);
    at = PUT_COUNT(at, ",\"reasoning_tokens\":", r->usage.reasoning);
    if (r->price_version) {
        at = PUT_COUNT(at, ",\"cost_nusd\":", r->cost_nusd);
    }
    at = PUT(at, ",\"attempts\":");
    at = put_u64(at, r->attempts);
    at = PUT(at, ",\"bytes_in\":");
    at = put_u64(at, r->bytes_in);
    at = PUT(at, ",\"bytes_out\":");
    at = put_u64(at, r->bytes_out);
    at = PUT(at, "}\n");
    return (size_t)(at - to);
}
