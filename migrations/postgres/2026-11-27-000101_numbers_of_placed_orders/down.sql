-- Events `order.placed` of orders that had no number yet stay as they are, with `number` null: a
-- program from before this can't read them, so remove them or restore a backup if it has to.
DROP INDEX orders_number_idx;
UPDATE orders SET number = nextval('order_numbers') WHERE number IS NULL;
ALTER TABLE orders ALTER COLUMN number SET NOT NULL;
