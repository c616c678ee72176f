ALTER TABLE webhook_deliveries DROP COLUMN traceparent;
ALTER TABLE jobs DROP COLUMN traceparent;
ALTER TABLE events DROP COLUMN traceparent;
