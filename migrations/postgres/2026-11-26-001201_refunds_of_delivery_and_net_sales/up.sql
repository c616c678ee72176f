-- What of a refund is for delivery, and the taxes in that.
ALTER TABLE refunds ADD COLUMN delivery bigint NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN delivery_tax bigint NOT NULL DEFAULT 0;
UPDATE refunds SET delivery = least(
    greatest(amount - (
        SELECT coalesce(sum((line ->> 'amount')::bigint), 0)::bigint FROM jsonb_array_elements(lines) AS line), 0),
    (SELECT shipping_total FROM orders WHERE orders.id = refunds.order_id));

-- Sales by the usual definitions: gross less discounts and returns is net; net, delivery and taxes are the total. What goes back
-- lowers them on the day it goes. The figures are made anew from the log.
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
    returns bigint NOT NULL,
    shipping bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL,
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
    returns bigint NOT NULL,
    shipping bigint NOT NULL,
    tax bigint NOT NULL,
    total bigint NOT NULL,
    refunds bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (day, country, currency)
);
UPDATE event_consumers SET position = 0 WHERE name = 'reports.sales';
