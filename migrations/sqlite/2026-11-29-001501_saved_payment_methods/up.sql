-- Customers as payment providers know them, with whom their payment methods are saved.
CREATE TABLE payment_customers (
    customer_id blob NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    provider text NOT NULL,
    -- The provider's id of the customer.
    reference text NOT NULL,
    -- As of when the saved payment methods are known.
    synced_at integer NOT NULL,
    created_at integer NOT NULL,
    PRIMARY KEY (customer_id, provider),
    UNIQUE (provider, reference)
) STRICT;

-- The payment methods that customers have saved. The provider has the methods themselves; these are their labels.
CREATE TABLE saved_payment_methods (
    id blob PRIMARY KEY,
    customer_id blob NOT NULL,
    provider text NOT NULL,
    -- The provider's id of the method.
    reference text NOT NULL,
    brand text NOT NULL,
    last_digits text NOT NULL CHECK (length(last_digits) <= 4),
    expiry_month integer NOT NULL,
    expiry_year integer NOT NULL,
    is_default integer NOT NULL,
    -- Set while the provider may still report the method although the customer has removed it.
    removed_at integer,
    created_at integer NOT NULL,
    FOREIGN KEY (customer_id, provider) REFERENCES payment_customers (customer_id, provider) ON DELETE CASCADE,
    UNIQUE (provider, reference),
    CHECK (removed_at IS NULL OR NOT is_default)
) STRICT;
CREATE INDEX saved_payment_methods_customer_id_idx ON saved_payment_methods (customer_id, id);
CREATE UNIQUE INDEX saved_payment_methods_default_idx ON saved_payment_methods (customer_id) WHERE is_default;
