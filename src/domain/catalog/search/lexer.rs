//! Splits a search query into tokens.
//!
//! Called by the parent module. It must not fail on malformed input: whatever is not syntax is
//! text.

use std::str::Chars;

use super::{Comparator, MAX_TERMS, SearchError};

/// A token of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Token<'a> {
    And,
    Or,
    Not,
    Open,
    Close,
    Term(Term<'a>),
}

/// A search term, as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Term<'a> {
    /// The term's text in the query.
    pub source: &'a str,
    /// The name before the colon, as typed.
    pub field: Option<&'a str>,
    /// The comparison; equality unless an operator follows the colon.
    pub comparator: Comparator,
    /// The comma-separated values, without empty ones; exactly one if there is no field.
    pub values: Vec<Value>,
}

/// One value of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Value {
    /// The value without quotes, escapes and trailing star.
    pub text: String,
    /// Whether it was quoted.
    pub is_quoted: bool,
    /// Whether it ended with a star.
    pub is_prefix: bool,
}

impl Value {
    /// Whether it is a lone star, which matches any value.
    pub(super) fn is_star(&self) -> bool {
        self.is_prefix && self.text.trim().is_empty()
    }

    fn has_content(&self) -> bool {
        self.is_prefix || !self.text.trim().is_empty()
    }
}

/// Splits a query into tokens.
pub(super) fn tokens(query: &str) -> Result<Vec<Token<'_>>, SearchError> {
    let mut lexer = Lexer { rest: query };
    let mut tokens = Vec::new();
    let mut terms = 0;
    while let Some(token) = lexer.token() {
        if let Token::Term(term) = &token {
            terms += term.values.len().max(1);
        }
        if terms > MAX_TERMS {
            return Err(SearchError::TooManyTerms);
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// The rest of the query.
struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Option<Token<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let token = match self.rest.chars().next()? {
                '(' => self.take(1, Token::Open),
                ')' => self.take(1, Token::Close),
                '-' if self.skip_dashes() => Token::Not,
                '-' => continue,
                _ => match self.rest.split(ends_word).next() {
                    Some("AND") => self.take(3, Token::And),
                    Some("OR") => self.take(2, Token::Or),
                    Some("NOT") => self.take(3, Token::Not),
                    _ => Token::Term(self.term()),
                },
            };
            return Some(token);
        }
    }

    fn take(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        token
    }

    /// Skips dashes; returns whether they negate. A single dash attached to something does, longer
    /// runs and lone dashes are punctuation.
    fn skip_dashes(&mut self) -> bool {
        let rest = self.rest.trim_start_matches('-');
        let is_single = self.rest.strip_prefix('-') == Some(rest);
        self.rest = rest;
        is_single && rest.chars().next().is_some_and(|c| !c.is_whitespace() && c != ')')
    }

    fn term(&mut self) -> Term<'a> {
        let start = self.rest;
        let field = self.field();
        let (comparator, values) = match field {
            Some(_) => (self.comparator(), self.values()),
            None => (Comparator::Equal, vec![self.value(false)]),
        };
        let source = start.strip_suffix(self.rest).unwrap_or(start);
        Term { source, field, comparator, values }
    }

    /// Reads a field's name and the colon. Times such as `12:30` and URLs are not fields.
    fn field(&mut self) -> Option<&'a str> {
        let (name, rest) = self.rest.split_once(':')?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if !is_name || rest.starts_with("//") {
            return None;
        }
        self.rest = rest;
        Some(name)
    }

    fn comparator(&mut self) -> Comparator {
        let signs = [
            (">=", Comparator::GreaterOrEqual),
            ("<=", Comparator::LessOrEqual),
            (">", Comparator::Greater),
            ("<", Comparator::Less),
            ("=", Comparator::Equal),
        ];
        for (sign, comparator) in signs {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return comparator;
            }
        }
        Comparator::Equal
    }

    /// Reads the comma-separated values of a field.
    fn values(&mut self) -> Vec<Value> {
        let mut values = vec![self.value(true)];
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            values.push(self.value(true));
        }
        values.retain(Value::has_content);
        values
    }

    fn value(&mut self, in_list: bool) -> Value {
        match self.quoted() {
            Some(value) => value,
            None => self.bare(in_list),
        }
    }

    /// Reads a quoted value; `None` if the quote is not closed and is to be read as text.
    fn quoted(&mut self) -> Option<Value> {
        let mut chars = self.rest.chars();
        let quote = chars.next().filter(|c| matches!(c, '"' | '\''))?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(read_escaped(&mut chars)),
                c if c == quote && ends_quote(quote, chars.as_str()) => break,
                c => text.push(c),
            }
        }
        let rest = chars.as_str();
        self.rest = rest.trim_start_matches('*');
        Some(Value { text, is_quoted: true, is_prefix: rest.starts_with('*') })
    }

    /// Reads a value up to the next space or parenthesis, in a list also up to the next comma.
    fn bare(&mut self, in_list: bool) -> Value {
        // An unclosed quote is not part of the value.
        let mut chars = self.rest.strip_prefix('"').unwrap_or(self.rest).chars();
        let mut text = String::new();
        let mut length_without_stars = 0;
        loop {
            self.rest = chars.as_str();
            match chars.next() {
                Some('*') => {
                    text.push('*');
                    continue;
                }
                Some('\\') => text.push(read_escaped(&mut chars)),
                Some(',') if in_list => break,
                Some(c) if !ends_word(c) => text.push(c),
                _ => break,
            }
            length_without_stars = text.len();
        }
        let is_prefix = length_without_stars < text.len();
        text.truncate(length_without_stars);
        Value { text, is_quoted: false, is_prefix }
    }
}

/// Whether a character ends a bare word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')')
}

/// Whether a quote followed by `rest` is a closing one; a single quote within a word is an
/// apostrophe.
fn ends_quote(quote: char, rest: &str) -> bool {
    quote == '"' || rest.chars().next().is_none_or(|c| ends_word(c) || matches!(c, ',' | '*'))
}

/// Reads the character after a backslash if it is punctuation; otherwise the backslash stands for
/// itself.
fn read_escaped(chars: &mut Chars<'_>) -> char {
    let mut ahead = chars.clone();
    match ahead.next() {
        Some(c) if c.is_ascii_punctuation() => {
            *chars = ahead;
            c
        }
        _ => '\\',
    }
}
