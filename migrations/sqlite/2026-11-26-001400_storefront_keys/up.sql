-- A key that storefronts show to everybody. It permits nothing; it tells the shop's own storefronts from strangers.
ALTER TABLE api_keys ADD COLUMN is_storefront integer NOT NULL DEFAULT 0;
