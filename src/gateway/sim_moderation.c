/* OpenAI's moderations: a text is flagged for each category whose name it holds ("violence"). */
#include "gateway/sim_call.h"

static const struct str categories[] = {
    {"harassment", 10},
    {"harassment/threatening", 22},
    {"hate", 4},
    {"hate/threatening", 16},
    {"illicit", 7},
    {"illicit/violent", 15},
    {"self-harm", 9},
    {"self-harm/instructions", 22},
    {"self-harm/intent", 16},
    {"sexual", 6},
    {"sexual/minors", 13},
    {"violence", 8},
    {"violence/graphic", 16},
};

enum { CATEGORIES = sizeof categories / sizeof *categories, ITEMS_MAX = 2048 };

/* An input is a text, or a part with one. */
static bool flagged(const struct json *item, int category)
{
    struct str text = sim_text(item->type == JSON_OBJECT ? json_get(item, STR("text")) : item);
    return str_find(text, categories[category]) >= 0;
}

static void write_categories(const struct json *item, struct buf *b, struct str name,
                             struct str yes, struct str no)
{
    buf_add(b, name);
    for (int i = 0; i < CATEGORIES; i++) {
        buf_add(b, i ? STR(",") : STR(""));
        sim_string(b, categories[i]);
        buf_addc(b, ':');
        buf_add(b, flagged(item, i) ? yes : no);
    }
    buf_addc(b, '}');
}

static void moderation_open(struct sim_call *c, struct buf *b)
{
    buf_printf(b, "{\"id\":\"sim-modr-%.*s\",\"model\":\"%.*s\",\"results\":[", STR_ARG(c->id),
               STR_ARG(c->name));
}

static void moderation_item(struct sim_call *c, struct buf *b)
{
    bool any = false;
    for (int i = 0; i < CATEGORIES; i++) {
        any = any || flagged(c->item, i);
    }
    buf_add(b, c->word_at > 1 ? STR(",{\"flagged\":") : STR("{\"flagged\":"));
    buf_add(b, any ? STR("true") : STR("false"));
    write_categories(c->item, b, STR(",\"categories\":{"), STR("true"), STR("false"));
    write_categories(c->item, b, STR(",\"category_scores\":{"), STR("0.99"), STR("0.001"));
    write_categories(c->item, b, STR(",\"category_applied_input_types\":{"), STR("[\"text\"]"),
                     STR("[\"text\"]"));
    buf_addc(b, '}');
}

static void moderation_close(struct sim_call *c, struct buf *b)
{
    (void)c;
    buf_add(b, STR("]}"));
}

static const struct sim_part moderation_whole[] = {
    {SIM_ONCE, moderation_open}, {SIM_FILL, moderation_item}, {SIM_END, moderation_close}};

static bool read_moderation(struct sim_call *c, const struct json *body)
{
    const struct json *input = json_get(body, STR("input"));
    bool list = input && input->type == JSON_ARRAY;
    size_t n = list ? json_count(input) : 1;
    if (!input || (!list && input->type != JSON_STRING) || n == 0 || n > ITEMS_MAX) {
        return sim_refuse(c, 400, "invalid_value", "input",
                          "\"input\" must be a string, or an array of at most %d strings or parts.",
                          ITEMS_MAX);
    }
    c->keep_input = true;
    c->items = arena_alloc(&c->req->arena, n * sizeof *c->items);
    for (const struct json *item = list ? input->first : input; item; item = item->next) {
        c->items[c->n_items++] = item;
        if (!list) {
            break;
        }
    }
    sim_turn(c, false);
    sim_hear_content(c, input, true);
    sim_answer(c, SIM_WHOLE, moderation_whole);
    return true;
}

const struct sim_format sim_moderations = {.path = {"/moderations", 12}, .read = read_moderation};
