-- Events `order.placed` of orders that had no number yet stay as they are, with `number` null: a
-- program from before this can't read them, so remove them or restore a backup if it has to.
DROP INDEX orders_number_idx;
UPDATE orders SET number = (SELECT coalesce(max(number), 1000) FROM orders) + numbered.place
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM orders WHERE number IS NULL) AS numbered
WHERE orders.id = numbered.id;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'number integer UNIQUE', 'number integer NOT NULL UNIQUE')
WHERE type = 'table' AND name = 'orders';
PRAGMA writable_schema = RESET;
