-- Buyers, staff, carts, prices and orders. As in the catalogue: ids are UUIDv7, money is in minor units of the shop's currency,
-- passwords are kept as Argon2id and tokens that sign somebody in as SHA-256, and the CHECKs are the last word.

ALTER TABLE shops ADD COLUMN taxes_included boolean NOT NULL DEFAULT true;
ALTER TABLE products ADD COLUMN tax_class text COLLATE "C" NOT NULL DEFAULT 'standard' CHECK (tax_class <> '');
ALTER TABLE locations ADD COLUMN latitude double precision CHECK (latitude BETWEEN -90 AND 90);
ALTER TABLE locations ADD COLUMN longitude double precision CHECK (longitude BETWEEN -180 AND 180);

CREATE TABLE customers (
    id uuid PRIMARY KEY,
    -- In lower case; NULL once the customer has been erased.
    email text COLLATE "C" UNIQUE CHECK (email <> ''),
    -- NULL: an account that has no password yet, or none any more.
    password_hash text,
    first_name text,
    last_name text,
    phone text,
    accepts_marketing boolean NOT NULL,
    email_verified_at timestamptz,
    erased_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE customer_addresses (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    is_default boolean NOT NULL,
    -- domain::address::Address
    address jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX customer_addresses_customer_id_idx ON customer_addresses (customer_id, id);
CREATE UNIQUE INDEX customer_addresses_default_idx ON customer_addresses (customer_id) WHERE is_default;

CREATE TABLE staff_members (
    id uuid PRIMARY KEY,
    -- In lower case.
    email text COLLATE "C" NOT NULL UNIQUE CHECK (email <> ''),
    name text NOT NULL,
    password_hash text,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE roles (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    -- ["READ_PRODUCTS", …]
    permissions jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE staff_roles (
    staff_id uuid NOT NULL REFERENCES staff_members ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES roles,
    PRIMARY KEY (staff_id, role_id)
);
CREATE INDEX staff_roles_role_id_idx ON staff_roles (role_id);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    -- The key's first characters, for people to tell keys apart.
    hint text NOT NULL,
    secret_hash text NOT NULL UNIQUE,
    permissions jsonb NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL
);

-- Refresh tokens. All that came of one sign-in are a family; one that is used a second time ends its family.
CREATE TABLE refresh_tokens (
    id uuid PRIMARY KEY,
    family_id uuid NOT NULL,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    staff_id uuid REFERENCES staff_members ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    CHECK ((customer_id IS NULL) <> (staff_id IS NULL))
);
CREATE INDEX refresh_tokens_family_id_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_customer_id_idx ON refresh_tokens (customer_id);
CREATE INDEX refresh_tokens_staff_id_idx ON refresh_tokens (staff_id);
CREATE INDEX refresh_tokens_expires_at_idx ON refresh_tokens (expires_at);

-- What is mailed to a customer to prove that the address is theirs; good for one use.
CREATE TABLE customer_tokens (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('recover', 'verify_email')),
    token_hash text NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX customer_tokens_customer_id_idx ON customer_tokens (customer_id);
CREATE INDEX customer_tokens_expires_at_idx ON customer_tokens (expires_at);

CREATE TABLE carts (
    id uuid PRIMARY KEY,
    -- Random. Nobody reads or changes a cart by its id alone: this is part of the global id.
    token text NOT NULL CHECK (length(token) >= 32),
    -- Once a customer is known, the cart is theirs alone.
    customer_id uuid REFERENCES customers ON DELETE SET NULL,
    email text,
    phone text,
    country text CHECK (length(country) = 2),
    note text NOT NULL,
    -- [{"key": …, "value": …}]
    attributes jsonb NOT NULL,
    -- ["SUMMER"], as they were typed.
    discount_codes jsonb NOT NULL,
    -- [{"id": …, "selected": true, "oneTimeUse": false, "address": {…}}]
    delivery_addresses jsonb NOT NULL,
    -- The handle of the delivery option that was chosen.
    delivery_option text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX carts_customer_id_idx ON carts (customer_id);
CREATE INDEX carts_updated_at_idx ON carts (updated_at);

CREATE TABLE cart_lines (
    id uuid PRIMARY KEY,
    cart_id uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    attributes jsonb NOT NULL,
    -- A digest of the attributes: lines of one variant with the same attributes are one line.
    attributes_key text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (cart_id, variant_id, attributes_key)
);
CREATE INDEX cart_lines_variant_id_idx ON cart_lines (variant_id);

-- Where parcels go: countries, and how far away they are taken to be when coordinates don't tell.
CREATE TABLE shipping_zones (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    -- ["GB", "IE"]; empty: everywhere that no other zone names.
    countries jsonb NOT NULL,
    default_distance_metres bigint NOT NULL CHECK (default_distance_metres >= 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE shipping_rates (
    id uuid PRIMARY KEY,
    zone_id uuid NOT NULL REFERENCES shipping_zones ON DELETE CASCADE,
    -- The strategy's name: standard, express, overnight.
    strategy text NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    -- Millionths of the currency's main unit: 0.5/kg is 500000.
    per_kilogram_micros bigint NOT NULL CHECK (per_kilogram_micros >= 0),
    per_kilometre_micros bigint NOT NULL CHECK (per_kilometre_micros >= 0),
    min_weight_milligrams bigint,
    max_weight_milligrams bigint,
    min_subtotal bigint,
    max_subtotal bigint,
    free_from_subtotal bigint,
    is_active boolean NOT NULL,
    position bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (zone_id, strategy, name)
);

CREATE TABLE discounts (
    id uuid PRIMARY KEY,
    title text NOT NULL CHECK (title <> ''),
    -- In lower case, as it is looked up; NULL: automatic.
    code_key text COLLATE "C" UNIQUE CHECK (code_key <> ''),
    -- As it was written.
    code text,
    -- domain::discount::DiscountRule: what it gives, on what, from which subtotal, and what it combines with.
    rule jsonb NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    usage_limit bigint CHECK (usage_limit > 0),
    customer_limit bigint CHECK (customer_limit > 0),
    used_count bigint NOT NULL CHECK (used_count >= 0),
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT discounts_not_overused CHECK (usage_limit IS NULL OR used_count <= usage_limit),
    CHECK ((code IS NULL) = (code_key IS NULL))
);
CREATE INDEX discounts_automatic_idx ON discounts (id) WHERE code_key IS NULL;

CREATE TABLE tax_rates (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    country text NOT NULL CHECK (length(country) = 2),
    -- A province's code; NULL: the whole country.
    province text COLLATE "C",
    -- The products' tax class; 'shipping' for what delivery costs.
    tax_class text COLLATE "C" NOT NULL CHECK (tax_class <> ''),
    -- Millionths: 20 % is 200000.
    rate_micros bigint NOT NULL CHECK (rate_micros BETWEEN 0 AND 10000000),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX tax_rates_place_idx ON tax_rates (country, coalesce(province, ''), tax_class, name);

CREATE SEQUENCE order_numbers START 1001;

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    -- Rises; a number may be missing where an order was refused.
    number bigint NOT NULL UNIQUE,
    -- An order of a cart: there is no second one. The cart itself may be gone.
    cart_id uuid UNIQUE,
    -- What an imported order was called where it came from.
    imported_as text COLLATE "C" UNIQUE,
    customer_id uuid REFERENCES customers,
    email text COLLATE "C",
    phone text,
    -- Random. A guest who knows it sees the order.
    token text NOT NULL CHECK (length(token) >= 32),
    -- domain::order::OrderStatus
    status text COLLATE "C" NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3),
    taxes_included boolean NOT NULL,
    -- total = subtotal - discount_total + shipping_total + (tax_total unless taxes are included). The discounts of shipping are
    -- in shipping_total already.
    subtotal bigint NOT NULL CHECK (subtotal >= 0),
    discount_total bigint NOT NULL CHECK (discount_total BETWEEN 0 AND subtotal),
    shipping_total bigint NOT NULL CHECK (shipping_total >= 0),
    tax_total bigint NOT NULL CHECK (tax_total >= 0),
    total bigint NOT NULL CHECK (total >= 0),
    -- domain::quote::QuotedDelivery; null when nothing is sent.
    delivery jsonb NOT NULL,
    shipping_address jsonb,
    billing_address jsonb,
    note text NOT NULL,
    attributes jsonb NOT NULL,
    cancel_reason text,
    -- When an order that is not paid for is given up.
    expires_at timestamptz,
    placed_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    updated_at timestamptz NOT NULL,
    CONSTRAINT orders_total_adds_up CHECK (
        total = subtotal - discount_total + shipping_total + CASE WHEN taxes_included THEN 0 ELSE tax_total END)
);
CREATE INDEX orders_customer_id_idx ON orders (customer_id, id);
CREATE INDEX orders_email_idx ON orders (email);
CREATE INDEX orders_status_idx ON orders (status, id);
CREATE INDEX orders_total_idx ON orders (total, id);
CREATE INDEX orders_placed_at_idx ON orders (placed_at, id);
CREATE INDEX orders_updated_at_idx ON orders (updated_at, id);
CREATE INDEX orders_expires_at_idx ON orders (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE order_lines (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    position bigint NOT NULL,
    -- The variant may be gone; the line stays as it was sold.
    variant_id uuid REFERENCES variants ON DELETE SET NULL,
    title text NOT NULL,
    variant_title text NOT NULL,
    sku text COLLATE "C",
    vendor text NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    -- Before discounts.
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    discount_total bigint NOT NULL CHECK (discount_total >= 0),
    tax_total bigint NOT NULL CHECK (tax_total >= 0),
    -- [{"discountId": …, "title": …, "code": …, "amount": …}]
    discounts jsonb NOT NULL,
    -- [{"title": …, "rateMicros": …, "amount": …}]
    taxes jsonb NOT NULL,
    attributes jsonb NOT NULL,
    requires_shipping boolean NOT NULL,
    weight_milligrams bigint NOT NULL,
    -- Where its pieces are reserved: [{"locationId": …, "quantity": …}]; shrinks as they are sent or given back.
    reserved jsonb NOT NULL,
    fulfilled_quantity bigint NOT NULL,
    refunded_quantity bigint NOT NULL,
    CONSTRAINT order_lines_fulfilled_check CHECK (fulfilled_quantity BETWEEN 0 AND quantity),
    CONSTRAINT order_lines_refunded_check CHECK (refunded_quantity BETWEEN 0 AND quantity),
    CHECK (discount_total <= unit_price * quantity)
);
CREATE INDEX order_lines_order_id_idx ON order_lines (order_id, position);
CREATE INDEX order_lines_variant_id_idx ON order_lines (variant_id);

-- A discount's use by an order; gone when the order gives it back.
CREATE TABLE discount_uses (
    discount_id uuid NOT NULL REFERENCES discounts ON DELETE CASCADE,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    -- Who used it: a customer's id, or a guest's e-mail address.
    customer_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (discount_id, order_id)
);
CREATE INDEX discount_uses_customer_idx ON discount_uses (discount_id, customer_key);
CREATE INDEX discount_uses_order_id_idx ON discount_uses (order_id);

-- The ledger: what was asked of payment providers and what they said. Rows are added, never changed; what is paid is a fold.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders,
    provider text NOT NULL,
    -- The provider's name for what it told us; what is told twice is kept once.
    provider_event_id text COLLATE "C" NOT NULL,
    -- domain::payment::PaymentKind
    kind text NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    -- The provider's name for the payment.
    reference text,
    message text,
    -- What a refund is of.
    refund_id uuid,
    occurred_at timestamptz NOT NULL,
    UNIQUE (provider, provider_event_id)
);
CREATE INDEX payments_order_id_idx ON payments (order_id, id);
CREATE INDEX payments_reference_idx ON payments (provider, reference);

CREATE TABLE fulfillments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('success', 'cancelled')),
    tracking_company text,
    tracking_number text,
    tracking_url text,
    -- [{"lineId": …, "quantity": …, "taken": [{"locationId": …, "quantity": …}]}]
    lines jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX fulfillments_order_id_idx ON fulfillments (order_id, id);

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    amount bigint NOT NULL CHECK (amount >= 0),
    note text NOT NULL,
    -- [{"lineId": …, "quantity": …, "amount": …, "restocked": [{"locationId": …, "quantity": …}]}]
    lines jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX refunds_order_id_idx ON refunds (order_id, id);

CREATE TABLE returns (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    status text NOT NULL CHECK (status IN ('open', 'received')),
    reason text NOT NULL,
    -- [{"lineId": …, "quantity": …, "received": …}]
    lines jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX returns_order_id_idx ON returns (order_id, id);

CREATE TABLE draft_orders (
    id uuid PRIMARY KEY,
    -- domain::order::Draft: lines, addresses, discounts, as staff put them together.
    draft jsonb NOT NULL,
    order_id uuid REFERENCES orders,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX draft_orders_order_id_idx ON draft_orders (order_id);
