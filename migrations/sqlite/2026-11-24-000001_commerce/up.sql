-- The same tables as on PostgreSQL. Ids are 16-byte blobs, times are microseconds since 1970, JSON is text.

ALTER TABLE shops ADD COLUMN taxes_included integer NOT NULL DEFAULT 1;
ALTER TABLE products ADD COLUMN tax_class text NOT NULL DEFAULT 'standard' CHECK (tax_class <> '');
ALTER TABLE locations ADD COLUMN latitude real CHECK (latitude BETWEEN -90 AND 90);
ALTER TABLE locations ADD COLUMN longitude real CHECK (longitude BETWEEN -180 AND 180);

CREATE TABLE customers (
    id blob PRIMARY KEY,
    -- In lower case; NULL once the customer has been erased.
    email text UNIQUE CHECK (email <> ''),
    -- NULL: an account that has no password yet, or none any more.
    password_hash text,
    first_name text,
    last_name text,
    phone text,
    accepts_marketing integer NOT NULL,
    email_verified_at integer,
    erased_at integer,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE customer_addresses (
    id blob PRIMARY KEY,
    customer_id blob NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    is_default integer NOT NULL,
    -- domain::address::Address
    address text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX customer_addresses_customer_id_idx ON customer_addresses (customer_id, id);
CREATE UNIQUE INDEX customer_addresses_default_idx ON customer_addresses (customer_id) WHERE is_default;

CREATE TABLE staff_members (
    id blob PRIMARY KEY,
    -- In lower case.
    email text NOT NULL UNIQUE CHECK (email <> ''),
    name text NOT NULL,
    password_hash text,
    is_active integer NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE roles (
    id blob PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    -- ["READ_PRODUCTS", …]
    permissions text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE staff_roles (
    staff_id blob NOT NULL REFERENCES staff_members (id) ON DELETE CASCADE,
    role_id blob NOT NULL REFERENCES roles (id),
    PRIMARY KEY (staff_id, role_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_roles_role_id_idx ON staff_roles (role_id);

CREATE TABLE api_keys (
    id blob PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    -- The key's first characters, for people to tell keys apart.
    hint text NOT NULL,
    secret_hash text NOT NULL UNIQUE,
    permissions text NOT NULL,
    created_by text NOT NULL,
    expires_at integer,
    revoked_at integer,
    created_at integer NOT NULL
) STRICT;

-- Refresh tokens. All that came of one sign-in are a family; one that is used a second time ends its family.
CREATE TABLE refresh_tokens (
    id blob PRIMARY KEY,
    family_id blob NOT NULL,
    customer_id blob REFERENCES customers (id) ON DELETE CASCADE,
    staff_id blob REFERENCES staff_members (id) ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    expires_at integer NOT NULL,
    spent_at integer,
    revoked_at integer,
    created_at integer NOT NULL,
    CHECK ((customer_id IS NULL) <> (staff_id IS NULL))
) STRICT;
CREATE INDEX refresh_tokens_family_id_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_customer_id_idx ON refresh_tokens (customer_id);
CREATE INDEX refresh_tokens_staff_id_idx ON refresh_tokens (staff_id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

-- What is mailed to a customer to prove that the address is theirs; good for one use.
CREATE TABLE customer_tokens (
    id blob PRIMARY KEY,
    customer_id blob NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('recover', 'verify_email')),
    token_hash text NOT NULL UNIQUE,
    expires_at integer NOT NULL,
    used_at integer,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX customer_tokens_customer_id_idx ON customer_tokens (customer_id);
CREATE INDEX customer_tokens_expires_at_idx ON customer_tokens (expires_at);

CREATE TABLE carts (
    id blob PRIMARY KEY,
    -- Random. Nobody reads or changes a cart by its id alone: this is part of the global id.
    token text NOT NULL CHECK (length(token) >= 32),
    -- Once a customer is known, the cart is theirs alone.
    customer_id blob REFERENCES customers (id) ON DELETE SET NULL,
    email text,
    phone text,
    country text CHECK (length(country) = 2),
    note text NOT NULL,
    -- [{"key": …, "value": …}]
    attributes text NOT NULL,
    -- ["SUMMER"], as they were typed.
    discount_codes text NOT NULL,
    -- [{"id": …, "selected": true, "oneTimeUse": false, "address": {…}}]
    delivery_addresses text NOT NULL,
    -- The handle of the delivery option that was chosen.
    delivery_option text,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX carts_customer_id_idx ON carts (customer_id);
CREATE INDEX carts_updated_at_idx ON carts (updated_at);

CREATE TABLE cart_lines (
    id blob PRIMARY KEY,
    cart_id blob NOT NULL REFERENCES carts (id) ON DELETE CASCADE,
    variant_id blob NOT NULL REFERENCES variants (id) ON DELETE CASCADE,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    attributes text NOT NULL,
    -- A digest of the attributes: lines of one variant with the same attributes are one line.
    attributes_key text NOT NULL,
    created_at integer NOT NULL,
    UNIQUE (cart_id, variant_id, attributes_key)
) STRICT;
CREATE INDEX cart_lines_variant_id_idx ON cart_lines (variant_id);

-- Where parcels go: countries, and how far away they are taken to be when coordinates don't tell.
CREATE TABLE shipping_zones (
    id blob PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> ''),
    -- ["GB", "IE"]; empty: everywhere that no other zone names.
    countries text NOT NULL,
    default_distance_metres integer NOT NULL CHECK (default_distance_metres >= 0),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE shipping_rates (
    id blob PRIMARY KEY,
    zone_id blob NOT NULL REFERENCES shipping_zones (id) ON DELETE CASCADE,
    -- The strategy's name: standard, express, overnight.
    strategy text NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    -- Millionths of the currency's main unit: 0.5/kg is 500000.
    per_kilogram_micros integer NOT NULL CHECK (per_kilogram_micros >= 0),
    per_kilometre_micros integer NOT NULL CHECK (per_kilometre_micros >= 0),
    min_weight_milligrams integer,
    max_weight_milligrams integer,
    min_subtotal integer,
    max_subtotal integer,
    free_from_subtotal integer,
    is_active integer NOT NULL,
    position integer NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    UNIQUE (zone_id, strategy, name)
) STRICT;

CREATE TABLE discounts (
    id blob PRIMARY KEY,
    title text NOT NULL CHECK (title <> ''),
    -- In lower case, as it is looked up; NULL: automatic.
    code_key text UNIQUE CHECK (code_key <> ''),
    -- As it was written.
    code text,
    -- domain::discount::DiscountRule: what it gives, on what, from which subtotal, and what it combines with.
    rule text NOT NULL,
    starts_at integer NOT NULL,
    ends_at integer,
    usage_limit integer CHECK (usage_limit > 0),
    customer_limit integer CHECK (customer_limit > 0),
    used_count integer NOT NULL CHECK (used_count >= 0),
    is_active integer NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    CONSTRAINT discounts_not_overused CHECK (usage_limit IS NULL OR used_count <= usage_limit),
    CHECK ((code IS NULL) = (code_key IS NULL))
) STRICT;
CREATE INDEX discounts_automatic_idx ON discounts (id) WHERE code_key IS NULL;

CREATE TABLE tax_rates (
    id blob PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    country text NOT NULL CHECK (length(country) = 2),
    -- A province's code; NULL: the whole country.
    province text,
    -- The products' tax class; 'shipping' for what delivery costs.
    tax_class text NOT NULL CHECK (tax_class <> ''),
    -- Millionths: 20 % is 200000.
    rate_micros integer NOT NULL CHECK (rate_micros BETWEEN 0 AND 10000000),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE UNIQUE INDEX tax_rates_place_idx ON tax_rates (country, coalesce(province, ''), tax_class, name);

CREATE TABLE orders (
    id blob PRIMARY KEY,
    -- Rises; a number may be missing where an order was refused.
    number integer NOT NULL UNIQUE,
    -- An order of a cart: there is no second one. The cart itself may be gone.
    cart_id blob UNIQUE,
    -- What an imported order was called where it came from.
    imported_as text UNIQUE,
    customer_id blob REFERENCES customers (id),
    email text,
    phone text,
    -- Random. A guest who knows it sees the order.
    token text NOT NULL CHECK (length(token) >= 32),
    -- domain::order::OrderStatus
    status text NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3),
    taxes_included integer NOT NULL,
    -- total = subtotal - discount_total + shipping_total + (tax_total unless taxes are included). The discounts of shipping are
    -- in shipping_total already.
    subtotal integer NOT NULL CHECK (subtotal >= 0),
    discount_total integer NOT NULL CHECK (discount_total BETWEEN 0 AND subtotal),
    shipping_total integer NOT NULL CHECK (shipping_total >= 0),
    tax_total integer NOT NULL CHECK (tax_total >= 0),
    total integer NOT NULL CHECK (total >= 0),
    -- domain::quote::QuotedDelivery; null when nothing is sent.
    delivery text NOT NULL,
    shipping_address text,
    billing_address text,
    note text NOT NULL,
    attributes text NOT NULL,
    cancel_reason text,
    -- When an order that is not paid for is given up.
    expires_at integer,
    placed_at integer NOT NULL,
    cancelled_at integer,
    updated_at integer NOT NULL,
    CONSTRAINT orders_total_adds_up CHECK (
        total = subtotal - discount_total + shipping_total + CASE WHEN taxes_included THEN 0 ELSE tax_total END)
) STRICT;
CREATE INDEX orders_customer_id_idx ON orders (customer_id, id);
CREATE INDEX orders_email_idx ON orders (email);
CREATE INDEX orders_status_idx ON orders (status, id);
CREATE INDEX orders_total_idx ON orders (total, id);
CREATE INDEX orders_placed_at_idx ON orders (placed_at, id);
CREATE INDEX orders_updated_at_idx ON orders (updated_at, id);
CREATE INDEX orders_expires_at_idx ON orders (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE order_lines (
    id blob PRIMARY KEY,
    order_id blob NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    position integer NOT NULL,
    -- The variant may be gone; the line stays as it was sold.
    variant_id blob REFERENCES variants (id) ON DELETE SET NULL,
    title text NOT NULL,
    variant_title text NOT NULL,
    sku text,
    vendor text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    -- Before discounts.
    unit_price integer NOT NULL CHECK (unit_price >= 0),
    discount_total integer NOT NULL CHECK (discount_total >= 0),
    tax_total integer NOT NULL CHECK (tax_total >= 0),
    -- [{"discountId": …, "title": …, "code": …, "amount": …}]
    discounts text NOT NULL,
    -- [{"title": …, "rateMicros": …, "amount": …}]
    taxes text NOT NULL,
    attributes text NOT NULL,
    requires_shipping integer NOT NULL,
    weight_milligrams integer NOT NULL,
    -- Where its pieces are reserved: [{"locationId": …, "quantity": …}]; shrinks as they are sent or given back.
    reserved text NOT NULL,
    fulfilled_quantity integer NOT NULL,
    refunded_quantity integer NOT NULL,
    CONSTRAINT order_lines_fulfilled_check CHECK (fulfilled_quantity BETWEEN 0 AND quantity),
    CONSTRAINT order_lines_refunded_check CHECK (refunded_quantity BETWEEN 0 AND quantity),
    CHECK (discount_total <= unit_price * quantity)
) STRICT;
CREATE INDEX order_lines_order_id_idx ON order_lines (order_id, position);
CREATE INDEX order_lines_variant_id_idx ON order_lines (variant_id);

-- A discount's use by an order; gone when the order gives it back.
CREATE TABLE discount_uses (
    discount_id blob NOT NULL REFERENCES discounts (id) ON DELETE CASCADE,
    order_id blob NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    -- Who used it: a customer's id, or a guest's e-mail address.
    customer_key text NOT NULL,
    PRIMARY KEY (discount_id, order_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX discount_uses_customer_idx ON discount_uses (discount_id, customer_key);
CREATE INDEX discount_uses_order_id_idx ON discount_uses (order_id);

-- The ledger: what was asked of payment providers and what they said. Rows are added, never changed; what is paid is a fold.
CREATE TABLE payments (
    id blob PRIMARY KEY,
    order_id blob NOT NULL REFERENCES orders (id),
    provider text NOT NULL,
    -- The provider's name for what it told us; what is told twice is kept once.
    provider_event_id text NOT NULL,
    -- domain::payment::PaymentKind
    kind text NOT NULL,
    amount integer NOT NULL CHECK (amount >= 0),
    -- The provider's name for the payment.
    reference text,
    message text,
    -- What a refund is of.
    refund_id blob,
    occurred_at integer NOT NULL,
    UNIQUE (provider, provider_event_id)
) STRICT;
CREATE INDEX payments_order_id_idx ON payments (order_id, id);
CREATE INDEX payments_reference_idx ON payments (provider, reference);

CREATE TABLE fulfillments (
    id blob PRIMARY KEY,
    order_id blob NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('success', 'cancelled')),
    tracking_company text,
    tracking_number text,
    tracking_url text,
    -- [{"lineId": …, "quantity": …, "taken": [{"locationId": …, "quantity": …}]}]
    lines text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX fulfillments_order_id_idx ON fulfillments (order_id, id);

CREATE TABLE refunds (
    id blob PRIMARY KEY,
    order_id blob NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    amount integer NOT NULL CHECK (amount >= 0),
    note text NOT NULL,
    -- [{"lineId": …, "quantity": …, "amount": …, "restocked": [{"locationId": …, "quantity": …}]}]
    lines text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX refunds_order_id_idx ON refunds (order_id, id);

CREATE TABLE returns (
    id blob PRIMARY KEY,
    order_id blob NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('open', 'received')),
    reason text NOT NULL,
    -- [{"lineId": …, "quantity": …, "received": …}]
    lines text NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX returns_order_id_idx ON returns (order_id, id);

CREATE TABLE draft_orders (
    id blob PRIMARY KEY,
    -- domain::order::Draft: lines, addresses, discounts, as staff put them together.
    draft text NOT NULL,
    order_id blob REFERENCES orders (id),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX draft_orders_order_id_idx ON draft_orders (order_id);
