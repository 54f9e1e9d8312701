-- The state of the platform (store/resource.h, store/journal.h). One text for both databases: for
-- PostgreSQL, INTEGER becomes BIGINT, BLOB becomes BYTEA, and STRICT goes.

CREATE TABLE resource (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash TEXT NOT NULL,
    document TEXT NOT NULL,
    managers TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE TABLE tombstone (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE TABLE revision (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash TEXT NOT NULL,
    document TEXT NOT NULL,
    managers TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    updated_us INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (kind, id, revision)
) STRICT;

CREATE TABLE uniq (
    kind TEXT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (kind, field, value),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX uniq_of ON uniq (kind, id);

CREATE TABLE reference (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    pointer TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_id TEXT NOT NULL,
    PRIMARY KEY (kind, id, pointer),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE,
    FOREIGN KEY (to_kind, to_id) REFERENCES resource (kind, id)
) STRICT;
CREATE INDEX reference_to ON reference (to_kind, to_id, kind, id);

CREATE TABLE secret (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    last4 TEXT NOT NULL,
    PRIMARY KEY (kind, id, name),
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE digest (
    digest BLOB PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_us INTEGER NOT NULL,
    FOREIGN KEY (kind, id) REFERENCES resource (kind, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX digest_of ON digest (kind, id);

CREATE TABLE change (
    seq INTEGER PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    action TEXT NOT NULL,
    who TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT;

-- The last numbers of the feed and of the audit trail, with the hash of its last entry. One row,
-- locked from its first use in a transaction to the commit: so both are gap-free and in the order of
-- the commits.
CREATE TABLE tail (
    name TEXT PRIMARY KEY NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO tail (name, seq, hash) VALUES ('change', 0, CAST('' AS BLOB)), ('audit', 0, CAST('' AS BLOB));

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY NOT NULL,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    note TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_of ON audit (kind, id, seq);

CREATE TABLE conflict (
    id TEXT PRIMARY KEY NOT NULL,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    code TEXT NOT NULL,
    fields TEXT NOT NULL,
    document TEXT NOT NULL,
    retry_count INTEGER NOT NULL
) STRICT;
CREATE INDEX conflict_at ON conflict (at_us, id);

CREATE TABLE idempotent (
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    fields TEXT NOT NULL,
    body TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (scope, idempotency_key)
) STRICT;
CREATE INDEX idempotent_expires ON idempotent (expires_us);

CREATE TABLE session (
    digest BLOB PRIMARY KEY NOT NULL,
    who TEXT NOT NULL,
    csrf BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX session_who ON session (who);

-- Small facts of the store itself: the check value of the master key.
CREATE TABLE fact (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT;
