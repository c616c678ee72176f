ALTER TABLE customers DROP COLUMN language;
ALTER TABLE orders DROP COLUMN language;
