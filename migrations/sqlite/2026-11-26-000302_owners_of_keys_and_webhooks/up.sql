-- Whose permissions limit a key or a webhook now: staff:<id>, api_key:<id>, system for the shop itself, or unknown, which may do nothing.
-- Until now only a name was kept. A name that nobody has any more stands for nobody.
ALTER TABLE api_keys ADD COLUMN owner text NOT NULL DEFAULT 'unknown';
UPDATE api_keys SET owner = 'system' WHERE created_by = 'system';
UPDATE api_keys
    SET owner = 'staff:' || (
        SELECT lower(hex(member.id)) FROM staff_members AS member WHERE member.email = api_keys.created_by)
    WHERE owner = 'unknown' AND EXISTS (
        SELECT 1 FROM staff_members AS member WHERE member.email = api_keys.created_by);
UPDATE api_keys SET owner = 'api_key:' || (
        SELECT lower(hex(maker.id)) FROM api_keys AS maker
        WHERE maker.name = api_keys.created_by AND maker.created_at < api_keys.created_at
        ORDER BY maker.created_at DESC LIMIT 1)
    WHERE owner = 'unknown' AND EXISTS (
        SELECT 1 FROM api_keys AS maker
        WHERE maker.name = api_keys.created_by AND maker.created_at < api_keys.created_at);

ALTER TABLE webhook_subscriptions ADD COLUMN owner text NOT NULL DEFAULT 'unknown';
UPDATE webhook_subscriptions SET owner = 'system' WHERE created_by = 'system';
UPDATE webhook_subscriptions
    SET owner = 'staff:' || (
        SELECT lower(hex(member.id)) FROM staff_members AS member WHERE member.email = webhook_subscriptions.created_by)
    WHERE owner = 'unknown' AND EXISTS (
        SELECT 1 FROM staff_members AS member WHERE member.email = webhook_subscriptions.created_by);
UPDATE webhook_subscriptions SET owner = 'api_key:' || (
        SELECT lower(hex(maker.id)) FROM api_keys AS maker
        WHERE maker.name = webhook_subscriptions.created_by AND maker.created_at < webhook_subscriptions.created_at
        ORDER BY maker.created_at DESC LIMIT 1)
    WHERE owner = 'unknown' AND EXISTS (
        SELECT 1 FROM api_keys AS maker
        WHERE maker.name = webhook_subscriptions.created_by AND maker.created_at < webhook_subscriptions.created_at);
