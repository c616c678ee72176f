-- The language that a buyer reads, a code of domain::codes::LANGUAGES; NULL: the shop's own. An order keeps the one it was placed in,
-- a customer the one they signed up in: their mails are written in it.
ALTER TABLE orders ADD COLUMN language text;
ALTER TABLE customers ADD COLUMN language text;
