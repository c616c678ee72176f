//! Validates documents by async-graphql's rules, once per text.
//!
//! The schema that executes operations only applies the few rules of `ValidationMode::Fast`,
//! because it would apply all rules to each operation again. A second schema applies all of them
//! and executes nothing. Variables are checked by `conformance::variables`, and literals that
//! contain them by `conformance::names`.

use std::sync::{Arc, LazyLock, OnceLock};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument};
use async_graphql::registry::Registry;
use async_graphql::{Request, Response, SchemaEnv, ServerError};
use futures_util::FutureExt;

use crate::graphql::{Schema, builder};

/// The maximum number of errors about a document.
pub(super) const MAX_ERRORS: usize = 20;

/// The schema that validates, created on first use.
static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::new);

struct Validator {
    schema: Schema,
    /// The types of the schema and its directives.
    env: SchemaEnv,
}

impl Validator {
    #[expect(clippy::expect_used, reason = "the extension has run, or nothing could be validated")]
    fn new() -> Self {
        let env = Arc::new(OnceLock::new());
        let schema = builder().extension(ValidateOnly(Arc::clone(&env))).finish();
        // async-graphql gives access to the types only during a request.
        validate(&schema, Request::new("{ __typename }"));
        let env = env.get().cloned().expect("`{ __typename }` was executed");
        Self { schema, env }
    }
}

/// Validates a request and returns its errors.
fn validate(schema: &Schema, request: Request) -> Vec<ServerError> {
    // Ready at once, because nothing is executed.
    let response = schema.execute(request).now_or_never();
    let never = || Response::from_errors(vec![ServerError::new("the document can't be validated", None)]);
    response.unwrap_or_else(never).errors
}

/// Validates a document whose names and fragments are known.
///
/// # Errors
/// The first violations of the rules, with their positions.
pub(super) fn validate_document(document: &ExecutableDocument) -> Result<(), Vec<ServerError>> {
    let mut request = Request::new("");
    request.set_parsed_query(document.clone());
    // All operations are validated, but only one can be requested.
    if let DocumentOperations::Multiple(operations) = &document.operations {
        request.operation_name = operations.keys().next().map(ToString::to_string);
    }
    let mut errors = validate(&VALIDATOR.schema, request);
    if errors.is_empty() {
        return Ok(());
    }
    sort_errors(&mut errors);
    errors.truncate(MAX_ERRORS);
    Err(errors)
}

/// Sorts errors by their positions.
pub(super) fn sort_errors(errors: &mut [ServerError]) {
    errors.sort_by_key(|error| error.locations.first().map(|pos| (pos.line, pos.column)));
}

/// The types of the schema.
pub(super) fn registry() -> &'static Registry {
    &VALIDATOR.env.registry
}

/// An extension that executes nothing, and hands out the schema's environment.
struct ValidateOnly(Arc<OnceLock<SchemaEnv>>);

impl ExtensionFactory for ValidateOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self(Arc::clone(&self.0)))
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for ValidateOnly {
    async fn execute(&self, ctx: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        self.0.get_or_init(|| ctx.schema_env.clone());
        Response::default()
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn all_operations_are_validated() {
        let document =
            parse_query("query A { shop { name } } query B { shop } query C { products }").unwrap();
        let errors = validate_document(&document).unwrap_err();
        let positions: Vec<_> =
            errors.iter().flat_map(|error| &error.locations).map(|at| at.column).collect();
        assert_eq!(positions, [37, 54], "{errors:?}");
    }

    #[test]
    fn the_number_of_errors_is_limited() {
        let fields: String = (0..100).map(|n| format!("a{n}: shop ")).collect();
        let errors = validate_document(&parse_query(format!("{{ {fields} }}")).unwrap()).unwrap_err();
        assert_eq!(errors.len(), MAX_ERRORS);
    }
}
