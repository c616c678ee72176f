-- Words and notes by which staff tell orders and customers apart. Tags are a JSON list of texts.
ALTER TABLE orders ADD COLUMN tags text NOT NULL DEFAULT '[]';
ALTER TABLE customers ADD COLUMN tags text NOT NULL DEFAULT '[]';
ALTER TABLE customers ADD COLUMN note text NOT NULL DEFAULT '';
