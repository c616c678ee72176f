DROP TABLE scheduled_tasks, jobs, event_consumers, event_head;
DROP INDEX events_aggregate_idx;
ALTER TABLE events DROP COLUMN sequence, DROP COLUMN position, DROP COLUMN entry;
CREATE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, id);
