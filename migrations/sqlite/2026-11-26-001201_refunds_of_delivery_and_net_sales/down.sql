DROP TABLE product_sales;
DROP TABLE order_sales;
CREATE TABLE product_sales (
    day text NOT NULL,
    -- All zeros: of no product of the shop, such as delivery.
    product_id blob NOT NULL,
    -- Where it is sent, ISO 3166-1 alpha-2; ZZ: not known.
    country text NOT NULL,
    currency text NOT NULL,
    orders integer NOT NULL,
    quantity integer NOT NULL,
    gross integer NOT NULL,
    discounts integer NOT NULL,
    tax integer NOT NULL,
    net integer NOT NULL,
    refunds integer NOT NULL,
    PRIMARY KEY (day, product_id, country, currency)
) STRICT, WITHOUT ROWID;
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
UPDATE event_consumers SET position = 0 WHERE name = 'reports.sales';

ALTER TABLE refunds DROP COLUMN delivery_tax;
ALTER TABLE refunds DROP COLUMN delivery;
