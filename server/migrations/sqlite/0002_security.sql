-- The audit log: what was done, by whom, from where, with what outcome. Each record carries the hash of the one before, so
-- that `tickstock-monitor audit verify` finds what was changed, left out or put in. The triggers refuse it in the first place.
CREATE TABLE audit (
    seq           INTEGER PRIMARY KEY,
    at_ms         BIGINT  NOT NULL,
    actor         TEXT,
    role          TEXT,
    address       TEXT,
    user_agent    TEXT,
    action        TEXT    NOT NULL,
    target        TEXT,
    outcome       TEXT    NOT NULL CHECK (outcome IN ('ok', 'refused', 'failed')),
    reason        TEXT,
    -- How many times: more than one where a minute's repetitions are one record.
    occurrences   BIGINT  NOT NULL,
    previous_hash BLOB    NOT NULL,
    hash          BLOB    NOT NULL
);
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_actor ON audit (actor, seq);

-- How far the log was cut by retention, and the hash of the last record that went: where the chain starts now.
CREATE TABLE audit_anchor (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    pruned_through BIGINT NOT NULL,
    pruned_hash    BLOB   NOT NULL
);
INSERT INTO audit_anchor (id, pruned_through, pruned_hash) VALUES (1, 0, zeroblob(32));

CREATE TRIGGER audit_continues BEFORE INSERT ON audit
WHEN NEW.seq <> (SELECT COALESCE((SELECT MAX(seq) FROM audit), (SELECT pruned_through FROM audit_anchor)) + 1)
    OR NEW.previous_hash <> (SELECT COALESCE((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1),
                                             (SELECT pruned_hash FROM audit_anchor)))
BEGIN
    SELECT RAISE(ABORT, 'an audit record has to continue the chain');
END;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit records are never changed');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
WHEN OLD.seq > (SELECT pruned_through FROM audit_anchor)
BEGIN
    SELECT RAISE(ABORT, 'audit records are deleted by retention alone');
END;

CREATE TRIGGER audit_anchor_goes_forward BEFORE UPDATE ON audit_anchor
WHEN NEW.pruned_through <= OLD.pruned_through
    OR NEW.pruned_hash IS NOT (SELECT hash FROM audit WHERE seq = NEW.pruned_through)
BEGIN
    SELECT RAISE(ABORT, 'the audit anchor moves forward, to a record that is there');
END;

CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor
BEGIN
    SELECT RAISE(ABORT, 'the audit anchor stays');
END;

-- What one may know of a session: the layer's own table holds its id and its end. `id` is what pages show.
CREATE TABLE account_sessions (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id      TEXT    NOT NULL UNIQUE,
    account_id      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    signed_in_at_ms BIGINT  NOT NULL,
    last_used_at_ms BIGINT  NOT NULL,
    address         TEXT,
    user_agent      TEXT
);
CREATE INDEX account_sessions_account ON account_sessions (account_id);

-- One more whenever an account changed so that its sessions and sockets may have to go. The server looks at it every
-- second: what the `user` command does in another process reaches open sockets at once.
CREATE TABLE auth_revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO auth_revision (id, revision) VALUES (1, 0);

CREATE TRIGGER accounts_changed AFTER UPDATE OF role, disabled, session_epoch ON accounts
BEGIN
    UPDATE auth_revision SET revision = revision + 1;
END;

CREATE TRIGGER accounts_deleted AFTER DELETE ON accounts
BEGIN
    UPDATE auth_revision SET revision = revision + 1;
END;
