-- Customers as payment providers know them, with whom their payment methods are saved.
CREATE TABLE payment_customers (
    customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
    provider text COLLATE "C" NOT NULL,
    -- The provider's id of the customer.
    reference text COLLATE "C" NOT NULL,
    -- As of when the saved payment methods are known.
    synced_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (customer_id, provider),
    UNIQUE (provider, reference)
);

-- The payment methods that customers have saved. The provider has the methods themselves; these are their labels.
CREATE TABLE saved_payment_methods (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    provider text COLLATE "C" NOT NULL,
    -- The provider's id of the method.
    reference text COLLATE "C" NOT NULL,
    brand text NOT NULL,
    last_digits text NOT NULL CHECK (length(last_digits) <= 4),
    expiry_month integer NOT NULL,
    expiry_year integer NOT NULL,
    is_default boolean NOT NULL,
    -- Set while the provider may still report the method although the customer has removed it.
    removed_at timestamptz,
    created_at timestamptz NOT NULL,
    FOREIGN KEY (customer_id, provider) REFERENCES payment_customers ON DELETE CASCADE,
    UNIQUE (provider, reference),
    CHECK (removed_at IS NULL OR NOT is_default)
);
CREATE INDEX saved_payment_methods_customer_id_idx ON saved_payment_methods (customer_id, id);
CREATE UNIQUE INDEX saved_payment_methods_default_idx ON saved_payment_methods (customer_id) WHERE is_default;
