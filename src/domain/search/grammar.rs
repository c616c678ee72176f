//! Puts the tokens of a query together into a tree.
//!
//! Called by the parent module only. It must never recurse deeper than the query's parentheses,
//! which are limited.

use std::iter::Peekable;
use std::vec;

use super::lexer::{Term, Token};
use super::{MAX_DEPTH, Node, Search, SearchError, Warning};

/// Turns a term into the condition it asks for, and the warning it deserves.
pub(super) type ReadTerm<F> = fn(&Term<'_>) -> (Option<Node<F>>, Option<Warning>);

/// Reads a whole query.
pub(super) fn search<F: PartialEq>(
    tokens: Vec<Token<'_>>,
    read: ReadTerm<F>,
) -> Result<Search<F>, SearchError> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), warnings: Vec::new(), read };
    let filter = parser.query(0)?.unwrap_or(Node::All);
    Ok(Search { filter, warnings: parser.warnings })
}

/// Reads conditions, each of which is `None` where the query asks for nothing.
struct Parser<'a, F> {
    tokens: Peekable<vec::IntoIter<Token<'a>>>,
    warnings: Vec<Warning>,
    read: ReadTerm<F>,
}

impl<F: PartialEq> Parser<'_, F> {
    /// Reads conditions that must all hold, up to the closing parenthesis or the end.
    fn query(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        if depth > MAX_DEPTH {
            return Err(SearchError::TooDeep);
        }
        let mut parts = Vec::new();
        while let Some(token) = self.tokens.peek() {
            match token {
                Token::Close if depth > 0 => break,
                // AND is what a space means anyway; the others have nothing to work on.
                Token::And | Token::Or | Token::Close => {
                    self.tokens.next();
                }
                Token::Not | Token::Open | Token::Term(_) => parts.extend(self.any(depth)?),
            }
        }
        Ok(Node::and(parts))
    }

    /// Reads alternatives.
    fn any(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        let mut parts = Vec::new();
        parts.extend(self.unary(depth)?);
        while self.skip(&Token::Or) {
            while self.skip(&Token::Or) || self.skip(&Token::And) {}
            parts.extend(self.unary(depth)?);
        }
        Ok(Node::or(parts))
    }

    /// Reads a term or a group, perhaps negated.
    fn unary(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        let mut negated = false;
        while self.skip(&Token::Not) {
            negated = !negated;
        }
        let node = if self.skip(&Token::Open) {
            let group = self.query(depth + 1)?;
            self.skip(&Token::Close);
            group
        } else {
            self.term()
        };
        Ok(if negated { node.map(Node::negate) } else { node })
    }

    fn term(&mut self) -> Option<Node<F>> {
        let Some(Token::Term(term)) = self.tokens.next_if(|token| matches!(token, Token::Term(_))) else {
            return None;
        };
        let (node, warning) = (self.read)(&term);
        self.warnings.extend(warning);
        node
    }

    /// Skips the next token if it is this one.
    fn skip(&mut self, token: &Token<'_>) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }
}
