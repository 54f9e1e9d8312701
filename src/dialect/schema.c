/* The cache of compiled schemas, and the way back from Gemini's words. */
#include "dialect/schema.h"

#include <stdlib.h>

#include "base/buf.h"
#include "dialect/ir.h"
#include "json/walk.h"

/* ---- the cache ---- */

enum {
    SETS = 128,
    WAYS = 2,
    SOURCE_MAX = 64 * 1024,
    BYTES_MAX = 4 * 1024 * 1024,
};

/* One allocation: the source, then what became of it. */
struct entry {
    uint64_t hash;
    char *bytes;
    size_t source_n, text_n, lost_n;
    bool same; /* the source needed no change, and is not kept twice */
};

struct schema_cache {
    struct entry entries[SETS][WAYS]; /* the newest of a set first */
    size_t bytes;
};

struct schema_cache *schema_cache_new(void)
{
    return mem_zalloc(sizeof(struct schema_cache));
}

static size_t size_of(const struct entry *e)
{
    return e->source_n + e->text_n + e->lost_n;
}

static void drop(struct schema_cache *c, struct entry *e)
{
    c->bytes -= size_of(e);
    free(e->bytes);
    *e = (struct entry){0};
}

static void drop_all(struct schema_cache *c)
{
    for (unsigned i = 0; i < SETS * WAYS; i++) {
        drop(c, &c->entries[i / WAYS][i % WAYS]);
    }
}

struct schema_cache *schema_cache_free(struct schema_cache *c)
{
    if (c) {
        drop_all(c);
        free(c);
    }
    return NULL;
}

/* Eight bytes a step. Who finds a collision gains nothing: sources are compared as well. */
static uint64_t hash_of(struct str s, enum schema_use use)
{
    uint64_t h = 0x9e3779b97f4a7c15 ^ s.n ^ (uint64_t)use << 56, word;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, 8);
        h = (h ^ word) * 0xff51afd7ed558ccd;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, s.p + i, s.n - i);
    h = (h ^ word) * 0xc4ceb9fe1a85ec53;
    return h ^ h >> 29;
}

static struct entry *find(struct entry *set, uint64_t hash, struct str source)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (e->bytes && e->hash == hash && str_eq(str_make(e->bytes, e->source_n), source)) {
            return e;
        }
    }
    return NULL;
}

static struct schema schema_of(const struct entry *e, struct str source)
{
    return (struct schema){
        .text = e->same ? source : str_make(e->bytes + e->source_n, e->text_n),
        .lost = str_make(e->bytes + e->source_n + e->text_n, e->lost_n),
    };
}

static void keep(struct schema_cache *c, struct entry *set, uint64_t hash, struct str source,
                 const struct schema *s)
{
    struct entry e = {.hash = hash, .source_n = source.n, .lost_n = s->lost.n};
    e.same = s->text.p == source.p;
    e.text_n = e.same ? 0 : s->text.n;
    size_t n = size_of(&e);
    if (source.n > SOURCE_MAX || n > BYTES_MAX / 4) {
        return;
    }
    if (c->bytes + n > BYTES_MAX) {
        drop_all(c);
    }
    e.bytes = mem_zalloc(n);
    memcpy(e.bytes, source.p, source.n);
    if (e.text_n) {
        memcpy(e.bytes + e.source_n, s->text.p, e.text_n);
    }
    if (e.lost_n) {
        memcpy(e.bytes + e.source_n + e.text_n, s->lost.p, e.lost_n);
    }
    drop(c, &set[WAYS - 1]);
    memmove(set + 1, set, (WAYS - 1) * sizeof *set);
    set[0] = e;
    c->bytes += n;
}

struct schema schema_for_gemini(struct arena *a, struct schema_cache *cache, struct str source,
                                enum schema_use use)
{
    if (!cache) {
        return schema_compile(a, source, use);
    }
    uint64_t hash = hash_of(source, use);
    struct entry *set = cache->entries[hash % SETS];
    const struct entry *found = find(set, hash, source);
    if (found) {
        return schema_of(found, source);
    }
    struct schema s = schema_compile(a, source, use);
    keep(cache, set, hash, source, &s);
    return s;
}

/* ---- the way back ---- */

static void convert(struct buf *b, struct str schema);

static void put_key(struct buf *b, struct str key)
{
    ir_comma(b);
    buf_addc(b, '"');
    buf_add(b, key);
    buf_add(b, STR("\":"));
}

static void put_lower(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        buf_addc(b, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    buf_addc(b, '"');
}

static void convert_each(struct buf *b, struct walk *w, bool null_too)
{
    buf_addc(b, '[');
    for (bool in = walk_array(w); in && walk_element(w);) {
        ir_comma(b);
        convert(b, walk_value(w));
    }
    if (null_too) {
        ir_comma(b);
        buf_add(b, STR("{\"type\":\"null\"}"));
    }
    buf_addc(b, ']');
}

static void convert_properties(struct buf *b, struct walk *w)
{
    struct str key;
    buf_addc(b, '{');
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        put_key(b, key);
        convert(b, walk_value(w));
    }
    buf_addc(b, '}');
}

static void convert_type(struct buf *b, struct walk *w, bool nullable)
{
    struct str type = walk_text(w);
    if (nullable) {
        buf_addc(b, '[');
    }
    put_lower(b, type);
    if (nullable) {
        buf_add(b, STR(",\"null\"]"));
    }
}

static void convert_enum(struct buf *b, struct str list, bool nullable)
{
    if (!nullable || list.p[0] != '[') {
        buf_add(b, list);
        return;
    }
    buf_add(b, str_first(list, list.n - 1));
    buf_add(b, str_find(list, STR("\"")) >= 0 ? STR(",null]") : STR("null]"));
}

static bool is_one_of(struct str key, const struct str *list)
{
    for (; list->n; list++) {
        if (str_eq(*list, key)) {
            return true;
        }
    }
    return false;
}

/* int64 in Google's JSON: as a string, too. */
static const struct str counts[] = {{"minItems", 8},
                                    {"maxItems", 8},
                                    {"minLength", 9},
                                    {"maxLength", 9},
                                    {"minProperties", 13},
                                    {"maxProperties", 13},
                                    {0}};

static void convert_member(struct buf *b, struct str key, struct walk *w, bool nullable)
{
    enum json_type is = walk_type(w);
    if (str_eq(key, STR("nullable")) || str_eq(key, STR("propertyOrdering")) ||
        (str_eq(key, STR("format")) && is == JSON_STRING &&
         str_eq(walk_text(&(struct walk){w->p, w->end}), STR("enum")))) {
        walk_value(w); /* not words of JSON Schema */
        return;
    }
    if (str_eq(key, STR("example"))) {
        put_key(b, STR("examples"));
        buf_addc(b, '[');
        buf_add(b, walk_value(w));
        buf_addc(b, ']');
        return;
    }
    put_key(b, key);
    if (str_eq(key, STR("type")) && is == JSON_STRING) {
        convert_type(b, w, nullable);
    } else if (str_eq(key, STR("properties")) && is == JSON_OBJECT) {
        convert_properties(b, w);
    } else if (str_eq(key, STR("items")) && is == JSON_OBJECT) {
        convert(b, walk_value(w));
    } else if (str_eq(key, STR("anyOf")) && is == JSON_ARRAY) {
        convert_each(b, w, nullable);
    } else if (str_eq(key, STR("enum"))) {
        convert_enum(b, walk_value(w), nullable);
    } else if (is == JSON_STRING && is_one_of(key, counts)) {
        buf_add(b, walk_text(w));
    } else {
        buf_add(b, walk_value(w));
    }
}

static void convert(struct buf *b, struct str schema)
{
    struct str key, nullable;
    if (schema.p[0] != '{') {
        buf_add(b, schema);
        return;
    }
    bool null_too = json_member(schema, STR("nullable"), &nullable) == JSON_TRUE;
    struct walk w = walk_at(schema);
    buf_addc(b, '{');
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        convert_member(b, key, &w, null_too);
    }
    buf_addc(b, '}');
}

/* Whether a word of Gemini's may stand in it. Looks at the text, not at its structure: a false alarm costs
 * a copy. */
static bool is_foreign(struct str s)
{
    static const struct str words[] = {{"\"nullable\"", 10}, {"\"propertyOrdering\"", 18},
                                       {"\"example\"", 9},   {"\"format\"", 8},
                                       {"Items\"", 6},       {"Length\"", 7},
                                       {"Properties\"", 11}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_find(s, words[i]) >= 0) {
            return true;
        }
    }
    struct str rest = s;
    for (ptrdiff_t at; (at = str_find(rest, STR("\"type\""))) >= 0;) {
        rest = str_from(rest, (size_t)at + 6);
        size_t i = 0;
        while (i < rest.n && (rest.p[i] == ':' || rest.p[i] <= ' ' || rest.p[i] == '"')) {
            i++;
        }
        if (i < rest.n && rest.p[i] >= 'A' && rest.p[i] <= 'Z') {
            return true;
        }
    }
    return false;
}

struct str schema_from_gemini(struct arena *a, struct str source)
{
    if (!is_foreign(source)) {
        return source;
    }
    struct buf b = {.arena = a};
    convert(&b, source);
    return buf_str(&b);
}
