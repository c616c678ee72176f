//! Kinds of events as GraphQL has them: `order.placed` is `ORDER_PLACED`. The values are those of the table of events, so that a new
//! kind is a topic without a line here.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::{Deprecation, MetaEnumValue, MetaType, MetaTypeId, Registry};
use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, Name, OutputType, Positioned,
    ServerResult, Value,
};

use crate::domain::event::Event;
use crate::domain::webhook::{topic_name, topics};
use crate::graphql::guard::manages_settings;

/// What happened, of which other services may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebhookTopic(&'static str);

impl WebhookTopic {
    /// The topic of a kind of events; `None` for kinds that are none since.
    pub fn of(kind: &str) -> Option<Self> {
        topics().find(|known| *known == kind).map(Self)
    }

    /// The kind as the log has it.
    pub fn kind(self) -> &'static str {
        self.0
    }

    fn parse_name(name: &str) -> Option<Self> {
        topics().find(|kind| topic_name(kind) == name).map(Self)
    }

    fn create(registry: &mut Registry, input: bool) -> String {
        let create = |_: &mut Registry| MetaType::Enum {
            name: "WebhookTopic".to_owned(),
            description: Some(
                "Something that happens in the shop, of which other services may be told.".to_owned(),
            ),
            enum_values: topics().map(|kind| (topic_name(kind), value(kind))).collect(),
            visible: Some(manages_settings),
            inaccessible: false,
            tags: Vec::new(),
            rust_typename: Some(std::any::type_name::<Self>()),
            directive_invocations: Vec::new(),
            requires_scopes: Vec::new(),
        };
        if input {
            registry.create_input_type::<Self, _>(MetaTypeId::Enum, create)
        } else {
            registry.create_output_type::<Self, _>(MetaTypeId::Enum, create)
        }
    }
}

fn value(kind: &str) -> MetaEnumValue {
    MetaEnumValue {
        name: topic_name(kind),
        description: Event::description(kind).map(str::to_owned),
        deprecation: Deprecation::NoDeprecated,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        directive_invocations: Vec::new(),
    }
}

impl InputType for WebhookTopic {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        "WebhookTopic".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Self::create(registry, true)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let value = value.unwrap_or_default();
        let topic = match &value {
            Value::Enum(name) => Self::parse_name(name),
            Value::String(name) => Self::parse_name(name),
            _ => None,
        };
        topic.ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::Enum(Name::new(topic_name(self.0)))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

impl OutputType for WebhookTopic {
    fn type_name() -> Cow<'static, str> {
        "WebhookTopic".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Self::create(registry, false)
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(self.to_value())
    }
}
