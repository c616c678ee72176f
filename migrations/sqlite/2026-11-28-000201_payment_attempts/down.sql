DROP TABLE payment_actions;
ALTER TABLE payments DROP COLUMN attempt_id;
