-- Which of the servers that share this database sends alerts. It counts `beats` up every second; another one takes over when they
-- stand still, or when its `claim` is higher.
CREATE TABLE alert_lease (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    server TEXT    NOT NULL,
    run    TEXT    NOT NULL,
    claim  BIGINT  NOT NULL,
    beats  BIGINT  NOT NULL
);
INSERT INTO alert_lease (id, server, run, claim, beats) VALUES (1, '', '', 0, 0);
