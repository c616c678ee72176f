DROP TABLE product_sales;
DROP TABLE order_sales;
CREATE TABLE product_sales (
    day text COLLATE "C" NOT NULL,
    -- All zeros: of no product of the shop, such as delivery.
    product_id uuid NOT NULL,
    -- Where it is sent, ISO 3166-1 alpha-2; ZZ: not known.
    country text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    quantity bigint NOT NULL,
    gross bigint NOT NULL,
    discounts bigint NOT NULL,
    tax bigint NOT NULL,
    net bigint NOT NULL,
    refunds bigint NOT NULL,
    PRIMARY KEY (day, product_id, country, currency)
);
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
UPDATE event_consumers SET position = 0 WHERE name = 'reports.sales';

ALTER TABLE refunds DROP COLUMN delivery_tax;
ALTER TABLE refunds DROP COLUMN delivery;
