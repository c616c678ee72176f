-- As before, but prefixes of two and three characters have an index of their own: they match so many words that collecting the
-- matches took long. The options of such a table can't be changed, so it is created again, and the server fills it.
DROP TABLE product_search;
CREATE VIRTUAL TABLE product_search USING fts5 (
    title,
    body,
    content = '',
    contentless_delete = 1,
    prefix = '2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'"
);
INSERT OR IGNORE INTO unindexed_rows (row_id, kind) SELECT id, 'products' FROM products;
