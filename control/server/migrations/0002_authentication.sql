-- Who vouches for clients beside accounts' secrets and tokens.

CREATE TABLE identity_providers (
    issuer        TEXT PRIMARY KEY,
    spec          TEXT NOT NULL,
    -- The key set as it was fetched last; kept when a later attempt fails.
    jwks          TEXT NOT NULL DEFAULT '',
    fetched       INTEGER,
    error         TEXT NOT NULL DEFAULT ''
) STRICT;

-- What certificates of an account name; one name is of one account.
CREATE TABLE certificate_names (
    name    TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name)
) STRICT, WITHOUT ROWID;

-- Weir's own certificate and its key towards a server, sealed; NULL if it has none.
ALTER TABLE credentials ADD COLUMN certificate BLOB;
