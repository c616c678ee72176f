//! How deeply the brackets of a text nest, before the parser sees it.
//!
//! Every recursion of the parser stands behind a bracket, so this bounds its stack. Brackets in
//! strings and comments do not count. Linear in the text, without allocation.

use super::LimitError;

/// Refuses a text whose brackets, braces and parentheses nest more deeply than `max`.
pub(in crate::graphql) fn check(text: &str, max: u64) -> Result<(), LimitError> {
    let mut rest = text.as_bytes();
    let mut open = 0_u64;
    let mut is_block_closed = true;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' | b'(' => {
                open += 1;
                if open > max {
                    return Err(LimitError {
                        setting: Some("QUERY_MAX_NESTING"),
                        what: "The nesting of the document's brackets",
                        value: None,
                        limit: max,
                        remedy: "nest fewer selections, lists and objects in one another",
                    });
                }
            }
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            b'"' => rest = after_string(after, &mut is_block_closed),
            b'#' => {
                let end = after.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(())
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
            assert_eq!(check(shallow, 3), Ok(()), "{shallow}");
        }
        for deep in ["{a(b:[[1]])}", "# comment\n{{{{", "\"\"{{{{", "\"open\n{{{{", "\"\"\"x\"\"\"{{{{"] {
            assert!(check(deep, 3).is_err(), "{deep}");
        }
    }

    #[test]
    fn a_block_string_that_nothing_closes_hides_no_brackets() {
        // The parser reads an empty string, a string with a space, and lists within lists.
        for deep in [r#"{ a(b: [""" " [[[["#, r#"{ a(b: ["""[" [[[["#, r#"{ a(b: [""" \""" " [[[["#] {
            assert!(check(deep, 5).is_err(), "{deep}");
        }
        let endless = r#"\"""" "#.repeat(100_000);
        assert_eq!(check(&format!("\"\"\"\" {endless}"), 3), Ok(()), "in linear time");
    }

    #[test]
    fn the_error_names_the_limit_and_the_remedy() {
        let error = check(&"[".repeat(60), 50).unwrap_err().to_string();
        let said = "The nesting of the document's brackets exceeds the limit of 50 (QUERY_MAX_NESTING): ";
        assert!(error.starts_with(said), "{error}");
    }
}
