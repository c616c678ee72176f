DROP INDEX products_max_price_idx;
DROP INDEX products_handle_idx;
DROP INDEX variants_barcode_idx;
ALTER TABLE variants ALTER COLUMN barcode TYPE text COLLATE "default";
CREATE INDEX variants_barcode_idx ON variants (barcode);
