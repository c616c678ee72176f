ALTER TABLE webhook_subscriptions DROP COLUMN owner;
ALTER TABLE api_keys DROP COLUMN owner;
