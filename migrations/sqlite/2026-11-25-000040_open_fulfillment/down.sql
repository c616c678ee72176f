ALTER TABLE order_lines DROP COLUMN picked;
ALTER TABLE orders DROP COLUMN fulfillment_opened_at;
