-- Model calls under an Idempotency-Key: that one has begun stands here before a provider hears of it, and afterwards
-- how it ended, with its answer when that is short.

CREATE TABLE call_note (
    name BLOB PRIMARY KEY NOT NULL, -- digest of the caller's key, method, path and Idempotency-Key
    payload BLOB NOT NULL, -- digest of all that has to be the same whenever those are
    owner TEXT NOT NULL, -- the caller's key
    call TEXT NOT NULL, -- the call's id
    holder TEXT NOT NULL, -- the process that it runs in
    state INTEGER NOT NULL, -- 0: it has begun; 1: its answer is whole; 2: its answer broke off
    begun_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    type TEXT NOT NULL, -- of the answer: Content-Type, further field lines, whose answer it was
    lines TEXT NOT NULL,
    origin TEXT NOT NULL,
    body BLOB -- of the answer, sealed; NULL: it is not kept
) STRICT;
CREATE INDEX call_note_expires ON call_note (expires_us);
