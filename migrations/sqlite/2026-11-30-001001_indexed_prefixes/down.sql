DROP TABLE product_search;
CREATE VIRTUAL TABLE product_search USING fts5 (
    title,
    body,
    content = '',
    contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'"
);
INSERT OR IGNORE INTO unindexed_rows (row_id, kind) SELECT id, 'products' FROM products;
