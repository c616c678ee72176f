-- Orders of buyers that wait for a payment nobody is asked for at once, and whom they count for. A row is of no use once its order is
-- paid for or given up: the clean-up removes it.
CREATE TABLE unpaid_orders (
    order_id uuid PRIMARY KEY REFERENCES orders ON DELETE CASCADE,
    -- "customer:<id>", or "guest:" and what is known of somebody who is not signed in.
    caller text COLLATE "C" NOT NULL CHECK (caller <> '')
);
CREATE INDEX unpaid_orders_caller_idx ON unpaid_orders (caller);

-- Stock that those of guests hold.
CREATE TABLE unpaid_order_stock (
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    variant_id uuid NOT NULL REFERENCES variants ON DELETE CASCADE,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, variant_id)
);
CREATE INDEX unpaid_order_stock_variant_id_idx ON unpaid_order_stock (variant_id);
