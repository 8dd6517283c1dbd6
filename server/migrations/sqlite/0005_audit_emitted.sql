-- Through which record the server has written the audit log to standard error. What the `user` command records, while a
-- server runs or not, is written there by the server too: collectors follow its output and no other.
CREATE TABLE audit_emitted (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    through BIGINT NOT NULL
);
-- Versions before wrote each record where it was made.
INSERT INTO audit_emitted (id, through)
SELECT 1, COALESCE((SELECT MAX(seq) FROM audit), pruned_through) FROM audit_anchor;

CREATE TRIGGER audit_emitted_goes_forward BEFORE UPDATE ON audit_emitted
WHEN NEW.through < OLD.through
    OR NEW.through > (SELECT COALESCE((SELECT MAX(seq) FROM audit), (SELECT pruned_through FROM audit_anchor)))
BEGIN
    SELECT RAISE(ABORT, 'the audit log is written out record by record, to its end at most');
END;

CREATE TRIGGER audit_emitted_stays BEFORE DELETE ON audit_emitted
BEGIN
    SELECT RAISE(ABORT, 'how far the audit log was written out stays known');
END;
