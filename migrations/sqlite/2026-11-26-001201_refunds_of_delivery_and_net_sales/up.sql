-- What of a refund is for delivery, and the taxes in that.
ALTER TABLE refunds ADD COLUMN delivery integer NOT NULL DEFAULT 0;
ALTER TABLE refunds ADD COLUMN delivery_tax integer NOT NULL DEFAULT 0;
UPDATE refunds SET delivery = min(
    max(amount - (
        SELECT coalesce(sum(json_extract(line.value, '$.amount')), 0) FROM json_each(refunds.lines) AS line), 0),
    (SELECT shipping_total FROM orders WHERE orders.id = refunds.order_id));

-- Sales by the usual definitions: gross less discounts and returns is net; net, delivery and taxes are the total. What goes back
-- lowers them on the day it goes. The figures are made anew from the log.
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
    returns integer NOT NULL,
    shipping integer NOT NULL,
    tax integer NOT NULL,
    total integer NOT NULL,
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
    returns integer NOT NULL,
    shipping integer NOT NULL,
    tax integer NOT NULL,
    total integer NOT NULL,
    refunds integer NOT NULL,
    cancelled integer NOT NULL,
    PRIMARY KEY (day, country, currency)
) STRICT, WITHOUT ROWID;
UPDATE event_consumers SET position = 0 WHERE name = 'reports.sales';
