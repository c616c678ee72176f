//! Parsed documents, kept by their text: a storefront sends the same few hundred over and over, and
//! reading one costs as much as loading a page of products.
//!
//! A document is kept once it was found to be valid, and by its weight: so neither rubbish nor
//! documents that differ each time take more memory than `DOCUMENT_CACHE_BYTES`, nor do they push
//! out what is in use. Whoever sends a long document that is new pays for its length before it is
//! parsed, among the large work, a few at a time and as part of its sender's share, so that
//! nobody's requests wait for the documents of others.

use std::num::NonZero;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::admission::{Admission, Share};
use super::graphql::Refused;
use super::large_work::{LargeWork, is_large_document};
use crate::context::OpContext;
use crate::domain::query_limits::CallerLimits;
use crate::error::ErrorCode;
use crate::graphql::document::{Document, RequestError};
use crate::services::rate_limits::{RateLimits, Throttled};

/// How many documents are expected: what the cache makes room for at first.
const USUAL_DOCUMENTS: usize = 200;
/// How many bytes of a new document cost nothing beside what it asks for.
const FREE_BYTES: u64 = 1024;
/// How many bytes beyond these cost one point: parsing them takes as long as a field does.
const BYTES_PER_POINT: u64 = 8;
/// What a byte of a new document adds to the work of an operation, in points: it is parsed and
/// validated while its sender's share of the processors is in use.
const WORK_PER_BYTE: u64 = 8;

/// The documents that are in use.
pub(super) struct Documents {
    kept: Cache<Box<str>, Arc<Document>, ByWeight>,
    /// Places for long documents that are being parsed.
    parsing: Arc<Semaphore>,
}

/// A document that was read for a request.
pub(super) struct Opened {
    pub(super) document: Arc<Document>,
    /// Whether it is not kept yet.
    pub(super) is_new: bool,
}

/// Why a document was not read.
pub(super) enum Unopened {
    /// Whoever sent it has sent too many.
    Throttled(Throttled),
    /// Too many of its sender's wait already.
    Refused(Refused),
    /// It is wrong, or exceeds a limit.
    Invalid(RequestError),
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<Box<str>, Arc<Document>> for ByWeight {
    fn weight(&self, _: &Box<str>, document: &Arc<Document>) -> u64 {
        document.weight()
    }
}

/// The work of parsing and validating a document, in points of cost.
pub(super) fn cost(text: &str) -> u64 {
    (text.len() as u64).saturating_mul(WORK_PER_BYTE)
}

impl Documents {
    /// None yet, and so many bytes at most.
    pub(super) fn new(max_bytes: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            kept: Cache::with_weighter(USUAL_DOCUMENTS, max_bytes, ByWeight),
            parsing: Arc::new(Semaphore::new((cores / 2).max(1))),
        }
    }

    /// The document that a text is; a new one is charged to whoever sent it.
    ///
    /// # Errors
    /// [`Unopened`] says what is wrong with it, or that its sender has to wait.
    pub(super) async fn open(
        &self,
        text: &str,
        op: &OpContext,
        limits: &CallerLimits,
        rates: &RateLimits,
        admission: &Admission,
    ) -> Result<Opened, Unopened> {
        if let Some(document) = self.kept.get(text) {
            return Ok(Opened { document, is_new: false });
        }
        if text.trim().is_empty() {
            let message = "send a document in `query`".to_owned();
            return Err(Unopened::Invalid(RequestError::Refused(ErrorCode::BadUserInput, message)));
        }
        let points = (text.len() as u64).saturating_sub(FREE_BYTES) / BYTES_PER_POINT;
        if points > 0 {
            rates.spend(op, points).await.map_err(Unopened::Throttled)?;
        }
        let parsed = if is_large_document(text) {
            let share = admission.share(op, cost(text), limits).await.map_err(Unopened::Refused)?;
            self.parse_apart(text, limits, share, &admission.large_work).await
        } else {
            Document::parse(text, limits)
        };
        match parsed {
            Ok(document) => Ok(Opened { document: Arc::new(document), is_new: true }),
            Err(error) => {
                // What can't be executed costs something as well.
                rates.spend(op, 1).await.map_err(Unopened::Throttled)?;
                Err(Unopened::Invalid(error))
            }
        }
    }

    /// Parses a long document on a thread of its own, which goes on, and is counted, whoever hangs up.
    async fn parse_apart(
        &self,
        text: &str,
        limits: &CallerLimits,
        share: Option<Share>,
        large_work: &LargeWork,
    ) -> Result<Document, RequestError> {
        let place = Arc::clone(&self.parsing).acquire_owned().await;
        let (text, limits) = (text.to_owned(), *limits);
        let parsing = large_work.compute(move || {
            let _counted = (place, share);
            Document::parse(&text, &limits)
        });
        parsing.await.unwrap_or_else(|error| {
            tracing::error!("a document can't be parsed: {error}");
            Err(RequestError::Refused(ErrorCode::Internal, "internal error".to_owned()))
        })
    }

    /// Keeps a document that was found to be valid.
    pub(super) fn keep(&self, text: &str, document: &Arc<Document>) {
        self.kept.insert(text.into(), Arc::clone(document));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Identity;
    use crate::config::AdmissionConfig;
    use crate::context::SystemClock;
    use crate::domain::caller::CallerKind;
    use crate::domain::query_limits::QueryLimits;
    use crate::domain::rate_limit::BucketLimit;
    use crate::services::rate_limits::RateLimitSettings;

    fn rates(anonymous: Option<BucketLimit>) -> RateLimits {
        let settings =
            RateLimitSettings { anonymous, customer: None, staff: None, api_key: None, redis_url: None };
        RateLimits::new(settings).unwrap()
    }

    async fn open(documents: &Documents, text: &str, rates: &RateLimits) -> Result<Opened, Unopened> {
        let op = OpContext::asked_by(Identity::NOBODY, "test".into(), Arc::new(SystemClock));
        let config = AdmissionConfig { max_operations: 4, max_queued: 4, queue_timeout: Duration::ZERO };
        let admission = Admission::new(&config, Arc::default());
        let limits = QueryLimits::default().of(CallerKind::Anonymous);
        documents.open(text, &op, &limits, rates, &admission).await
    }

    async fn read(documents: &Documents, text: &str) -> Opened {
        open(documents, text, &rates(None)).await.ok().unwrap()
    }

    #[tokio::test]
    async fn a_document_is_parsed_once() {
        let documents = Documents::new(1_000_000);
        let first = read(&documents, "{ shop { name } }").await;
        assert!(first.is_new);
        documents.keep("{ shop { name } }", &first.document);
        let second = read(&documents, "{ shop { name } }").await;
        assert!(!second.is_new && Arc::ptr_eq(&first.document, &second.document));
    }

    #[tokio::test]
    async fn however_many_are_sent_their_weight_is_bounded_and_those_in_use_stay() {
        let documents = Documents::new(1_000_000);
        let in_use = "{ shop { name } }";
        documents.keep(in_use, &read(&documents, in_use).await.document);
        for n in 0..2_000 {
            let text = format!("{{ a{n}: shop {{ {} }} }}", "name ".repeat(20));
            documents.keep(&text, &read(&documents, &text).await.document);
            assert!(!read(&documents, in_use).await.is_new);
        }
        assert!(documents.kept.weight() <= 1_000_000, "{}", documents.kept.weight());
    }

    #[tokio::test]
    async fn new_documents_are_paid_for_by_their_length_whatever_they_are() {
        let (documents, rates) =
            (Documents::new(1_000_000), rates(Some(BucketLimit { maximum: 1_000, restore_rate: 1 })));
        let long = |n: u32| format!("{{ shop {{ {} }} }} {n}", "name ".repeat(1_600));
        assert!(matches!(open(&documents, &long(1), &rates).await, Err(Unopened::Invalid(_))));
        assert!(matches!(open(&documents, &long(2), &rates).await, Err(Unopened::Throttled(_))));
        let known = "{ shop { name } }";
        documents.keep(known, &read(&documents, known).await.document);
        assert!(open(&documents, known, &rates).await.is_ok(), "a known one costs nothing");
    }
}
