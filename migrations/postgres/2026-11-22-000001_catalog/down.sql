DROP TABLE product_search, idempotency_keys, events, inventory_levels, locations, collection_products,
    collections, variants, product_images, product_tags, products, shops;
