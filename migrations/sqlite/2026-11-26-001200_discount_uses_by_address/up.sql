-- Uses of discounts are kept under the e-mail address of their order, of an account's orders, too: a guest's and an account's
-- uses of one address count together.
UPDATE discount_uses
    SET customer_key = (SELECT orders.email FROM orders WHERE orders.id = discount_uses.order_id)
    WHERE EXISTS (
        SELECT 1 FROM orders WHERE orders.id = discount_uses.order_id AND orders.email IS NOT NULL);
