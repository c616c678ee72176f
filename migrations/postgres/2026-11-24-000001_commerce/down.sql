DROP TABLE draft_orders, returns, refunds, fulfillments, payments, discount_uses, order_lines, orders, tax_rates, discounts,
    shipping_rates, shipping_zones, cart_lines, carts, customer_tokens, refresh_tokens, api_keys, staff_roles, roles,
    staff_members, customer_addresses, customers;
DROP SEQUENCE order_numbers;
ALTER TABLE locations DROP COLUMN longitude, DROP COLUMN latitude;
ALTER TABLE products DROP COLUMN tax_class;
ALTER TABLE shops DROP COLUMN taxes_included;
