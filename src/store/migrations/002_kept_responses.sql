-- What the Responses of other dialects' upstreams leave to us: each answer with its whole conversation.

CREATE TABLE kept_response (
    id TEXT NOT NULL,
    owner TEXT NOT NULL, -- a key's id
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    items TEXT NOT NULL, -- JSON array: the conversation up to and with this response's output
    input TEXT NOT NULL, -- JSON array: this call's own part of it
    response TEXT NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
CREATE INDEX kept_response_expires ON kept_response (expires_us);
