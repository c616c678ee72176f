DROP INDEX shipping_rates_location_id_idx;
ALTER TABLE shipping_rates DROP COLUMN location_id;
ALTER TABLE shipping_rates DROP COLUMN price_table;
ALTER TABLE shipping_rates DROP COLUMN base_price;
