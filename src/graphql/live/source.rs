//! What a subscription follows. Each field declares it as a value, next to its resolver, so it is
//! known from a document and its variables alone.

use std::convert::Infallible;

use async_graphql::parser::types::{Field, Selection};
use async_graphql::{InputType, Name, Value, Variables};
use async_graphql_value::Value as Argument;

use crate::domain::events::Topic;
use crate::domain::ids::JobId;
use crate::error::Error;
use crate::graphql::request::document::ExecutableOperation;

/// What a subscription follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventSource {
    /// The events of a topic.
    Log(Topic),
    /// A job, starting with its current state.
    Job(JobId),
}

/// The names of subscription fields, each with the function that derives from its arguments what it
/// follows.
pub type EventSources = [(&'static str, fn(&Arguments<'_>) -> Result<EventSource, Error>)];

/// The arguments of a subscription's field.
pub struct Arguments<'a> {
    field: &'a Field,
    variables: &'a Variables,
}

impl Arguments<'_> {
    /// The value of an argument, as the field's resolver gets it.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the value is not of the argument's type.
    pub fn get<T: InputType>(&self, name: &str) -> Result<T, Error> {
        let value = self.field.get_argument(name).map(|value| {
            let resolve = |variable| {
                // Only optional variables have no value: see `Document::operation`.
                Ok::<_, Infallible>(self.variables.get(&variable).cloned().unwrap_or_default())
            };
            value.node.clone().into_const_with(resolve).unwrap_or_default()
        });
        T::parse(value).map_err(|_error| Error::BadInput(format!("the argument `{name}` has the wrong type")))
    }

    /// The name of the variable that an argument is set to; `None` if it is not just a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&Name> {
        match &self.field.get_argument(name)?.node {
            Argument::Variable(variable) => Some(variable),
            _ => None,
        }
    }
}

/// The arguments of an operation's only field that no directive skips.
///
/// # Errors
/// [`Error::BadInput`] if there are none or several.
pub(super) fn arguments_of(operation: &ExecutableOperation) -> Result<Arguments<'_>, Error> {
    let variables = &operation.variables;
    let selections = operation.definition().map(|(_, definition)| &definition.selection_set.node.items);
    // Fragments at the root were replaced by their fields.
    let mut fields = selections.into_iter().flatten().filter_map(|selection| match &selection.node {
        Selection::Field(field) if !is_skipped(&field.node, variables) => Some(&field.node),
        _ => None,
    });
    match (fields.next(), fields.next()) {
        (Some(field), None) => Ok(Arguments { field, variables }),
        _ => Err(Error::BadInput("a subscription follows one field".to_owned())),
    }
}

fn is_skipped(field: &Field, variables: &Variables) -> bool {
    field.directives.iter().any(|directive| {
        let is_included_if = match directive.node.name.node.as_str() {
            "include" => true,
            "skip" => false,
            _ => return false,
        };
        let condition = directive.node.get_argument("if").map(|condition| condition.node.clone());
        let condition = condition.and_then(|condition| {
            condition.into_const_with(|name| variables.get(&name).cloned().ok_or(())).ok()
        });
        condition != Some(Value::Boolean(is_included_if))
    })
}

/// Finds out what the field of some arguments follows.
///
/// # Errors
/// [`Error::BadInput`] if an argument is wrong.
pub(super) fn source_of(arguments: &Arguments<'_>) -> Result<EventSource, Error> {
    let name = arguments.field.name.node.as_str();
    let mut declared = crate::graphql::EVENT_SOURCES.into_iter().flatten();
    match declared.find(|(field, _)| *field == name) {
        Some((_, source)) => source(arguments),
        None => Err(Error::BadInput(format!("`{name}` is not a subscription"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_graphql::SubscriptionType;
    use async_graphql::registry::Registry;
    use serde_json::json;

    use super::*;
    use crate::domain::access::callers::CallerKind;
    use crate::domain::access::query_limits::QueryLimits;
    use crate::domain::ids::{Id, OrderId, ProductId, VariantId};
    use crate::graphql::Subscription;
    use crate::graphql::live::PreparedSubscription;
    use crate::graphql::request::document::Document;

    fn prepare(text: &str, variables: serde_json::Value) -> PreparedSubscription {
        let limits = QueryLimits::default().of(CallerKind::Anonymous);
        let document = Arc::new(Document::parse(text, &limits).unwrap());
        let operation = document.operation(None, Variables::from_json(variables), &limits).unwrap();
        PreparedSubscription::from_operation(operation, "", limits).unwrap()
    }

    #[test]
    fn every_subscription_declares_its_source() {
        let mut registry = Registry::default();
        Subscription::create_type_info(&mut registry);
        let fields = registry.types[&*Subscription::type_name()].fields().unwrap().keys();
        let mut fields: Vec<&str> = fields.map(String::as_str).collect();
        let declared = crate::graphql::EVENT_SOURCES.into_iter().flatten();
        let mut declared: Vec<&str> = declared.map(|(field, _)| *field).collect();
        fields.sort_unstable();
        declared.sort_unstable();
        assert_eq!(declared, fields);
    }

    #[test]
    fn the_source_follows_from_the_document_and_its_variables() {
        let (order, job) = (OrderId::generate(), JobId::generate());
        let (mug, cup) = (VariantId::generate(), VariantId::generate());
        let key = "x".repeat(32);
        for (text, variables, source) in [
            (
                "subscription($id: ID!) { orderUpdated(id: $id) { kind } }",
                json!({ "id": order.gid() }),
                EventSource::Log(Topic::of(order)),
            ),
            (
                "subscription($on: Boolean!, $id: ID!) { ...F jobUpdated(id: $id) @skip(if: $on) { id } } \
                 fragment F on Subscription { cartUpdated(id: $id) @include(if: $on) { kind } }",
                json!({ "on": true, "id": format!("gid://mercato/Cart/{}?key={key}", order.uuid()) }),
                EventSource::Log(Topic::of(crate::domain::ids::CartId::from_uuid(order.uuid()))),
            ),
            (
                "subscription($one: ID!) { inventoryLevelUpdated(variantIds: [$one]) { kind } }",
                json!({ "one": mug.gid() }),
                EventSource::Log(Topic::of(mug)),
            ),
            (
                "subscription($ids: [ID!]!) { inventoryLevelUpdated(variantIds: $ids) { kind } }",
                json!({ "ids": [mug.gid(), cup.gid()] }),
                EventSource::Log(Topic::of_ids(&[mug, cup])),
            ),
            (
                "subscription($query: String) { orderEvents(query: $query) { kind } }",
                json!({}),
                EventSource::Log(Topic::of_type::<OrderId>()),
            ),
            (
                "subscription($kinds: [String!]) { events(kinds: $kinds) { kind } }",
                json!({}),
                EventSource::Log(Topic::of_kinds(Vec::new())),
            ),
            (
                "subscription($kinds: [String!] = \"order.canceled\") { events(kinds: $kinds) { kind } }",
                json!({}),
                EventSource::Log(Topic::of_kinds(vec!["order.cancelled".to_owned()])),
            ),
            (
                "subscription($id: ID!) { jobUpdated(id: $id) { id } }",
                json!({ "id": job.gid() }),
                EventSource::Job(job),
            ),
        ] {
            assert_eq!(prepare(text, variables).source().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn subscriptions_must_select_exactly_one_field() {
        let id = ProductId::generate().gid();
        let field = |alias: &str| format!("{alias}: productUpdated(id: \"{id}\") {{ kind }}");
        for text in [
            format!("subscription {{ {} {} }}", field("a"), field("b")),
            format!("subscription {{ productUpdated(id: \"{id}\") @skip(if: true) {{ kind }} }}"),
        ] {
            let error = prepare(&text, json!({})).source().unwrap_err();
            assert_eq!(error.to_string(), "a subscription follows one field", "{text}");
        }
    }

    #[test]
    fn the_cursor_is_the_argument_of_the_field() {
        let text = "subscription($after: String) { orderEvents(after: $after) { kind } }";
        let after = |variables| prepare(text, variables).after().unwrap();
        assert_eq!(after(json!({ "after": "x" })), Some("x".to_owned()));
        assert_eq!(after(json!({ "after": null })), None);
        assert_eq!(after(json!({})), None);
    }
}
