#include "platform/problem.h"

/* Status, code, what a retry can do; title, title in Chinese, what has happened, what to do. */
const struct problem_type problem_types[PROBLEM_COUNT] = {
    [PROBLEM_BAD_REQUEST] = {400, "bad_request", RETRY_NEVER, "The request cannot be understood",
                             "无法理解该请求",
                             "Something in the request is not what this address expects.",
                             "Correct what the answer names, and send the request again."},
    [PROBLEM_MALFORMED_JSON] = {400, "malformed_json", RETRY_NEVER, "The body is not JSON",
                                "请求体不是有效的 JSON",
                                "The body breaks the rules of RFC 8259; the answer says where.",
                                "Correct the body. Nothing was changed."},
    [PROBLEM_MALFORMED_PATCH] =
        {400, "malformed_patch", RETRY_NEVER, "The patch is malformed", "补丁格式错误",
         "The body is JSON, but not a patch of the type that Content-Type names (RFC 6902, RFC "
         "7396).",
         "Correct the operation that the answer names. Nothing was changed."},
    [PROBLEM_MALFORMED_FIELD] =
        {400, "malformed_field", RETRY_NEVER, "A header field is malformed", "请求头字段格式错误",
         "A field of the request's head breaks its grammar, so what it asks for cannot be known.",
         "Correct the field that the answer names. Nothing was changed."},
    [PROBLEM_BAD_QUERY] =
        {400, "bad_query", RETRY_NEVER, "A query parameter is not allowed", "查询参数无效",
         "The part of the address behind the question mark has a name or a value that is not known "
         "here.",
         "Use the parameters that the answer lists."},
    [PROBLEM_IDEMPOTENCY_KEY_INVALID] = {400, "idempotency_key_invalid", RETRY_NEVER,
                                         "The Idempotency-Key is malformed",
                                         "Idempotency-Key 格式错误",
                                         "Idempotency-Key takes one quoted string or one bare "
                                         "token of 1 to 255 visible characters.",
                                         "Send one key, in one line. Nothing was done."},
    [PROBLEM_IDEMPOTENCY_KEY_REQUIRED] = {400, "idempotency_key_required", RETRY_NEVER,
                                          "An Idempotency-Key is required",
                                          "必须提供 Idempotency-Key",
                                          "The settings of this organisation ask for an "
                                          "Idempotency-Key on everything that creates or "
                                          "acts, so that a request whose answer got lost can be "
                                          "sent again without being done twice.",
                                          "Send the request with Idempotency-Key, a new random "
                                          "text for each new request and the same "
                                          "one for its repeats. Nothing was done."},
    [PROBLEM_CONFLICTING_CONDITIONS] =
        {400, "conflicting_conditions", RETRY_AFTER_REFETCH, "Two conditions contradict each other",
         "条件相互矛盾", "The revision in the body and If-Match speak of different states.",
         "Send one of them, or both of the same state."},
    [PROBLEM_UNAUTHENTICATED] =
        {401, "unauthenticated", RETRY_NEVER, "Who asks is not known", "身份未验证",
         "The request has no access token or session, or one that is unknown, expired or revoked.",
         "Send Authorization: Bearer with an access token, or sign in. A key of an application is "
         "not "
         "an access token."},
    [PROBLEM_SIGN_IN_FAILED] =
        {401, "sign_in_failed", RETRY_NEVER, "Sign-in failed", "登录失败",
         "There is no active user with this e-mail address and password.",
         "Check both. After several failures there is a pause, see Retry-After."},
    [PROBLEM_FORBIDDEN] =
        {403, "forbidden", RETRY_NEVER, "Not allowed", "没有权限",
         "You are known, but your roles do not allow this, or not on this resource.",
         "Ask an owner or admin for the permission that the answer names."},
    [PROBLEM_CSRF] = {403, "csrf_token_missing", RETRY_NEVER, "The CSRF token is missing",
                      "缺少 CSRF 令牌",
                      "A change with a session's cookie must carry the session's CSRF token, so "
                      "that no other page "
                      "can make it.",
                      "Send the token that sign-in answered in X-CSRF-Token."},
    [PROBLEM_NOT_FOUND] = {404, "not_found", RETRY_NEVER, "Nothing is here", "资源不存在",
                           "There is no resource at this address, or you may not know of it.",
                           "Check the address; the list of the kind shows what there is."},
    [PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed", RETRY_NEVER,
                                    "The method is not allowed here", "不允许使用该方法",
                                    "This address exists, but not with this method.",
                                    "Use one that the Allow field lists."},
    [PROBLEM_NOT_ACCEPTABLE] = {406, "not_acceptable", RETRY_NEVER, "No acceptable form",
                                "没有可接受的格式",
                                "The Accept field asks for forms that this resource does not have.",
                                "Accept application/json."},
    [PROBLEM_ALREADY_EXISTS] = {409, "already_exists", RETRY_NEVER, "Another one has this already",
                                "资源已存在",
                                "A value that must be unique is taken: two people created the same "
                                "thing, or the same request "
                                "was sent twice.",
                                "Read the one that exists (resolutions, rel \"existing\") and use "
                                "it, or choose another value. "
                                "To send the same again is of no use."},
    [PROBLEM_EDIT_CONFLICT] = {409, "edit_conflict", RETRY_AFTER_MERGE,
                               "The resource was changed by someone else", "资源已被他人修改",
                               "Your change and one that was made since the state you started from "
                               "touch the same fields.",
                               "Look at `conflicts`: base, theirs and yours for each field. Decide "
                               "each, and send the result "
                               "with the current ETag; `resolutions` has ready-made requests."},
    [PROBLEM_STALE_REVISION] =
        {409, "stale_revision", RETRY_AFTER_REFETCH, "The revision is not the current one",
         "修订版本已过期",
         "The body names a revision that was current when you read the resource; it was changed "
         "since.",
         "Read it again, make your change to that, and send it with the new revision."},
    [PROBLEM_STALE_BASE] =
        {409, "stale_base", RETRY_AFTER_REFETCH, "The base is not known", "合并基准不存在",
         "A merge needs the state your change started from; there is no such revision.",
         "Read the resource again and name the revision that you start from."},
    [PROBLEM_INVALID_STATE] =
        {409, "invalid_state", RETRY_NEVER, "Not in this state", "当前状态不允许此操作",
         "The resource's state does not allow this action: somebody else may have decided already.",
         "Read it; `allowed_transitions` lists what is possible now."},
    [PROBLEM_IN_USE] = {409, "in_use", RETRY_NEVER, "Others depend on it", "资源正在被使用",
                        "It cannot be deleted while other resources refer to it.",
                        "Delete or change those that `blocking` lists first."},
    [PROBLEM_MANAGED_ELSEWHERE] =
        {409, "managed_elsewhere", RETRY_NEVER, "It is managed elsewhere", "该资源由其他来源管理",
         "A file, or somebody else's apply, owns what you want to change; your change would be "
         "undone "
         "by it or undo it.",
         "Change it there (`manager` names it), or take it over with force."},
    [PROBLEM_PATCH_TEST_FAILED] =
        {409, "patch_test_failed", RETRY_AFTER_REFETCH, "The patch does not fit the current state",
         "补丁与当前状态不符",
         "A test of the patch failed, or it changes what is not there. Nothing was applied.",
         "Read the resource again and make the patch anew."},
    [PROBLEM_IDEMPOTENCY_IN_PROGRESS] =
        {409, "idempotency_in_progress", RETRY_UNCHANGED, "The first request is still running",
         "首个请求仍在处理中", "A request with this Idempotency-Key is being worked on.",
         "Send the same again after Retry-After; you will get its answer."},
    [PROBLEM_IDEMPOTENCY_UNCERTAIN] =
        {409, "idempotency_uncertain", RETRY_NEVER, "Whether it was done is not known",
         "操作结果不确定",
         "The server stopped while the first request with this key was being worked on.",
         "Look whether it was done before you send it with another key."},
    [PROBLEM_PRECONDITION_FAILED] =
        {412, "precondition_failed", RETRY_AFTER_REFETCH, "The condition is not true any more",
         "前置条件不成立",
         "If-Match, If-None-Match or If-Unmodified-Since describes a state that is not the current "
         "one.",
         "Read the resource, make your change to what it is now, and send it with its ETag."},
    [PROBLEM_TOO_LARGE] = {413, "content_too_large", RETRY_NEVER, "The body is too large",
                           "请求体过大", "The body has more bytes than this server takes.",
                           "Send less at once."},
    [PROBLEM_UNSUPPORTED_MEDIA_TYPE] = {415, "unsupported_media_type", RETRY_NEVER,
                                        "The body's type is not taken here", "不支持的媒体类型",
                                        "Content-Type names a type that this method does not take.",
                                        "Use a type that Accept-Patch or the answer lists."},
    [PROBLEM_INVALID] =
        {422, "invalid", RETRY_NEVER, "The body breaks a rule", "请求内容无效",
         "The body is well-formed, but fields have values that are not allowed, or are not known.",
         "Correct what `errors` lists. Nothing was changed."},
    [PROBLEM_IDEMPOTENCY_MISMATCH] =
        {422, "idempotency_mismatch", RETRY_NEVER,
         "The Idempotency-Key was used for another request", "Idempotency-Key 已用于其他请求",
         "The key came before with another body, type or query; the first answer stays.",
         "Use a new key for a new request."},
    [PROBLEM_PRECONDITION_REQUIRED] =
        {428, "precondition_required", RETRY_AFTER_REFETCH, "A condition is required",
         "需要前置条件",
         "Changes need to say which state they change, so that nobody's work is lost.",
         "Read the resource and send its ETag in If-Match. If-Match: * means whatever it is now."},
    [PROBLEM_TOO_MANY_ATTEMPTS] =
        {429, "too_many_attempts", RETRY_UNCHANGED,
         "Request cannot be satisfied as assigned quota has been exceeded", "请求超出配额",
         "Sign-in failed too often in a short time.", "Wait as long as Retry-After says."},
    [PROBLEM_INTERNAL] = {500, "internal", RETRY_NEVER, "A fault of the server", "服务器内部错误",
                          "The server did something wrong; it was logged under the request's id.",
                          "Tell the operator the request_id."},
    [PROBLEM_UNAVAILABLE] = {503, "unavailable", RETRY_UNCHANGED, "The store is not able to",
                             "存储暂不可用",
                             "The database cannot take it at the moment: the disk is full, or it "
                             "does not answer. Nothing "
                             "was changed. Calls to models go on.",
                             "Send the same again after Retry-After."},
    [PROBLEM_OUTCOME_UNKNOWN] =
        {503, "outcome_unknown", RETRY_NEVER, "Whether it was done is not known", "操作结果未知",
         "The connection to the database broke while the change was being committed.",
         "Read the resource to see whether the change is there before you send it again."},
};

const char *retry_class_name(enum retry_class c)
{
    static const char *const names[] = {"never", "unchanged", "after-refetch", "after-merge"};
    return names[c];
}

const struct problem_type *problem_named(struct str name)
{
    for (size_t i = 0; i < PROBLEM_COUNT; i++) {
        const char *code = problem_types[i].code;
        size_t n = strlen(code), k = 0;
        while (k < n && k < name.n &&
               (code[k] == '_' ? '-' : code[k]) == (name.p[k] == '_' ? '-' : name.p[k])) {
            k++;
        }
        if (k == n && name.n == n) {
            return &problem_types[i];
        }
    }
    return NULL;
}

struct str problem_slug(struct arena *a, const struct problem_type *t)
{
    struct str s = arena_dup(a, str_of(t->code));
    for (char *p = (char *)(uintptr_t)s.p; p < s.p + s.n; p++) {
        *p = *p == '_' ? '-' : *p;
    }
    return s;
}

struct str problem_uri(struct arena *a, const struct problem_type *t, struct str base)
{
    struct str slug = problem_slug(a, t);
    return t->status == 429 /* that one others have defined, draft-ietf-httpapi-ratelimit-headers */
               ? STR("https://iana.org/assignments/http-problem-types#quota-exceeded")
               : arena_printf(a, "%.*s/problems/%.*s", STR_ARG(base), STR_ARG(slug));
}

/* ---- their pages ---- */

static const char *retry_words(enum retry_class c)
{
    static const char *const words[] = {
        "Sending the same request again cannot help.",
        "The same request may be sent again, after the time that Retry-After names.",
        "A retry helps after the resource was read again and the change made to what it is now.",
        "A retry helps after the overlapping fields were decided; see conflicts and resolutions.",
    };
    return words[c];
}

void problem_page_html(struct buf *b, const struct problem_type *t)
{
    buf_printf(b,
               "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width\">"
               "<title>%u %s</title>\n"
               "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;"
               "max-width:40rem;margin:3rem auto;padding:0 1rem}code{font-size:.9em}</style>\n"
               "<h1>%s</h1>\n<p><code>%u</code> <code>%s</code></p>\n"
               "<h2>What has happened</h2>\n<p>%s</p>\n"
               "<h2>What to do</h2>\n<p>%s</p>\n<p>%s</p>\n"
               "<p lang=\"zh\">%s</p>\n</html>\n",
               t->status, t->title, t->title, t->status, t->code, t->what, t->remedy,
               retry_words(t->retry), t->title_zh);
}

void problem_page_json(struct buf *b, const struct problem_type *t, struct str base)
{
    struct arena a = {0};
    struct json *j = json_new(&a, JSON_OBJECT);
    json_set(j, STR("type"), json_new_str(&a, problem_uri(&a, t, base)));
    json_set(j, STR("status"), json_new_int(&a, t->status));
    json_set(j, STR("code"), json_new_str(&a, str_of(t->code)));
    json_set(j, STR("title"), json_new_str(&a, str_of(t->title)));
    json_set(j, STR("what"), json_new_str(&a, str_of(t->what)));
    json_set(j, STR("remedy"), json_new_str(&a, str_of(t->remedy)));
    json_set(j, STR("retry"), json_new_str(&a, str_of(retry_class_name(t->retry))));
    json_print(b, j, 2);
    buf_addc(b, '\n');
    arena_reset(&a);
}
