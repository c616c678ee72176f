-- What strangers search by, as it is compared: without letter case.
DROP INDEX variants_barcode_idx;
CREATE INDEX variants_barcode_idx ON variants (lower(barcode));
CREATE INDEX products_handle_idx ON products (lower(handle));
CREATE INDEX products_max_price_idx ON products (max_price);
