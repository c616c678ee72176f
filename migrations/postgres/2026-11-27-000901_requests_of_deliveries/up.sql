-- The request that caused a delivery, so that a failed delivery can be traced back to it.
ALTER TABLE webhook_deliveries ADD COLUMN request_id text NOT NULL DEFAULT '';
