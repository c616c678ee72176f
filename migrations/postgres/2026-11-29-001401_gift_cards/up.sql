-- Money that buyers have in the shop: on gift cards, and as store credit of customers.
CREATE TABLE credit_accounts (
    id uuid PRIMARY KEY,
    -- domain::payments::credit::CreditKind
    kind text NOT NULL,
    -- Whose store credit it is, or whom staff have assigned a gift card to.
    customer_id uuid REFERENCES customers ON DELETE SET NULL,
    -- SHA-256 of a gift card's code.
    code_hash text UNIQUE,
    last_characters text NOT NULL,
    currency text NOT NULL,
    -- In minor units.
    initial_value bigint NOT NULL CHECK (initial_value >= 0),
    balance bigint NOT NULL CHECK (balance >= 0),
    note text NOT NULL,
    expires_at timestamptz,
    disabled_at timestamptz,
    -- The unit of an order that a gift card was bought as.
    order_line_id uuid REFERENCES order_lines ON DELETE SET NULL,
    order_line_unit bigint,
    -- The code, encrypted, until it is mailed.
    sealed_code text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (order_line_id, order_line_unit)
);
CREATE INDEX credit_accounts_customer_id_idx ON credit_accounts (customer_id);
CREATE UNIQUE INDEX credit_accounts_store_credit_idx ON credit_accounts (customer_id, currency)
    WHERE kind = 'store_credit';

-- Every change of a balance.
CREATE TABLE credit_transactions (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES credit_accounts,
    -- domain::payments::credit::CreditReason
    reason text NOT NULL,
    -- In minor units; negative if it was taken.
    amount bigint NOT NULL,
    balance_after bigint NOT NULL CHECK (balance_after >= 0),
    order_id uuid REFERENCES orders ON DELETE SET NULL,
    note text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX credit_transactions_account_id_idx ON credit_transactions (account_id, id);

-- The ids of the credit accounts that a cart is paid with, in order.
ALTER TABLE carts ADD COLUMN credit_account_ids jsonb NOT NULL DEFAULT '[]';

ALTER TABLE products ADD COLUMN is_gift_card boolean NOT NULL DEFAULT false;
