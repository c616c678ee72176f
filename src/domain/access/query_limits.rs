//! Limits on GraphQL operations by kind of caller.
//!
//! `config` reads them, `graphql::request::limits` enforces them. Each field names its environment
//! variable, since error messages quote it.

use std::time::Duration;

use super::callers::{CallerKind, PerCaller};

/// The limits of all kinds of callers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryLimits {
    /// `QUERY_MAX_BYTES`: length of a document.
    pub max_bytes: PerCaller<u64>,
    /// `QUERY_MAX_TOKENS`: number of tokens of a document.
    pub max_tokens: PerCaller<u64>,
    /// `QUERY_MAX_NESTING`: number of brackets, braces and parentheses open at once.
    pub max_nesting: PerCaller<u64>,
    /// `QUERY_MAX_DEPTH`: nesting of fields.
    pub max_depth: PerCaller<u64>,
    /// `QUERY_MAX_FIELDS`: number of selected fields; fragments count each time they are spread.
    pub max_fields: PerCaller<u64>,
    /// `QUERY_MAX_ALIASES`: number of aliased fields, counted the same way.
    pub max_aliases: PerCaller<u64>,
    /// `QUERY_MAX_ROOT_FIELDS`: number of root fields of a mutation, each of which is a write.
    pub max_root_fields: PerCaller<u64>,
    /// `QUERY_MAX_DIRECTIVES`: number of directives, counted like fields.
    pub max_directives: PerCaller<u64>,
    /// `QUERY_MAX_COST`: number of fields of the largest possible response.
    pub max_cost: PerCaller<u64>,
    /// `MAX_CONCURRENT_COST`: total cost of a caller's concurrent operations.
    pub max_concurrent_cost: PerCaller<u64>,
    /// `RESPONSE_MAX_FIELDS`: actual number of fields of a response.
    pub max_response_fields: PerCaller<u64>,
    /// `RESPONSE_MAX_BYTES`: length of a response as JSON, before compression.
    pub max_response_bytes: PerCaller<u64>,
    /// `QUERY_TIMEOUT_MS`: timeout of an operation in milliseconds.
    pub timeout_ms: PerCaller<u64>,
    /// `RESPONSE_MAX_ERRORS`: number of errors listed in a response.
    pub max_errors: u64,
    /// `RESPONSE_MAX_FIELDS_IN_FLIGHT`: number of fields of all responses being built at a time.
    pub max_fields_in_flight: u64,
    /// `DOCUMENT_CACHE_BYTES`: memory for parsed documents.
    pub document_cache_bytes: u64,
    /// `RESPONSE_CACHE_BYTES`: memory for responses to queries of the catalog; 0 for no cache.
    pub response_cache_bytes: u64,
    /// `ENTITY_CACHE_BYTES`: memory for products, collections and what belongs to them; 0 for no
    /// cache.
    pub entity_cache_bytes: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_bytes: PerCaller::all(64 * 1024),
            max_tokens: PerCaller::buyers_and_staff(8_000, 32_000),
            max_nesting: PerCaller::all(50),
            max_depth: PerCaller::all(20),
            max_fields: PerCaller::buyers_and_staff(3_000, 6_000),
            max_aliases: PerCaller::buyers_and_staff(250, 1_000),
            max_root_fields: PerCaller::buyers_and_staff(10, 50),
            max_directives: PerCaller::buyers_and_staff(100, 500),
            max_cost: PerCaller::buyers_and_staff(1_000_000, 5_000_000),
            max_concurrent_cost: PerCaller::buyers_and_staff(100_000, 10_000_000),
            max_response_fields: PerCaller::buyers_and_staff(200_000, 1_000_000),
            max_response_bytes: PerCaller::buyers_and_staff(8 * 1024 * 1024, 64 * 1024 * 1024),
            timeout_ms: PerCaller::buyers_and_staff(10_000, 30_000),
            max_errors: 50,
            max_fields_in_flight: 1_000_000,
            document_cache_bytes: 32 * 1024 * 1024,
            response_cache_bytes: 16 * 1024 * 1024,
            entity_cache_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The limits of one caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallerLimits {
    /// See [`QueryLimits::max_bytes`].
    pub max_bytes: u64,
    /// See [`QueryLimits::max_tokens`].
    pub max_tokens: u64,
    /// See [`QueryLimits::max_nesting`].
    pub max_nesting: u64,
    /// See [`QueryLimits::max_depth`].
    pub max_depth: u64,
    /// See [`QueryLimits::max_fields`].
    pub max_fields: u64,
    /// See [`QueryLimits::max_aliases`].
    pub max_aliases: u64,
    /// See [`QueryLimits::max_root_fields`].
    pub max_root_fields: u64,
    /// See [`QueryLimits::max_directives`].
    pub max_directives: u64,
    /// See [`QueryLimits::max_cost`].
    pub max_cost: u64,
    /// See [`QueryLimits::max_concurrent_cost`].
    pub max_concurrent_cost: u64,
    /// See [`QueryLimits::max_response_fields`].
    pub max_response_fields: u64,
    /// See [`QueryLimits::max_response_bytes`].
    pub max_response_bytes: u64,
    /// See [`QueryLimits::timeout_ms`].
    pub timeout: Duration,
    /// See [`QueryLimits::max_errors`].
    pub max_errors: u64,
}

impl QueryLimits {
    /// The limits for a kind of caller.
    #[must_use]
    pub fn of(&self, kind: CallerKind) -> CallerLimits {
        CallerLimits {
            max_bytes: self.max_bytes.of(kind),
            max_tokens: self.max_tokens.of(kind),
            max_nesting: self.max_nesting.of(kind),
            max_depth: self.max_depth.of(kind),
            max_fields: self.max_fields.of(kind),
            max_aliases: self.max_aliases.of(kind),
            max_root_fields: self.max_root_fields.of(kind),
            max_directives: self.max_directives.of(kind),
            max_cost: self.max_cost.of(kind),
            max_concurrent_cost: self.max_concurrent_cost.of(kind),
            max_response_fields: self.max_response_fields.of(kind),
            max_response_bytes: self.max_response_bytes.of(kind),
            timeout: Duration::from_millis(self.timeout_ms.of(kind)),
            max_errors: self.max_errors,
        }
    }
}
