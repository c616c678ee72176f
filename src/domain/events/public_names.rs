//! Public names of event kinds. The log keeps the names it started with; where they violate the
//! API's naming rules, the API uses the names below.

use super::Event;

/// Pairs of a kind's name in the log and its public name.
const PUBLIC_NAMES: [(&str, &str); 11] = [
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
    /// The public name of a kind.
    #[must_use]
    pub fn public_name(kind: &str) -> &str {
        PUBLIC_NAMES.iter().find(|(known, _)| *known == kind).map_or(kind, |&(_, name)| name)
    }

    /// The kind with this public name; `None` if there is none.
    #[must_use]
    pub fn from_public_name(name: &str) -> Option<&'static str> {
        Self::KINDS.iter().copied().find(|kind| Self::public_name(kind) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_only_by_their_public_names() {
        for kind in Event::KINDS {
            assert_eq!(Event::from_public_name(Event::public_name(kind)), Some(*kind));
        }
        for (kind, name) in PUBLIC_NAMES {
            assert!(Event::KINDS.contains(&kind) && !Event::KINDS.contains(&name), "{kind}");
            assert_eq!(Event::from_public_name(kind), None);
        }
    }
}
