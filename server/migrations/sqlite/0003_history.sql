-- What happened while nobody looked. Times are Unix milliseconds. Statements elsewhere keep to what SQLite and PostgreSQL
-- both understand; what differs between the two is here.

-- One row a run of the server. `last_seen_at_ms` moves on with every batch: from it the next run knows since when nobody
-- watched. `connection_ids` are those that were enabled then, separated by commas.
CREATE TABLE history_runs (
    started_at_ms   BIGINT NOT NULL PRIMARY KEY,
    last_seen_at_ms BIGINT NOT NULL,
    stopped_at_ms   BIGINT,
    connection_ids  TEXT   NOT NULL
);

-- Metrics of one connection over one span, which begins at `at_ms`. The same second is merged into a row of every
-- resolution, so sums stay exact and nothing has to be rolled up later. Percentiles of several seconds cannot be joined:
-- their sum over `latency_samples` seconds is kept, for a mean, and the worst.
CREATE TABLE history_samples (
    resolution_seconds  INTEGER NOT NULL,
    at_ms               BIGINT  NOT NULL,
    connection_id       INTEGER NOT NULL,
    covered_ms          BIGINT  NOT NULL,
    messages            BIGINT  NOT NULL,
    ticks               BIGINT  NOT NULL,
    bytes               BIGINT  NOT NULL,
    errors              BIGINT  NOT NULL,
    reconnects          BIGINT  NOT NULL,
    ticks_per_second_max DOUBLE PRECISION NOT NULL,
    latency_samples     BIGINT  NOT NULL,
    latency_p50_us_sum  BIGINT  NOT NULL,
    latency_p95_us_sum  BIGINT  NOT NULL,
    latency_p99_us_sum  BIGINT  NOT NULL,
    latency_p99_us_max  BIGINT  NOT NULL,
    disabled_ms         BIGINT  NOT NULL,
    connected_ms        BIGINT  NOT NULL,
    degraded_ms         BIGINT  NOT NULL,
    busy_ms             BIGINT  NOT NULL,
    mute_ms             BIGINT  NOT NULL,
    failed_ms           BIGINT  NOT NULL,
    -- Time before connection: a range is read, and pruned, as one piece.
    PRIMARY KEY (resolution_seconds, at_ms, connection_id)
) WITHOUT ROWID;

CREATE TABLE history_events (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms         BIGINT NOT NULL,
    connection_id INTEGER,
    kind          TEXT   NOT NULL,
    state         TEXT,
    text          TEXT   NOT NULL
);
CREATE INDEX history_events_at ON history_events (at_ms, id);

CREATE TABLE history_gaps (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    connection_id           INTEGER NOT NULL,
    number                  BIGINT  NOT NULL,
    started_at_ms           BIGINT  NOT NULL,
    ended_at_ms             BIGINT,
    last_tick_at_ms         BIGINT,
    first_tick_at_ms        BIGINT,
    cause                   TEXT    NOT NULL,
    close_code              INTEGER,
    words                   TEXT    NOT NULL,
    symbols_count           BIGINT  NOT NULL,
    symbols                 TEXT    NOT NULL,
    ticks_per_second_before DOUBLE PRECISION,
    rate_seconds            BIGINT  NOT NULL,
    attempts                BIGINT  NOT NULL,
    acknowledged_at_ms      BIGINT,
    acknowledged_by         TEXT,
    note                    TEXT,
    UNIQUE (connection_id, number)
);
CREATE INDEX history_gaps_started ON history_gaps (started_at_ms);
