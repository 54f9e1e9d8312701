/* What a request asks for, as far as the dialects agree on it. */
#include "gateway/sim_call.h"

bool sim_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

uint64_t sim_words(struct str s)
{
    uint64_t n = 0;
    bool in_word = false;
    for (size_t i = 0; i < s.n; i++) {
        bool space = sim_is_space(s.p[i]);
        n += !space && !in_word;
        in_word = !space;
    }
    return n;
}

void sim_turn(struct sim_call *c, bool tool)
{
    if (!(tool && c->said_by_tool && c->turn_open)) {
        c->said.n = 0;
    }
    c->said_by_tool = tool;
    c->turn_open = true;
}

void sim_hear(struct sim_call *c, struct str text, bool said)
{
    c->input_tokens += sim_words(text);
    if (said) {
        if (c->said.n) {
            buf_addc(&c->said, '\n');
        }
        buf_add(&c->said, text);
    }
}

void sim_hear_content(struct sim_call *c, const struct json *content, bool said)
{
    if (!content) {
        return;
    }
    if (content->type == JSON_STRING) {
        sim_hear(c, content->text, said);
    }
    if (content->type != JSON_ARRAY) {
        return;
    }
    for (const struct json *part = content->first; part; part = part->next) {
        const struct json *text = part->type == JSON_OBJECT ? json_get(part, STR("text")) : part;
        if (text && text->type == JSON_STRING) {
            sim_hear(c, text->text, said);
        }
    }
}

bool sim_read_count(struct sim_call *c, const struct json *object, const char *name, int64_t most,
                    int64_t *ret)
{
    const struct json *j = json_get(object, str_of(name));
    int64_t v;
    if (!j || j->type == JSON_NULL) {
        return true;
    }
    if (j->type != JSON_NUMBER || json_int(j->text, &v) < 0 || v < 1 || v > most) {
        return sim_refuse(c, 400, "invalid_value", name,
                          "\"%s\" must be a whole number from 1 to %lld.", name, (long long)most);
    }
    *ret = v;
    return true;
}

bool sim_read_array(struct sim_call *c, const struct json *object, const char *name,
                    const struct json **ret_first)
{
    const struct json *j = json_get(object, str_of(name));
    if (!j || j->type != JSON_ARRAY) {
        return sim_refuse(c, 400, "invalid_value", name, "\"%s\" must be an array.", name);
    }
    *ret_first = j->first;
    return true;
}

bool sim_is(const struct json *j, struct str text)
{
    return j && j->type == JSON_STRING && str_eq(j->text, text);
}

bool sim_true(const struct json *j)
{
    return j && j->type == JSON_TRUE;
}

struct str sim_text(const struct json *j)
{
    return j && j->type == JSON_STRING ? j->text : (struct str){0};
}
