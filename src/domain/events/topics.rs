//! Topics: subsets of the event log that can be subscribed to.

use uuid::Uuid;

use crate::domain::ids::Id;

/// A subset of the event log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Topic {
    /// The aggregates whose events belong to it.
    pub scope: TopicScope,
    /// The kinds of events that belong to it; empty for all kinds.
    pub kinds: Vec<String>,
}

/// A set of aggregates.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TopicScope {
    /// These aggregates of one type.
    Ids(&'static str, Vec<Uuid>),
    /// All aggregates of one type.
    Type(&'static str),
    /// All aggregates.
    All,
}

impl Topic {
    /// The events of one aggregate.
    #[must_use]
    pub fn of<I: Id>(id: I) -> Self {
        Self::of_ids(&[id])
    }

    /// The events of some aggregates of one type.
    #[must_use]
    pub fn of_ids<I: Id>(ids: &[I]) -> Self {
        let mut ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { scope: TopicScope::Ids(I::TYPE, ids), kinds: Vec::new() }
    }

    /// The events of all aggregates of a type.
    #[must_use]
    pub fn of_type<I: Id>() -> Self {
        Self { scope: TopicScope::Type(I::TYPE), kinds: Vec::new() }
    }

    /// All events of these kinds; of all kinds if the list is empty.
    #[must_use]
    pub fn of_kinds(kinds: Vec<String>) -> Self {
        Self { scope: TopicScope::All, kinds }
    }

    /// Whether an event belongs to the topic.
    #[must_use]
    pub fn contains(&self, aggregate_type: &str, aggregate_id: Uuid, kind: &str) -> bool {
        let is_in_scope = match &self.scope {
            TopicScope::Ids(of, ids) => *of == aggregate_type && ids.binary_search(&aggregate_id).is_ok(),
            TopicScope::Type(of) => *of == aggregate_type,
            TopicScope::All => true,
        };
        is_in_scope && (self.kinds.is_empty() || self.kinds.iter().any(|known| known == kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{OrderId, ProductId};

    #[test]
    fn topics_contain_only_events_of_their_aggregates_and_kinds() {
        let (id, other) = (OrderId::generate(), OrderId::generate());
        let topic = Topic::of_ids(&[other, id, id]);
        assert!(topic.contains("Order", id.uuid(), "order.paid"));
        assert!(!topic.contains("Order", OrderId::generate().uuid(), "order.paid"));
        assert!(!topic.contains("Product", id.uuid(), "product.updated"));
        assert!(Topic::of_type::<ProductId>().contains("Product", id.uuid(), "product.updated"));
        let paid = Topic::of_kinds(vec!["order.paid".to_owned()]);
        assert!(
            paid.contains("Order", id.uuid(), "order.paid")
                && !paid.contains("Order", id.uuid(), "order.placed")
        );
    }
}
