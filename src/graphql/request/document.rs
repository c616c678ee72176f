//! Documents from text to execution: checking limits, parsing, and preparing operations.
//!
//! HTTP, WebSockets and webhooks all go through this module, so that async-graphql never sees a
//! document that would overload it. [`Document::parse`] does everything that depends only on the
//! text, once per text; [`Document::operation`] does what depends on the caller and the variables.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use async_graphql::{Name, Request, Response, ServerError, Value, Variables};
use sha2::{Digest, Sha256};

use super::catalog_queries::{reads_only_catalog, reads_only_orders};
use super::conformance::variables::HAS_NUL;
use super::conformance::{merging, names, nulls, root_fragments, variables};
use super::in_context::read_locale;
use super::limits::cost::Cost;
use super::limits::shape::{Shape, ShapeError};
use super::limits::{self, LimitError};
use super::response_shape::ResponseShape;
use super::type_system::type_system;
use super::{syntax, validation};
use crate::context::Locale;
use crate::domain::access::query_limits::CallerLimits;
use crate::domain::ids::Namespace;
use crate::error::ErrorCode;

/// The maximum size of a node of a parsed document in memory, in bytes.
const NODE_BYTES: u64 = 500;

/// A parsed document, with everything that does not depend on its sender.
pub struct Document {
    parsed: ExecutableDocument,
    shape: Shape,
    /// The variables that are conditions of `@skip` or `@include`.
    conditions: HashSet<Name>,
    operations: Vec<CompiledOperation>,
    weight: u64,
    /// The SHA-256 of the text.
    digest: String,
}

/// What is known of an operation before its variables are.
struct CompiledOperation {
    name: Option<Name>,
    cost: Cost,
    response: ResponseShape,
}

/// Why a request is not executed.
#[derive(Debug)]
pub enum RequestError {
    /// The document is invalid. Contains at least one error.
    Document(Vec<ServerError>),
    /// Another problem, as an error code and a message.
    Rejected(ErrorCode, String),
}

impl From<LimitError> for RequestError {
    fn from(error: LimitError) -> Self {
        Self::Rejected(ErrorCode::LimitExceeded, error.to_string())
    }
}

impl From<ServerError> for RequestError {
    fn from(error: ServerError) -> Self {
        Self::Document(vec![error])
    }
}

impl RequestError {
    /// The message of the first error.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Document(errors) => errors.first().map_or("", |error| &error.message),
            Self::Rejected(_, message) => message,
        }
    }
}

/// An operation that is ready to be executed.
#[derive(Clone)]
pub struct ExecutableOperation {
    document: Arc<Document>,
    name: Option<String>,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// The declared variables, including defaults.
    pub variables: Variables,
    /// The buyer's country and language.
    pub locale: Locale,
    /// The maximum number of fields in the response: see `limits::cost`.
    pub cost: u64,
}

impl Document {
    /// Parses and validates a document within a caller's limits.
    ///
    /// # Errors
    /// [`RequestError`] if the document is invalid or exceeds a limit.
    pub fn parse(text: &str, limits: &CallerLimits) -> Result<Self, RequestError> {
        LimitError::check(
            "QUERY_MAX_BYTES",
            "The length of the document in bytes",
            text.len() as u64,
            limits.max_bytes,
            "send a shorter document, and values as variables",
        )?;
        limits::text::check(text, limits)?;
        let mut parsed = parse_query(text).map_err(|error| syntax::explain_error(text, error))?;
        let shape = Shape::measure(&parsed).map_err(|error| match error {
            ShapeError::Limit(error) => error.into(),
            ShapeError::Cycle(name) => {
                let message = format!("the fragment `{name}` spreads itself");
                RequestError::from(ServerError::new(message, None))
            }
            ShapeError::UnknownFragment(name, pos) => {
                let message = format!("the document has no fragment `{name}`");
                RequestError::from(ServerError::new(message, Some(pos)))
            }
            ShapeError::Nul(pos) => {
                RequestError::from(ServerError::new(format!("a text {HAS_NUL}"), Some(pos)))
            }
        })?;
        shape.check(limits)?;
        let types = type_system();
        let conditions = names::check_names(types, &parsed).map_err(RequestError::Document)?;
        root_fragments::expand_root_fragments(types.root(OperationType::Subscription), &mut parsed);
        merging::check_merging(types, &parsed)?;
        validation::validate_document(&parsed).map_err(RequestError::Document)?;
        let operations: Vec<_> = parsed
            .operations
            .iter()
            .map(|(name, operation)| CompiledOperation {
                name: name.cloned(),
                cost: Cost::compile(types, &parsed, &operation.node),
                response: ResponseShape::compile(types, &parsed, &operation.node),
            })
            .collect();
        let compiled: u64 = operations
            .iter()
            .map(|operation| operation.cost.node_count() * NODE_BYTES + operation.response.weight())
            .sum();
        // The text counts twice, because it is also the key in the document cache.
        let weight = shape.nodes * NODE_BYTES + compiled + 2 * text.len() as u64;
        let digest = base16ct::lower::encode_string(&Sha256::digest(text));
        Ok(Self { parsed, shape, conditions, operations, weight, digest })
    }

    /// Whether any part of the document selects the schema: `__schema`, `__type` or `_service`.
    #[must_use]
    pub fn has_introspection(&self) -> bool {
        self.shape.has_introspection
    }

    /// Whether any part of the document selects a field for gateways: `_service` or `_entities`.
    #[must_use]
    pub fn has_federation(&self) -> bool {
        self.shape.has_federation
    }

    /// The maximum size in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// The kind of the named or only operation; `None` if there is no such operation.
    #[must_use]
    pub fn kind(&self, name: Option<&str>) -> Option<OperationType> {
        find_operation(&self.parsed, name).ok().map(|operation| operation.ty)
    }

    /// Prepares the named or only operation for execution.
    ///
    /// # Errors
    /// [`RequestError`] if the request is invalid or exceeds one of the caller's limits.
    pub fn operation(
        self: &Arc<Self>,
        name: Option<&str>,
        values: Variables,
        limits: &CallerLimits,
    ) -> Result<ExecutableOperation, RequestError> {
        self.shape.check(limits)?;
        let operation = find_operation(&self.parsed, name)?;
        let bad = |message| RequestError::Rejected(ErrorCode::BadUserInput, message);
        let variables = variables::coerce_variables(type_system(), operation, values)?;
        variables::check_conditions(operation, &variables, &self.conditions)?;
        let locale = read_locale(operation, &variables).map_err(bad)?;
        let cost = self.compiled(name).map_or(0, |operation| operation.cost.evaluate(&variables));
        if cost > limits.max_cost {
            let message = format!(
                "The cost of the operation is {cost}, and the limit is {} (QUERY_MAX_COST): a field costs 1, and \
                 fields of lists count for each item; ask for smaller pages or fewer fields",
                limits.max_cost
            );
            return Err(RequestError::Rejected(ErrorCode::MaxCostExceeded, message));
        }
        Ok(ExecutableOperation {
            document: Arc::clone(self),
            name: name.map(str::to_owned),
            kind: operation.ty,
            variables,
            locale,
            cost,
        })
    }

    /// The named or only operation.
    fn compiled(&self, name: Option<&str>) -> Option<&CompiledOperation> {
        let is_only = self.operations.len() == 1;
        self.operations.iter().find(|operation| is_only || operation.name.as_deref() == name)
    }
}

/// Finds the named or only operation of a document.
fn find_operation<'a>(
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

impl ExecutableOperation {
    /// The operation's name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.definition().and_then(|(name, _)| name))
    }

    /// The SHA-256 of the document's text, in hexadecimal, by which the log names it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.document.digest
    }

    /// The operation's name and definition.
    pub fn definition(&self) -> Option<(Option<&str>, &OperationDefinition)> {
        let mut operations = self.document.parsed.operations.iter();
        let wanted = self.name.as_deref();
        let (name, operation) =
            operations.find(|(known, _)| wanted.is_none() || known.map(Name::as_str) == wanted)?;
        Some((name.map(Name::as_str), &operation.node))
    }

    /// Whether the operation is a query that only reads what all buyers see.
    #[must_use]
    pub fn is_catalog_query(&self) -> bool {
        self.definition().is_some_and(|(_, operation)| reads_only_catalog(&self.document.parsed, operation))
    }

    /// Whether the operation is a query that only reads orders and customers.
    #[must_use]
    pub fn is_order_query(&self) -> bool {
        self.definition().is_some_and(|(_, operation)| reads_only_orders(&self.document.parsed, operation))
    }

    /// Creates the request for async-graphql.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut request = Request::new("").variables(self.variables.clone());
        request.set_parsed_query(ExecutableDocument::clone(&self.document.parsed));
        request.operation_name.clone_from(&self.name);
        request
    }

    /// Finishes a response: propagates nulls and orders fields as the specification demands,
    /// converts ids to a namespace, and limits the number of errors.
    #[must_use]
    pub fn finish(&self, mut response: Response, namespace: Namespace, max_errors: u64) -> Response {
        if response.errors.is_empty() && response.data == Value::Null {
            // All fields were skipped: the result is an empty object, not null.
            response.data = Value::Object(IndexMap::default());
        }
        if let (false, Some((_, operation))) = (response.errors.is_empty(), self.definition()) {
            let (data, errors) = (&mut response.data, &response.errors);
            nulls::propagate_nulls(type_system(), &self.document.parsed, operation, data, errors);
        }
        if let Some(operation) = self.document.compiled(self.name.as_deref()) {
            operation.response.arrange(&mut response.data, namespace);
        }
        let max = usize::try_from(max_errors).unwrap_or(usize::MAX);
        if response.errors.len() > max {
            let omitted = response.errors.len() - max;
            response.errors.truncate(max);
            let message = format!("{omitted} more errors are not listed (RESPONSE_MAX_ERRORS)");
            response.errors.push(ServerError::new(message, None));
        }
        response
    }

    /// The operation's document.
    #[must_use]
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }
}

/// Counts the fields of a response, which is the actual cost of the operation.
#[must_use]
pub fn count_response_fields(data: &Value) -> u64 {
    match data {
        Value::Object(fields) => fields.values().map(|field| 1 + count_response_fields(field)).sum(),
        Value::List(items) => items.iter().map(count_response_fields).sum(),
        _ => 0,
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

    fn rejection_message(text: &str) -> String {
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
            let message = rejection_message(&text);
            assert!(message.contains(setting) && message.contains("limit"), "{setting}: {message}");
        }
    }

    #[test]
    fn operation_names_are_required_only_if_there_are_several() {
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
