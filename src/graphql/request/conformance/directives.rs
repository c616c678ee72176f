//! `@defer` and `@stream` of the specification's draft: accepted, but the response is sent in one
//! piece. So clients that use these directives work with this server.

use std::borrow::Cow;

use async_graphql::parser::types::Directive;
use async_graphql::registry::{__DirectiveLocation as Location, MetaDirective, MetaInputValue, Registry};
use async_graphql::{ContextDirective, CustomDirective, CustomDirectiveFactory, ServerResult, Value};

use crate::graphql::request::in_context::argument;

/// The `@defer` directive in the schema.
pub(in crate::graphql) struct Defer;

/// The `@stream` directive in the schema.
pub(in crate::graphql) struct Stream;

/// A directive without effect.
struct NoopDirective;

impl CustomDirective for NoopDirective {}

impl CustomDirectiveFactory for Defer {
    fn name(&self) -> Cow<'static, str> {
        "defer".into()
    }

    fn register(&self, registry: &mut Registry) {
        registry.add_directive(directive(
            "defer",
            "Marks a fragment that may be delivered later. This server delivers it with the rest of the response.",
            &[Location::FRAGMENT_SPREAD, Location::INLINE_FRAGMENT],
            Vec::new(),
        ));
    }

    fn create(&self, _: &ContextDirective<'_>, _: &Directive) -> ServerResult<Box<dyn CustomDirective>> {
        Ok(Box::new(NoopDirective))
    }
}

impl CustomDirectiveFactory for Stream {
    fn name(&self) -> Cow<'static, str> {
        "stream".into()
    }

    fn register(&self, registry: &mut Registry) {
        let mut initial_count =
            argument("initialCount", "Int".to_owned(), "The number of items to deliver immediately.");
        initial_count.1.default_value = Some(Value::from(0).to_string());
        registry.add_directive(directive(
            "stream",
            "Marks a list whose items may be delivered one by one. This server delivers them together.",
            &[Location::FIELD],
            vec![initial_count],
        ));
    }

    fn create(&self, _: &ContextDirective<'_>, _: &Directive) -> ServerResult<Box<dyn CustomDirective>> {
        Ok(Box::new(NoopDirective))
    }
}

fn directive(
    name: &str,
    description: &str,
    locations: &[Location],
    more: Vec<(String, MetaInputValue)>,
) -> MetaDirective {
    let mut condition = argument("if", "Boolean!".to_owned(), "Whether the directive applies.");
    condition.1.default_value = Some("true".to_owned());
    let label = argument("label", "String".to_owned(), "A label for the part that may be delivered later.");
    MetaDirective {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        locations: locations.to_vec(),
        args: [condition, label].into_iter().chain(more).collect(),
        is_repeatable: false,
        visible: None,
        composable: None,
    }
}
