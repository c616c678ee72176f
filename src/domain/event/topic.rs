//! What of the log somebody follows.

use uuid::Uuid;

use crate::domain::ids::Id;

/// A part of the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Topic {
    /// What the events happened to.
    pub things: Things,
    /// Their kinds; empty: all.
    pub kinds: Vec<String>,
}

/// What events happened to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Things {
    /// These things of one type.
    These(&'static str, Vec<Uuid>),
    /// Whatever is of one type.
    Every(&'static str),
    /// Anything.
    Any,
}

impl Topic {
    /// The history of one thing.
    #[must_use]
    pub fn of<I: Id>(id: I) -> Self {
        Self::of_all(&[id])
    }

    /// The histories of some things.
    #[must_use]
    pub fn of_all<I: Id>(ids: &[I]) -> Self {
        let mut ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { things: Things::These(I::TYPE, ids), kinds: Vec::new() }
    }

    /// The histories of everything of a type.
    #[must_use]
    pub fn every<I: Id>() -> Self {
        Self { things: Things::Every(I::TYPE), kinds: Vec::new() }
    }

    /// All that happens, of these kinds; of any, where there are none.
    #[must_use]
    pub fn any(kinds: Vec<String>) -> Self {
        Self { things: Things::Any, kinds }
    }

    /// Whether an event is part of it.
    #[must_use]
    pub fn holds(&self, aggregate_type: &str, aggregate_id: Uuid, kind: &str) -> bool {
        let of_things = match &self.things {
            Things::These(of, ids) => *of == aggregate_type && ids.binary_search(&aggregate_id).is_ok(),
            Things::Every(of) => *of == aggregate_type,
            Things::Any => true,
        };
        of_things && (self.kinds.is_empty() || self.kinds.iter().any(|known| known == kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{OrderId, ProductId};

    #[test]
    fn a_topic_holds_what_happened_to_its_things() {
        let (id, other) = (OrderId::generate(), OrderId::generate());
        let topic = Topic::of_all(&[other, id, id]);
        assert!(topic.holds("Order", id.uuid(), "order.paid"));
        assert!(!topic.holds("Order", OrderId::generate().uuid(), "order.paid"));
        assert!(!topic.holds("Product", id.uuid(), "product.updated"));
        assert!(Topic::every::<ProductId>().holds("Product", id.uuid(), "product.updated"));
        let paid = Topic::any(vec!["order.paid".to_owned()]);
        assert!(
            paid.holds("Order", id.uuid(), "order.paid") && !paid.holds("Order", id.uuid(), "order.placed")
        );
    }
}
