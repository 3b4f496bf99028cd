-- Records that name the MCP call which caused them, and the other records of the same
-- operations, by that call. A projection of the leaves.
CREATE TABLE links (
    node           TEXT NOT NULL,
    call_flow      TEXT NOT NULL,
    call_operation INTEGER NOT NULL,
    idx            INTEGER NOT NULL,
    flow           TEXT NOT NULL,
    operation      INTEGER NOT NULL,
    PRIMARY KEY (node, call_flow, call_operation, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX links_of_operation ON links (node, flow, operation);
