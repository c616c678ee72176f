DROP INDEX payments_authorized_idx;
DROP INDEX payments_capture_requests_idx;
DROP INDEX payments_refund_id_idx;
DROP INDEX payments_refund_requests_idx;
