//! Redirects from old paths: how paths are normalized, and how redirects are searched.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Maximum length of a path or target in bytes.
pub const MAX_LENGTH: usize = 2_048;

/// A search for redirects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RedirectQuery {
    /// All redirects.
    All,
    /// No redirects: the query is not a valid path.
    Invalid,
    /// The redirect from this path.
    Path(String),
    /// Redirects from paths with this prefix.
    PathPrefix(String),
    /// Redirects to this target.
    Target(String),
}

impl RedirectQuery {
    /// Parses `path:/old`, `path:/old*` or `target:/new`; without a field it is a prefix of the
    /// path. Everything after the colon is the value: storefronts send a request's path unescaped.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let query = query.trim();
        if query.is_empty() {
            return Self::All;
        }
        if let Some(target) = query.strip_prefix("target:") {
            return Self::Target(unquote(target).to_owned());
        }
        let (value, is_field) = match query.strip_prefix("path:") {
            Some(value) => (unquote(value), true),
            None => (query, false),
        };
        let (value, is_prefix) = match value.strip_suffix('*') {
            Some(value) => (value, true),
            None => (value, !is_field),
        };
        let decoded = percent_decode(value);
        match (is_prefix, normalize_path(value)) {
            // No stored path has one: see `normalize_path`.
            _ if decoded.contains(char::is_control) => Self::Invalid,
            (true, _) if decoded.starts_with('/') => Self::PathPrefix(decoded.into_owned()),
            (true, _) => Self::PathPrefix(format!("/{decoded}")),
            (false, Some(path)) => Self::Path(path),
            (false, None) => Self::Invalid,
        }
    }
}

/// Normalizes a path for storage and comparison: decoded, without trailing slashes. `None` if it
/// can't be redirected, such as `/`.
#[must_use]
pub fn normalize_path(text: &str) -> Option<String> {
    let path = percent_decode(text.trim());
    let path = path.trim_end_matches('/');
    let is_path = path.starts_with('/') && !path.starts_with("//") && path.len() <= MAX_LENGTH;
    (is_path && !path.contains(char::is_control)).then(|| path.to_owned())
}

/// Strips surrounding quotes.
fn unquote(text: &str) -> &str {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Decodes percent-encoding; returns the text unchanged if the result is not valid UTF-8.
fn percent_decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_and_lose_their_trailing_slashes() {
        for (text, expected) in [
            ("/old", Some("/old")),
            (" /old/// ", Some("/old")),
            ("/caf%C3%A9/men%C3%BC", Some("/café/menü")),
            ("/100%", Some("/100%")),
            ("/a%FFb", Some("/a%FFb")),
            ("/a%+1", Some("/a%+1")),
            ("/", None),
            ("", None),
            ("old", None),
            ("//elsewhere.example", None),
            ("https://shop.example/old", None),
            ("/a%00b", None),
        ] {
            assert_eq!(normalize_path(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn queries_search_for_paths_or_targets() {
        use RedirectQuery as Query;
        for (query, expected) in [
            ("", Query::All),
            ("path:/old", Query::Path("/old".to_owned())),
            ("path:/a b,(c):d/", Query::Path("/a b,(c):d".to_owned())),
            ("path:\"/old\"", Query::Path("/old".to_owned())),
            ("path:", Query::Invalid),
            ("path:/old*", Query::PathPrefix("/old".to_owned())),
            ("path:*", Query::PathPrefix("/".to_owned())),
            ("old", Query::PathPrefix("/old".to_owned())),
            ("target:/new", Query::Target("/new".to_owned())),
            ("/a%00b", Query::Invalid),
        ] {
            assert_eq!(Query::parse(query), expected, "{query}");
        }
    }
}
