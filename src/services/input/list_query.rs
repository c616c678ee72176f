//! Parses the `query` argument of lists, independently of what is searched.

use crate::domain::catalog::search::{Node, Search, SearchError, Warning};
use crate::error::Error;

/// Parses a search query, with warnings about parts that were ignored. Without a query, everything
/// matches.
///
/// # Errors
/// [`Error::BadInput`] when the query exceeds the limits of a search.
pub(crate) fn read<F>(
    query: Option<&str>,
    parse: fn(&str) -> Result<Search<F>, SearchError>,
) -> Result<(Node<F>, Vec<Warning>), Error> {
    let Some(query) = query else { return Ok((Node::All, Vec::new())) };
    let search = parse(query).map_err(|error| Error::BadInput(format!("query: {error}")))?;
    Ok((search.filter, search.warnings))
}
