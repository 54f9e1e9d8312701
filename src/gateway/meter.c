/* Tokens of answers that pass byte for byte: picked up on the way, however the bytes come in pieces, in little
 * memory.
 *
 *   a JSON body       the member that has the counts, or the counts themselves, by skimmers (json/skim.h)
 *   Amazon's frames   counted by their lengths; the one that has the tokens is kept until it is whole
 *
 * Events have theirs read where they are passed on (events.c). */
#include "dialect/format.h"
#include "gateway/call.h"
#include "http/aws_frame.h"
#include "json/scan.h"
#include "json/skim.h"

enum { FRAME_LOOK_MAX = 8192 }; /* a longer one is no event about tokens */

struct meter {
    bool frames;   /* else skims */
    bool lost;     /* what came is no frame: where the next one begins is not known */
    uint64_t skip; /* bytes of a long frame that are still to come */
    unsigned n;
    struct json_skim skim[];
};

/* ---- frames ---- */

static void look_at_frame(struct call *c, struct str frame)
{
    struct aws_frame f;
    enum json_type top;
    if (aws_frame_read(frame, &f) == 0 && f.type == AWS_FRAME_EVENT &&
        str_eq(f.name, STR("metadata")) && aws_frame_end(frame.p, frame.n) == frame.n &&
        json_scan(f.payload, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT) {
        call_dialect(c)->event(f.payload, &c->usage);
    }
}

/* Takes bytes of the frame that is held or begins here; returns how many, 0 when they are no frame. */
static size_t take_frame(struct call *c, struct meter *m, const char *p, size_t n)
{
    struct relay *r = &c->relay;
    const char *front = r->hold_n ? r->hold : p;
    size_t have = r->hold_n, size = AWS_FRAME_PRELUDE;
    if (have ? have >= AWS_FRAME_PRELUDE : n >= AWS_FRAME_PRELUDE) {
        size = aws_frame_size(front);
        if (size == 0) {
            return 0;
        }
        if (size > FRAME_LOOK_MAX) {
            m->skip = size - have;
            relay_drop_hold(c);
            return n < m->skip ? n : (size_t)m->skip;
        }
        if (have == 0 && n >= size) {
            look_at_frame(c, str_make(p, size));
            return size;
        }
    }
    size_t take = size - have < n ? size - have : n;
    relay_hold(c, p, take);
    if (r->hold_n == size && size > AWS_FRAME_PRELUDE) {
        look_at_frame(c, str_make(r->hold, size));
        relay_drop_hold(c);
    }
    return take;
}

static void pass_frames(struct call *c, struct meter *m, const char *p, size_t n)
{
    while (n && !m->lost) {
        size_t used = m->skip ? (n < m->skip ? n : (size_t)m->skip) : take_frame(c, m, p, n);
        m->skip -= m->skip ? used : 0;
        m->lost = used == 0;
        p += used;
        n -= used;
    }
    if (m->lost) {
        relay_drop_hold(c);
    }
}

/* ---- skimmers ---- */

static void pass_json(struct meter *m, const struct iovec *pieces, int n, bool end)
{
    for (unsigned k = 0; k < m->n; k++) {
        struct json_skim *s = &m->skim[k];
        if (n == 1 && end && s->_state == 0) {
            json_skim_whole(s, str_make(pieces[0].iov_base, pieces[0].iov_len));
            continue;
        }
        for (int i = 0; i < n; i++) {
            json_skim(s, str_make(pieces[i].iov_base, pieces[i].iov_len));
        }
    }
}

/* The members that were found, as the object that a dialect reads. */
static void read_counts(struct call *c, const struct meter *m)
{
    struct buf b = {.arena = &c->req->arena};
    for (unsigned k = 0; k < m->n; k++) {
        const struct json_skim *s = &m->skim[k];
        if (s->found && s->n && s->n < 24) {
            buf_add(&b, b.n ? STR(",\"") : STR("{\""));
            buf_add(&b, s->name);
            buf_add(&b, STR("\":"));
            buf_add(&b, str_make(s->keep, s->n));
        }
    }
    call_dialect(c)->usage(buf_str(&b), &c->usage);
}

/* ---- the answer ---- */

static struct meter *add(struct call *c, unsigned skims)
{
    struct meter *m = arena_alloc(&c->req->arena, sizeof *m + skims * sizeof *m->skim);
    *m = (struct meter){.n = skims};
    c->relay.meter = m;
    return m;
}

static void add_skims(struct call *c)
{
    const struct dialect *d = call_dialect(c);
    const struct str *names = d->usage_member.n ? &d->usage_member : d->count_members;
    unsigned n = d->usage_member.n ? 1 : DIALECT_COUNTS;
    struct meter *m = add(c, n);
    for (unsigned k = 0; k < n; k++) {
        m->skim[k].name = names[k];
        json_skim_start(&m->skim[k]);
    }
}

void meter_begin(struct call *c, const struct h1_head *h, bool json)
{
    const struct dialect *d = call_dialect(c);
    if (h->status >= 300) {
        return;
    }
    if (json) {
        if (d->usage_member.n || d->count_members[0].n) {
            add_skims(c);
        }
    } else if (d->family == FAMILY_BEDROCK && !h->at[H_CONTENT_ENCODING] &&
               str_istarts(h1_get(h, H_CONTENT_TYPE), format_of(FORMAT_CONVERSE)->stream_type)) {
        add(c, 0)->frames = true;
    }
}

void meter_pass(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct meter *m = c->relay.meter;
    if (!m) {
        return;
    }
    if (!m->frames) {
        pass_json(m, pieces, n, end);
        return;
    }
    for (int i = 0; i < n; i++) {
        pass_frames(c, m, pieces[i].iov_base, pieces[i].iov_len);
    }
}

void meter_end(struct call *c)
{
    const struct meter *m = c->relay.meter;
    if (!m || m->frames) {
        return;
    }
    const struct json_skim *s = m->skim;
    if (m->n > 1) {
        read_counts(c, m);
        return;
    }
    struct str value = s->from_value.n ? s->from_value : str_make(s->keep, s->n);
    if (s->found && value.n && value.p[0] == '{') {
        call_dialect(c)->usage(value, &c->usage);
    }
}
