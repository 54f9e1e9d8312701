/* A call that goes on from a response, by previous_response_id or by items of earlier ones that its input only
 * names (item_reference): what they stand for is put into its body, before anything reads it. */
#include "gateway/kept.h"

#include <errno.h>

#include "dialect/ir.h"
#include "json/scan.h"

enum { REFS_MAX = 256, FOUND_MAX = 32 * 1024 * 1024, ANSWER_ID = 26 };

static enum next bad(struct call *c, const char *code, const char *param, const char *message)
{
    struct call_error e = {.status = 400, .code = code, .param = param, .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "%s", message);
}

static enum next not_found(struct call *c)
{
    struct call_error e = {.status = 400,
                           .code = "previous_response_not_found",
                           .param = "previous_response_id",
                           .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e, "Previous response with id '%.*s' not found.", STR_ARG(c->kept->id));
}

static enum next item_not_found(struct call *c, struct str quoted)
{
    struct call_error e = {
        .status = 404, .code = "item_not_found", .param = "input", .outcome = OUTCOME_REFUSED};
    struct str id = str_first(str_from(quoted, 1), quoted.n - 2);
    return call_fail(c, &e,
                     "Item with id '%.*s' not found. Items are not persisted when `store` is set "
                     "to false. Try again with `store` set to true, or remove this item from "
                     "your input.",
                     STR_ARG(str_first(id, KEPT_ID_MAX)));
}

/* ---- the members that matter ---- */

enum { WANT_INPUT, WANT_PREVIOUS, WANT_STORE, WANT_MODEL, WANTS };

static bool scan(struct call *c, struct json_want want[static WANTS])
{
    enum json_type top;
    want[WANT_INPUT] = (struct json_want){.name = STR("input")};
    want[WANT_PREVIOUS] = (struct json_want){.name = STR("previous_response_id")};
    want[WANT_STORE] = (struct json_want){.name = STR("store")};
    want[WANT_MODEL] = (struct json_want){.name = STR("model")};
    return json_scan_members(c->req->body, want, WANTS, &top, NULL) == 0 && top == JSON_OBJECT;
}

static enum next is_ambiguous(struct call *c, const struct json_want want[static WANTS])
{
    for (unsigned i = 0; i < WANTS; i++) {
        if (want[i].count > 1 || want[i].escaped) {
            struct call_error e = {.status = 400,
                                   .code = "ambiguous_member",
                                   .param = want[i].name.p,
                                   .outcome = OUTCOME_REFUSED};
            return call_fail(c, &e,
                             "The member \"%.*s\" stands there twice or is spelled with an "
                             "escape; send it once, spelled plainly.",
                             STR_ARG(want[i].name));
        }
    }
    return NEXT;
}

/* ---- items that are only named ---- */

/* Whether it is one; then `*ret_id` is the item's id with its quotes. */
static bool is_reference(struct str item, struct str *ret_id)
{
    struct str type;
    return item.n > 2 && item.p[0] == '{' && json_member(item, STR("type"), &type) == JSON_STRING &&
           str_eq(type, STR("\"item_reference\"")) &&
           json_member(item, STR("id"), ret_id) == JSON_STRING;
}

/* The response that an item of ours came with: "msg_" or the like, the answer's id, a number. */
static struct str answer_of(struct str quoted)
{
    ptrdiff_t at = str_chr(quoted, '_');
    struct str rest = at < 0 ? (struct str){0} : str_from(quoted, (size_t)at + 1);
    return rest.n > ANSWER_ID + 1 ? str_first(rest, ANSWER_ID) : (struct str){0};
}

static struct kept_ref *ref_of(struct kept_ref *r, struct str answer)
{
    while (r && !str_eq(str_from(r->id, 5), answer)) {
        r = r->next;
    }
    return r;
}

static bool has_references(const struct kept *k)
{
    return !k->own_is_text && str_find(k->own, STR("item_reference")) >= 0;
}

/* The array whose inside the call's own input is. */
static struct str own_array(const struct kept *k)
{
    return str_make(k->own.p - 1, k->own.n + 2);
}

/* Which responses must be looked at. */
static void add_refs(const struct kept *k, struct kept_job *j)
{
    struct str key, item, id;
    enum json_type type;
    unsigned n = 0;
    for (size_t at = 0; json_each(own_array(k), &at, &key, &item, &type) && n < REFS_MAX;) {
        if (!is_reference(item, &id)) {
            continue;
        }
        struct str answer = answer_of(id);
        if (answer.n && !ref_of(j->refs, answer)) {
            struct kept_ref *r = arena_alloc(&j->arena, sizeof *r);
            *r = (struct kept_ref){.next = j->refs};
            r->id = arena_printf(&j->arena, "resp_%.*s", STR_ARG(answer));
            j->refs = r;
            n++;
        }
    }
}

/* The number behind it says which one it is. */
static struct str find_item(const struct kept_job *j, struct str id)
{
    struct str answer = answer_of(id);
    const struct kept_ref *r = ref_of(j->refs, answer);
    const char *behind = answer.n ? answer.p + answer.n : id.p;
    uint64_t n;
    if (!r || !answer.n ||
        str_to_u64(str_make(behind, (size_t)(id.p + id.n - 1 - behind)), &n) < 0 || n >= r->n ||
        !str_eq(r->items[n].id, id)) {
        return (struct str){0};
    }
    return r->items[n].value;
}

/* The call's own input with the items themselves in it. */
static enum next put_items(struct call *c, const struct kept_job *j)
{
    struct kept *k = c->kept;
    struct buf b = {.arena = &c->req->input};
    struct str key, item, id;
    enum json_type type;
    for (size_t at = 0; !b.overflow && json_each(own_array(k), &at, &key, &item, &type);) {
        if (is_reference(item, &id)) {
            item = find_item(j, id);
            if (!item.n) {
                return item_not_found(c, id);
            }
        }
        buf_add(&b, b.n ? STR(",") : (struct str){0});
        buf_add(&b, item);
    }
    k->own = buf_str(&b);
    return b.overflow ? bad(c, "request_too_large", "input", "The conversation is too large.")
                      : NEXT;
}

/* ---- the body ---- */

/* Puts `text` in the place of a member's value. */
static void add_replaced(struct buf *b, struct str *rest, struct str value, struct str text)
{
    buf_add(b, str_make(rest->p, (size_t)(value.p - rest->p)));
    buf_add(b, text);
    *rest = str_from(*rest, (size_t)(value.p + value.n - rest->p));
}

/* Writes the body with the whole conversation as its input, and without the id, which is told to no upstream. */
static void write_body(struct buf *b, struct str body, const struct json_want want[static WANTS],
                       struct str array)
{
    struct str input = want[WANT_INPUT].value, previous = want[WANT_PREVIOUS].value;
    if (!input.n) { /* allowed: then the model is asked to go on */
        add_replaced(b, &body, str_make(body.p + str_chr(body, '{'), 1), STR("{\"input\":"));
        buf_add(b, array);
        buf_addc(b, ',');
    } else if (!previous.n || input.p < previous.p) {
        add_replaced(b, &body, input, array);
    }
    if (previous.n) {
        add_replaced(b, &body, previous, STR("null"));
    }
    if (previous.n && input.n && input.p > previous.p) {
        add_replaced(b, &body, input, array);
    }
    buf_add(b, body);
}

static bool put_before(struct call *c, struct str before)
{
    struct json_want want[WANTS];
    struct kept *k = c->kept;
    struct buf array = {.arena = &c->req->input}, b = {.arena = &c->req->input};
    if (!scan(c, want)) {
        return false;
    }
    (void)buf_room(&array, before.n + k->own.n + 128);
    array.n = 0;
    kept_add_input(&array, k, before);
    buf_addc(&array, ']');
    (void)buf_room(&b, c->req->body.n + array.n + 64);
    b.n = 0;
    write_body(&b, c->req->body, want, buf_str(&array));
    if (array.overflow || b.overflow) {
        return false;
    }
    c->req->body = buf_str(&b);
    c->body_scanned = false; /* this one */
    if (!scan(c, want) || want[WANT_INPUT].type != JSON_ARRAY) {
        return false;
    }
    struct str input = kept_inside(want[WANT_INPUT].value);
    c->member = want[WANT_MODEL].value;
    k->before = str_first(input, before.n);
    k->own = str_from(input, before.n + (before.n && k->own.n));
    k->own_is_text = false;
    c->marked = c->marked || ir_has_mark(input);
    return true;
}

/* ---- asking the store ---- */

static void note_items(struct arena *a, struct kept_ref *r, struct str response)
{
    struct str output, key, item;
    enum json_type type;
    size_t n = 0;
    if (json_member(response, STR("output"), &output) != JSON_ARRAY) {
        return;
    }
    for (size_t at = 0; json_each(output, &at, &key, &item, &type);) {
        n += type == JSON_OBJECT;
    }
    r->items = arena_zalloc(a, (n + 1) * sizeof *r->items);
    for (size_t at = 0; json_each(output, &at, &key, &item, &type);) {
        if (type == JSON_OBJECT) {
            struct kept_item *it = &r->items[r->n++];
            it->value = item;
            (void)json_member(item, STR("id"), &it->id);
        }
    }
}

static int find_ref(struct kept_job *j, struct db *db, struct kept_ref *ref, size_t *n)
{
    struct str response;
    ref->n = 0;
    int r =
        kept_response_get(db, &j->found, j->owner, ref->id, j->now_us, KEPT_RESPONSE, &response);
    if (r < 0) {
        return r == -ENOENT ? 0 : r; /* which item it was is said later */
    }
    *n += response.n;
    note_items(&j->found, ref, response);
    return *n > FOUND_MAX ? -EFBIG : 0;
}

/* Lets the store's thread do the reading: the worker has other calls. */
static int run_find(struct store_job *job, struct db *db)
{
    struct kept_job *j = (struct kept_job *)job;
    size_t n = 0;
    int r = 0;
    arena_reset(&j->found);
    if (j->id.n) {
        r = kept_response_get(db, &j->found, j->owner, j->id, j->now_us, KEPT_ITEMS, &j->text);
    }
    for (struct kept_ref *ref = j->refs; r == 0 && ref; ref = ref->next) {
        r = find_ref(j, db, ref, &n);
    }
    return r;
}

static void on_found(struct call *c, struct kept_job *j)
{
    enum next n = NEXT;
    if (j->job.result == -ENOENT) {
        n = not_found(c);
    } else if (j->job.result < 0 && j->job.result != -EFBIG) {
        n = kept_unavailable(c);
    } else if (j->job.result == 0 && has_references(c->kept)) {
        n = put_items(c, j);
    }
    if (n == NEXT &&
        (j->job.result < 0 || !put_before(c, j->id.n ? kept_inside(j->text) : (struct str){0}))) {
        n = bad(c, "request_too_large", "input", "The conversation is too large.");
    }
    if (n != NEXT) {
        relay_end_call(c);
        return;
    }
    c->kept->looked = true;
    call_run(c);
}

static enum next find(struct call *c)
{
    struct kept *k = c->kept;
    struct kept_job *j = kept_job_new(c, k->id);
    if (has_references(k)) {
        add_refs(k, j);
    }
    j->job.run = run_find;
    j->then = on_found;
    kept_ask(c, j);
    relay_watch(c);
    return WAIT;
}

/* ---- the stage ---- */

/* An id that cannot be one of ours is not asked for. */
static bool take_previous(struct call *c, struct str value)
{
    struct kept *k = c->kept;
    char *id = arena_alloc(&c->req->arena, value.n);
    struct str plain = str_make(id, json_unescape(value, id));
    k->id = str_first(plain, KEPT_ID_MAX);
    return plain.n > 0 && plain.n <= KEPT_ID_MAX && !memchr(id, 0, plain.n) && kept_is_on(c);
}

static enum next first_reference(struct call *c)
{
    struct str key, item, id;
    enum json_type type;
    for (size_t at = 0; json_each(own_array(c->kept), &at, &key, &item, &type);) {
        if (is_reference(item, &id)) {
            return item_not_found(c, id);
        }
    }
    return NEXT;
}

void kept_tell(const struct call *c, struct ir_call *form)
{
    const struct kept *k = c->kept;
    if (k) {
        form->kept = k->wanted ? IR_YES : IR_NO;
        if (k->id.n) {
            struct buf b = {.arena = form->arena};
            buf_addc(&b, '"');
            buf_add_json(&b, k->id);
            buf_addc(&b, '"');
            form->follows = buf_str(&b);
        }
    }
}

enum next kept_enter(struct call *c)
{
    struct json_want want[WANTS];
    if (c->kept) {
        return c->kept->looked ? NEXT : WAIT;
    }
    if (!scan(c, want)) {
        return NEXT; /* the reader will say what is wrong with it */
    }
    enum next n = is_ambiguous(c, want);
    if (n != NEXT) {
        return n;
    }
    struct kept *k = c->kept = arena_zalloc(&c->req->arena, sizeof *k);
    enum json_type previous = want[WANT_PREVIOUS].type, input = want[WANT_INPUT].type;
    k->wanted = want[WANT_STORE].type != JSON_FALSE && kept_is_on(c);
    k->own_is_text = input == JSON_STRING;
    k->own = input == JSON_STRING  ? want[WANT_INPUT].value
             : input == JSON_ARRAY ? kept_inside(want[WANT_INPUT].value)
                                   : (struct str){0};
    if (previous != JSON_NONE && previous != JSON_NULL && previous != JSON_STRING) {
        return bad(c, "invalid_type", "previous_response_id",
                   "\"previous_response_id\" must be a string.");
    }
    bool readable = k->own.p || input == JSON_NONE || input == JSON_NULL;
    if (readable && previous == JSON_STRING) {
        return take_previous(c, want[WANT_PREVIOUS].value) ? find(c) : not_found(c);
    }
    if (readable && has_references(k)) {
        n = kept_is_on(c) ? find(c) : first_reference(c);
    }
    k->looked = n == NEXT;
    return n;
}
