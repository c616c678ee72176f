UPDATE roles SET permissions = (
    SELECT coalesce(json_group_array(value), '[]') FROM json_each(permissions)
    WHERE value NOT IN ('READ_GIFT_CARDS', 'WRITE_GIFT_CARDS'));
UPDATE api_keys SET permissions = (
    SELECT coalesce(json_group_array(value), '[]') FROM json_each(permissions)
    WHERE value NOT IN ('READ_GIFT_CARDS', 'WRITE_GIFT_CARDS'));
UPDATE webhook_subscriptions SET permissions = (
    SELECT coalesce(json_group_array(value), '[]') FROM json_each(permissions)
    WHERE value NOT IN ('READ_GIFT_CARDS', 'WRITE_GIFT_CARDS'));
ALTER TABLE products DROP COLUMN is_gift_card;
ALTER TABLE carts DROP COLUMN credit_account_ids;
DROP TABLE credit_transactions;
DROP TABLE credit_accounts;
