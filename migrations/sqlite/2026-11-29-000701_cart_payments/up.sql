-- How the buyer of a cart has chosen to pay, until the cart is submitted.
CREATE TABLE cart_payments (
    cart_id blob PRIMARY KEY REFERENCES carts (id) ON DELETE CASCADE,
    -- NULL for a cart that costs nothing.
    provider text,
    -- The provider's token, encrypted. NULL if the provider needs none.
    sealed_token text,
    billing_address text NOT NULL,
    -- The total that the buyer agreed to, in minor units.
    amount integer NOT NULL CHECK (amount >= 0),
    updated_at integer NOT NULL
) STRICT;
