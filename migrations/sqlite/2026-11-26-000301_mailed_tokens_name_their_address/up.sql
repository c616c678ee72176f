-- A mailed token is good only for the address that it was sent to. Of those on their way nobody knows that address any more: they are
-- removed, and whoever waits for one asks again.
DELETE FROM customer_tokens;
ALTER TABLE customer_tokens ADD COLUMN email text NOT NULL DEFAULT '';
