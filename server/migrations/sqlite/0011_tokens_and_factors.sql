-- API tokens. A row has the SHA-256 of the token; the token itself is shown once and kept nowhere. One that is revoked has no row:
-- the audit log says who made and revoked it.
CREATE TABLE api_tokens (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    token_hash      BLOB    NOT NULL UNIQUE,
    scope           TEXT    NOT NULL CHECK (scope IN ('read', 'operate')),
    made_by         TEXT    NOT NULL,
    made_at_ms      BIGINT  NOT NULL,
    ends_at_ms      BIGINT  NOT NULL,
    -- To the minute.
    last_used_at_ms BIGINT,
    last_used_from  TEXT
);

-- Second factors. The seed has to be known to check a code, so it stands here as it is.
CREATE TABLE second_factors (
    account_id      INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    seed            BLOB    NOT NULL,
    -- Known once a first code has shown that the app has the seed.
    confirmed_at_ms BIGINT,
    -- Of the last code that was taken: neither it nor an older one is taken again.
    last_step       BIGINT  NOT NULL
);

-- Recovery codes that are not used yet: SHA-256 of the account and the code, which has 80 random bits.
CREATE TABLE recovery_codes (
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    code_hash  BLOB    NOT NULL,
    PRIMARY KEY (account_id, code_hash)
);
