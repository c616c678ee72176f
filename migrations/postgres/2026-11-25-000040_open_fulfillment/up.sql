-- An order that is paid for has its pieces taken off the shelf before they are sent.

-- When they were; NULL: not yet.
ALTER TABLE orders ADD COLUMN fulfillment_opened_at timestamptz;
-- Where its pieces were taken that are off the shelf and not sent: [{"locationId": …, "quantity": …}]; shrinks as they are sent or
-- put back.
ALTER TABLE order_lines ADD COLUMN picked jsonb NOT NULL DEFAULT '[]';
