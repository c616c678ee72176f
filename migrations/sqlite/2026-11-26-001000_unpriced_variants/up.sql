-- Whether somebody gave the variant its price: until then its price is 0, and its product can't be active. Nobody knows which of
-- the variants there are were meant to cost nothing, so all of them stay on sale.
ALTER TABLE variants ADD COLUMN is_priced integer NOT NULL DEFAULT 1;
