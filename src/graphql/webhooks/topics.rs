//! Webhook topics: the kinds of events as GraphQL enum values, such as `ORDER_PLACED` for
//! `order.placed`.
//!
//! The values come from the table of events, so a new kind of event becomes a topic without
//! changes here.

use crate::domain::events::Event;
use crate::domain::webhooks::{topic_name, topics};
use crate::graphql::types::codes::table_enum;
use crate::graphql::types::guard::may_manage_settings;

/// A kind of event that webhook subscriptions can receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WebhookTopic(&'static str);

impl WebhookTopic {
    /// The topic of a kind of event. `None` for kinds that no longer exist.
    pub(super) fn from_kind(kind: &str) -> Option<Self> {
        topics().find(|topic| *topic == kind).map(Self)
    }

    /// The kind of event, as named in the log.
    pub(super) fn kind(self) -> &'static str {
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
    "A kind of event that webhook subscriptions can receive.",
    Some(may_manage_settings)
);
