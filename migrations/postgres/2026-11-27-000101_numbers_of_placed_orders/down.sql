DROP INDEX orders_number_idx;
UPDATE orders SET number = nextval('order_numbers') WHERE number IS NULL;
ALTER TABLE orders ALTER COLUMN number SET NOT NULL;
