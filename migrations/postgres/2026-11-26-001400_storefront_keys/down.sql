-- Without the column they would be keys like others, though of nothing.
DELETE FROM api_keys WHERE is_storefront;
ALTER TABLE api_keys DROP COLUMN is_storefront;
