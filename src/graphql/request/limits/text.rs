//! Limits on the text of a document, checked before parsing: the nesting of its brackets and the
//! number of its tokens.
//!
//! The parser only recurses at brackets, so the nesting bounds its stack, and the number of tokens
//! its time. Brackets in strings and comments don't count. Takes linear time and does not allocate.

use super::LimitError;
use crate::domain::access::query_limits::CallerLimits;

/// Rejects a text that nests too deeply or has too many tokens.
pub(in crate::graphql) fn check(text: &str, limits: &CallerLimits) -> Result<(), LimitError> {
    let mut rest = text.as_bytes();
    let (mut open, mut tokens) = (0_u64, 0_u64);
    let (mut is_word, mut may_have_block_end) = (false, true);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let was_word = std::mem::take(&mut is_word);
        match byte {
            b'{' | b'[' | b'(' => {
                (open, tokens) = (open + 1, tokens + 1);
                if open > limits.max_nesting {
                    return Err(LimitError {
                        setting: Some("QUERY_MAX_NESTING"),
                        subject: "The nesting of the document's brackets",
                        value: None,
                        limit: limits.max_nesting,
                        remedy: "nest fewer selections, lists and objects in one another",
                    });
                }
            }
            b'}' | b']' | b')' => (open, tokens) = (open.saturating_sub(1), tokens + 1),
            b'"' => {
                tokens += 1;
                rest = skip_string(after, &mut may_have_block_end);
            }
            b'#' => rest = skip_comment(after),
            // The dots of a spread are counted together with what they spread.
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
        "The number of tokens of the document",
        tokens,
        limits.max_tokens,
        remedy,
    )
}

/// Skips the rest of a comment.
pub(in crate::graphql) fn skip_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// Skips a string whose first quote was just read, and returns the rest.
///
/// The parser takes an unclosed block string for an empty string, and continues after it. Then no
/// later block string is closed either, which `may_have_block_end` records, so that the search for
/// the end is not repeated.
pub(in crate::graphql) fn skip_string<'a>(text: &'a [u8], may_have_block_end: &mut bool) -> &'a [u8] {
    match text {
        [b'"', b'"', block @ ..] => {
            if *may_have_block_end && let Some(after) = skip_block_string(block) {
                return after;
            }
            *may_have_block_end = false;
            text.get(1..).unwrap_or_default()
        }
        _ => skip_line_string(text),
    }
}

/// Skips a block string whose first quotes were just read; `None` if it is not closed.
fn skip_block_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b'\\', b'"', b'"', b'"', after @ ..] => after,
            [b'"', b'"', b'"', after @ ..] => return Some(after),
            [_, after @ ..] => after,
        };
    }
}

/// Skips a single-line string.
fn skip_line_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [] => return rest,
            [b'\\', _, after @ ..] => after,
            // The end of the line ends an unclosed string, which the parser will reject.
            [b'"' | b'\n' | b'\r', after @ ..] => return after,
            [_, after @ ..] => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::callers::CallerKind;
    use crate::domain::access::query_limits::QueryLimits;

    fn limits() -> CallerLimits {
        QueryLimits::default().of(CallerKind::Anonymous)
    }

    fn check_nesting(text: &str, max_nesting: u64) -> Result<(), LimitError> {
        check(text, &CallerLimits { max_nesting, max_tokens: u64::MAX, ..limits() })
    }

    #[test]
    fn brackets_count_except_in_strings_and_comments() {
        for shallow in [
            "{ a(b: [1, 2]) }",
            r#"{ a(b: "[[[[[[" c: "\"[[[[") }"#,
            "{ a } # {{{{{{{{\n{ b }",
            r#"{ a(b: """ [[[ " [[[ \""" [[[ """) }"#,
            r#"{ a(b: "") c(d: "") }"#,
            "}}}}{{{",
        ] {
            assert_eq!(check_nesting(shallow, 3), Ok(()), "{shallow}");
        }
        for deep in ["{a(b:[[1]])}", "# comment\n{{{{", "\"\"{{{{", "\"open\n{{{{", "\"\"\"x\"\"\"{{{{"] {
            assert!(check_nesting(deep, 3).is_err(), "{deep}");
        }
    }

    #[test]
    fn brackets_after_unclosed_block_strings_count() {
        // The parser reads an empty string, a string with a space, and lists within lists.
        for deep in [r#"{ a(b: [""" " [[[["#, r#"{ a(b: ["""[" [[[["#, r#"{ a(b: [""" \""" " [[[["#] {
            assert!(check_nesting(deep, 5).is_err(), "{deep}");
        }
        let endless = r#"\"""" "#.repeat(100_000);
        assert_eq!(check_nesting(&format!("\"\"\"\" {endless}"), 3), Ok(()), "in linear time");
    }

    #[test]
    fn all_kinds_of_tokens_are_counted() {
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
    fn errors_name_the_limit_and_the_setting() {
        let error = check(&"[".repeat(60), &limits()).unwrap_err().to_string();
        let expected = "The nesting of the document's brackets exceeds the limit of 50 (QUERY_MAX_NESTING): ";
        assert!(error.starts_with(expected), "{error}");
        let error = check(&"a ".repeat(9_000), &limits()).unwrap_err().to_string();
        let expected =
            "The number of tokens of the document is 9000, and the limit is 8000 (QUERY_MAX_TOKENS): ";
        assert!(error.starts_with(expected), "{error}");
    }
}
