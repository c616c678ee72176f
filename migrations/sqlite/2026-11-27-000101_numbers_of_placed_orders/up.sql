-- An order gets its number when it stands: while the buyer's money is being asked for it has none,
-- and so a payment that is declined leaves no gap. SQLite has no ALTER COLUMN; a constraint that is
-- taken away changes nothing that is stored, so the text of the table alone is changed. To copy the
-- table would delete what refers to it.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'number integer NOT NULL UNIQUE', 'number integer UNIQUE')
WHERE type = 'table' AND name = 'orders';
PRAGMA writable_schema = RESET;
CREATE INDEX orders_number_idx ON orders (coalesce(number, 0), id);
