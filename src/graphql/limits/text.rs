//! How much a text asks of the parser, before the parser sees it: how deeply its brackets nest, and
//! of how many tokens it consists.
//!
//! Every recursion of the parser stands behind a bracket, so the first bounds its stack; the second
//! bounds its time. Brackets in strings and comments do not count. Linear in the text, without
//! allocation.

use super::LimitError;
use crate::domain::query_limits::CallerLimits;

/// Refuses a text that nests too deeply or has too many tokens.
pub(in crate::graphql) fn check(text: &str, limits: &CallerLimits) -> Result<(), LimitError> {
    let mut rest = text.as_bytes();
    let (mut open, mut tokens) = (0_u64, 0_u64);
    let (mut is_word, mut is_block_closed) = (false, true);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let was_word = std::mem::take(&mut is_word);
        match byte {
            b'{' | b'[' | b'(' => {
                (open, tokens) = (open + 1, tokens + 1);
                if open > limits.max_nesting {
                    return Err(LimitError {
                        setting: Some("QUERY_MAX_NESTING"),
                        what: "The nesting of the document's brackets",
                        value: None,
                        limit: limits.max_nesting,
                        remedy: "nest fewer selections, lists and objects in one another",
                    });
                }
            }
            b'}' | b']' | b')' => (open, tokens) = (open.saturating_sub(1), tokens + 1),
            b'"' => {
                tokens += 1;
                rest = after_string(after, &mut is_block_closed);
            }
            b'#' => {
                let end = after.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
            }
            // The dots of a spread count with what they spread.
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b'.' => {}
            b'!' | b'$' | b'&' | b':' | b'=' | b'@' | b'|' => tokens += 1,
            _ => {
                tokens += u64::from(!was_word);
                is_word = true;
            }
        }
    }
    let remedy = "select fewer fields, and send values as variables";
    LimitError::check(
        "QUERY_MAX_TOKENS",
        "The number of the document's names, values and signs",
        tokens,
        limits.max_tokens,
        remedy,
    )
}

/// What follows a string whose first quote was just read.
///
/// To the parser, a block string that nothing closes is an empty string, and what follows is a
/// document still. Then no later block string is closed either, which `is_block_closed` remembers:
/// nobody looks for the end twice.
pub(in crate::graphql) fn after_string<'a>(text: &'a [u8], is_block_closed: &mut bool) -> &'a [u8] {
    match text {
        [b'"', b'"', block @ ..] => {
            if *is_block_closed && let Some(after) = after_block(block) {
                return after;
            }
            *is_block_closed = false;
            text.get(1..).unwrap_or_default()
        }
        _ => after_line(text),
    }
}

/// What follows a block string whose first quotes were just read; `None` when nothing closes it.
fn after_block(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', b'"', b'"', b'"', after @ ..] => after,
            [b'"', b'"', b'"', after @ ..] => return Some(after),
            [_, after @ ..] => after,
        };
    }
}

/// What follows a string of one line.
fn after_line(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [] => return rest,
            [b'\\', _, after @ ..] => after,
            // A line ends a string that was not closed: the parser will refuse it.
            [b'"' | b'\n' | b'\r', after @ ..] => return after,
            [_, after @ ..] => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::CallerKind;
    use crate::domain::query_limits::QueryLimits;

    fn limits() -> CallerLimits {
        QueryLimits::default().of(CallerKind::Anonymous)
    }

    fn nesting(text: &str, max_nesting: u64) -> Result<(), LimitError> {
        check(text, &CallerLimits { max_nesting, max_tokens: u64::MAX, ..limits() })
    }

    #[test]
    fn brackets_count_unless_they_are_text() {
        for shallow in [
            "{ a(b: [1, 2]) }",
            r#"{ a(b: "[[[[[[" c: "\"[[[[") }"#,
            "{ a } # {{{{{{{{\n{ b }",
            r#"{ a(b: """ [[[ " [[[ \""" [[[ """) }"#,
            r#"{ a(b: "") c(d: "") }"#,
            "}}}}{{{",
        ] {
            assert_eq!(nesting(shallow, 3), Ok(()), "{shallow}");
        }
        for deep in ["{a(b:[[1]])}", "# comment\n{{{{", "\"\"{{{{", "\"open\n{{{{", "\"\"\"x\"\"\"{{{{"] {
            assert!(nesting(deep, 3).is_err(), "{deep}");
        }
    }

    #[test]
    fn a_block_string_that_nothing_closes_hides_no_brackets() {
        // The parser reads an empty string, a string with a space, and lists within lists.
        for deep in [r#"{ a(b: [""" " [[[["#, r#"{ a(b: ["""[" [[[["#, r#"{ a(b: [""" \""" " [[[["#] {
            assert!(nesting(deep, 5).is_err(), "{deep}");
        }
        let endless = r#"\"""" "#.repeat(100_000);
        assert_eq!(nesting(&format!("\"\"\"\" {endless}"), 3), Ok(()), "in linear time");
    }

    #[test]
    fn tokens_are_counted_however_they_are_written() {
        for (text, tokens) in [
            ("", 0),
            (" ,, # nothing { a }", 0),
            ("{a}", 3),
            ("query Q($a: Int! = 10) @d { b: c(d: $a) ...F }", 25),
            (r#"{ a(b: "x y { z", c: """ " { """) }"#, 11),
            ("{ ...F ... on T { a } }", 8),
        ] {
            let within = |max_tokens| check(text, &CallerLimits { max_tokens, ..limits() });
            assert_eq!(within(tokens), Ok(()), "{text}");
            if let Some(fewer) = tokens.checked_sub(1) {
                assert_eq!(within(fewer).unwrap_err().value, Some(tokens), "{text}");
            }
        }
    }

    #[test]
    fn the_error_names_the_limit_and_the_remedy() {
        let error = check(&"[".repeat(60), &limits()).unwrap_err().to_string();
        let said = "The nesting of the document's brackets exceeds the limit of 50 (QUERY_MAX_NESTING): ";
        assert!(error.starts_with(said), "{error}");
        let error = check(&"a ".repeat(9_000), &limits()).unwrap_err().to_string();
        let said = "The number of the document's names, values and signs is 9000, and the limit is 8000 (QUERY_MAX_TOKENS): ";
        assert!(error.starts_with(said), "{error}");
    }
}
