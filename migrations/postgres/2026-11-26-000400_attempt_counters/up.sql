-- How often attempts failed at what can be guessed: a row an account, an address or a cart that has any, and a row for each
-- address that an account was signed in from. Rows end by themselves and are removed by the clean-up.
CREATE TABLE attempt_counters (
    -- SHA-256 of what is counted, so that neither e-mail addresses nor network addresses are kept.
    key text COLLATE "C" PRIMARY KEY,
    failures bigint NOT NULL CHECK (failures >= 0),
    -- No attempt is made before.
    blocked_until timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    -- Whether the owner of the account was told.
    is_reported boolean NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX attempt_counters_expires_at_idx ON attempt_counters (expires_at);
