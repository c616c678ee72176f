//! Splits a search query into tokens.
//!
//! Called by the parent module only. It must never fail on odd input: what is no syntax is text.

use std::str::Chars;

use super::{Comparator, MAX_TERMS, SearchError};

/// One piece of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Token<'a> {
    And,
    Or,
    Not,
    Open,
    Close,
    Term(Term<'a>),
}

/// Something to look for, as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Term<'a> {
    /// The term's piece of the query.
    pub source: &'a str,
    /// The name before the colon, in any letter case.
    pub field: Option<&'a str>,
    /// Plain equality unless written otherwise after the colon.
    pub comparator: Comparator,
    /// The values between the commas, none of them without content; exactly one without a field.
    pub values: Vec<Value>,
}

/// One value of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Value {
    /// The value without quotes, escapes and the final star.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Whether a star followed it.
    pub prefix: bool,
}

impl Value {
    /// Whether it is a star alone, which stands for any value.
    pub fn is_star(&self) -> bool {
        self.prefix && self.text.trim().is_empty()
    }

    fn has_content(&self) -> bool {
        self.prefix || !self.text.trim().is_empty()
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

/// The query that is still to be read.
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

    /// Skips dashes and tells whether they negate: one that is attached to something does, while
    /// longer runs and lone dashes are punctuation.
    fn skip_dashes(&mut self) -> bool {
        let after = self.rest.trim_start_matches('-');
        let single = self.rest.strip_prefix('-') == Some(after);
        self.rest = after;
        single && after.chars().next().is_some_and(|c| !c.is_whitespace() && c != ')')
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

    /// Takes a field name and its colon. Times such as `12:30` and URLs have none.
    fn field(&mut self) -> Option<&'a str> {
        let (name, after) = self.rest.split_once(':')?;
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if !named || after.starts_with("//") {
            return None;
        }
        self.rest = after;
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
            if let Some(after) = self.rest.strip_prefix(sign) {
                self.rest = after;
                return comparator;
            }
        }
        Comparator::Equal
    }

    /// Takes the values after a field, which commas separate.
    fn values(&mut self) -> Vec<Value> {
        let mut values = vec![self.value(true)];
        while let Some(after) = self.rest.strip_prefix(',') {
            self.rest = after;
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

    /// Takes a value in quotes; `None` leaves an opening quote without its end to be read as text.
    fn quoted(&mut self) -> Option<Value> {
        let mut chars = self.rest.chars();
        let quote = chars.next().filter(|c| matches!(c, '"' | '\''))?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => text.push(escaped(&mut chars)),
                c if c == quote && ends_quote(quote, chars.as_str()) => break,
                c => text.push(c),
            }
        }
        let after = chars.as_str();
        self.rest = after.trim_start_matches('*');
        Some(Value { text, quoted: true, prefix: after.starts_with('*') })
    }

    /// Takes a value up to the next space or parenthesis, in a list also up to the next comma.
    fn bare(&mut self, in_list: bool) -> Value {
        // A quote that was never closed is no part of the value.
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
                Some('\\') => text.push(escaped(&mut chars)),
                Some(',') if in_list => break,
                Some(c) if !ends_word(c) => text.push(c),
                _ => break,
            }
            length_without_stars = text.len();
        }
        let prefix = length_without_stars < text.len();
        text.truncate(length_without_stars);
        Value { text, quoted: false, prefix }
    }
}

/// Whether a character ends a bare word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')')
}

/// Whether a quote with this text after it is a closing one; a single quote inside a word is an
/// apostrophe.
fn ends_quote(quote: char, after: &str) -> bool {
    quote == '"' || after.chars().next().is_none_or(|c| ends_word(c) || matches!(c, ',' | '*'))
}

/// Takes the character a backslash stands before, if it is a punctuation mark; otherwise the
/// backslash is just itself.
fn escaped(chars: &mut Chars<'_>) -> char {
    let mut ahead = chars.clone();
    match ahead.next() {
        Some(c) if c.is_ascii_punctuation() => {
            *chars = ahead;
            c
        }
        _ => '\\',
    }
}
