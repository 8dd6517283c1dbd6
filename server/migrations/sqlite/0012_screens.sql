-- Screens on walls: a row from when one asks to be paired. It has the SHA-256 of what is in the screen's cookie. One that was ended
-- has no row.
CREATE TABLE screens (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    secret_hash     BLOB    NOT NULL UNIQUE,
    -- Until it is paired.
    code            TEXT    UNIQUE,
    -- Of the code while it waits, of the screen's right to look once it is paired.
    ends_at_ms      BIGINT  NOT NULL,
    -- From where it asked, or came last; to the minute.
    address         TEXT,
    user_agent      TEXT,
    last_used_at_ms BIGINT  NOT NULL,
    -- Known once it is paired.
    name            TEXT,
    paired_by       TEXT,
    paired_at_ms    BIGINT
);
