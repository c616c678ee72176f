//! Parsed documents, kept by their text: a storefront sends the same few hundred over and over, and parsing one costs as much
//! as loading a page of products. Bounded, in number and in size; what is not a document is not kept.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_graphql::ServerError;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;

/// How many documents are kept. When there are more, all are forgotten: what is in use is back in a moment.
const MAX_DOCUMENTS: usize = 1_000;
/// How long a document may be that is kept, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The documents that were parsed lately.
#[derive(Default)]
pub struct Documents(RwLock<HashMap<Box<str>, Arc<ExecutableDocument>>>);

impl Documents {
    /// The document that a text is.
    ///
    /// # Errors
    /// What is wrong with its syntax, and where.
    pub fn parse(&self, text: &str) -> Result<Arc<ExecutableDocument>, ServerError> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Arc::clone(known));
        }
        let document = Arc::new(parse_query(text)?);
        if text.len() <= MAX_BYTES {
            let mut documents = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if documents.len() >= MAX_DOCUMENTS {
                documents.clear();
            }
            documents.insert(text.into(), Arc::clone(&document));
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_parsed_once() {
        let documents = Documents::default();
        let first = documents.parse("{ shop { name } }").unwrap();
        assert!(Arc::ptr_eq(&first, &documents.parse("{ shop { name } }").unwrap()));
        assert!(documents.parse("{ shop {").is_err());
    }

    #[test]
    fn however_many_are_sent_few_are_kept() {
        let documents = Documents::default();
        for n in 0..2 * MAX_DOCUMENTS {
            documents.parse(&format!("{{ a{n}: shop {{ name }} }}")).unwrap();
        }
        documents.parse(&format!("{{ shop {{ name }} }} #{}", "x".repeat(MAX_BYTES))).unwrap();
        assert!(documents.0.read().unwrap().len() <= MAX_DOCUMENTS);
    }
}
