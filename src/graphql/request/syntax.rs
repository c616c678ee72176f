//! Readable syntax errors: the parser's own messages contain drawings and the names of grammar
//! rules.

use async_graphql::parser::Error as ParseError;
use async_graphql::{Pos, ServerError};

use super::limits::text::{skip_comment, skip_string};

/// The maximum length of an excerpt from the document in a message, in characters.
const MAX_SHOWN_CHARS: usize = 30;

/// Converts the parser's error about a text.
pub(super) fn explain_error(text: &str, error: ParseError) -> ServerError {
    let ParseError::Syntax { message: parser_message, start, .. } = &error else { return error.into() };
    let (before, rest) = text.split_at_checked(offset(text, *start)).unwrap_or((text, ""));
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
    let mut message = format!(
        "Syntax error at line {}, column {}: found {}",
        start.line,
        start.column,
        describe_found(rest)
    );
    if let Some(expected) = describe_expected(parser_message) {
        message.push_str(", expected ");
        message.push_str(&expected);
    }
    if let Some((bracket, at)) = find_unclosed(before, rest) {
        message
            .push_str(&format!("; the `{bracket}` at line {}, column {} is not closed", at.line, at.column));
    }
    ServerError::new(message, Some(*start))
}

/// The byte offset of a position in a text.
fn offset(text: &str, pos: Pos) -> usize {
    let lines = text.split_inclusive('\n').take(pos.line.saturating_sub(1));
    let line_start: usize = lines.map(str::len).sum();
    let line = text.get(line_start..).unwrap_or_default();
    line.char_indices().nth(pos.column.saturating_sub(1)).map_or(text.len(), |(at, _)| line_start + at)
}

fn describe_found(rest: &str) -> String {
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match rest.chars().next() {
        None => "the end of the document".to_owned(),
        Some('"') if is_closed_string(rest) => "a string".to_owned(),
        Some('"') => "a string that is not closed".to_owned(),
        Some('.') if rest.starts_with("...") => "`...`".to_owned(),
        Some(first) if is_name_char(first) => {
            let word: String = rest.chars().take_while(|c| is_name_char(*c)).take(MAX_SHOWN_CHARS).collect();
            format!("`{word}`")
        }
        Some(first) => format!("`{first}`"),
    }
}

/// Whether the string at the start of a text is closed.
fn is_closed_string(text: &str) -> bool {
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

/// Describes what the parser expected; `None` if its message does not say.
fn describe_expected(message: &str) -> Option<String> {
    let rules = message.rsplit_once("expected ")?.1;
    if message.trim_end().rsplit_once("unexpected ").is_some_and(|(_, last)| last == rules.trim_end()) {
        return None;
    }
    let mut words: Vec<&str> = Vec::new();
    for word in rules.split([',', ' ', '\n']).filter_map(describe_rule) {
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

/// Describes a grammar rule of the parser; `None` for rules that are not helpful.
fn describe_rule(rule: &str) -> Option<&'static str> {
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

/// The innermost open bracket where the parser failed, if what follows can't be inside of it.
fn find_unclosed(before: &str, rest: &str) -> Option<(char, Pos)> {
    let mut open = Vec::new();
    let (mut left, mut may_have_block_end) = (before.as_bytes(), true);
    while let Some((byte, after)) = left.split_first() {
        let at = before.len() - left.len();
        left = after;
        match byte {
            b'{' | b'[' | b'(' => open.push((char::from(*byte), at)),
            b'}' | b']' | b')' => drop(open.pop()),
            b'"' => left = skip_string(after, &mut may_have_block_end),
            b'#' => left = skip_comment(after),
            _ => {}
        }
    }
    let (bracket, at) = open.pop()?;
    let is_closed_by = match bracket {
        '{' => '}',
        '[' => ']',
        _ => ')',
    };
    let is_misplaced = match rest.chars().next() {
        None => true,
        Some(next) => "{}[]()".contains(next) && next != is_closed_by && (bracket, next) != ('{', '{'),
    };
    is_misplaced.then(|| (bracket, pos(before, at)))
}

/// The line and column of a byte offset in a text.
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

    fn explain(text: &str) -> String {
        explain_error(text, parse_query(text).unwrap_err()).message
    }

    #[test]
    fn syntax_errors_are_explained() {
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
            let message = explain(text);
            for part in parts {
                assert!(message.contains(part), "{text}: {message}");
            }
            assert!(!message.contains(['\n', '|', '^']) && !message.contains("-->"), "{message}");
        }
        assert!(!explain("{ a(b: ) }").contains("not closed"));
    }
}
