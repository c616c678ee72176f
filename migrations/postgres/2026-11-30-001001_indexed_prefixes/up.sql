-- Only SQLite's index of words changes; PostgreSQL's finds prefixes of any length.
SELECT 1;
