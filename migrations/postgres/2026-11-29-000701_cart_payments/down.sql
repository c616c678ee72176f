DROP TABLE cart_payments;
