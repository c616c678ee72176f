-- An order gets its number when it stands: while the buyer's money is being asked for it has none,
-- and so a payment that is declined leaves no gap.
ALTER TABLE orders ALTER COLUMN number DROP NOT NULL;
CREATE INDEX orders_number_idx ON orders (coalesce(number, 0), id);
