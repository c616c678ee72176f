-- What a storefront shows besides the catalogue: the shop's language and brand, its policies, pages, menus and redirects.

-- {"language": "EN", "brand": {"slogan": "…", …}}; what is left out has its default.
ALTER TABLE shops ADD COLUMN profile jsonb NOT NULL DEFAULT '{}';

CREATE TABLE shop_policies (
    id uuid PRIMARY KEY,
    kind text NOT NULL UNIQUE CHECK (kind IN ('privacy_policy', 'refund_policy', 'shipping_policy',
        'terms_of_service', 'subscription_policy', 'contact_information', 'legal_notice', 'terms_of_sale')),
    title text NOT NULL CHECK (title <> ''),
    body text NOT NULL CHECK (body <> ''),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE pages (
    id uuid PRIMARY KEY,
    handle text COLLATE "C" NOT NULL UNIQUE CHECK (handle <> ''),
    title text COLLATE "C" NOT NULL CHECK (title <> ''),
    body text NOT NULL,
    -- The beginning of the body without its tags.
    body_summary text NOT NULL,
    seo_title text,
    seo_description text,
    is_published boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX pages_title_idx ON pages (lower(title), id);
CREATE INDEX pages_updated_at_idx ON pages (updated_at, id);
CREATE INDEX pages_is_published_idx ON pages (is_published, id);

CREATE TABLE menus (
    id uuid PRIMARY KEY,
    handle text COLLATE "C" NOT NULL UNIQUE CHECK (handle <> ''),
    title text NOT NULL CHECK (title <> ''),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE menu_items (
    id uuid PRIMARY KEY,
    menu_id uuid NOT NULL REFERENCES menus ON DELETE CASCADE,
    -- NULL: at the top of the menu.
    parent_id uuid REFERENCES menu_items ON DELETE CASCADE,
    -- Counts through the whole menu, an item before the items below it.
    position bigint NOT NULL,
    title text NOT NULL CHECK (title <> ''),
    kind text NOT NULL CHECK (kind IN ('catalog', 'collection', 'collections', 'customer_account_page',
        'frontpage', 'http', 'page', 'product', 'search', 'shop_policy')),
    -- What it leads to, of the type that its kind tells. It may be gone since.
    resource_id uuid,
    -- Where an item of the kind 'http' leads.
    url text,
    -- ["wool", …]: of the products of a collection, those with all of these tags.
    tags jsonb NOT NULL,
    CHECK ((kind = 'http') = (url IS NOT NULL)),
    CHECK ((kind IN ('collection', 'page', 'product', 'shop_policy')) = (resource_id IS NOT NULL))
);
CREATE INDEX menu_items_menu_id_idx ON menu_items (menu_id, position);
CREATE INDEX menu_items_parent_id_idx ON menu_items (parent_id);

CREATE TABLE url_redirects (
    id uuid PRIMARY KEY,
    -- Decoded, without a slash at its end.
    path text COLLATE "C" NOT NULL UNIQUE CHECK (path LIKE '/_%'),
    target text COLLATE "C" NOT NULL CHECK (target <> ''),
    created_at timestamptz NOT NULL
);
CREATE INDEX url_redirects_target_idx ON url_redirects (target, id);

-- Sitemaps go through what is published, in the order of ids.
CREATE INDEX products_status_idx ON products (status, id);
