-- An order may be paid in several attempts. An attempt is named by its `requested` entry, and later entries of the same
-- payment refer to it.
ALTER TABLE payments ADD COLUMN attempt_id uuid;
UPDATE payments SET attempt_id = (
    SELECT requested.id FROM payments requested
    WHERE requested.order_id = payments.order_id
        AND requested.provider = payments.provider
        AND requested.kind = 'requested'
    ORDER BY requested.id
    LIMIT 1
);

-- What a payment waits for: a step of its buyer, or its provider.
CREATE TABLE payment_actions (
    attempt_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    -- The provider's id of the payment.
    reference text NOT NULL,
    -- Encrypted, because it may contain a secret by which the payment is confirmed.
    sealed_action text NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX payment_actions_order_id_idx ON payment_actions (order_id);
