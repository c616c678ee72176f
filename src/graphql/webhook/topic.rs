//! Kinds of events as GraphQL has them: `order.placed` is `ORDER_PLACED`. The values are those of the table of events, so that a new
//! kind is a topic without a line here.

use crate::domain::event::Event;
use crate::domain::webhook::{topic_name, topics};
use crate::graphql::codes::table_enum;
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

    fn parse(name: &str) -> Option<Self> {
        topics().find(|kind| topic_name(kind) == name).map(Self)
    }

    fn values() -> impl Iterator<Item = (String, Option<String>)> {
        topics().map(|kind| (topic_name(kind), Event::description(kind).map(str::to_owned)))
    }

    fn name(self) -> String {
        topic_name(self.0)
    }
}

table_enum!(
    WebhookTopic,
    "Something that happens in the shop, of which other services may be told.",
    Some(manages_settings)
);
