-- Events are placed in the log right after they are written. Statistics that are collected in between, such as after an import, say
-- that most events are not placed, and until the next ones, each search for those that are not reads all events. So there are none:
-- setting the type, though it stays the same, deletes those that were collected.
ALTER TABLE events ALTER COLUMN position TYPE bigint;
ALTER TABLE events ALTER COLUMN position SET STATISTICS 0;
