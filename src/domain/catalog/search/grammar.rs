//! Parses a query's tokens into a tree.
//!
//! Called only by the parent module. The recursion is bounded by the nesting of parentheses, which
//! is limited.

use std::iter::Peekable;
use std::vec;

use super::lexer::{Term, Token};
use super::{MAX_DEPTH, Node, Search, SearchError, Warning};

/// Converts a term to a condition and a warning, if any.
pub(super) type ReadTerm<F> = fn(&Term<'_>) -> (Option<Node<F>>, Option<Warning>);

/// Parses a whole query.
pub(super) fn search<F: PartialEq>(
    tokens: Vec<Token<'_>>,
    read: ReadTerm<F>,
) -> Result<Search<F>, SearchError> {
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), warnings: Vec::new(), read };
    let filter = parser.query(0)?.unwrap_or(Node::All);
    Ok(Search { filter, warnings: parser.warnings })
}

/// A recursive-descent parser; conditions are `None` where the query is empty.
struct Parser<'a, F> {
    tokens: Peekable<vec::IntoIter<Token<'a>>>,
    warnings: Vec<Warning>,
    read: ReadTerm<F>,
}

impl<F: PartialEq> Parser<'_, F> {
    /// Parses conditions that must all hold, up to the closing parenthesis or the end.
    fn query(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        if depth > MAX_DEPTH {
            return Err(SearchError::TooDeep);
        }
        let mut parts = Vec::new();
        while let Some(token) = self.tokens.peek() {
            match token {
                Token::Close if depth > 0 => break,
                // AND is implied by a space; the others have no operands here.
                Token::And | Token::Or | Token::Close => {
                    self.tokens.next();
                }
                Token::Not | Token::Open | Token::Term(_) => parts.extend(self.any(depth)?),
            }
        }
        Ok(Node::and(parts))
    }

    /// Parses alternatives.
    fn any(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        let mut parts = Vec::new();
        parts.extend(self.unary(depth)?);
        while self.skip(&Token::Or) {
            while self.skip(&Token::Or) || self.skip(&Token::And) {}
            parts.extend(self.unary(depth)?);
        }
        Ok(Node::or(parts))
    }

    /// Parses a term or a group, possibly negated.
    fn unary(&mut self, depth: usize) -> Result<Option<Node<F>>, SearchError> {
        let mut is_negated = false;
        while self.skip(&Token::Not) {
            is_negated = !is_negated;
        }
        let node = if self.skip(&Token::Open) {
            let group = self.query(depth + 1)?;
            self.skip(&Token::Close);
            group
        } else {
            self.term()
        };
        Ok(if is_negated { node.map(Node::negate) } else { node })
    }

    fn term(&mut self) -> Option<Node<F>> {
        let Some(Token::Term(term)) = self.tokens.next_if(|token| matches!(token, Token::Term(_))) else {
            return None;
        };
        let (node, warning) = (self.read)(&term);
        self.warnings.extend(warning);
        node
    }

    /// Consumes the next token if it equals `token`.
    fn skip(&mut self, token: &Token<'_>) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }
}
