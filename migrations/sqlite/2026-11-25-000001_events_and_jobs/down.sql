DROP TABLE scheduled_tasks;
DROP TABLE jobs;
DROP TABLE event_consumers;
DROP TABLE event_head;
DROP INDEX events_aggregate_idx;
DROP INDEX events_pending_idx;
CREATE TABLE events_without_entry (
    id blob PRIMARY KEY NOT NULL,
    kind text NOT NULL,
    version integer NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id blob NOT NULL,
    payload text NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    occurred_at integer NOT NULL
) STRICT;
INSERT INTO events_without_entry
SELECT id, kind, version, aggregate_type, aggregate_id, payload, actor, request_id, occurred_at FROM events;
DROP TABLE events;
ALTER TABLE events_without_entry RENAME TO events;
CREATE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, id);
