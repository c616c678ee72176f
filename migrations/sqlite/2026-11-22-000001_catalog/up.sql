-- The same tables as on PostgreSQL. Ids are 16-byte blobs, times are microseconds since 1970, JSON is text.

CREATE TABLE shops (
    id blob PRIMARY KEY,
    -- One shop a database: a second row cannot have the same value.
    singleton integer NOT NULL UNIQUE CHECK (singleton),
    name text NOT NULL,
    description text,
    currency text NOT NULL CHECK (length(currency) = 3),
    country text NOT NULL CHECK (length(country) = 2),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE products (
    -- What the search index calls the product; a rowid of its own would not survive VACUUM.
    search_id integer PRIMARY KEY,
    id blob NOT NULL UNIQUE,
    handle text NOT NULL UNIQUE CHECK (handle <> ''),
    title text NOT NULL CHECK (title <> ''),
    description text NOT NULL,
    description_html text NOT NULL,
    vendor text NOT NULL,
    product_type text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'draft', 'archived')),
    -- [{"name": "Size", "values": ["S", "M"]}], in the order they are shown.
    options text NOT NULL,
    seo_title text,
    seo_description text,
    -- The span of the variants' prices, so that lists sort and show it without reading variants.
    min_price integer NOT NULL CHECK (min_price >= 0),
    max_price integer NOT NULL CHECK (max_price >= min_price),
    units_sold integer NOT NULL CHECK (units_sold >= 0),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX products_title_idx ON products (lower(title), id);
CREATE INDEX products_vendor_idx ON products (lower(vendor), id);
CREATE INDEX products_product_type_idx ON products (lower(product_type), id);
CREATE INDEX products_min_price_idx ON products (min_price, id);
CREATE INDEX products_units_sold_idx ON products (units_sold, id);
CREATE INDEX products_created_at_idx ON products (created_at, id);
CREATE INDEX products_updated_at_idx ON products (updated_at, id);

CREATE TABLE product_tags (
    product_id blob NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    tag text NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (product_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX product_tags_tag_idx ON product_tags (lower(tag));

CREATE TABLE product_images (
    id blob PRIMARY KEY,
    product_id blob NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    position integer NOT NULL,
    url text NOT NULL CHECK (url <> ''),
    alt_text text,
    width integer,
    height integer
) STRICT;
CREATE INDEX product_images_product_id_idx ON product_images (product_id, position);

CREATE TABLE variants (
    id blob PRIMARY KEY,
    product_id blob NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    position integer NOT NULL,
    title text NOT NULL,
    sku text,
    barcode text,
    price integer NOT NULL CHECK (price >= 0),
    compare_at_price integer CHECK (compare_at_price >= 0),
    -- One value for each of the product's options, in their order: ["S", "Red"].
    option_values text NOT NULL,
    weight_milligrams integer NOT NULL CHECK (weight_milligrams >= 0),
    weight_unit text NOT NULL CHECK (weight_unit IN ('g', 'kg', 'oz', 'lb')),
    taxable integer NOT NULL,
    requires_shipping integer NOT NULL,
    inventory_tracked integer NOT NULL,
    inventory_policy text NOT NULL CHECK (inventory_policy IN ('deny', 'continue')),
    image_id blob REFERENCES product_images (id) ON DELETE SET NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    UNIQUE (product_id, option_values)
) STRICT;
CREATE INDEX variants_product_id_idx ON variants (product_id, position);
CREATE INDEX variants_price_idx ON variants (price);
CREATE INDEX variants_sku_idx ON variants (lower(sku));
CREATE INDEX variants_barcode_idx ON variants (barcode);
CREATE INDEX variants_image_id_idx ON variants (image_id);

CREATE TABLE collections (
    id blob PRIMARY KEY,
    handle text NOT NULL UNIQUE CHECK (handle <> ''),
    title text NOT NULL CHECK (title <> ''),
    description text NOT NULL,
    description_html text NOT NULL,
    sort_order text NOT NULL CHECK (sort_order IN ('manual', 'alpha_asc', 'alpha_desc', 'best_selling',
        'created', 'created_desc', 'price_asc', 'price_desc')),
    -- NULL: products are put in by hand. Otherwise {"any": false, "rules": [...]}, and they are kept by rule.
    rules text,
    image_url text,
    image_alt_text text,
    seo_title text,
    seo_description text,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX collections_title_idx ON collections (lower(title), id);
CREATE INDEX collections_updated_at_idx ON collections (updated_at, id);

CREATE TABLE collection_products (
    collection_id blob NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    product_id blob NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    position integer NOT NULL,
    PRIMARY KEY (collection_id, product_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX collection_products_product_id_idx ON collection_products (product_id);
CREATE INDEX collection_products_position_idx ON collection_products (collection_id, position, product_id);

CREATE TABLE locations (
    id blob PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    address1 text,
    address2 text,
    city text,
    province text,
    zip text,
    country text CHECK (length(country) = 2),
    phone text,
    is_active integer NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE inventory_levels (
    variant_id blob NOT NULL REFERENCES variants (id) ON DELETE CASCADE,
    location_id blob NOT NULL REFERENCES locations (id),
    on_hand integer NOT NULL,
    reserved integer NOT NULL,
    updated_at integer NOT NULL,
    PRIMARY KEY (variant_id, location_id),
    CONSTRAINT inventory_levels_reserved_check CHECK (reserved BETWEEN 0 AND on_hand)
) STRICT, WITHOUT ROWID;
CREATE INDEX inventory_levels_location_id_idx ON inventory_levels (location_id);

-- What happened, in the transaction that made it happen.
CREATE TABLE events (
    id blob PRIMARY KEY,
    kind text NOT NULL,
    version integer NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id blob NOT NULL,
    payload text NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    occurred_at integer NOT NULL
) STRICT;
CREATE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, id);

-- The answer a mutation gave under a key, written in the transaction of its effect.
CREATE TABLE idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL,
    operation text NOT NULL,
    input_hash text NOT NULL,
    answer text NOT NULL,
    created_at integer NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

-- Words are made by the server (domain::search): the tokenizer only splits at spaces. The text itself is not kept.
CREATE VIRTUAL TABLE product_search USING fts5 (
    title,
    body,
    content = '',
    contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 0"
);
CREATE TRIGGER products_leave_search AFTER DELETE ON products BEGIN
    DELETE FROM product_search WHERE rowid = old.search_id;
END;
