//! The `query` argument of a list, read for the services that serve lists. It must not know what is
//! searched.

use crate::domain::search::{Node, Search, SearchError, Warning};
use crate::error::Error;

/// Reads a query in the search language: what it asks for, and what of it was not understood.
/// Without one, everything is asked for.
///
/// # Errors
/// [`Error::BadInput`] when the query is larger than a search may be.
pub fn read<F>(
    query: Option<&str>,
    parse: fn(&str) -> Result<Search<F>, SearchError>,
) -> Result<(Node<F>, Vec<Warning>), Error> {
    let Some(query) = query else { return Ok((Node::All, Vec::new())) };
    // No database takes a NUL in a text; in a search it parts words, as any odd character does.
    let search =
        parse(&query.replace('\0', " ")).map_err(|error| Error::BadInput(format!("query: {error}")))?;
    Ok((search.filter, search.warnings))
}
