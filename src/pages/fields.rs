//! Fields of forms and parameters of URLs, in the encoding `application/x-www-form-urlencoded`.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Maximum number of fields that are read; no form has as many.
const MAX_FIELDS: usize = 100;

/// The fields of a form, or the parameters of a URL.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Parses encoded fields. Control characters in values become spaces: all fields are single
    /// lines.
    #[must_use]
    pub fn parse(encoded: &str) -> Self {
        let pairs = encoded.split('&').filter(|pair| !pair.is_empty()).take(MAX_FIELDS);
        let decode_pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value).replace(char::is_control, " "))
        };
        Self(pairs.map(decode_pair).collect())
    }

    /// The first field with this name, without surrounding blanks. A payment provider may append
    /// parameters with the same names as ours.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// The text of a field; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The text of a field; `None` if it is empty.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        self.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

/// Shows only the names: values are personal data and secrets.
impl fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_the_first_of_a_name_counts() {
        let fields =
            Fields::parse("name=Ada+Lovelace&city=K%C3%B6ln&note=a%00b%0Ac&empty=&token=ours&token=theirs&x");
        assert_eq!(fields.get("name"), Some("Ada Lovelace"));
        assert_eq!(fields.text("city"), "Köln");
        assert_eq!(fields.text("note"), "a b c");
        assert_eq!((fields.get("empty"), fields.optional("empty")), (Some(""), None));
        assert_eq!(fields.text("token"), "ours");
        assert_eq!((fields.get("x"), fields.get("missing")), (Some(""), None));
        assert_eq!(Fields::parse("bad=%FF%zz").text("bad"), "\u{fffd}%zz");
    }

    #[test]
    fn debug_output_has_no_values() {
        let text = format!("{:?}", Fields::parse("key=secret"));
        assert!(text.contains("key") && !text.contains("secret"), "{text}");
    }
}
