-- Events are indexed once they have a sequence number, and not before as well.
DROP INDEX events_aggregate_idx;
CREATE UNIQUE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, sequence) WHERE sequence IS NOT NULL;

-- Every job was written to these two several times, for lists that only staff read. Jobs that are queued or running have
-- indexes of their own, and most of the others are completed.
DROP INDEX jobs_kind_idx;
DROP INDEX jobs_status_idx;
CREATE INDEX jobs_dead_idx ON jobs (id) WHERE status = 'dead';
CREATE INDEX jobs_cancelled_idx ON jobs (id) WHERE status = 'cancelled';
