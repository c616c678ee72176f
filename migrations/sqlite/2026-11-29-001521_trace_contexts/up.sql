-- The trace of the request that caused an event, a job or a delivery (W3C Trace Context), so that
-- work in the background belongs to the trace of its cause.
ALTER TABLE events ADD COLUMN traceparent text;
ALTER TABLE jobs ADD COLUMN traceparent text;
ALTER TABLE webhook_deliveries ADD COLUMN traceparent text;
