//! Finds the first products that contain words, on PostgreSQL. Called by the product lists.
//!
//! The time it takes to read the index depends on how many products contain each word. If many
//! words are alternatives to each other and most products contain one, reading the first documents
//! is many times faster. PostgreSQL can't choose, because its plans do not depend on the words.
//! Therefore, the documents are tried first, and then the index.

use crate::domain::catalog::search::RequiredWords;

/// Minimum number of alternative words for which documents are tried first.
const MIN_ALTERNATIVES: usize = 6;

/// SQL of a subquery with the columns `product_id` and `document`.
pub(super) struct FirstMatches {
    /// What precedes the words, which are a parameter.
    pub(super) start: &'static str,
    /// What follows them.
    pub(super) end: String,
}

impl FirstMatches {
    /// The first products with words, up to a limit.
    pub(super) fn new(alternative_words: usize, limit: usize) -> Self {
        if alternative_words < MIN_ALTERNATIVES {
            return Self {
                start: "(SELECT product_id, document FROM product_search WHERE document @@ \
                    (SELECT to_tsquery('simple', ",
                end: format!(")) LIMIT {limit})"),
            };
        }
        // Enough if two thirds of the products match.
        let documents = limit.saturating_add(limit / 2);
        Self {
            start: "(WITH words AS (SELECT to_tsquery('simple', ",
            end: format!(
                ") AS query), \
                 first AS MATERIALIZED (SELECT product_id, document FROM \
                 (SELECT product_id, document FROM product_search LIMIT {documents}) AS read, words \
                 WHERE document @@ query LIMIT {limit}), \
                 done AS (SELECT (SELECT count(*) FROM first) = {limit} OR \
                 (SELECT count(*) FROM (SELECT 1 FROM product_search LIMIT {documents}) AS head) < {documents} \
                 AS is_complete) \
                 SELECT product_id, document FROM first WHERE (SELECT is_complete FROM done) UNION ALL \
                 (SELECT product_id, document FROM product_search WHERE NOT (SELECT is_complete FROM done) \
                 AND document @@ (SELECT query FROM words) LIMIT {limit}))"
            ),
        }
    }

    /// The same for required words.
    pub(super) fn of(words: &RequiredWords, limit: usize) -> Self {
        Self::new(words.alternative_words(), limit)
    }
}
