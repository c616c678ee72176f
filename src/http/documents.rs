//! Parsed documents, kept by their text: a storefront sends the same few hundred over and over, and
//! reading one costs as much as loading a page of products.
//!
//! A document is kept once it was found to be valid, and by its weight: so neither rubbish nor
//! documents that differ each time take more memory than `DOCUMENT_CACHE_BYTES`, nor do they push
//! out what is in use.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::domain::query_limits::CallerLimits;
use crate::graphql::document::{Document, RequestError};

/// How many documents are expected: what the cache makes room for at first.
const USUAL_DOCUMENTS: usize = 200;

/// The documents that are in use.
pub(super) struct Documents(Cache<Box<str>, Arc<Document>, ByWeight>);

#[derive(Clone)]
struct ByWeight;

impl Weighter<Box<str>, Arc<Document>> for ByWeight {
    fn weight(&self, _: &Box<str>, document: &Arc<Document>) -> u64 {
        document.weight()
    }
}

impl Documents {
    /// None yet, and so many bytes at most.
    pub(super) fn new(max_bytes: u64) -> Self {
        Self(Cache::with_weighter(USUAL_DOCUMENTS, max_bytes, ByWeight))
    }

    /// The document that a text is; true, if it is not kept yet.
    ///
    /// # Errors
    /// What is wrong with it, or which limit of the caller it exceeds.
    pub(super) fn read(
        &self,
        text: &str,
        limits: &CallerLimits,
    ) -> Result<(Arc<Document>, bool), RequestError> {
        match self.0.get(text) {
            Some(known) => Ok((known, false)),
            None => Ok((Arc::new(Document::parse(text, limits)?), true)),
        }
    }

    /// Keeps a document that was found to be valid.
    pub(super) fn keep(&self, text: &str, document: &Arc<Document>) {
        self.0.insert(text.into(), Arc::clone(document));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::CallerKind;
    use crate::domain::query_limits::QueryLimits;

    fn read(documents: &Documents, text: &str) -> (Arc<Document>, bool) {
        documents.read(text, &QueryLimits::default().of(CallerKind::Anonymous)).unwrap()
    }

    #[test]
    fn a_document_is_parsed_once() {
        let documents = Documents::new(1_000_000);
        let (first, is_new) = read(&documents, "{ shop { name } }");
        assert!(is_new);
        documents.keep("{ shop { name } }", &first);
        let (second, is_new) = read(&documents, "{ shop { name } }");
        assert!(!is_new && Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn however_many_are_sent_their_weight_is_bounded_and_those_in_use_stay() {
        let documents = Documents::new(1_000_000);
        let in_use = "{ shop { name } }";
        documents.keep(in_use, &read(&documents, in_use).0);
        for n in 0..2_000 {
            let text = format!("{{ a{n}: shop {{ {} }} }}", "name ".repeat(20));
            documents.keep(&text, &read(&documents, &text).0);
            assert!(!read(&documents, in_use).1);
        }
        assert!(documents.0.weight() <= 1_000_000, "{}", documents.0.weight());
    }
}
