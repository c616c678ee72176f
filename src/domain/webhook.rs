//! Messages to other services about what happened in the shop: their states, when one that was not taken is sent again, and who may
//! be told of what.

use std::time::Duration;

use super::catalog::text_enum;
use super::event::Event;
use super::permission::Permission;
use super::time::Timestamp;

/// How long a message that was not taken waits for its first repetition; twice as long for each further one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How long an endpoint may fail before it is given up.
pub const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

text_enum! {
    /// Whether an endpoint is sent messages.
    WebhookStatus {
        /// It is.
        Active = "active",
        /// It is not, until somebody sets it active again.
        Paused = "paused",
    }
}

text_enum! {
    /// The state of a message to an endpoint.
    DeliveryStatus {
        /// It is to be sent.
        Pending = "pending",
        /// It was taken.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}

/// Whether an endpoint that has failed since a time is given up by now.
#[must_use]
pub fn is_given_up(failing_since: Timestamp, now: Timestamp) -> bool {
    failing_since.plus(PATIENCE) <= now
}

/// What one must be permitted to hear of an event of a kind; `None`: nobody outside hears of it.
#[must_use]
pub fn needs(kind: &str) -> Option<Permission> {
    let (area, what) = kind.split_once('.')?;
    match (area, what) {
        // They are as good as the tokens that are mailed to the customer alone.
        ("customer", "recovery_requested" | "verification_requested") => None,
        ("product" | "variants" | "collection", _) => Some(Permission::ReadProducts),
        ("inventory" | "location", _) => Some(Permission::ReadInventory),
        ("order" | "payment" | "fulfillment" | "refund" | "return" | "draft_order" | "cart", _) => {
            Some(Permission::ReadOrders)
        }
        ("customer", _) => Some(Permission::ReadCustomers),
        ("discount" | "tax_rate" | "shipping_zone" | "shipping_rate" | "webhook", _) => {
            Some(Permission::ManageSettings)
        }
        ("shop" | "menu" | "page" | "url_redirect", _) => Some(Permission::ManageSettings),
        ("staff_member" | "role" | "api_key", _) => Some(Permission::ManageStaff),
        _ => None,
    }
}

/// The kinds of events that others may be told of.
pub fn topics() -> impl Iterator<Item = &'static str> {
    Event::KINDS.iter().copied().filter(|kind| needs(kind).is_some())
}

/// A kind as GraphQL and headers have it: `order.placed` is `ORDER_PLACED`.
#[must_use]
pub fn topic_name(kind: &str) -> String {
    Event::public_name(kind).replace('.', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_endpoint_has_a_day() {
        let since = Timestamp::EPOCH;
        assert!(!is_given_up(since, since.plus(PATIENCE - Duration::from_micros(1))));
        assert!(is_given_up(since, since.plus(PATIENCE)));
    }

    #[test]
    fn every_kind_has_somebody_who_may_hear_of_it_or_is_kept_back_for_a_reason() {
        let kept: Vec<&str> = Event::KINDS.iter().copied().filter(|kind| needs(kind).is_none()).collect();
        assert_eq!(kept, ["customer.recovery_requested", "customer.verification_requested"]);
        let names: HashSet<String> = topics().map(topic_name).collect();
        assert_eq!(names.len(), topics().count(), "two kinds have one name");
        assert!(names.contains("ORDER_PLACED") && names.contains("ORDER_CANCELED"));
    }
}
