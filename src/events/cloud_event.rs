//! Encodes events for other systems: as CloudEvents 1.0 in JSON, with the names and ids of the API.

use serde_json::{Map, Value, json};

use super::LoggedEvent;
use crate::concurrency::Part;
use crate::domain::events::Event;
use crate::domain::ids::{
    ApiKeyId, CartId, CollectionId, CustomerId, CustomerTokenId, DiscountId, DraftOrderId, FulfillmentId,
    GiftCardId, Id, LocationId, MenuId, OrderId, OrderLineId, PageId, ProductId, RefundId, ReturnId, RoleId,
    ShippingRateId, ShippingZoneId, ShopId, StaffId, StoreCreditAccountId, TaxRateId, UrlRedirectId,
    VariantId, WebhookSubscriptionId,
};
use crate::domain::orders::OrderStatus;

/// The cache tag that all responses share, for events that may change any of them.
pub const ALL_PARTS_TAG: &str = "catalog";

/// The number of changes to the shape of `data` that were made here and not in the log: from the
/// log's names and bare UUIDs to those of the API, and then to the API's revised naming rules.
const SHAPE_REVISIONS: i32 = 2;

/// Payload fields that hold ids, and the types that the ids refer to. Fields ending in `_ids` hold
/// lists.
const IDS: [(&str, &str); 31] = [
    ("api_key_id", ApiKeyId::TYPE),
    ("cart_id", CartId::TYPE),
    ("collection_id", CollectionId::TYPE),
    ("collection_ids", CollectionId::TYPE),
    ("customer_id", CustomerId::TYPE),
    ("discount_id", DiscountId::TYPE),
    ("draft_order_id", DraftOrderId::TYPE),
    ("fulfillment_id", FulfillmentId::TYPE),
    ("gift_card_id", GiftCardId::TYPE),
    ("line_id", OrderLineId::TYPE),
    ("location_id", LocationId::TYPE),
    ("menu_id", MenuId::TYPE),
    ("order_id", OrderId::TYPE),
    ("page_id", PageId::TYPE),
    ("product_id", ProductId::TYPE),
    ("product_ids", ProductId::TYPE),
    ("refund_id", RefundId::TYPE),
    ("return_id", ReturnId::TYPE),
    ("role_id", RoleId::TYPE),
    ("role_ids", RoleId::TYPE),
    ("shipping_rate_id", ShippingRateId::TYPE),
    ("shipping_zone_id", ShippingZoneId::TYPE),
    ("shop_id", ShopId::TYPE),
    ("staff_id", StaffId::TYPE),
    ("store_credit_account_id", StoreCreditAccountId::TYPE),
    ("tax_rate_id", TaxRateId::TYPE),
    ("token_id", CustomerTokenId::TYPE),
    ("url_redirect_id", UrlRedirectId::TYPE),
    ("variant_id", VariantId::TYPE),
    ("variant_ids", VariantId::TYPE),
    ("webhook_subscription_id", WebhookSubscriptionId::TYPE),
];

/// Payload fields that have a different name in the API.
const NAMES: [(&str, &str); 2] = [("line_id", "line_item_id"), ("staff_id", "staff_member_id")];

/// Encodes an event as a CloudEvent; `source` is the shop's address. The extension attributes are
/// `sequence`, the event's position among those of its aggregate, and `position`, its position in
/// the log, which both increase; `dataversion`, the version of the shape of `data`; and
/// `cachetags`, the tags of the responses that the event changes.
#[must_use]
pub fn cloud_event(event: &LoggedEvent, source: &str) -> Value {
    let row = &event.row;
    let mut encoded = json!({
        "specversion": "1.0",
        "id": row.id,
        "source": source,
        "type": Event::public_name(&row.kind),
        "subject": gid(&row.aggregate_type, &row.aggregate_id.0.to_string()),
        "time": row.occurred_at.to_string(),
        "datacontenttype": "application/json",
        "dataversion": api_version(row.version),
        "position": event.position,
        "sequence": event.sequence,
        "data": api_payload(&row.payload.0),
    });
    let tags = event.event().ok().as_ref().and_then(tags_of);
    if let (Some(tags), Value::Object(attributes)) = (tags, &mut encoded) {
        attributes.insert("cachetags".to_owned(), Value::String(tags));
    }
    encoded
}

/// The tags of the responses that an event changes, separated by commas.
fn tags_of(event: &Event) -> Option<String> {
    let Some(parts) = event.changed_catalog_parts() else { return Some(ALL_PARTS_TAG.to_owned()) };
    let tags: Vec<String> = parts.iter().map(|part| Part::named(part).to_string()).collect();
    (!tags.is_empty()).then(|| tags.join(","))
}

/// A CloudEvent for testing an endpoint, without a real event behind it.
#[must_use]
pub fn test_event(id: &str, kind: &str, source: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": Event::public_name(kind),
        "datacontenttype": "application/json",
        "data": { "test": true },
    })
}

/// Whether a message is a CloudEvent, and not one shaped by a subscription's document.
#[must_use]
pub fn is_cloud_event(message: &str) -> bool {
    serde_json::from_str::<Value>(message).is_ok_and(|message| message.get("specversion").is_some())
}

/// The version of the shape that [`api_payload`] gives to payloads of a version of the log.
#[must_use]
pub fn api_version(version: i32) -> i32 {
    version.saturating_add(SHAPE_REVISIONS)
}

/// Converts a payload of the log to the names and ids of the API.
#[must_use]
pub fn api_payload(payload: &Value) -> Value {
    match payload {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match type_of(name) {
                    Some(type_name) => with_gids(type_name, value),
                    None if name == "status" && value == OrderStatus::Cancelled.as_str() => {
                        Value::from(OrderStatus::Cancelled.public_name())
                    }
                    None => api_payload(value),
                };
                (api_name(name), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(api_payload).collect(),
        other => other.clone(),
    }
}

fn type_of(field: &str) -> Option<&'static str> {
    IDS.iter().find(|(name, _)| *name == field).map(|(_, type_name)| *type_name)
}

fn with_gids(type_name: &str, value: &Value) -> Value {
    match value {
        Value::String(uuid) => Value::String(gid(type_name, uuid)),
        Value::Array(items) => items.iter().map(|item| with_gids(type_name, item)).collect(),
        other => other.clone(),
    }
}

fn gid(type_name: &str, uuid: &str) -> String {
    format!("gid://mercato/{type_name}/{uuid}")
}

fn api_name(field: &str) -> String {
    camel_case(NAMES.iter().find(|(known, _)| *known == field).map_or(field, |&(_, name)| name))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut cased = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        cased.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        cased.push_str(letters.as_str());
    }
    cased
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::events::CatalogPart;

    #[test]
    fn payloads_use_the_names_and_ids_of_the_api() {
        let payload = json!({
            "order_id": "a", "refund_id": null, "variant_ids": ["b", "c"], "is_active": true,
            "lines": [{ "line_id": "d", "quantity": 2 }], "status": "CANCELLED", "tracking_number": "not_an_id",
        });
        let expected = json!({
            "orderId": "gid://mercato/Order/a", "refundId": null,
            "variantIds": ["gid://mercato/ProductVariant/b", "gid://mercato/ProductVariant/c"],
            "isActive": true, "status": "CANCELED", "trackingNumber": "not_an_id",
            "lines": [{ "lineItemId": "gid://mercato/OrderLine/d", "quantity": 2 }],
        });
        assert_eq!(api_payload(&payload), expected);
    }

    #[test]
    fn what_events_of_older_versions_change_is_unknown() {
        let tags = |payload| tags_of(&Event::from_log("product.updated", payload).unwrap());
        let id = ProductId::generate();
        assert_eq!(tags(json!({ "product_id": id, "handle": "mug" })).as_deref(), Some(ALL_PARTS_TAG));
        let changed = tags(json!({
            "product_id": id, "handle": "mug", "status_changed": false, "collection_ids": [],
        }));
        let parts = [CatalogPart::Product(id), CatalogPart::ProductHandle("mug"), CatalogPart::Products];
        let expected: Vec<_> = parts.iter().map(|part| Part::named(part).to_string()).collect();
        assert_eq!(changed, Some(expected.join(",")));
    }

    #[test]
    fn the_types_of_all_payload_ids_are_known() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/domain/events");
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let fields = text.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
            for (field, _) in fields.filter(|(field, _)| field.ends_with("_id") || field.ends_with("_ids")) {
                assert!(type_of(field).is_some(), "{field}");
            }
        }
    }

    #[test]
    fn messages_shaped_by_a_query_are_not_cloud_events() {
        assert!(is_cloud_event(&test_event("1", "order.placed", "https://shop.example").to_string()));
        assert!(!is_cloud_event(r#"{"data":{"specversion":1}}"#) && !is_cloud_event(""));
    }
}
