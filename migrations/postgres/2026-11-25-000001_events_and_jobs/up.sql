-- The event log's order, and the work that follows from it.

-- `entry` rises as events are written: transactions that wait for each other, as those of one order do, have theirs in order.
-- Others commit in another order than they wrote, so nobody reads by it: once an event is committed, the relay gives it the next
-- `position` in the log, without gaps, and the next `sequence` in the history of what it happened to.
ALTER TABLE events
    ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN position bigint UNIQUE,
    ADD COLUMN sequence bigint;
CREATE INDEX events_pending_idx ON events (entry) WHERE position IS NULL;
DROP INDEX events_aggregate_idx;
CREATE UNIQUE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, sequence);

-- Where the log ends. Locked by the relay: there is one at a time.
CREATE TABLE event_head (
    singleton boolean PRIMARY KEY CHECK (singleton),
    position bigint NOT NULL,
    -- Events up to here may have been removed.
    pruned bigint NOT NULL CHECK (pruned <= position)
);
INSERT INTO event_head VALUES (true, 0, 0);

-- How far those who follow the log by themselves have come.
CREATE TABLE event_consumers (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    payload jsonb NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'dead', 'cancelled')),
    -- Of jobs that wait, one has it.
    unique_key text COLLATE "C",
    -- The event it follows from.
    event_id uuid,
    request_id text NOT NULL,
    priority integer NOT NULL,
    -- How often it was begun, and how often that may be in vain.
    attempts integer NOT NULL CHECK (attempts >= 0),
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    run_at timestamptz NOT NULL,
    -- Who runs it, and until when they need not say that they still do.
    worker uuid,
    lease_until timestamptz,
    progress integer NOT NULL CHECK (progress BETWEEN 0 AND 100),
    error text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK ((status = 'running') = (worker IS NOT NULL)),
    CHECK ((worker IS NULL) = (lease_until IS NULL))
);
CREATE UNIQUE INDEX jobs_unique_key_idx ON jobs (unique_key) WHERE status = 'queued';
CREATE INDEX jobs_queued_idx ON jobs (priority DESC, run_at, id) WHERE status = 'queued';
CREATE INDEX jobs_running_idx ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_finished_idx ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_event_id_idx ON jobs (event_id) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_kind_idx ON jobs (kind, id);
CREATE INDEX jobs_status_idx ON jobs (status, id);

-- When tasks of the clock were last due.
CREATE TABLE scheduled_tasks (
    name text COLLATE "C" PRIMARY KEY,
    last_due_at timestamptz NOT NULL,
    last_job_id uuid
);
