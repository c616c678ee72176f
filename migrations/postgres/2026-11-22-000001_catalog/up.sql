-- The shop, its catalogue, its stock and its event log. Ids are UUIDv7 made by the server; money is in minor
-- units of the shop's currency; the CHECKs are the last word on what may be stored. Text that is sorted or
-- compared has collation "C", so that both databases and the server agree on its order.

CREATE TABLE shops (
    id uuid PRIMARY KEY,
    -- One shop a database: a second row cannot have the same value.
    singleton boolean NOT NULL UNIQUE CHECK (singleton),
    name text NOT NULL,
    description text,
    currency text NOT NULL CHECK (length(currency) = 3),
    country text NOT NULL CHECK (length(country) = 2),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE products (
    id uuid PRIMARY KEY,
    handle text COLLATE "C" NOT NULL UNIQUE CHECK (handle <> ''),
    title text COLLATE "C" NOT NULL CHECK (title <> ''),
    description text NOT NULL,
    description_html text NOT NULL,
    vendor text COLLATE "C" NOT NULL,
    product_type text COLLATE "C" NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'draft', 'archived')),
    -- [{"name": "Size", "values": ["S", "M"]}], in the order they are shown.
    options jsonb NOT NULL,
    seo_title text,
    seo_description text,
    -- The span of the variants' prices, so that lists sort and show it without reading variants.
    min_price bigint NOT NULL CHECK (min_price >= 0),
    max_price bigint NOT NULL CHECK (max_price >= min_price),
    units_sold bigint NOT NULL CHECK (units_sold >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX products_title_idx ON products (lower(title), id);
CREATE INDEX products_vendor_idx ON products (lower(vendor), id);
CREATE INDEX products_product_type_idx ON products (lower(product_type), id);
CREATE INDEX products_min_price_idx ON products (min_price, id);
CREATE INDEX products_units_sold_idx ON products (units_sold, id);
CREATE INDEX products_created_at_idx ON products (created_at, id);
CREATE INDEX products_updated_at_idx ON products (updated_at, id);

CREATE TABLE product_tags (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    tag text COLLATE "C" NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (product_id, tag)
);
CREATE INDEX product_tags_tag_idx ON product_tags (lower(tag));

CREATE TABLE product_images (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position bigint NOT NULL,
    url text NOT NULL CHECK (url <> ''),
    alt_text text,
    width bigint,
    height bigint
);
CREATE INDEX product_images_product_id_idx ON product_images (product_id, position);

CREATE TABLE variants (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position bigint NOT NULL,
    title text NOT NULL,
    sku text COLLATE "C",
    barcode text,
    price bigint NOT NULL CHECK (price >= 0),
    compare_at_price bigint CHECK (compare_at_price >= 0),
    -- One value for each of the product's options, in their order: ["S", "Red"].
    option_values jsonb NOT NULL,
    weight_milligrams bigint NOT NULL CHECK (weight_milligrams >= 0),
    weight_unit text NOT NULL CHECK (weight_unit IN ('g', 'kg', 'oz', 'lb')),
    taxable boolean NOT NULL,
    requires_shipping boolean NOT NULL,
    inventory_tracked boolean NOT NULL,
    inventory_policy text NOT NULL CHECK (inventory_policy IN ('deny', 'continue')),
    image_id uuid REFERENCES product_images ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (product_id, option_values)
);
CREATE INDEX variants_product_id_idx ON variants (product_id, position);
CREATE INDEX variants_price_idx ON variants (price);
CREATE INDEX variants_sku_idx ON variants (lower(sku));
CREATE INDEX variants_barcode_idx ON variants (barcode);
CREATE INDEX variants_image_id_idx ON variants (image_id);

CREATE TABLE collections (
    id uuid PRIMARY KEY,
    handle text COLLATE "C" NOT NULL UNIQUE CHECK (handle <> ''),
    title text COLLATE "C" NOT NULL CHECK (title <> ''),
    description text NOT NULL,
    description_html text NOT NULL,
    sort_order text NOT NULL CHECK (sort_order IN ('manual', 'alpha_asc', 'alpha_desc', 'best_selling',
        'created', 'created_desc', 'price_asc', 'price_desc')),
    -- NULL: products are put in by hand. Otherwise {"any": false, "rules": [...]}, and they are kept by rule.
    rules jsonb,
    image_url text,
    image_alt_text text,
    seo_title text,
    seo_description text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX collections_title_idx ON collections (lower(title), id);
CREATE INDEX collections_updated_at_idx ON collections (updated_at, id);

CREATE TABLE collection_products (
    collection_id uuid NOT NULL REFERENCES collections ON DELETE CASCADE,
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position bigint NOT NULL,
    PRIMARY KEY (collection_id, product_id)
);
CREATE INDEX collection_products_product_id_idx ON collection_products (product_id);
CREATE INDEX collection_products_position_idx ON collection_products (collection_id, position, product_id);

CREATE TABLE locations (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    address1 text,
    address2 text,
    city text,
    province text,
    zip text,
    country text CHECK (length(country) = 2),
    phone text,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE inventory_levels (
    variant_id uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    location_id uuid NOT NULL REFERENCES locations,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (variant_id, location_id),
    CONSTRAINT inventory_levels_reserved_check CHECK (reserved BETWEEN 0 AND on_hand)
);
CREATE INDEX inventory_levels_location_id_idx ON inventory_levels (location_id);

-- What happened, in the transaction that made it happen.
CREATE TABLE events (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    version integer NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id uuid NOT NULL,
    payload jsonb NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    occurred_at timestamptz NOT NULL
);
CREATE INDEX events_aggregate_idx ON events (aggregate_type, aggregate_id, id);

-- The answer a mutation gave under a key, written in the transaction of its effect.
CREATE TABLE idempotency_keys (
    actor text NOT NULL,
    key text NOT NULL,
    operation text NOT NULL,
    input_hash text NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

-- Words are made by the server (domain::search), so 'simple' is all the dictionary there is.
CREATE TABLE product_search (
    product_id uuid PRIMARY KEY REFERENCES products ON DELETE CASCADE,
    document tsvector NOT NULL
);
CREATE INDEX product_search_document_idx ON product_search USING gin (document);
