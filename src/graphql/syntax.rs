//! What is wrong with a text that is no document, in plain words: the parser draws it, and calls
//! things by the names of its own rules.

use async_graphql::parser::Error as ParseError;
use async_graphql::{Pos, ServerError};

use super::limits::text::after_string;

/// How much of what was found is told, in characters.
const MAX_SHOWN: usize = 30;

/// The parser's error about a text, with its place.
pub(super) fn explain(text: &str, error: ParseError) -> ServerError {
    let ParseError::Syntax { message, start, .. } = &error else { return error.into() };
    let (before, rest) = text.split_at_checked(offset(text, *start)).unwrap_or((text, ""));
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
    let mut told =
        format!("Syntax error at line {}, column {}: found {}", start.line, start.column, found(rest));
    if let Some(expected) = expected(message) {
        told.push_str(", expected ");
        told.push_str(&expected);
    }
    if let Some((bracket, at)) = unclosed(before, rest) {
        told.push_str(&format!("; the `{bracket}` at line {}, column {} is not closed", at.line, at.column));
    }
    ServerError::new(told, Some(*start))
}

/// Where a place is in a text, in bytes.
fn offset(text: &str, pos: Pos) -> usize {
    let lines = text.split_inclusive('\n').take(pos.line.saturating_sub(1));
    let line_start: usize = lines.map(str::len).sum();
    let line = text.get(line_start..).unwrap_or_default();
    line.char_indices().nth(pos.column.saturating_sub(1)).map_or(text.len(), |(at, _)| line_start + at)
}

fn found(rest: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match rest.chars().next() {
        None => "the end of the document".to_owned(),
        Some('"') if is_closed(rest) => "a string".to_owned(),
        Some('"') => "a string that is not closed".to_owned(),
        Some('.') if rest.starts_with("...") => "`...`".to_owned(),
        Some(first) if is_of_name(first) => {
            let word: String = rest.chars().take_while(|c| is_of_name(*c)).take(MAX_SHOWN).collect();
            format!("`{word}`")
        }
        Some(first) => format!("`{first}`"),
    }
}

/// Whether a string ends, that a text begins with.
fn is_closed(text: &str) -> bool {
    if let Some(block) = text.strip_prefix("\"\"\"") {
        return block.contains("\"\"\"");
    }
    let mut is_escaped = false;
    let line = text.get(1..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    line.chars().any(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })
}

/// What the parser says that it expected, in words.
fn expected(message: &str) -> Option<String> {
    let rules = message.rsplit_once("expected ")?.1;
    if message.trim_end().rsplit_once("unexpected ").is_some_and(|(_, last)| last == rules.trim_end()) {
        return None;
    }
    let mut words: Vec<&str> = Vec::new();
    for word in rules.split([',', ' ', '\n']).filter_map(word) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [others @ .., last] => Some(format!("{} or {last}", others.join(", "))),
    }
}

/// What a rule of the parser's stands for; `None` for what helps nobody.
fn word(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "executable_document"
        | "executable_definition"
        | "operation_definition"
        | "named_operation_definition"
        | "operation_type"
        | "fragment_definition" => "an operation or a fragment",
        "selection" | "field" | "inline_fragment" | "fragment_spread" => "a field",
        "name" | "name_start" | "alias" => "a name",
        "selection_set" => "`{`",
        "arguments" | "const_arguments" | "variable_definitions" => "`(`",
        "argument" | "const_argument" => "an argument",
        "variable" => "a variable",
        "variable_definition" => "a variable with its type, such as `$id: ID!`",
        "type_" => "a type",
        "type_condition" => "`on`",
        "default_value" => "`=`",
        "object_field" | "const_object_field" => "a field of the object",
        "value" | "const_value" | "number" | "float" | "int" | "string" | "boolean" | "null"
        | "enum_value" | "list" | "const_list" | "object" | "const_object" => "a value",
        "string_content" | "string_character" | "block_string_content" => "the end of the string",
        "EOI" => "the end of the document",
        _ => return None,
    })
}

/// The innermost bracket that is open where the parser gave up, if what was found there can't be
/// inside of it.
fn unclosed(before: &str, rest: &str) -> Option<(char, Pos)> {
    let mut open = Vec::new();
    let (mut left, mut is_block_closed) = (before.as_bytes(), true);
    while let Some((byte, after)) = left.split_first() {
        let at = before.len() - left.len();
        left = after;
        match byte {
            b'{' | b'[' | b'(' => open.push((char::from(*byte), at)),
            b'}' | b']' | b')' => drop(open.pop()),
            b'"' => left = after_string(after, &mut is_block_closed),
            b'#' => {
                let end = after.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                left = end.and_then(|end| after.get(end..)).unwrap_or_default();
            }
            _ => {}
        }
    }
    let (bracket, at) = open.pop()?;
    let is_closed_by = match bracket {
        '{' => '}',
        '[' => ']',
        _ => ')',
    };
    let is_astray = match rest.chars().next() {
        None => true,
        Some(next) => "{}[]()".contains(next) && next != is_closed_by && (bracket, next) != ('{', '{'),
    };
    is_astray.then(|| (bracket, pos(before, at)))
}

/// The line and column of a place in a text.
fn pos(text: &str, at: usize) -> Pos {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Pos { line, column }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn explained(text: &str) -> String {
        explain(text, parse_query(text).unwrap_err()).message
    }

    #[test]
    fn what_is_wrong_is_told_in_words() {
        for (text, parts) in [
            (
                "{ shop { name ",
                vec!["line 1, column 15", "found the end of the document", "the `{` at line 1, column 8"],
            ),
            (
                "{ products(first: 2 { nodes { id } } }",
                vec!["found `{`", "the `(` at line 1, column 11 is not closed"],
            ),
            ("{\n  shop {\n    é\n  }\n}", vec!["line 3, column 5", "found `é`", "a field"]),
            ("{ a(b: ) }", vec!["found `)`", "a value"]),
            ("query($id) { a }", vec!["line 1, column 7", "such as `$id: ID!`"]),
            ("quary { a }", vec!["line 1, column 1", "found `quary`", "an operation"]),
            ("{ a(b: \"x\ny\") }", vec!["line 1", "a string that is not closed"]),
            ("", vec!["found the end of the document"]),
        ] {
            let told = explained(text);
            for part in parts {
                assert!(told.contains(part), "{text}: {told}");
            }
            assert!(!told.contains(['\n', '|', '^']) && !told.contains("-->"), "{told}");
        }
        assert!(!explained("{ a(b: ) }").contains("not closed"));
    }
}
