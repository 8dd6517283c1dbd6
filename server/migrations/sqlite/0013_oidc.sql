-- Accounts that sign in at an identity provider. Who somebody is there, is the issuer and the subject: an email may be changed, and given to
-- somebody else. Such an account has no password here.
CREATE TABLE oidc_identities (
    account_id INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    UNIQUE (issuer, subject)
);

-- What a session that was started there needs beside.
CREATE TABLE oidc_sessions (
    session_number     INTEGER PRIMARY KEY REFERENCES sessions (number) ON DELETE CASCADE,
    -- What the provider calls its own session.
    sid                TEXT,
    -- Of the ID token, by the provider's clock, in seconds: what it ends later than this, is this session.
    issued_at_s        BIGINT  NOT NULL,
    -- When somebody last showed the provider who they are, by its clock, if it said so.
    authenticated_at_s BIGINT,
    -- The provider's tokens, sealed with a key that is made of the client secret.
    tokens             BLOB   NOT NULL,
    -- When the role was last taken from the provider.
    checked_at_ms      BIGINT  NOT NULL
);
CREATE INDEX oidc_sessions_checked ON oidc_sessions (checked_at_ms);
