ALTER TABLE customer_tokens DROP COLUMN email;
