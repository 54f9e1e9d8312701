/* What is remembered beside resources: the audit trail, refused writes, answers to idempotent
 * requests, sessions, responses. All functions run inside a job (store.h). */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/db.h"

/* ---- audit: append-only, each entry's hash covers the one before ---- */

struct audit {
    int64_t seq;
    int64_t at_us;
    struct str who;     /* "user:ana" */
    struct str address; /* from where */
    struct str request_id;
    struct str action; /* create, replace, patch, delete, sign-in, refused ... */
    struct str kind, id;
    struct str before, after; /* documents, secrets masked; may be empty */
    struct str note;          /* "unconditional", "forced", a reason; may be empty */
    struct str hash;          /* 32 bytes: BLAKE2b-256 over the hash before and all members */
};

__attribute__((warn_unused_result)) int audit_add(struct db *db, struct arena *a,
                                                  const struct audit *e);
/* Entries with seq < `before` (0: from the newest), newest first; filters may be empty. */
__attribute__((warn_unused_result)) int audit_list(struct db *db, struct arena *a, struct str who,
                                                   struct str kind, struct str id, int64_t before,
                                                   size_t limit, struct audit **ret, size_t *ret_n);
/* Walks the whole chain: 0 and the number of entries; -EBADMSG and the seq of the first entry that
 * does not fit. */
__attribute__((warn_unused_result)) int audit_verify(struct db *db, int64_t *ret_seq);

/* ---- conflicts: refused writes (CONFLICT.md, ruling 10) ---- */

struct conflict_record {
    struct str id; /* cf_... */
    int64_t at_us;
    struct str who, kind, resource_id;
    struct str code;     /* edit_conflict ... */
    struct str fields;   /* JSON text: list of pointers */
    struct str document; /* JSON text: the whole answer, whatever its size */
    int64_t retry_count; /* what the client's SDK said of its tries */
};

__attribute__((warn_unused_result)) int conflict_add(struct db *db,
                                                     const struct conflict_record *c);
__attribute__((warn_unused_result)) int conflict_get(struct db *db, struct arena *a, struct str id,
                                                     struct conflict_record *ret);
/* Newest first, at_us < `before_us` (0: from the newest); filters may be empty. */
__attribute__((warn_unused_result)) int conflict_list(struct db *db, struct arena *a,
                                                      struct str kind, struct str resource_id,
                                                      struct str who, int64_t before_us,
                                                      size_t limit, struct conflict_record **ret,
                                                      size_t *ret_n);

/* ---- idempotency: the answer of a request that was done, kept with its effect in one commit ---- */

struct idempotent {
    struct str scope; /* principal LF method LF path */
    struct str key;
    struct str fingerprint; /* 32 bytes: digest of query, content type and body */
    int64_t status;         /* of the answer */
    struct str fields;      /* field lines that are replayed: ETag, Location, Content-Type */
    struct str body;
    int64_t at_us, expires_us;
};

/* 0: `ret` is the stored one (the caller compares fingerprints). -ENOENT: new, or expired. On
 * PostgreSQL a first call with the same key that is under way is waited for. */
__attribute__((warn_unused_result)) int idempotent_get(struct db *db, struct arena *a,
                                                       struct str scope, struct str key,
                                                       int64_t now_us, struct idempotent *ret);
/* -EAGAIN when another one was faster: the job is run again, and finds its answer. */
__attribute__((warn_unused_result)) int idempotent_put(struct db *db, const struct idempotent *i);
__attribute__((warn_unused_result)) int idempotent_expire(struct db *db, int64_t now_us);

/* ---- sessions of people who signed in; only the digest of the cookie's value is kept ---- */

struct session {
    struct str digest; /* 32 bytes */
    struct str user;   /* id */
    struct str csrf;   /* digest of the CSRF token, 32 bytes */
    int64_t created_us, expires_us;
    struct str address, agent;
};

__attribute__((warn_unused_result)) int session_add(struct db *db, const struct session *s);
__attribute__((warn_unused_result)) int
session_get(struct db *db, struct arena *a, struct str digest, int64_t now_us, struct session *ret);
/* `digest` empty: all of the user; `except` (may be empty) stays. */
__attribute__((warn_unused_result)) int session_end(struct db *db, struct str user,
                                                    struct str digest, struct str except);
__attribute__((warn_unused_result)) int session_expire(struct db *db, int64_t now_us);

/* ---- leases: who of several processes may act on a thing, by the database's clock ---- */

/* -EEXIST: another holder has it. One's own is taken anew: its earlier epoch counts no more. */
__attribute__((warn_unused_result)) int lease_take(struct db *db, struct arena *a, struct str name,
                                                   struct str holder, int64_t for_us,
                                                   int64_t *ret_epoch);
/* -ENOENT: it has expired, or is another's, or of another epoch. */
__attribute__((warn_unused_result)) int
lease_keep(struct db *db, struct str name, struct str holder, int64_t epoch, int64_t for_us);
/* Gives back what is still of this epoch. */
__attribute__((warn_unused_result)) int lease_give(struct db *db, struct str name,
                                                   struct str holder, int64_t epoch);
__attribute__((warn_unused_result)) int lease_expire(struct db *db);

/* ---- answers of openai.responses that the upstream does not keep itself, and their conversations ---- */

struct kept_response {
    struct str id;    /* "resp_..." */
    struct str owner; /* the key's id: nobody else finds it */
    int64_t created_us, expires_us;
    struct str items; /* JSON text: an array, the conversation up to and with this one's output */
    struct str input; /* ... what this call itself had added */
    struct str response; /* ... the response object */
};

enum kept_part { KEPT_ITEMS, KEPT_INPUT, KEPT_RESPONSE };

__attribute__((warn_unused_result)) int kept_response_put(struct db *db,
                                                          const struct kept_response *k);
/* One part of it; -ENOENT: there is none of this owner, or it has expired. */
__attribute__((warn_unused_result)) int kept_response_get(struct db *db, struct arena *a,
                                                          struct str owner, struct str id,
                                                          int64_t now_us, enum kept_part part,
                                                          struct str *ret);
/* -ENOENT as above. */
__attribute__((warn_unused_result)) int kept_response_delete(struct db *db, struct str owner,
                                                             struct str id, int64_t now_us);
/* At most `limit` of them, as each may be large; `*ret_n` is how many it were. */
__attribute__((warn_unused_result)) int kept_response_expire(struct db *db, int64_t now_us,
                                                             int64_t limit, int64_t *ret_n);

/* ---- model calls under an Idempotency-Key: begun before a provider hears of them, and ended ---- */

enum call_note_state { CALL_NOTE_BEGUN, CALL_NOTE_WHOLE, CALL_NOTE_CUT };

/* No call runs so long; then the note of one that never ended may go. */
#define CALL_NOTE_RUNS_US (24 * 3600 * INT64_C(1000000))

struct call_note {
    struct str name, payload; /* digests, 32 bytes each */
    struct str owner;         /* the caller's key */
    struct str call;          /* the call's id */
    struct str holder; /* the process that it runs in: the name of its lease, if it has one */
    enum call_note_state state;
    int64_t begun_us, expires_us;
    struct str type, lines, origin; /* of the answer (recording.h) */
    bool kept;                      /* `body` is the answer, sealed */
    struct str body;
    bool lives; /* of one that was found: its process has a lease with its name */
};

/* 0: it stands there once this is committed. -EEXIST: `ret` stands there, and has not expired. Of several at once the
 * others wait for the first one's commit. */
__attribute__((warn_unused_result)) int
call_note_begin(struct db *db, struct arena *a, const struct call_note *n, struct call_note *ret);
/* How it ended: by name and call, state, expiry and answer are set. Nothing where it does not stand (any more). */
__attribute__((warn_unused_result)) int call_note_end(struct db *db, const struct call_note *n);
/* The key is free again. */
__attribute__((warn_unused_result)) int call_note_drop(struct db *db, struct str name,
                                                       struct str call);
/* At most `limit` of them; `*ret_n` is how many it were. */
__attribute__((warn_unused_result)) int call_note_expire(struct db *db, int64_t now_us,
                                                         int64_t limit, int64_t *ret_n);

#endif
