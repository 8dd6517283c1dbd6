-- The highest epoch under which history was written. Who writes raises it in the same transaction, and a server whose lease is
-- over finds a higher one and writes nothing.
CREATE TABLE collector (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT  NOT NULL
);
INSERT INTO collector (id, epoch) VALUES (1, 0);

-- Which server it was, where several share the database.
ALTER TABLE history_runs ADD COLUMN server TEXT NOT NULL DEFAULT '';
