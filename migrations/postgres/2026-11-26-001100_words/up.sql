-- What texts are compared and sorted by, made by the server (domain::text): the databases know the
-- letter case of ASCII alone. For that, lower() is all there is to do; the server makes the rest
-- anew, see unindexed_rows.
ALTER TABLE products ADD COLUMN title_key text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE products ADD COLUMN vendor_key text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE products ADD COLUMN type_key text COLLATE "C" NOT NULL DEFAULT '';
UPDATE products SET title_key = lower(title COLLATE "C"), vendor_key = lower(vendor COLLATE "C"), type_key = lower(product_type COLLATE "C");
DROP INDEX products_title_idx;
DROP INDEX products_vendor_idx;
DROP INDEX products_product_type_idx;
CREATE INDEX products_title_idx ON products (title_key, id);
CREATE INDEX products_vendor_idx ON products (vendor_key, id);
CREATE INDEX products_product_type_idx ON products (type_key, id);

ALTER TABLE product_tags ADD COLUMN tag_key text COLLATE "C" NOT NULL DEFAULT '';
UPDATE product_tags SET tag_key = lower(tag COLLATE "C");
DROP INDEX product_tags_tag_idx;
CREATE INDEX product_tags_tag_idx ON product_tags (tag_key);

ALTER TABLE variants ADD COLUMN sku_key text COLLATE "C";
ALTER TABLE variants ADD COLUMN barcode_key text COLLATE "C";
UPDATE variants SET sku_key = lower(sku COLLATE "C"), barcode_key = lower(barcode COLLATE "C");
DROP INDEX variants_sku_idx;
DROP INDEX variants_barcode_idx;
CREATE INDEX variants_sku_idx ON variants (sku_key);
CREATE INDEX variants_barcode_idx ON variants (barcode_key);

ALTER TABLE order_lines ADD COLUMN sku_key text COLLATE "C";
UPDATE order_lines SET sku_key = lower(sku COLLATE "C") WHERE sku IS NOT NULL;
CREATE INDEX order_lines_sku_idx ON order_lines (sku_key);

ALTER TABLE collections ADD COLUMN title_key text COLLATE "C" NOT NULL DEFAULT '';
UPDATE collections SET title_key = lower(title COLLATE "C");
DROP INDEX collections_title_idx;
CREATE INDEX collections_title_idx ON collections (title_key, id);

-- The words that collections, customers, discounts and orders are searched by, made by the server
-- (domain::search).
CREATE TABLE search_words (
    -- What the word is of: repositories::words::Field.
    field text COLLATE "C" NOT NULL,
    word text COLLATE "C" NOT NULL,
    row_id uuid NOT NULL,
    PRIMARY KEY (field, word, row_id)
);
CREATE INDEX search_words_row_id_idx ON search_words (row_id);

-- Rows whose words and keys the server is still to make. Migrations fill it; the server empties it
-- before it opens.
CREATE TABLE unindexed_rows (
    row_id uuid PRIMARY KEY,
    -- The row's table.
    kind text NOT NULL
);
INSERT INTO unindexed_rows (row_id, kind)
SELECT id, 'products' FROM products
UNION ALL SELECT id, 'collections' FROM collections
UNION ALL SELECT id, 'customers' FROM customers
UNION ALL SELECT id, 'discounts' FROM discounts
UNION ALL SELECT id, 'orders' FROM orders;
