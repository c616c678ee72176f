-- What a delivery costs whatever is sent and wherever it goes, minor units.
ALTER TABLE shipping_rates ADD COLUMN base_price bigint NOT NULL DEFAULT 0 CHECK (base_price >= 0);
-- What it costs beside that by weight or by subtotal: {"by": "weight", "steps": [{"from": 0, "price": 490}]}
ALTER TABLE shipping_rates ADD COLUMN price_table jsonb;
-- Where buyers pick it up.
ALTER TABLE shipping_rates ADD COLUMN location_id uuid REFERENCES locations ON DELETE CASCADE;
CREATE INDEX shipping_rates_location_id_idx ON shipping_rates (location_id);
