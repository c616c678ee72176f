-- The check of payments looks for these every few minutes, and there are few of them in the ledger. Other entries, of which each
-- order has some, are not indexed once more.
CREATE INDEX payments_refund_requests_idx ON payments (id) WHERE kind = 'refund_requested';
CREATE INDEX payments_refund_id_idx ON payments (refund_id) WHERE refund_id IS NOT NULL;
CREATE INDEX payments_capture_requests_idx ON payments (order_id, id) WHERE kind = 'capture_requested';
CREATE INDEX payments_authorized_idx ON payments (provider, id) WHERE kind = 'authorized';
