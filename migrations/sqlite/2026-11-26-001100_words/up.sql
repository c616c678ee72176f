-- What texts are compared and sorted by, made by the server (domain::text): the databases know the
-- letter case of ASCII alone. For that, lower() is all there is to do; the server makes the rest
-- anew, see unindexed_rows.
ALTER TABLE products ADD COLUMN title_key text NOT NULL DEFAULT '';
ALTER TABLE products ADD COLUMN vendor_key text NOT NULL DEFAULT '';
ALTER TABLE products ADD COLUMN type_key text NOT NULL DEFAULT '';
UPDATE products SET title_key = lower(title), vendor_key = lower(vendor), type_key = lower(product_type);
DROP INDEX products_title_idx;
DROP INDEX products_vendor_idx;
DROP INDEX products_product_type_idx;
CREATE INDEX products_title_idx ON products (title_key, id);
CREATE INDEX products_vendor_idx ON products (vendor_key, id);
CREATE INDEX products_product_type_idx ON products (type_key, id);

ALTER TABLE product_tags ADD COLUMN tag_key text NOT NULL DEFAULT '';
UPDATE product_tags SET tag_key = lower(tag);
DROP INDEX product_tags_tag_idx;
CREATE INDEX product_tags_tag_idx ON product_tags (tag_key);

ALTER TABLE variants ADD COLUMN sku_key text;
ALTER TABLE variants ADD COLUMN barcode_key text;
UPDATE variants SET sku_key = lower(sku), barcode_key = lower(barcode);
DROP INDEX variants_sku_idx;
DROP INDEX variants_barcode_idx;
CREATE INDEX variants_sku_idx ON variants (sku_key);
CREATE INDEX variants_barcode_idx ON variants (barcode_key);

ALTER TABLE order_lines ADD COLUMN sku_key text;
UPDATE order_lines SET sku_key = lower(sku) WHERE sku IS NOT NULL;
CREATE INDEX order_lines_sku_idx ON order_lines (sku_key);

ALTER TABLE collections ADD COLUMN title_key text NOT NULL DEFAULT '';
UPDATE collections SET title_key = lower(title);
DROP INDEX collections_title_idx;
CREATE INDEX collections_title_idx ON collections (title_key, id);

-- The words that collections, customers, discounts and orders are searched by, made by the server
-- (domain::search).
CREATE TABLE search_words (
    -- What the word is of: repositories::words::Field.
    field text NOT NULL,
    word text NOT NULL,
    row_id blob NOT NULL,
    PRIMARY KEY (field, word, row_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_words_row_id_idx ON search_words (row_id);

-- Rows whose words and keys the server is still to make. Migrations fill it; the server empties it
-- before it opens.
CREATE TABLE unindexed_rows (
    row_id blob PRIMARY KEY,
    -- The row's table.
    kind text NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO unindexed_rows (row_id, kind)
SELECT id, 'products' FROM products
UNION ALL SELECT id, 'collections' FROM collections
UNION ALL SELECT id, 'customers' FROM customers
UNION ALL SELECT id, 'discounts' FROM discounts
UNION ALL SELECT id, 'orders' FROM orders;

-- As before, but marks belong to words: they tell words of Hindi and Thai apart.
DROP TABLE product_search;
CREATE VIRTUAL TABLE product_search USING fts5 (
    title,
    body,
    content = '',
    contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'"
);
