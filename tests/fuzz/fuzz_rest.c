/* Answers of a server as the commands read them: heads, entity tags, cookies, problems. Whatever comes,
 * the parts are within the bytes, and only a problem that says so makes anything be sent again. */
#include "base/must.h"
#include "cli/rest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void within(struct str part, struct str whole)
{
    must(!part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void read_problem(const struct rest_answer *a)
{
    static const char *const lists[] = {"errors", "conflicts", "blocking", "resolutions"};
    uint64_t after_ms;
    bool repeat = rest_may_repeat(0, a, &after_ms);
    must(!repeat || a->json);
    must(after_ms <= INT64_MAX);
    (void)rest_text(a->json, "message");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct json *list = json_get(a->json, str_of(lists[i]));
        for (const struct json *e = list ? list->first : NULL; e; e = e->next) {
            must(rest_text(e, "pointer").n < (size_t)1 << 30);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rest r = {.command = "fuzz"};
    struct rest_answer a = {0};
    struct str whole = str_make((const char *)data, n);
    if (rest_read(&r, whole, M_GET, &a)) {
        within(a.etag, whole);
        within(a.cookie, whole);
        within(a.body, whole);
        read_problem(&a);
    }
    arena_reset(&r.arena);
    return 0;
}
