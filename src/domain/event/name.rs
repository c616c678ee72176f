//! The names that kinds of events go by outside. The log keeps those it has had from the first event
//! on; where such a name breaks the rules of the API's names, readers outside know another.

use super::Event;

/// Kinds as the log has them, and as everybody else has them.
const NAMES: [(&str, &str); 11] = [
    ("variants.created", "product_variants.created"),
    ("variants.updated", "product_variants.updated"),
    ("variants.deleted", "product_variants.deleted"),
    ("inventory.level_changed", "inventory_level.updated"),
    ("inventory.low", "inventory.ran_low"),
    ("order.cancelled", "order.canceled"),
    ("fulfillment.cancelled", "fulfillment.canceled"),
    ("webhook.created", "webhook_subscription.created"),
    ("webhook.updated", "webhook_subscription.updated"),
    ("webhook.paused", "webhook_subscription.paused"),
    ("webhook.deleted", "webhook_subscription.deleted"),
];

impl Event {
    /// The name outside of a kind of the log.
    #[must_use]
    pub fn public_name(kind: &str) -> &str {
        NAMES.iter().find(|(known, _)| *known == kind).map_or(kind, |&(_, name)| name)
    }

    /// The kind of the log that goes by a name outside; `None` if none does.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static str> {
        Self::KINDS.iter().copied().find(|kind| Self::public_name(kind) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_outside_and_by_no_other() {
        for kind in Event::KINDS {
            assert_eq!(Event::named(Event::public_name(kind)), Some(*kind));
        }
        for (kind, name) in NAMES {
            assert!(Event::KINDS.contains(&kind) && !Event::KINDS.contains(&name), "{kind}");
            assert_eq!(Event::named(kind), None);
        }
    }
}
