#include "dialect/endpoint.h"

#define ROW(r, p, fam, in, by, opt, fmt, work)                                                     \
    {                                                                                              \
        {r, sizeof(r) - 1}, {p, sizeof(p) - 1}, {"POST", 4}, ENDPOINT_CALL, fam, in, by, opt, fmt, \
            work                                                                                   \
    }
#define CALL_AS(r, p, fam, in, by, opt, fmt) ROW(r, p, fam, in, by, opt, fmt, WORK_OTHER)
#define CALL(r, p, fam, in, by, opt)         ROW(r, p, fam, in, by, opt, FORMAT_NONE, WORK_OTHER)
#define WORK(r, p, fam, in, work)            ROW(r, p, fam, in, STREAM_NEVER, false, FORMAT_NONE, work)
#define OTHER(r, p, m, k, fam)                                                                     \
    {                                                                                              \
        {r, sizeof(r) - 1}, {p, sizeof(p) - 1}, {m, sizeof(m) - 1}, k, fam, MODEL_NOWHERE,         \
            STREAM_NEVER, false, FORMAT_NONE, WORK_OTHER                                           \
    }

/* In the order of how often they are called. */
static const struct endpoint plain[] = {
    CALL_AS("openai.chat", "/chat/completions", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_BY_MEMBER,
            true, FORMAT_CHAT),
    CALL_AS("anthropic.messages", "/messages", FAMILY_ANTHROPIC, MODEL_IN_BODY, STREAM_BY_MEMBER,
            false, FORMAT_MESSAGES),
    CALL_AS("openai.responses", "/responses", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_BY_MEMBER, false,
            FORMAT_RESPONSES),
    WORK("openai.embeddings", "/embeddings", FAMILY_OPENAI, MODEL_IN_BODY, WORK_EMBED),
    WORK("anthropic.count_tokens", "/messages/count_tokens", FAMILY_ANTHROPIC, MODEL_IN_BODY,
         WORK_COUNT),
    WORK("openai.rerank", "/rerank", FAMILY_OPENAI, MODEL_IN_BODY, WORK_RERANK),
    CALL("openai.completions", "/completions", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_BY_MEMBER,
         true),
    CALL("openai.moderations", "/moderations", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_NEVER, false),
    CALL("openai.speech", "/audio/speech", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_NEVER, false),
    CALL("openai.images", "/images/generations", FAMILY_OPENAI, MODEL_IN_BODY, STREAM_BY_MEMBER,
         false),
    CALL("openai.images", "/images/*", FAMILY_OPENAI, MODEL_IN_FORM, STREAM_NEVER, false),
    CALL("openai.audio", "/audio/*", FAMILY_OPENAI, MODEL_IN_FORM, STREAM_NEVER, false),
    OTHER("models", "/models", "GET", ENDPOINT_MODELS, FAMILY_OPENAI),
    WORK("openai.count_tokens", "/responses/input_tokens", FAMILY_OPENAI, MODEL_IN_BODY,
         WORK_COUNT),
    OTHER("openai.responses", "/responses/*", "GET", ENDPOINT_KEPT, FAMILY_OPENAI),
    OTHER("openai.responses", "/responses/*", "DELETE", ENDPOINT_KEPT, FAMILY_OPENAI),
    OTHER("openai.responses", "/responses/*", "POST", ENDPOINT_KEPT, FAMILY_OPENAI),
    OTHER("openai.files", "/files", "POST", ENDPOINT_LATER, FAMILY_OPENAI),
    OTHER("openai.files", "/files*", "GET", ENDPOINT_LATER, FAMILY_OPENAI),
    OTHER("openai.batches", "/batches*", "POST", ENDPOINT_LATER, FAMILY_OPENAI),
    OTHER("anthropic.batches", "/messages/batches*", "POST", ENDPOINT_LATER, FAMILY_ANTHROPIC),
    OTHER("gemini.interactions", "/interactions*", "POST", ENDPOINT_LATER, FAMILY_GEMINI),
};

/* Behind /models/{model}: */
static const struct endpoint verbs[] = {
    CALL_AS("gemini.generate", "generateContent", FAMILY_GEMINI, MODEL_IN_PATH, STREAM_NEVER, false,
            FORMAT_GENERATE),
    CALL_AS("gemini.generate", "streamGenerateContent", FAMILY_GEMINI, MODEL_IN_PATH, STREAM_ALWAYS,
            false, FORMAT_GENERATE),
    WORK("gemini.count_tokens", "countTokens", FAMILY_GEMINI, MODEL_IN_PATH, WORK_COUNT),
    WORK("gemini.embed", "embedContent", FAMILY_GEMINI, MODEL_IN_PATH, WORK_EMBED),
    WORK("gemini.embed", "batchEmbedContents", FAMILY_GEMINI, MODEL_IN_PATH, WORK_EMBED),
};

static const struct endpoint one_model =
    OTHER("models", "/models/*", "GET", ENDPOINT_MODELS, FAMILY_OPENAI);

/* Whole paths of the dialects that have no version to leave out, and of what else is known. */
static const struct endpoint whole[] = {
    CALL_AS("cohere.chat", "/v2/chat", FAMILY_COHERE, MODEL_IN_BODY, STREAM_BY_MEMBER, false,
            FORMAT_COHERE),
    WORK("cohere.embed", "/v2/embed", FAMILY_COHERE, MODEL_IN_BODY, WORK_EMBED),
    WORK("cohere.rerank", "/v2/rerank", FAMILY_COHERE, MODEL_IN_BODY, WORK_RERANK),
    CALL_AS("ollama.chat", "/api/chat", FAMILY_OLLAMA, MODEL_IN_BODY, STREAM_UNLESS_FALSE, false,
            FORMAT_OLLAMA),
    CALL_AS("ollama.generate", "/api/generate", FAMILY_OLLAMA, MODEL_IN_BODY, STREAM_UNLESS_FALSE,
            false, FORMAT_OLLAMA_GENERATE),
    WORK("ollama.embed", "/api/embed", FAMILY_OLLAMA, MODEL_IN_BODY, WORK_EMBED),
    WORK("ollama.embed", "/api/embeddings", FAMILY_OLLAMA, MODEL_IN_BODY, WORK_EMBED),
    OTHER("models", "/api/tags", "GET", ENDPOINT_MODELS, FAMILY_OLLAMA),
    OTHER("ollama.show", "/api/show", "POST", ENDPOINT_SHOW, FAMILY_OLLAMA),
    OTHER("ollama.version", "/api/version", "GET", ENDPOINT_VERSION, FAMILY_OLLAMA),
    OTHER("mcp", "/mcp", "POST", ENDPOINT_LATER, FAMILY_OPENAI),
};

/* Behind /model/{model}: */
static const struct endpoint of_bedrock[] = {
    CALL_AS("bedrock.converse", "/converse", FAMILY_BEDROCK, MODEL_IN_PATH, STREAM_NEVER, false,
            FORMAT_CONVERSE),
    CALL_AS("bedrock.converse", "/converse-stream", FAMILY_BEDROCK, MODEL_IN_PATH, STREAM_ALWAYS,
            false, FORMAT_CONVERSE),
    WORK("bedrock.invoke", "/invoke", FAMILY_BEDROCK, MODEL_IN_PATH, WORK_EMBED),
    CALL("bedrock.invoke", "/invoke-with-response-stream", FAMILY_BEDROCK, MODEL_IN_PATH,
         STREAM_ALWAYS, false),
    WORK("bedrock.count_tokens", "/count-tokens", FAMILY_BEDROCK, MODEL_IN_PATH, WORK_COUNT),
};

static bool path_is(struct str pattern, struct str path)
{
    if (pattern.n && pattern.p[pattern.n - 1] == '*') {
        /* "/a*": a itself and what follows it; "/a/...": only what is behind the slash. */
        struct str front = str_first(pattern, pattern.n - 1);
        bool needs_more = str_ends(front, STR("/"));
        return path.n >= front.n + needs_more && str_starts(path, front);
    }
    return str_eq(pattern, path);
}

static bool search(const struct endpoint *table, size_t n, struct str method, struct str path,
                   struct endpoint_match *m)
{
    for (size_t i = 0; i < n; i++) {
        if (path_is(table[i].path, path)) {
            if (str_eq(table[i].method, method)) {
                m->endpoint = &table[i];
                m->wrong_method = false;
                return true;
            }
            m->wrong_method = true;
            m->allow = table[i].method;
        }
    }
    return false;
}

/* Takes `prefix` off the path when a slash follows it. */
static bool take_segment(struct str *path, struct str prefix)
{
    if (str_starts(*path, prefix) && path->n > prefix.n && path->p[prefix.n] == '/') {
        *path = str_from(*path, prefix.n);
        return true;
    }
    return false;
}

/* Some clients leave "models/" out of the path when the model's name has a slash: /v1beta/a/b:{verb}. */
static bool is_bare_model_path(const struct endpoint_match *m)
{
    struct str id = str_from(m->rest, 1), verb;
    return m->version.n && str_chr(id, '/') > 0 && str_cut(&id, ':', &verb) &&
           (str_ends(id, STR("Content")) || str_ends(id, STR("Contents")) ||
            str_eq(id, STR("countTokens")));
}

/* /models/{model}:{verb}, or /models/{model} by GET. */
static void find_model_path(struct str method, struct endpoint_match *m)
{
    struct str id = str_from(m->rest, str_starts(m->rest, STR("/models/")) ? 8 : 1);
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < id.n; i++) {
        colon = id.p[i] == ':' ? (ptrdiff_t)i : colon;
    }
    if (colon > 0 &&
        search(verbs, sizeof verbs / sizeof *verbs, method, str_from(id, (size_t)colon + 1), m)) {
        m->model = str_first(id, (size_t)colon);
        return;
    }
    if (m->wrong_method) {
        return;
    }
    if (!str_eq(method, STR("GET"))) {
        m->wrong_method = id.n > 0;
        m->allow = STR("GET");
    } else if (id.n) {
        m->endpoint = &one_model;
        m->model = id;
    }
}

/* /model/{model}/{verb}, as Bedrock has it; a model's name may hold escaped slashes, or plain ones. */
static bool find_bedrock(struct str method, struct str path, struct endpoint_match *m)
{
    struct str rest = str_from(path, 7);
    size_t slash = rest.n;
    while (slash > 0 && rest.p[slash - 1] != '/') {
        slash--;
    }
    if (!str_starts(path, STR("/model/")) || slash < 2 ||
        !search(of_bedrock, sizeof of_bedrock / sizeof *of_bedrock, method,
                str_from(rest, slash - 1), m)) {
        return false;
    }
    m->model = str_first(rest, slash - 1);
    m->rest = path;
    return true;
}

struct endpoint_match endpoint_find(struct str method, struct str path)
{
    struct endpoint_match m = {0};
    struct str azure = path;
    bool versioned = str_starts(path, STR("/v1/"));
    if (!versioned && (search(whole, sizeof whole / sizeof *whole, method, path, &m) ||
                       find_bedrock(method, path, &m) || m.wrong_method)) {
        m.rest = path;
        return m;
    }
    if (versioned) {
        /* the usual case: no prefix to look for */
    } else if (take_segment(&azure, STR("/openai/deployments"))) {
        azure = str_from(azure, 1);
        str_cut(&azure, '/', &m.model);
        path = str_make(azure.p - 1, azure.n + 1); /* with its slash */
    } else if (!take_segment(&path, STR("/openai")) && !take_segment(&path, STR("/anthropic"))) {
        take_segment(&path, STR("/gemini"));
    }
    if (versioned) {
        path = str_from(path, 3);
        m.version = STR("v1");
    }
    /* At the front, or doubled by a client that adds it to a base URL that has it. */
    for (int i = versioned; i < 2 && str_starts(path, STR("/v1")); i++) {
        if (take_segment(&path, STR("/v1beta"))) {
            m.version = STR("v1beta");
        } else if (take_segment(&path, STR("/v1"))) {
            m.version = STR("v1");
        }
    }
    m.rest = path;
    if (str_starts(path, STR("/models/")) || is_bare_model_path(&m)) {
        find_model_path(method, &m);
    } else {
        search(plain, sizeof plain / sizeof *plain, method, path, &m);
    }
    return m;
}

bool endpoint_has_version(struct str base)
{
    size_t i = base.n;
    while (i > 0 && base.p[i - 1] != '/') {
        i--;
    }
    struct str last = str_from(base, i);
    return last.n >= 2 && last.p[0] == 'v' && last.p[1] >= '0' && last.p[1] <= '9';
}

size_t endpoint_path_room(const struct endpoint_match *m, struct str base, struct str model)
{
    return base.n + model.n + m->rest.n + m->endpoint->path.n + sizeof "/v1beta/models/:";
}

static char *put(char *at, struct str s)
{
    if (s.n) {
        memcpy(at, s.p, s.n);
    }
    return at + s.n;
}

/* "/v2" of "/v2/chat". */
static struct str first_segment(struct str path)
{
    ptrdiff_t slash = path.n ? str_chr(str_from(path, 1), '/') : -1;
    return str_first(path, slash < 0 ? path.n : (size_t)slash + 1);
}

size_t endpoint_upstream_path(char *to, const struct endpoint_match *m, struct str base,
                              struct str model)
{
    enum family family = m->endpoint->family;
    char *at = to;
    /* A base URL may hold what the paths begin with: /v2 and /v2/chat, /api and /api/chat. */
    if ((family == FAMILY_COHERE || family == FAMILY_OLLAMA) && base.n &&
        str_ends(base, first_segment(m->rest))) {
        base.n -= first_segment(m->rest).n;
    }
    at = put(at, base);
    /* OpenAI's base URLs hold the version by custom, Anthropic's and Gemini's do not; the others' paths are
     * whole in themselves. */
    if ((family == FAMILY_ANTHROPIC || family == FAMILY_GEMINI) && !endpoint_has_version(base)) {
        at = put(at, family != FAMILY_GEMINI         ? STR("/v1")
                     : str_eq(m->version, STR("v1")) ? STR("/v1")
                                                     : STR("/v1beta"));
    }
    if (family == FAMILY_BEDROCK) {
        at = put(at, STR("/model/"));
        at = put(at, model);
        at = put(at, m->endpoint->path);
    } else if (m->endpoint->model_in == MODEL_IN_PATH) {
        at = put(at, STR("/models/"));
        at = put(at, model);
        at = put(at, STR(":"));
        at = put(at, m->endpoint->path);
    } else {
        at = put(at, m->rest);
    }
    return (size_t)(at - to);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ptrdiff_t percent_decode(struct str s, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return -1;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        to[n++] = c;
    }
    return (ptrdiff_t)n;
}
