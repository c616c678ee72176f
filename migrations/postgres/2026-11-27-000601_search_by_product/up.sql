-- What variants and tags are searched by, with the product: so that an index alone tells which
-- products have a value, and whether one product has it, however many others do.
DROP INDEX variants_sku_idx;
DROP INDEX variants_barcode_idx;
DROP INDEX variants_price_idx;
DROP INDEX product_tags_tag_idx;
CREATE INDEX variants_sku_idx ON variants (sku_key, product_id);
CREATE INDEX variants_barcode_idx ON variants (barcode_key, product_id);
CREATE INDEX variants_price_idx ON variants (price, product_id);
CREATE INDEX product_tags_tag_idx ON product_tags (tag_key, product_id);

-- What lists of products are sorted by, with the status: so that what shoppers may not see is passed
-- over in the index, however much of it there is.
DROP INDEX products_title_idx;
DROP INDEX products_vendor_idx;
DROP INDEX products_product_type_idx;
DROP INDEX products_min_price_idx;
DROP INDEX products_units_sold_idx;
DROP INDEX products_created_at_idx;
DROP INDEX products_updated_at_idx;
CREATE INDEX products_title_idx ON products (title_key, id, status);
CREATE INDEX products_vendor_idx ON products (vendor_key, id, status);
CREATE INDEX products_product_type_idx ON products (type_key, id, status);
CREATE INDEX products_min_price_idx ON products (min_price, id, status);
CREATE INDEX products_units_sold_idx ON products (units_sold, id, status);
CREATE INDEX products_created_at_idx ON products (created_at, id, status);
CREATE INDEX products_updated_at_idx ON products (updated_at, id, status);
