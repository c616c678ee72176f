//! A document on its way from text to execution: weighed, parsed, and its operation made ready.
//!
//! HTTP, WebSockets and webhooks all take this way, so that none of them hands the library what it
//! can't bear: [`Document::parse`] does what depends on the text alone, once for each text, and
//! [`Document::operation`] what depends on the caller and the variables.

use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{Name, Request, Response, ServerError, Value, Variables};

use super::conformance::{merging, names, nulls, root_fragments, variables};
use super::in_context::locale;
use super::limits::cost::Cost;
use super::limits::shape::{Shape, ShapeError};
use super::limits::{self, LimitError};
use super::type_system::type_system;
use super::{namespace, syntax};
use crate::context::Locale;
use crate::domain::ids::Namespace;
use crate::domain::query_limits::CallerLimits;
use crate::error::ErrorCode;

/// What a node of a parsed document takes of memory at most, in bytes.
const NODE_BYTES: u64 = 500;

/// A parsed document, and what is known of it whoever sends it.
pub struct Document {
    parsed: ExecutableDocument,
    shape: Shape,
    costs: Vec<(Option<Name>, Cost)>,
    weight: u64,
}

/// Why a request is not executed.
#[derive(Debug)]
pub enum RequestError {
    /// Its document is wrong, at the places that the errors name; there is one at least.
    Document(Vec<ServerError>),
    /// Something else is wrong with it.
    Refused(ErrorCode, String),
}

impl From<LimitError> for RequestError {
    fn from(error: LimitError) -> Self {
        Self::Refused(ErrorCode::LimitExceeded, error.to_string())
    }
}

impl From<ServerError> for RequestError {
    fn from(error: ServerError) -> Self {
        Self::Document(vec![error])
    }
}

impl RequestError {
    /// What is wrong, in a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Document(errors) => errors.first().map_or("", |error| &error.message),
            Self::Refused(_, message) => message,
        }
    }
}

/// An operation that may be executed.
#[derive(Clone)]
pub struct Operation {
    document: Arc<Document>,
    name: Option<String>,
    /// What it does.
    pub kind: OperationType,
    /// Its variables, defaults included; those that it does not declare are left out.
    pub variables: Variables,
    /// Where and in which language its buyer shops.
    pub locale: Locale,
    /// Fields that its response has at most: see `limits::cost`.
    pub cost: u64,
}

impl Document {
    /// Reads a document within a caller's limits.
    ///
    /// # Errors
    /// [`RequestError`] says which limit it exceeds, or what is wrong with it.
    pub fn parse(text: &str, limits: &CallerLimits) -> Result<Self, RequestError> {
        LimitError::check(
            "QUERY_MAX_BYTES",
            "The length of the document in bytes",
            text.len() as u64,
            limits.max_bytes,
            "send a shorter document, and values as variables",
        )?;
        limits::text::check(text, limits)?;
        let mut parsed = parse_query(text).map_err(|error| syntax::explain(text, error))?;
        let shape = Shape::of(&parsed).map_err(|error| match error {
            ShapeError::Limit(error) => error.into(),
            ShapeError::Cycle(name) => {
                let message = format!("the fragment `{name}` spreads itself");
                RequestError::from(ServerError::new(message, None))
            }
            ShapeError::UnknownFragment(name, pos) => {
                let message = format!("the document has no fragment `{name}`");
                RequestError::from(ServerError::new(message, Some(pos)))
            }
        })?;
        shape.check(limits)?;
        let types = type_system();
        let unknown = names::check(types, &parsed);
        if !unknown.is_empty() {
            return Err(RequestError::Document(unknown));
        }
        root_fragments::expand(types.root(OperationType::Subscription), &mut parsed);
        merging::check(types, &parsed)?;
        let costs: Vec<_> = parsed
            .operations
            .iter()
            .map(|(name, operation)| (name.cloned(), Cost::of(types, &parsed, &operation.node)))
            .collect();
        let nodes = costs.iter().fold(shape.nodes, |sum, (_, cost)| sum.saturating_add(cost.nodes()));
        // The text counts twice: it is also the document's key in the cache.
        let weight = nodes.saturating_mul(NODE_BYTES).saturating_add(2 * text.len() as u64);
        Ok(Self { parsed, shape, costs, weight })
    }

    /// Whether any part of it asks for the schema.
    #[must_use]
    pub fn asks_for_schema(&self) -> bool {
        self.shape.asks_for_schema
    }

    /// What it takes of memory at most, in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// What kind of operation the named one is, or the only one; `None` if there is none of it.
    #[must_use]
    pub fn kind(&self, name: Option<&str>) -> Option<OperationType> {
        find(&self.parsed, name).ok().map(|operation| operation.ty)
    }

    /// Makes an operation ready: the named one, or the only one.
    ///
    /// # Errors
    /// [`RequestError`] says which limit of the caller it exceeds, or what is wrong with the request.
    pub fn operation(
        self: &Arc<Self>,
        name: Option<&str>,
        given: Variables,
        limits: &CallerLimits,
    ) -> Result<Operation, RequestError> {
        self.shape.check(limits)?;
        let operation = find(&self.parsed, name)?;
        let bad = |message| RequestError::Refused(ErrorCode::BadUserInput, message);
        let variables = variables::coerce(type_system(), operation, given)?;
        let locale = locale(operation, &variables).map_err(bad)?;
        let cost = self.costs.iter().find(|(known, _)| known.as_deref() == name || self.costs.len() == 1);
        let cost = cost.map_or(0, |(_, cost)| cost.with(&variables));
        if cost > limits.max_cost {
            let message = format!(
                "The cost of the operation is {cost}, and the limit is {} (QUERY_MAX_COST): a field costs 1, and \
                 fields of lists count for each item; ask for smaller pages or fewer fields",
                limits.max_cost
            );
            return Err(RequestError::Refused(ErrorCode::MaxCostExceeded, message));
        }
        Ok(Operation {
            document: Arc::clone(self),
            name: name.map(str::to_owned),
            kind: operation.ty,
            variables,
            locale,
            cost,
        })
    }
}

/// The named operation of a document, or its only one.
fn find<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, RequestError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        _ => None,
    };
    found.map(|operation| &operation.node).ok_or_else(|| {
        let message = match name {
            Some(name) => {
                let shown: String = name.chars().take(100).collect();
                format!("the document has no operation named `{shown}`")
            }
            None => "the document has several operations: name one of them in `operationName`".to_owned(),
        };
        ServerError::new(message, None).into()
    })
}

impl Operation {
    /// The name that the operation has in its document.
    #[must_use]
    pub fn logged_name(&self) -> &str {
        let known = self.name.as_deref();
        known.or_else(|| self.definition().and_then(|(name, _)| name)).unwrap_or("anonymous")
    }

    /// The operation with its name.
    pub fn definition(&self) -> Option<(Option<&str>, &OperationDefinition)> {
        let mut operations = self.document.parsed.operations.iter();
        let wanted = self.name.as_deref();
        let (name, operation) =
            operations.find(|(known, _)| wanted.is_none() || known.map(Name::as_str) == wanted)?;
        Some((name.map(Name::as_str), &operation.node))
    }

    /// What async-graphql executes.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut request = Request::new("").variables(self.variables.clone());
        request.set_parsed_query(ExecutableDocument::clone(&self.document.parsed));
        request.operation_name.clone_from(&self.name);
        request
    }

    /// Brings a response into the form that the specification demands, with its ids in a namespace
    /// and a bounded number of errors.
    #[must_use]
    pub fn finish(&self, mut response: Response, namespace: Namespace, max_errors: u64) -> Response {
        if response.errors.is_empty() && response.data == Value::Null {
            // Everything was left out by conditions: that is an object without fields.
            response.data = Value::Object(Default::default());
        }
        if let (false, Some((_, operation))) = (response.errors.is_empty(), self.definition()) {
            let (data, errors) = (&mut response.data, &response.errors);
            nulls::propagate(type_system(), &self.document.parsed, operation, data, errors);
        }
        if let Some((_, operation)) = self.definition() {
            let (types, document) = (type_system(), &self.document.parsed);
            namespace::apply(namespace, types, document, operation, &mut response.data);
        }
        let max = usize::try_from(max_errors).unwrap_or(usize::MAX);
        if response.errors.len() > max {
            let more = response.errors.len() - max;
            response.errors.truncate(max);
            let message = format!("{more} more errors are not listed (RESPONSE_MAX_ERRORS)");
            response.errors.push(ServerError::new(message, None));
        }
        response
    }

    /// The document, for the cache.
    #[must_use]
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }
}

/// Whether a document was found to be valid when it was executed: what the validator refuses has
/// neither data nor a place in them.
#[must_use]
pub fn was_valid(response: &Response) -> bool {
    response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty())
}

/// The fields that a response has: what an operation cost in the end.
#[must_use]
pub fn response_fields(data: &Value) -> u64 {
    match data {
        Value::Object(fields) => fields.values().map(|field| 1 + response_fields(field)).sum(),
        Value::List(items) => items.iter().map(response_fields).sum(),
        _ => 0,
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

    fn refused(text: &str) -> String {
        let limits = limits();
        let document = match Document::parse(text, &limits) {
            Ok(document) => Arc::new(document),
            Err(error) => return error.message().to_owned(),
        };
        match document.operation(None, Variables::default(), &limits) {
            Ok(operation) => panic!("{text} costs {}", operation.cost),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn every_limit_has_an_error_that_names_it() {
        let repeated = |text: &str, times: usize| format!("{{ {} }}", text.repeat(times));
        let nested =
            |inner: &str, times: usize| format!("{}{inner}{}", "{ a ".repeat(times), "}".repeat(times));
        for (text, setting) in [
            (format!("{{ a }} #{}", "x".repeat(70_000)), "QUERY_MAX_BYTES"),
            (repeated("a(b: $c) ", 1_200), "QUERY_MAX_TOKENS"),
            (format!("{{ a(b: {}1{}) }}", "[".repeat(60), "]".repeat(60)), "QUERY_MAX_NESTING"),
            (nested("", 25), "QUERY_MAX_DEPTH"),
            (repeated("a ", 3_100), "QUERY_MAX_FIELDS"),
            (repeated("a: b ", 300), "QUERY_MAX_ALIASES"),
            (repeated("a @skip(if: true) ", 120), "QUERY_MAX_DIRECTIVES"),
            (format!("mutation {}", repeated("a ", 11)), "QUERY_MAX_ROOT_FIELDS"),
            (
                "{ products(first: 250) { nodes { collections(first: 250) { nodes { products(first: 250) \
                 { nodes { id } } } } } } }"
                    .to_owned(),
                "QUERY_MAX_COST",
            ),
        ] {
            let message = refused(&text);
            assert!(message.contains(setting) && message.contains("limit"), "{setting}: {message}");
        }
    }

    #[test]
    fn the_operation_is_the_named_one_or_the_only_one() {
        let limits = limits();
        let document = |text| Arc::new(Document::parse(text, &limits).unwrap());
        let several = document("query A { shop { name } } query B { shop { name id } }");
        let find = |document: &Arc<Document>, name| {
            document.operation(name, Variables::default(), &limits).map(|operation| operation.cost).ok()
        };
        assert_eq!((find(&several, Some("A")), find(&several, Some("B"))), (Some(2), Some(3)));
        assert_eq!((find(&several, None), find(&several, Some("C"))), (None, None));
        let one = document("query A { shop { name } }");
        assert_eq!(
            (find(&one, None), find(&one, Some("A")), find(&one, Some("B"))),
            (Some(2), Some(2), None)
        );
        let anonymous = document("{ shop { name } }");
        assert_eq!((find(&anonymous, None), find(&anonymous, Some("A"))), (Some(2), None));
    }
}
