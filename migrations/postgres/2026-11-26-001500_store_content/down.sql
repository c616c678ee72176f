DROP INDEX products_status_idx;
DROP TABLE url_redirects;
DROP TABLE menu_items;
DROP TABLE menus;
DROP TABLE pages;
DROP TABLE shop_policies;
ALTER TABLE shops DROP COLUMN profile;
