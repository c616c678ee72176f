DROP TABLE unpaid_order_stock;
DROP TABLE unpaid_orders;
