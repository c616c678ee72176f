//! A cache of responses to buyers' queries that read only what all buyers see.
//!
//! A response is returned only while it is the one that the query would give now: it is stored with
//! the parts of the catalog that its reads depended on ([`TrackedReads`]), and discarded as soon as
//! one of them changes. Changes are known from the events of each write: those of this process as
//! soon as it commits, before the write is acknowledged, and those of others as soon as the log has
//! them ([`LogFollower`]). While the log can't be read, nothing is returned. The key includes the
//! kind of caller, which determines what may be seen, and the revision of the shop's details, which
//! each process has in memory.
//!
//! A response that depends on anything else, such as the database of a replica, is not stored; nor
//! is one with errors.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::document::ExecutableOperation;
use crate::concurrency::{Part, Provenance, TrackedReads};
use crate::context::OpContext;
use crate::domain::access::actors::Credential;
use crate::events::{ALL_PARTS_TAG, LogFollower};
use crate::services::Shop;

/// The initial capacity of the cache.
const EXPECTED_RESPONSES: usize = 500;
/// A single response takes at most one of so many parts of the cache.
const MAX_SHARE: u64 = 16;
/// What an entry takes besides its key, its data and its parts, in bytes.
const ENTRY_BYTES: u64 = 200;

/// The cache.
pub struct ResponseCache {
    cache: Cache<Box<[u8]>, Arc<CachedResponse>, ResponseWeight>,
    max_bytes: u64,
    log: LogFollower,
    shop: Arc<Shop>,
    /// The look-ups that found a response, and those that did not.
    lookups: (Counter, Counter),
}

/// A response.
pub struct CachedResponse {
    /// The value of `data` as JSON.
    pub data: Box<[u8]>,
    /// The number of its fields, which is the actual cost of the query.
    pub fields: u64,
    /// The SHA-256 of the data in quotes; `None` if the response can't be stored.
    pub etag: Option<String>,
    /// `None` if the response can't be stored.
    provenance: Option<Provenance>,
}

/// What the cache has for an operation.
pub enum Lookup {
    /// The response.
    Found(Arc<CachedResponse>),
    /// Nothing, but the response may be stored.
    Missing(PendingResponse),
    /// Responses to such operations are not stored.
    NotCached,
}

/// A response that is about to be computed and stored.
pub struct PendingResponse {
    key: Box<[u8]>,
    reads: Arc<TrackedReads>,
}

#[derive(Clone)]
struct ResponseWeight;

impl Weighter<Box<[u8]>, Arc<CachedResponse>> for ResponseWeight {
    fn weight(&self, key: &Box<[u8]>, response: &Arc<CachedResponse>) -> u64 {
        let parts = response.provenance.as_ref().map_or(0, Provenance::bytes);
        let bytes = key.len() + response.data.len() + parts;
        ENTRY_BYTES + bytes as u64
    }
}

impl CachedResponse {
    /// Tags for the parts of the catalog that it was computed from, separated by commas.
    #[must_use]
    pub fn tags(&self) -> String {
        let parts =
            self.provenance.iter().flat_map(|provenance| provenance.parts().iter().map(Part::to_string));
        std::iter::once(ALL_PARTS_TAG.to_owned()).chain(parts).collect::<Vec<_>>().join(",")
    }
}

impl PendingResponse {
    /// Where the reads of the operation are to be noted.
    #[must_use]
    pub fn reads(&self) -> &Arc<TrackedReads> {
        &self.reads
    }
}

impl ResponseCache {
    /// Creates an empty cache for up to `max_bytes` of responses; 0 switches it off.
    #[must_use]
    pub fn new(max_bytes: u64, log: &LogFollower, shop: &Arc<Shop>, lookups: (Counter, Counter)) -> Self {
        let cache = Cache::with_weighter(EXPECTED_RESPONSES, max_bytes, ResponseWeight);
        Self { cache, max_bytes, log: log.clone(), shop: Arc::clone(shop), lookups }
    }

    /// Looks up the response to an operation. `base_url` is that of the URLs in the response.
    #[must_use]
    pub fn find(&self, op: &OpContext, operation: &ExecutableOperation, base_url: &str) -> Lookup {
        let is_cached = self.max_bytes > 0
            && matches!(op.credential, Credential::None | Credential::Customer(..))
            && op.caller_kind().is_buyer()
            && operation.is_catalog_query()
            && self.log.is_current();
        if !is_cached {
            return Lookup::NotCached;
        }
        // These come before anything is read.
        let Some(key) = key(op, operation, base_url, &self.shop) else { return Lookup::NotCached };
        let changes = self.log.changes();
        let now = changes.now();
        let is_current = |provenance: &Provenance| provenance.is_current(changes);
        let found =
            self.cache.get(&*key).filter(|response| response.provenance.as_ref().is_some_and(is_current));
        if let Some(response) = found {
            self.lookups.0.inc();
            return Lookup::Found(response);
        }
        self.lookups.1.inc();
        Lookup::Missing(PendingResponse { key, reads: Arc::new(TrackedReads::new(now)) })
    }

    /// Stores a response without errors, unless it can't be told when it changes. `statements` is
    /// the number of statements that the operation has sent.
    #[must_use]
    pub fn store(
        &self,
        pending: PendingResponse,
        statements: u32,
        data: Vec<u8>,
        fields: u64,
    ) -> Arc<CachedResponse> {
        let PendingResponse { key, reads } = pending;
        let provenance = reads.provenance(statements);
        let digest = || base16ct::lower::encode_string(&Sha256::digest(&data));
        let etag = provenance.is_some().then(|| format!("\"{}\"", digest()));
        let response = Arc::new(CachedResponse { data: data.into(), fields, etag, provenance });
        if response.provenance.is_some()
            && ResponseWeight.weight(&key, &response) <= self.max_bytes / MAX_SHARE
        {
            self.cache.insert(key, Arc::clone(&response));
        }
        response
    }
}

/// Everything that determines a response, except for what is in the database; `None` if the
/// variables can't be written.
fn key(op: &OpContext, operation: &ExecutableOperation, base_url: &str, shop: &Shop) -> Option<Box<[u8]>> {
    let mut key = Vec::with_capacity(256);
    // None of these contains a zero.
    for text in [op.caller_kind().as_str(), base_url, operation.name().unwrap_or_default()] {
        key.extend_from_slice(text.as_bytes());
        key.push(0);
    }
    key.extend_from_slice(&shop.revision().to_ne_bytes());
    key.extend_from_slice(operation.digest().as_bytes());
    serde_json::to_writer(&mut key, &operation.variables).ok()?;
    Some(key.into())
}
