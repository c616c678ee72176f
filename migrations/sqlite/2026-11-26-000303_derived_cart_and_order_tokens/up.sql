-- What opens a cart or an order is derived from its id and JWT_SECRET, and so not stored. What was sent out before stays good: its hash is
-- kept. `sha256_hex` is a function that the server gives the connection that migrates.
ALTER TABLE carts ADD COLUMN token_hash text CHECK (length(token_hash) = 64);
UPDATE carts SET token_hash = sha256_hex(token);
ALTER TABLE carts DROP COLUMN token;

ALTER TABLE orders ADD COLUMN token_hash text CHECK (length(token_hash) = 64);
UPDATE orders SET token_hash = sha256_hex(token);
ALTER TABLE orders DROP COLUMN token;
