DROP TABLE order_sales;
DROP TABLE product_sales;
ALTER TABLE order_lines DROP COLUMN product_id;
