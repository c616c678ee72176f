//! A cache of parsed and validated documents by their text: a storefront sends the same few hundred
//! documents over and over, and parsing one costs as much as loading a page of products.
//!
//! Only valid documents are cached, weighed by their size in memory. So neither invalid documents
//! nor ones that differ each time take more than `DOCUMENT_CACHE_BYTES` or evict the documents in
//! use. Long new documents are charged by their length before they are parsed. They are parsed in
//! the low-priority pool, a few at a time and within the sender's share, so that they don't delay
//! other callers' requests.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::Rejection;
use super::admission::{Admission, Share};
use crate::concurrency::{LowPriorityPool, processors};
use crate::context::OpContext;
use crate::domain::access::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::graphql::request::document::{Document, RequestError};
use crate::services::access::rate_limits::{RateLimits, Throttled};

/// The initial capacity of the cache.
const EXPECTED_DOCUMENTS: usize = 200;
/// The longest document that is parsed in the task of its request. Parsing and validating it
/// usually takes about as long as a thread switch.
const MAX_SMALL_DOCUMENT_BYTES: usize = 1024;
/// Bytes of a new document that are not charged.
const FREE_BYTES: u64 = 1024;
/// Bytes beyond these that cost one point. Parsing them takes about as long as resolving a field.
const BYTES_PER_POINT: u64 = 8;
/// Points of a sender's share of the processors that each byte of a long document takes while it is
/// parsed and validated.
const WORK_PER_BYTE: u64 = 8;

/// The cache.
pub(super) struct DocumentCache {
    cache: Cache<Box<str>, Arc<Document>, DocumentWeight>,
    /// Permits for parsing long documents.
    parsing: Arc<Semaphore>,
    /// The look-ups that found a document, and those that did not.
    lookups: (Counter, Counter),
}

/// Why there is no document.
pub(super) enum DocumentError {
    /// The sender has no points left for it.
    Throttled(Throttled),
    /// Too many of the sender's operations are running.
    Rejected(Rejection),
    /// The document is invalid or exceeds a limit.
    Invalid(RequestError),
}

#[derive(Clone)]
struct DocumentWeight;

impl Weighter<Box<str>, Arc<Document>> for DocumentWeight {
    fn weight(&self, _: &Box<str>, document: &Arc<Document>) -> u64 {
        document.weight()
    }
}

/// The cost of parsing and validating a document, in points.
fn parse_cost(text: &str) -> u64 {
    (text.len() as u64).saturating_mul(WORK_PER_BYTE)
}

impl DocumentCache {
    /// Creates an empty cache for up to `max_bytes` of documents.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            cache: Cache::with_weighter(EXPECTED_DOCUMENTS, max_bytes, DocumentWeight),
            parsing: Arc::new(Semaphore::new((processors() / 2).max(1))),
            lookups: (Counter::default(), Counter::default()),
        }
    }

    /// Counts look-ups: those that find a document, and those that don't.
    #[must_use]
    pub(super) fn with_lookups(self, lookups: (Counter, Counter)) -> Self {
        Self { lookups, ..self }
    }

    /// Returns the cached document for a text, or charges its sender and parses it.
    ///
    /// # Errors
    /// [`DocumentError`] if the document is invalid or its sender is throttled.
    pub(super) async fn get_or_parse(
        &self,
        text: &str,
        op: &OpContext,
        limits: &CallerLimits,
        rates: &RateLimits,
        admission: &Admission,
    ) -> Result<Arc<Document>, DocumentError> {
        if let Some(document) = self.cache.get(text) {
            self.lookups.0.inc();
            return Ok(document);
        }
        self.lookups.1.inc();
        if text.trim().is_empty() {
            let message = "send a document in `query`".to_owned();
            return Err(DocumentError::Invalid(RequestError::Rejected(ErrorCode::BadUserInput, message)));
        }
        let points = (text.len() as u64).saturating_sub(FREE_BYTES) / BYTES_PER_POINT;
        if points > 0 {
            rates.spend(op, points).await.map_err(DocumentError::Throttled)?;
        }
        let parsed = if text.len() > MAX_SMALL_DOCUMENT_BYTES {
            let share = admission.acquire_share(op, parse_cost(text), limits).await;
            let share = share.map_err(DocumentError::Rejected)?;
            self.parse_large(text, limits, share, &admission.low_priority_pool).await
        } else {
            Document::parse(text, limits)
        };
        match parsed {
            Ok(document) => {
                let document = Arc::new(document);
                self.cache.insert(text.into(), Arc::clone(&document));
                Ok(document)
            }
            Err(error) => {
                // Documents that can't be executed are charged as well.
                rates.spend(op, 1).await.map_err(DocumentError::Throttled)?;
                Err(DocumentError::Invalid(error))
            }
        }
    }

    /// Parses a long document in the low-priority pool. Parsing continues, and holds its permits,
    /// even if the client disconnects.
    async fn parse_large(
        &self,
        text: &str,
        limits: &CallerLimits,
        share: Option<Share>,
        low_priority_pool: &LowPriorityPool,
    ) -> Result<Document, RequestError> {
        let permit = Arc::clone(&self.parsing).acquire_owned().await;
        let (text, limits) = (text.to_owned(), *limits);
        let parsing = low_priority_pool.compute(move || {
            let _guards = (permit, share);
            Document::parse(&text, &limits)
        });
        parsing.await.unwrap_or_else(|error| {
            tracing::error!("a document can't be parsed: {error}");
            Err(RequestError::Rejected(ErrorCode::Internal, "internal error".to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::AdmissionConfig;
    use crate::domain::access::actors::Identity;
    use crate::domain::access::callers::CallerKind;
    use crate::domain::access::query_limits::QueryLimits;
    use crate::domain::access::rate_limits::BucketLimit;
    use crate::domain::time::SystemClock;
    use crate::services::access::rate_limits::RateLimitSettings;

    fn rates(anonymous: Option<BucketLimit>) -> RateLimits {
        let settings =
            RateLimitSettings { anonymous, customer: None, staff: None, api_key: None, redis_url: None };
        RateLimits::new(settings).unwrap()
    }

    async fn resolve(
        documents: &DocumentCache,
        text: &str,
        rates: &RateLimits,
    ) -> Result<Arc<Document>, DocumentError> {
        let op = OpContext::for_identity(Identity::ANONYMOUS, "test".into(), Arc::new(SystemClock));
        let config = AdmissionConfig { max_operations: 4, max_queued: 4, queue_timeout: Duration::ZERO };
        let admission = Admission::new(&config, Arc::default(), Arc::default());
        let limits = QueryLimits::default().of(CallerKind::Anonymous);
        documents.get_or_parse(text, &op, &limits, rates, &admission).await
    }

    async fn resolve_unthrottled(documents: &DocumentCache, text: &str) -> Arc<Document> {
        resolve(documents, text, &rates(None)).await.ok().unwrap()
    }

    #[tokio::test]
    async fn documents_are_parsed_once() {
        let documents = DocumentCache::new(1_000_000);
        let first = resolve_unthrottled(&documents, "{ shop { name } }").await;
        let second = resolve_unthrottled(&documents, "{ shop { name } }").await;
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[tokio::test]
    async fn the_weight_is_bounded_and_documents_in_use_stay_cached() {
        let documents = DocumentCache::new(1_000_000);
        let in_use = "{ shop { name } }";
        let first = resolve_unthrottled(&documents, in_use).await;
        for n in 0..2_000 {
            let text = format!("{{ a{n}: shop {{ {} }} }}", "name ".repeat(20));
            resolve_unthrottled(&documents, &text).await;
            assert!(Arc::ptr_eq(&first, &resolve_unthrottled(&documents, in_use).await));
        }
        assert!(documents.cache.weight() <= 1_000_000, "{}", documents.cache.weight());
    }

    #[tokio::test]
    async fn new_documents_cost_points_by_length_even_if_invalid() {
        let (documents, rates) =
            (DocumentCache::new(1_000_000), rates(Some(BucketLimit { maximum: 1_000, restore_rate: 1 })));
        let long = |n: u32| format!("{{ shop {{ {} }} }} {n}", "name ".repeat(1_600));
        assert!(matches!(resolve(&documents, &long(1), &rates).await, Err(DocumentError::Invalid(_))));
        assert!(matches!(resolve(&documents, &long(2), &rates).await, Err(DocumentError::Throttled(_))));
        let cached = format!("{{ shop {{ name }} }}{}", " ".repeat(2_500));
        resolve_unthrottled(&documents, &cached).await;
        assert!(resolve(&documents, &cached, &rates).await.is_ok(), "a cached one costs nothing");
    }
}
