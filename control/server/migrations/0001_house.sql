-- Times are unix seconds. Lists are JSON arrays of strings, sorted.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE accounts (
    name           TEXT PRIMARY KEY,
    is_service     INTEGER NOT NULL CHECK (is_service IN (0, 1)),
    person         TEXT NOT NULL,
    owner          TEXT REFERENCES accounts (name),
    roles          TEXT NOT NULL,
    scram_verifier TEXT,
    disabled       INTEGER NOT NULL DEFAULT 0,
    created        INTEGER NOT NULL,
    CHECK (is_service = 0 OR owner IS NOT NULL)
) STRICT;

-- Since when counts: membership that is younger than a request does not decide it.
CREATE TABLE memberships (
    account TEXT NOT NULL REFERENCES accounts (name),
    grp     TEXT NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (account, grp)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name),
    sha256  BLOB NOT NULL UNIQUE,
    label   TEXT NOT NULL,
    scopes  TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE workloads (
    name  TEXT PRIMARY KEY,
    spec  TEXT NOT NULL,
    owner TEXT REFERENCES accounts (name)
) STRICT;

CREATE TABLE connections (
    name     TEXT PRIMARY KEY,
    spec     TEXT NOT NULL,
    mask_key BLOB NOT NULL
) STRICT;

CREATE TABLE credentials (
    connection TEXT NOT NULL REFERENCES connections (name) ON DELETE CASCADE,
    role       TEXT NOT NULL,
    secret     BLOB NOT NULL,
    catalogue  INTEGER NOT NULL CHECK (catalogue IN (0, 1)),
    PRIMARY KEY (connection, role)
) STRICT;

CREATE TABLE guards (
    cgroup TEXT PRIMARY KEY,
    mode   TEXT NOT NULL
) STRICT;

CREATE TABLE locks (
    id   TEXT PRIMARY KEY,
    spec TEXT NOT NULL
) STRICT;

CREATE TABLE nodes (
    name          TEXT PRIMARY KEY,
    token_sha256  BLOB NOT NULL,
    serves        TEXT,
    created       INTEGER NOT NULL,
    wanted        INTEGER NOT NULL DEFAULT 0,
    wanted_hash   BLOB,
    applied       INTEGER NOT NULL DEFAULT 0,
    rejected_hash BLOB,
    error         TEXT NOT NULL DEFAULT '',
    build         TEXT NOT NULL DEFAULT '',
    last_seen     INTEGER,
    health        TEXT,
    log_vkey      TEXT NOT NULL DEFAULT '',
    next_leaf     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE policy_versions (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL,
    parent  INTEGER,
    author  TEXT NOT NULL,
    message TEXT NOT NULL,
    files   TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE approvals (
    id                TEXT PRIMARY KEY,
    node              TEXT NOT NULL,
    principal_key     TEXT NOT NULL,
    digest            BLOB NOT NULL,
    requester         TEXT NOT NULL,
    owner             TEXT,
    excluded          TEXT NOT NULL,
    connection        TEXT NOT NULL,
    operation         TEXT NOT NULL,
    accesses          TEXT NOT NULL,
    approvers         TEXT NOT NULL,
    quorum            INTEGER NOT NULL CHECK (quorum > 0),
    reason            TEXT NOT NULL,
    policies          TEXT NOT NULL,
    source            TEXT NOT NULL,
    flow              INTEGER NOT NULL,
    state             TEXT NOT NULL
        CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'spent', 'withdrawn')),
    created           INTEGER NOT NULL,
    expires           INTEGER NOT NULL,
    decided           INTEGER,
    execution_expires INTEGER
) STRICT;

-- One open or unspent approval for one principal and one operation.
CREATE UNIQUE INDEX approvals_open ON approvals (principal_key, digest) WHERE state IN ('pending', 'approved');
CREATE INDEX approvals_of_node ON approvals (node, state);

CREATE TABLE votes (
    approval TEXT NOT NULL REFERENCES approvals (id),
    person   TEXT NOT NULL,
    account  TEXT NOT NULL REFERENCES accounts (name),
    approved INTEGER NOT NULL CHECK (approved IN (0, 1)),
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (approval, person)
) STRICT;

CREATE TABLE leaves (
    node TEXT NOT NULL,
    idx  INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    PRIMARY KEY (node, idx)
) STRICT, WITHOUT ROWID;

-- What follows is a projection of the leaves.
CREATE TABLE sessions (
    node       TEXT NOT NULL,
    flow       TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    last_us    INTEGER NOT NULL,
    closed     INTEGER NOT NULL,
    identity   TEXT NOT NULL,
    workload   TEXT NOT NULL,
    connection TEXT NOT NULL,
    protocol   TEXT NOT NULL,
    source     TEXT NOT NULL,
    PRIMARY KEY (node, flow)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_time ON sessions (last_us DESC);

-- One row for one operation, whatever number of records tell of it.
CREATE TABLE operations (
    node      TEXT NOT NULL,
    flow      TEXT NOT NULL,
    operation INTEGER NOT NULL,
    refused   INTEGER NOT NULL,
    held      INTEGER NOT NULL,
    masked    INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (node, flow, operation)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    node TEXT NOT NULL,
    flow TEXT NOT NULL,
    idx  INTEGER NOT NULL,
    PRIMARY KEY (node, flow, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    node   TEXT NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    origin TEXT NOT NULL,
    note   BLOB NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (node, size, root)
) STRICT;

CREATE TABLE alerts (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    node   TEXT NOT NULL,
    kind   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- Each row carries the hash of the one before, so that a row cannot vanish unseen.
CREATE TABLE management_log (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;
