-- What was sold, in figures: the read side. Kept by a listener from the event log, and made anew from it at any time.

-- The product as it was when it was sold, for good: variant and product may be gone.
ALTER TABLE order_lines ADD COLUMN product_id uuid;
UPDATE order_lines SET product_id = (SELECT product_id FROM variants WHERE variants.id = order_lines.variant_id);

-- By day (UTC, YYYY-MM-DD), product, country and currency; minor units.
CREATE TABLE product_sales (
    day text COLLATE "C" NOT NULL,
    -- All zeros: of no product of the shop.
    product_id uuid NOT NULL,
    -- Where it is sent, ISO 3166-1 alpha-2; ZZ: not known.
    country text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    quantity bigint NOT NULL,
    gross bigint NOT NULL,
    discounts bigint NOT NULL,
    tax bigint NOT NULL,
    -- After discounts and without taxes.
    net bigint NOT NULL,
    refunds bigint NOT NULL,
    PRIMARY KEY (day, product_id, country, currency)
);

-- By day, country and currency: whole orders.
CREATE TABLE order_sales (
    day text COLLATE "C" NOT NULL,
    country text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    quantity bigint NOT NULL,
    gross bigint NOT NULL,
    discounts bigint NOT NULL,
    shipping bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL,
    refunds bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (day, country, currency)
);
