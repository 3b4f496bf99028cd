-- Definitions of MCP servers' tools: the one that may be used, and another that waits for a person.

CREATE TABLE tools (
    connection          TEXT NOT NULL REFERENCES connections (name) ON DELETE CASCADE,
    name                TEXT NOT NULL,
    -- SHA-256 and canonical JSON; NULL where nothing was approved or trusted yet.
    approved            BLOB,
    approved_definition TEXT,
    -- The tool is quarantined while there is one.
    pending             BLOB,
    pending_definition  TEXT,
    -- Why it waits.
    doubt               TEXT NOT NULL DEFAULT '',
    -- Who saw what waits, or else what was seen first.
    node                TEXT NOT NULL,
    first_seen          INTEGER NOT NULL,
    changed             INTEGER,
    -- Of people, over all tools; 0 where there was none.
    decision            INTEGER NOT NULL DEFAULT 0,
    decided             INTEGER,
    decided_by          TEXT,
    reason              TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (connection, name)
) STRICT, WITHOUT ROWID;
