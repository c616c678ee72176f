-- What a storefront shows besides the catalogue: the shop's language and brand, its policies, pages, menus and redirects.

-- {"language": "EN", "brand": {"slogan": "…", …}}; what is left out has its default.
ALTER TABLE shops ADD COLUMN profile text NOT NULL DEFAULT '{}';

CREATE TABLE shop_policies (
    id blob PRIMARY KEY,
    kind text NOT NULL UNIQUE CHECK (kind IN ('privacy_policy', 'refund_policy', 'shipping_policy',
        'terms_of_service', 'subscription_policy', 'contact_information', 'legal_notice', 'terms_of_sale')),
    title text NOT NULL CHECK (title <> ''),
    body text NOT NULL CHECK (body <> ''),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE pages (
    id blob PRIMARY KEY,
    handle text NOT NULL UNIQUE CHECK (handle <> ''),
    title text NOT NULL CHECK (title <> ''),
    body text NOT NULL,
    -- The beginning of the body without its tags.
    body_summary text NOT NULL,
    seo_title text,
    seo_description text,
    is_published integer NOT NULL CHECK (is_published IN (0, 1)),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX pages_title_idx ON pages (lower(title), id);
CREATE INDEX pages_updated_at_idx ON pages (updated_at, id);
CREATE INDEX pages_is_published_idx ON pages (is_published, id);

CREATE TABLE menus (
    id blob PRIMARY KEY,
    handle text NOT NULL UNIQUE CHECK (handle <> ''),
    title text NOT NULL CHECK (title <> ''),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE menu_items (
    id blob PRIMARY KEY,
    menu_id blob NOT NULL REFERENCES menus ON DELETE CASCADE,
    -- NULL: at the top of the menu.
    parent_id blob REFERENCES menu_items ON DELETE CASCADE,
    -- Counts through the whole menu, an item before the items below it.
    position integer NOT NULL,
    title text NOT NULL CHECK (title <> ''),
    kind text NOT NULL CHECK (kind IN ('catalog', 'collection', 'collections', 'customer_account_page',
        'frontpage', 'http', 'page', 'product', 'search', 'shop_policy')),
    -- What it leads to, of the type that its kind tells. It may be gone since.
    resource_id blob,
    -- Where an item of the kind 'http' leads.
    url text,
    -- ["wool", …]: of the products of a collection, those with all of these tags.
    tags text NOT NULL,
    CHECK ((kind = 'http') = (url IS NOT NULL)),
    CHECK ((kind IN ('collection', 'page', 'product', 'shop_policy')) = (resource_id IS NOT NULL))
) STRICT;
CREATE INDEX menu_items_menu_id_idx ON menu_items (menu_id, position);
CREATE INDEX menu_items_parent_id_idx ON menu_items (parent_id);

CREATE TABLE url_redirects (
    id blob PRIMARY KEY,
    -- Decoded, without a slash at its end.
    path text NOT NULL UNIQUE CHECK (path LIKE '/_%'),
    target text NOT NULL CHECK (target <> ''),
    created_at integer NOT NULL
) STRICT;
CREATE INDEX url_redirects_target_idx ON url_redirects (target, id);

-- Sitemaps go through what is published, in the order of ids.
CREATE INDEX products_status_idx ON products (status, id);
