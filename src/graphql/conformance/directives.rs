//! `@defer` and `@stream`: accepted wherever the draft of the specification has them, and answered
//! in one piece, so that clients that send them need not know this server.

use std::borrow::Cow;

use async_graphql::parser::types::Directive;
use async_graphql::registry::{__DirectiveLocation as Location, MetaDirective, MetaInputValue, Registry};
use async_graphql::{ContextDirective, CustomDirective, CustomDirectiveFactory, ServerResult, Value};

use crate::graphql::in_context::argument;

/// `@defer`, for the schema.
pub(in crate::graphql) struct Defer;

/// `@stream`, for the schema.
pub(in crate::graphql) struct Stream;

/// A directive that changes nothing.
struct Ignored;

impl CustomDirective for Ignored {}

impl CustomDirectiveFactory for Defer {
    fn name(&self) -> Cow<'static, str> {
        "defer".into()
    }

    fn register(&self, registry: &mut Registry) {
        registry.add_directive(directive(
            "defer",
            "Marks a fragment that may be sent later. This server sends it with the rest.",
            &[Location::FRAGMENT_SPREAD, Location::INLINE_FRAGMENT],
            Vec::new(),
        ));
    }

    fn create(&self, _: &ContextDirective<'_>, _: &Directive) -> ServerResult<Box<dyn CustomDirective>> {
        Ok(Box::new(Ignored))
    }
}

impl CustomDirectiveFactory for Stream {
    fn name(&self) -> Cow<'static, str> {
        "stream".into()
    }

    fn register(&self, registry: &mut Registry) {
        let mut initial_count = argument("initialCount", "Int".to_owned(), "Items that are needed at once.");
        initial_count.1.default_value = Some(Value::from(0).to_string());
        registry.add_directive(directive(
            "stream",
            "Marks a list whose items may be sent one by one. This server sends them together.",
            &[Location::FIELD],
            vec![initial_count],
        ));
    }

    fn create(&self, _: &ContextDirective<'_>, _: &Directive) -> ServerResult<Box<dyn CustomDirective>> {
        Ok(Box::new(Ignored))
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
    let label = argument("label", "String".to_owned(), "A name for the part that may come later.");
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
