DROP TABLE saved_payment_methods;
DROP TABLE payment_customers;
