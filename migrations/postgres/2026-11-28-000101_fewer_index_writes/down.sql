DROP INDEX jobs_cancelled_idx;
DROP INDEX jobs_dead_idx;
CREATE INDEX jobs_status_idx ON jobs (status, id);
CREATE INDEX jobs_kind_idx ON jobs (kind, id);
DROP INDEX events_aggregate_idx;
CREATE UNIQUE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, sequence);
