-- Who of several processes may act on a thing at present; each row is somebody's until it expires.

CREATE TABLE lease (
    name TEXT NOT NULL, -- a digest of what it is about
    holder TEXT NOT NULL, -- a process
    epoch INTEGER NOT NULL, -- another with each holding: what an earlier one does late finds another number
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (name)
) STRICT;
