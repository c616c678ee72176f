ALTER TABLE variants DROP COLUMN is_priced;
