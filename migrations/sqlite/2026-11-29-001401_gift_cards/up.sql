-- Money that buyers have in the shop: on gift cards, and as store credit of customers.
CREATE TABLE credit_accounts (
    id blob PRIMARY KEY,
    -- domain::payments::credit::CreditKind
    kind text NOT NULL,
    -- Whose store credit it is, or whom staff have assigned a gift card to.
    customer_id blob REFERENCES customers (id) ON DELETE SET NULL,
    -- SHA-256 of a gift card's code.
    code_hash text UNIQUE,
    last_characters text NOT NULL,
    currency text NOT NULL,
    -- In minor units.
    initial_value integer NOT NULL CHECK (initial_value >= 0),
    balance integer NOT NULL CHECK (balance >= 0),
    note text NOT NULL,
    expires_at integer,
    disabled_at integer,
    -- The unit of an order that a gift card was bought as.
    order_line_id blob REFERENCES order_lines (id) ON DELETE SET NULL,
    order_line_unit integer,
    -- The code, encrypted, until it is mailed.
    sealed_code text,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    UNIQUE (order_line_id, order_line_unit)
) STRICT;
CREATE INDEX credit_accounts_customer_id_idx ON credit_accounts (customer_id);
CREATE UNIQUE INDEX credit_accounts_store_credit_idx ON credit_accounts (customer_id, currency)
    WHERE kind = 'store_credit';

-- Every change of a balance.
CREATE TABLE credit_transactions (
    id blob PRIMARY KEY,
    account_id blob NOT NULL REFERENCES credit_accounts (id),
    -- domain::payments::credit::CreditReason
    reason text NOT NULL,
    -- In minor units; negative if it was taken.
    amount integer NOT NULL,
    balance_after integer NOT NULL CHECK (balance_after >= 0),
    order_id blob REFERENCES orders (id) ON DELETE SET NULL,
    note text NOT NULL,
    created_at integer NOT NULL
) STRICT;
CREATE INDEX credit_transactions_account_id_idx ON credit_transactions (account_id, id);

-- The ids of the credit accounts that a cart is paid with, in order.
ALTER TABLE carts ADD COLUMN credit_account_ids text NOT NULL DEFAULT '[]';

ALTER TABLE products ADD COLUMN is_gift_card integer NOT NULL DEFAULT 0 CHECK (is_gift_card IN (0, 1));
