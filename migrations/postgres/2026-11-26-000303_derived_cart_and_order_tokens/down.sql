-- Nobody knows what opened them: they get tokens that nobody has.
ALTER TABLE carts ADD COLUMN token text NOT NULL DEFAULT '';
UPDATE carts SET token = replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
ALTER TABLE carts DROP COLUMN token_hash;
ALTER TABLE orders ADD COLUMN token text NOT NULL DEFAULT '';
UPDATE orders SET token = replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
ALTER TABLE orders DROP COLUMN token_hash;
