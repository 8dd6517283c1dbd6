-- The audit log: what was done, by whom, from where, with what outcome. Each record carries the hash of the one before, so
-- that `tickstock-monitor audit verify` finds what was changed, left out or put in. The triggers refuse it in the first place.
CREATE TABLE audit (
    seq           BIGINT  PRIMARY KEY,
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
    previous_hash BYTEA   NOT NULL,
    hash          BYTEA   NOT NULL
);
CREATE INDEX audit_at ON audit (at_ms);
CREATE INDEX audit_actor ON audit (actor, seq);

-- How far the log was cut by retention, and the hash of the last record that went: where the chain starts now. Whoever changes
-- something locks this row first: one at a time, on whatever server.
CREATE TABLE audit_anchor (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    pruned_through BIGINT NOT NULL,
    pruned_hash    BYTEA  NOT NULL
);
INSERT INTO audit_anchor (id, pruned_through, pruned_hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- Each trigger has its function, with the words of its refusal.
CREATE FUNCTION audit_continues() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq <> COALESCE((SELECT MAX(seq) FROM audit), (SELECT pruned_through FROM audit_anchor)) + 1
        OR NEW.previous_hash <> COALESCE((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1),
                                         (SELECT pruned_hash FROM audit_anchor))
    THEN
        RAISE EXCEPTION 'an audit record has to continue the chain';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_continues BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_continues();

CREATE FUNCTION audit_is_not_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are never changed';
END $$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_not_changed();

CREATE FUNCTION audit_is_not_deleted() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR OLD.seq > (SELECT pruned_through FROM audit_anchor) THEN
        RAISE EXCEPTION 'audit records are deleted by retention alone';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_not_deleted();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_not_deleted();

CREATE FUNCTION audit_anchor_goes_forward() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.pruned_through <= OLD.pruned_through
        OR NEW.pruned_hash IS DISTINCT FROM (SELECT hash FROM audit WHERE seq = NEW.pruned_through)
    THEN
        RAISE EXCEPTION 'the audit anchor moves forward, to a record that is there';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_anchor_goes_forward BEFORE UPDATE ON audit_anchor
    FOR EACH ROW EXECUTE FUNCTION audit_anchor_goes_forward();

CREATE FUNCTION audit_anchor_stays() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit anchor stays';
END $$;
CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor FOR EACH ROW EXECUTE FUNCTION audit_anchor_stays();
CREATE TRIGGER audit_anchor_is_not_emptied BEFORE TRUNCATE ON audit_anchor
    FOR EACH STATEMENT EXECUTE FUNCTION audit_anchor_stays();

-- One more whenever an account changed so that its sessions and sockets may have to go. Every server looks at it every
-- second: what the `user` command or another server does reaches open sockets at once. The second row is for sessions that
-- were ended; it has a lock of its own, so that no two changes wait for each other.
CREATE TABLE auth_revision (
    id       BIGINT PRIMARY KEY CHECK (id IN (1, 2)),
    revision BIGINT NOT NULL
);
INSERT INTO auth_revision (id, revision) VALUES (1, 0), (2, 0);

CREATE FUNCTION accounts_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE auth_revision SET revision = revision + 1 WHERE id = 1;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_changed AFTER UPDATE OF role, disabled, session_epoch ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_changed();
CREATE TRIGGER accounts_deleted AFTER DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION accounts_changed();
