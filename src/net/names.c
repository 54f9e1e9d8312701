#include "net/names.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/uv.h"

/* getaddrinfo() does not tell the records' lifetimes, so these are ours. */
enum {
    FRESH_MS = 30 * 1000,
    FAILED_MS = 5 * 1000,
    /* How long an old answer may stand in for a name server that does not answer. */
    STALE_MS = 30 * 60 * 1000,
    BUCKETS = 128,
};

struct name {
    struct name *next;          /* in its bucket */
    struct name *newer, *older; /* by last use */
    struct names *of;
    struct names_wait *waiting;
    uint64_t fresh_until_ms;
    uint64_t stale_until_ms;
    uv_getaddrinfo_t req;
    bool looking;
    bool known; /* `answer` holds something */
    struct names_answer answer;
    size_t n;
    char text[];
};

struct names {
    struct loop *loop;
    struct name *bucket[BUCKETS];
    struct name *newest, *oldest;
    size_t count;
};

static struct names *names_of(struct loop *l)
{
    if (!l->names) {
        l->names = mem_zalloc(sizeof *l->names);
        l->names->loop = l;
    }
    return l->names;
}

/* Names differ by case only for people (RFC 4343). */
static struct name **bucket_of(struct names *ns, struct str host)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < host.n; i++) {
        h = (h ^ ((unsigned char)host.p[i] | 0x20U)) * 16777619U;
    }
    return &ns->bucket[h % BUCKETS];
}

static struct name *find(struct names *ns, struct str host)
{
    struct name *e = *bucket_of(ns, host);
    while (e && !str_ieq(str_make(e->text, e->n), host)) {
        e = e->next;
    }
    return e;
}

static void unlink_use(struct names *ns, struct name *e)
{
    *(e->newer ? &e->newer->older : &ns->newest) = e->older;
    *(e->older ? &e->older->newer : &ns->oldest) = e->newer;
}

static void link_newest(struct names *ns, struct name *e)
{
    e->newer = NULL;
    e->older = ns->newest;
    *(ns->newest ? &ns->newest->newer : &ns->oldest) = e;
    ns->newest = e;
}

static void forget(struct names *ns, struct name *e)
{
    must(!e->looking && !e->waiting);
    struct name **at = bucket_of(ns, str_make(e->text, e->n));
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    unlink_use(ns, e);
    ns->count--;
    free(e);
}

/* A new entry, in the place of the one that was not used for longest. NULL: all of them are busy.
 */
static struct name *add(struct names *ns, struct str host)
{
    if (ns->count == NAMES_ENTRIES) {
        struct name *old = ns->oldest;
        while (old && old->looking) {
            old = old->newer;
        }
        if (!old) {
            return NULL;
        }
        forget(ns, old);
    }
    struct name *e = mem_zalloc(sizeof *e + host.n + 1);
    struct name **bucket = bucket_of(ns, host);
    memcpy(e->text, host.p, host.n);
    e->n = host.n;
    e->of = ns;
    e->next = *bucket;
    *bucket = e;
    link_newest(ns, e);
    ns->count++;
    return e;
}

/* ---- what the resolver says ---- */

static bool take_address(const struct sockaddr *sa, struct address *ret)
{
    *ret = (struct address){0};
    if (sa->sa_family == AF_INET) {
        ret->n = 4;
        memcpy(ret->bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)sa;
        ret->n = 16;
        ret->scope = six->sin6_scope_id;
        memcpy(ret->bytes, &six->sin6_addr, 16);
        return true;
    }
    return false;
}

static void add_once(struct address *to, size_t *n, const struct address *a)
{
    for (size_t i = 0; i < *n; i++) {
        if (memcmp(&to[i], a, sizeof *a) == 0) {
            return;
        }
    }
    if (*n < NAMES_ADDRESSES) {
        to[(*n)++] = *a;
    }
}

/* The resolver has sorted by what can be reached (RFC 6724); the families take turns, starting with
 * the family of the first (RFC 8305, 4). */
static void take_addresses(const struct addrinfo *all, struct names_answer *ret)
{
    struct address family[2][NAMES_ADDRESSES];
    size_t n[2] = {0, 0};
    uint8_t first = 0;
    memset(family, 0, sizeof family);
    for (const struct addrinfo *i = all; i; i = i->ai_next) {
        struct address a;
        if (take_address(i->ai_addr, &a)) {
            first = first ? first : a.n;
            add_once(family[a.n != first], &n[a.n != first], &a);
        }
    }
    *ret = (struct names_answer){0};
    for (size_t i = 0; i < NAMES_ADDRESSES; i++) {
        for (int f = 0; f < 2; f++) {
            if (i < n[f] && ret->n < NAMES_ADDRESSES) {
                ret->at[ret->n++] = family[f][i];
            }
        }
    }
}

static const char *words_for(int status)
{
    switch (status) {
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
        return "no such name";
    case UV_EAI_AGAIN:
        return "the name server does not answer";
    case UV_ECANCELED:
    case UV_EAI_CANCELED:
        return "the lookup was cancelled";
    case UV_EINVAL:
    case UV_ENAMETOOLONG:
        return "this is not a host name";
    default:
        return "the name server reports a failure";
    }
}

static void take_answer(struct name *e, int status, const struct addrinfo *all)
{
    uint64_t now = loop_now_ms(e->of->loop);
    struct names_answer got = {0};
    if (status == 0) {
        take_addresses(all, &got);
        status = got.n ? 0 : UV_EAI_NONAME;
    }
    bool denied = status == UV_EAI_NONAME || status == UV_EAI_NODATA;
    if (status == 0) {
        e->answer = got;
        e->fresh_until_ms = now + FRESH_MS;
        e->stale_until_ms = now + STALE_MS;
    } else {
        /* A name server in trouble says nothing about the name: the old answer serves on. */
        if (denied || !e->known || e->answer.n == 0 || now >= e->stale_until_ms) {
            e->answer = (struct names_answer){.why = words_for(status)};
        }
        e->fresh_until_ms = now + FAILED_MS;
    }
    e->known = true;
}

static void tell(struct name *e)
{
    /* A waiter may cancel others, or look the same name up again: the answer is told from a copy.
     */
    struct names_answer a = e->answer;
    struct names_wait *todo = e->waiting;
    e->waiting = NULL;
    if (todo) {
        todo->_link = &todo;
    }
    while (todo) {
        struct names_wait *w = todo;
        names_cancel(w);
        w->done(w, &a);
    }
}

static void on_answer(uv_getaddrinfo_t *req, int status, struct addrinfo *all)
{
    struct name *e = req->data;
    e->looking = false;
    take_answer(e, status, all);
    uv_freeaddrinfo(all);
    tell(e);
}

static int look(struct name *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    e->req.data = e;
    int r = uv_getaddrinfo(loop_uv(e->of->loop), &e->req, on_answer, e->text, NULL, &hints);
    e->looking = r == 0;
    return r;
}

/* ---- asking ---- */

static bool hopeless(struct names_answer *ret, const char *why)
{
    *ret = (struct names_answer){.why = why};
    return true;
}

bool names_lookup(struct loop *l, struct str host, struct names_wait *w, struct names_answer *ret)
{
    struct names *ns = names_of(l);
    uint64_t now = loop_now_ms(l);
    if (host.n == 0 || host.n > NAMES_MAX || memchr(host.p, 0, host.n)) {
        return hopeless(ret, "this is not a host name");
    }
    struct name *e = find(ns, host);
    if (e) {
        unlink_use(ns, e);
        link_newest(ns, e);
    } else if (!(e = add(ns, host))) {
        return hopeless(ret, "too many names are being looked up");
    }
    bool fresh = e->known && now < e->fresh_until_ms;
    /* Old good news serve, old bad news do not. */
    bool serves = fresh || (e->known && e->answer.n && now < e->stale_until_ms);
    int r = fresh || e->looking ? 0 : look(e);
    if (serves) {
        *ret = e->answer;
        return true;
    }
    if (r < 0) {
        forget(ns, e);
        return hopeless(ret, words_for(r));
    }
    must(e->looking);
    w->_next = e->waiting;
    w->_link = &e->waiting;
    if (w->_next) {
        w->_next->_link = &w->_next;
    }
    e->waiting = w;
    return false;
}

void names_cancel(struct names_wait *w)
{
    if (w->_link) {
        *w->_link = w->_next;
        if (w->_next) {
            w->_next->_link = w->_link;
        }
        w->_next = NULL;
        w->_link = NULL;
    }
}

void names_doubt(struct loop *l, struct str host)
{
    struct name *e = l->names ? find(l->names, host) : NULL;
    if (e && e->answer.n) {
        e->fresh_until_ms = 0;
    }
}

bool names_literal(struct str host, struct address *ret)
{
    char text[64];
    if (host.n == 0 || host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    *ret = (struct address){0};
    if (inet_pton(AF_INET, text, ret->bytes) == 1) {
        ret->n = 4;
    } else if (inet_pton(AF_INET6, text, ret->bytes) == 1) {
        ret->n = 16;
    }
    return ret->n && strlen(text) == host.n;
}

void names_stop(struct loop *l)
{
    for (struct name *e = l->names ? l->names->newest : NULL; e; e = e->older) {
        if (e->looking) {
            uv_cancel((uv_req_t *)&e->req);
        }
    }
}

void names_free(struct loop *l)
{
    while (l->names && l->names->newest) {
        forget(l->names, l->names->newest);
    }
    free(l->names);
    l->names = NULL;
}
