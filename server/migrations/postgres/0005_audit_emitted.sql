-- Through which record a server has written the audit log to standard error. What the `user` command records, while a
-- server runs or not, is written there by the server too: collectors follow its output and no other.
CREATE TABLE audit_emitted (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    through BIGINT NOT NULL
);
INSERT INTO audit_emitted (id, through) VALUES (1, 0);

CREATE FUNCTION audit_emitted_goes_forward() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.through < OLD.through
        OR NEW.through > COALESCE((SELECT MAX(seq) FROM audit), (SELECT pruned_through FROM audit_anchor))
    THEN
        RAISE EXCEPTION 'the audit log is written out record by record, to its end at most';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_emitted_goes_forward BEFORE UPDATE ON audit_emitted
    FOR EACH ROW EXECUTE FUNCTION audit_emitted_goes_forward();

CREATE FUNCTION audit_emitted_stays() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'how far the audit log was written out stays known';
END $$;
CREATE TRIGGER audit_emitted_stays BEFORE DELETE ON audit_emitted FOR EACH ROW EXECUTE FUNCTION audit_emitted_stays();
CREATE TRIGGER audit_emitted_is_not_emptied BEFORE TRUNCATE ON audit_emitted
    FOR EACH STATEMENT EXECUTE FUNCTION audit_emitted_stays();
