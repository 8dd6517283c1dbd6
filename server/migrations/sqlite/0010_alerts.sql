-- Alerts, who was told of them, and what people changed. Times are Unix milliseconds.

-- An alert as it is now, or was at its end; `data` is all of it, as JSON.
CREATE TABLE alerts (
    id             TEXT   NOT NULL PRIMARY KEY,
    fingerprint    TEXT   NOT NULL,
    rule           TEXT   NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    resolved_at_ms BIGINT,
    data           TEXT   NOT NULL
);
CREATE INDEX alerts_started ON alerts (started_at_ms, id);
CREATE INDEX alerts_resolved ON alerts (resolved_at_ms);

-- Its steps, each with the alert as it was then: what a receiver is told is of that moment, however late it is told.
CREATE TABLE alert_transitions (
    id       TEXT   NOT NULL PRIMARY KEY,
    alert_id TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    kind     TEXT   NOT NULL,
    at_ms    BIGINT NOT NULL,
    data     TEXT   NOT NULL
);
CREATE INDEX alert_transitions_alert ON alert_transitions (alert_id, number);

-- The outbox: written together with the step that it tells. `state` is pending, delivered or given_up.
CREATE TABLE alert_deliveries (
    transition_id TEXT   NOT NULL,
    destination   TEXT   NOT NULL,
    alert_id      TEXT   NOT NULL,
    number        BIGINT NOT NULL,
    kind          TEXT   NOT NULL,
    title         TEXT   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    attempts      BIGINT NOT NULL,
    next_at_ms    BIGINT NOT NULL,
    ended_at_ms   BIGINT,
    answer        TEXT,
    PRIMARY KEY (transition_id, destination)
);
CREATE INDEX alert_deliveries_waiting ON alert_deliveries (destination, state, alert_id, number);
CREATE INDEX alert_deliveries_created ON alert_deliveries (destination, created_at_ms);

-- Who looks after an alert. Whichever server is asked writes it; the one that sends takes it from here.
CREATE TABLE alert_acknowledgements (
    alert_id TEXT   NOT NULL PRIMARY KEY,
    at_ms    BIGINT NOT NULL,
    by_whom  TEXT   NOT NULL,
    note     TEXT   NOT NULL
);

CREATE TABLE alert_silences (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    rule          TEXT,
    connection_id BIGINT,
    from_ms       BIGINT NOT NULL,
    until_ms      BIGINT NOT NULL,
    reason        TEXT   NOT NULL,
    by_whom       TEXT   NOT NULL
);

-- Rules that were changed, for all connections (0) or for one.
CREATE TABLE alert_rules (
    rule          TEXT   NOT NULL,
    connection_id BIGINT NOT NULL,
    enabled       BIGINT NOT NULL,
    for_seconds     BIGINT NOT NULL,
    resolve_seconds BIGINT NOT NULL,
    threshold       DOUBLE PRECISION,
    PRIMARY KEY (rule, connection_id)
);

-- Destinations that answered that they are gone for good, under the hash of the address that did.
CREATE TABLE alert_destinations_gone (
    name         TEXT   NOT NULL PRIMARY KEY,
    address_hash TEXT   NOT NULL,
    gone_at_ms   BIGINT NOT NULL
);

-- Moves on with everything that people change: the servers look at it every second.
CREATE TABLE alert_revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision BIGINT NOT NULL
);
INSERT INTO alert_revision (id, revision) VALUES (1, 0);
