-- SQLite has no statistics of conditions of indexes.
SELECT 1;
