-- What was sold, in figures: the read side. Kept by a listener from the event log, and made anew from it at any time.

-- The product as it was when it was sold, for good: variant and product may be gone.
ALTER TABLE order_lines ADD COLUMN product_id blob;
UPDATE order_lines SET product_id = (SELECT product_id FROM variants WHERE variants.id = order_lines.variant_id);

-- By day (UTC, YYYY-MM-DD), product, country and currency; minor units.
CREATE TABLE product_sales (
    day text NOT NULL,
    -- All zeros: of no product of the shop.
    product_id blob NOT NULL,
    -- Where it is sent, ISO 3166-1 alpha-2; ZZ: not known.
    country text NOT NULL,
    currency text NOT NULL,
    orders integer NOT NULL,
    quantity integer NOT NULL,
    gross integer NOT NULL,
    discounts integer NOT NULL,
    tax integer NOT NULL,
    -- After discounts and without taxes.
    net integer NOT NULL,
    refunds integer NOT NULL,
    PRIMARY KEY (day, product_id, country, currency)
) STRICT, WITHOUT ROWID;

-- By day, country and currency: whole orders.
CREATE TABLE order_sales (
    day text NOT NULL,
    country text NOT NULL,
    currency text NOT NULL,
    orders integer NOT NULL,
    quantity integer NOT NULL,
    gross integer NOT NULL,
    discounts integer NOT NULL,
    shipping integer NOT NULL,
    tax integer NOT NULL,
    total integer NOT NULL,
    refunds integer NOT NULL,
    cancelled integer NOT NULL,
    PRIMARY KEY (day, country, currency)
) STRICT, WITHOUT ROWID;
