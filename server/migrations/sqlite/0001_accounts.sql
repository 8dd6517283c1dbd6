-- Who may sign in. Emails are stored in lower case, so that uniqueness ignores case.
-- AUTOINCREMENT: an id is never given twice, so an old session can never mean a newer account.
CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    email         TEXT    NOT NULL UNIQUE,
    role          TEXT    NOT NULL CHECK (role IN ('user', 'moderator', 'admin', 'super')),
    password_hash TEXT    NOT NULL,
    disabled      BOOLEAN NOT NULL DEFAULT FALSE,
    -- Part of what a session is checked against: one more, and the sessions so far are over.
    session_epoch BIGINT  NOT NULL DEFAULT 0,
    created_at_ms BIGINT  NOT NULL
);
