-- Sessions, each under the SHA-256 of its id: who reads the file or a backup of it cannot take over a session with what is
-- there. All sessions from before end here, as their ids stood in the file in plain text: everybody signs in once more.
DROP TABLE IF EXISTS tower_sessions;
DROP TABLE account_sessions;
CREATE TABLE sessions (
    -- What pages show.
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    id_hash         BLOB    NOT NULL UNIQUE,
    -- What the session layer keeps in it, as JSON.
    data            TEXT    NOT NULL,
    expires_at_ms   BIGINT  NOT NULL,
    -- Known once somebody has signed in with it.
    account_id      INTEGER REFERENCES accounts (id) ON DELETE CASCADE,
    signed_in_at_ms BIGINT,
    last_used_at_ms BIGINT,
    address         TEXT,
    user_agent      TEXT
);
CREATE INDEX sessions_account ON sessions (account_id);

-- From where an account was signed in with: there its owner does not wait for what strangers try elsewhere. Taken over from
-- the audit log for IPv4; an IPv6 network is known from its next sign-in.
CREATE TABLE known_networks (
    account_id      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    network         TEXT    NOT NULL,
    signed_in_at_ms BIGINT  NOT NULL,
    PRIMARY KEY (account_id, network)
);
INSERT INTO known_networks (account_id, network, signed_in_at_ms)
SELECT accounts.id, audit.address, MAX(audit.at_ms)
FROM audit JOIN accounts ON accounts.email = audit.actor
WHERE audit.action = 'sign_in' AND audit.outcome = 'ok' AND audit.address LIKE '%.%' AND audit.address NOT LIKE '%:%'
GROUP BY accounts.id, audit.address;

-- The key of the hashes that stand in the audit log for what was typed as an email and is none of an account: it may be a
-- password. Made here, kept nowhere else.
CREATE TABLE record_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB    NOT NULL
);
INSERT INTO record_key (id, key) VALUES (1, randomblob(32));
