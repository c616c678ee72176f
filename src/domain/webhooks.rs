//! Webhooks: delivery statuses, retries, and the permissions that topics require.

use std::time::Duration;

use super::access::permissions::Permission;
use super::catalog::text_enum;
use super::events::Event;
use super::time::Timestamp;

/// Delay before the first retry of a delivery; doubles with each further one.
pub const FIRST_RETRY_DELAY: Duration = Duration::from_secs(5);
/// How long an endpoint may fail before its subscription is paused.
pub const FAILURE_TIMEOUT: Duration = Duration::from_hours(24);

text_enum! {
    /// Whether a webhook subscription is delivered to.
    WebhookStatus {
        /// It is delivered to.
        Active = "active",
        /// It is not delivered to until somebody activates it again.
        Paused = "paused",
    }
}

text_enum! {
    /// The status of a delivery.
    DeliveryStatus {
        /// It is to be sent.
        Pending = "pending",
        /// The endpoint accepted it.
        Delivered = "delivered",
        /// It failed permanently.
        Failed = "failed",
    }
}

/// Whether an endpoint that has been failing since a time has failed for too long.
#[must_use]
pub fn is_failing_too_long(failing_since: Timestamp, now: Timestamp) -> bool {
    failing_since.plus(FAILURE_TIMEOUT) <= now
}

/// The permission required to receive events of a kind; `None` if they are never delivered.
#[must_use]
pub fn required_permission(kind: &str) -> Option<Permission> {
    let (area, what) = kind.split_once('.')?;
    match (area, what) {
        // They would expose the tokens that are mailed to the customer.
        ("customer", "recovery_requested" | "verification_requested") => None,
        ("product" | "variants" | "collection", _) => Some(Permission::ReadProducts),
        ("inventory" | "location", _) => Some(Permission::ReadInventory),
        ("order" | "payment" | "fulfillment" | "refund" | "return" | "draft_order" | "cart", _) => {
            Some(Permission::ReadOrders)
        }
        ("customer", _) => Some(Permission::ReadCustomers),
        ("gift_card" | "store_credit_account", _) => Some(Permission::ReadGiftCards),
        ("discount" | "tax_rate" | "shipping_zone" | "shipping_rate" | "webhook", _) => {
            Some(Permission::ManageSettings)
        }
        ("shop" | "menu" | "page" | "url_redirect", _) => Some(Permission::ManageSettings),
        ("staff_member" | "role" | "api_key", _) => Some(Permission::ManageStaff),
        _ => None,
    }
}

/// The kinds of events that can be delivered.
pub fn topics() -> impl Iterator<Item = &'static str> {
    Event::KINDS.iter().copied().filter(|kind| required_permission(kind).is_some())
}

/// A kind's name in GraphQL and in headers: `order.placed` becomes `ORDER_PLACED`.
#[must_use]
pub fn topic_name(kind: &str) -> String {
    Event::public_name(kind).replace('.', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn endpoints_may_fail_until_the_timeout() {
        let since = Timestamp::EPOCH;
        assert!(!is_failing_too_long(
            since,
            since.plus(FAILURE_TIMEOUT.saturating_sub(Duration::from_micros(1)))
        ));
        assert!(is_failing_too_long(since, since.plus(FAILURE_TIMEOUT)));
    }

    #[test]
    fn all_kinds_except_secret_ones_are_webhook_topics() {
        let withheld: Vec<&str> =
            Event::KINDS.iter().copied().filter(|kind| required_permission(kind).is_none()).collect();
        assert_eq!(withheld, ["customer.recovery_requested", "customer.verification_requested"]);
        let names: HashSet<String> = topics().map(topic_name).collect();
        assert_eq!(names.len(), topics().count(), "names are unique");
        assert!(names.contains("ORDER_PLACED") && names.contains("ORDER_CANCELED"));
    }
}
