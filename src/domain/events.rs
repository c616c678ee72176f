//! Domain events: what happened, named in the past tense, with typed and versioned payloads.
//! Services append them in the transaction of the change; consumers of the log read them by kind
//! and version.
//!
//! The table below lists all of them; the payload types are in one file per area.

mod accounts;
mod carts;
mod catalog;
mod catalog_parts;
mod content;
mod credit;
mod inventory;
mod order_import;
mod orders;
mod payments;
mod pricing;
mod public_names;
mod topics;
mod webhooks;

pub use accounts::{
    ApiKeyEvent, CustomerEvent, CustomerTokenEvent, RoleEvent, StaffEvent, StaffSessionEvent,
};
pub use carts::CartEvent;
pub use catalog::{CollectionEvent, CollectionProductsEvent, ProductEvent, VariantsEvent};
pub use catalog_parts::{CatalogPart, kinds_changing_catalog};
pub use content::{MenuEvent, PageEvent, ShopEvent, UrlRedirectEvent};
pub use credit::{GiftCardEvent, StoreCreditEvent};
pub use inventory::{InventoryEvent, LocationEvent, LowStockEvent, ReservationEvent};
pub use order_import::OrderImportedEvent;
pub use orders::{
    DraftOrderEvent, FulfillmentEvent, FulfillmentOpenedEvent, LineUnits, OrderCancelledEvent,
    OrderMailFailedEvent, OrderNoteEvent, OrderUpdatedEvent, RefundEvent, ReturnEvent,
};
pub use payments::{OrderExpiredEvent, OrderPlacedEvent, PaymentEvent};
pub use pricing::{DiscountEvent, ShippingRateEvent, ShippingZoneEvent, TaxRateEvent};
pub use topics::{Topic, TopicScope};
pub use webhooks::WebhookEvent;

use serde::Serialize;

use super::ids::Id;

/// A kind of event; see [`kinds`].
pub trait EventKind: Send + Sync + 'static {
    /// What its events tell.
    type Payload: Send + 'static;
    /// Its name in the log.
    const NAME: &'static str;

    /// The payload of an event of this kind.
    fn payload(event: Event) -> Option<Self::Payload>;
}

/// Defines the events: each with its payload type, its name in the log, and the payload field that
/// identifies the aggregate.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $event:ident($payload:ident) = $kind:literal of $aggregate:ident;)*) => {
        /// Something that happened in the shop.
        #[derive(Clone, PartialEq, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[doc = $doc])* $event($payload),)*
        }

        /// The kinds of events as types, for code that deals with one kind.
        pub mod kinds {
            $($(#[doc = $doc])* #[derive(Clone, Copy, Debug)] pub struct $event;)*
        }

        $(impl EventKind for kinds::$event {
            type Payload = $payload;
            const NAME: &'static str = $kind;

            fn payload(event: Event) -> Option<$payload> {
                match event {
                    Event::$event(payload) => Some(payload),
                    _ => None,
                }
            }
        })*

        impl Event {
            /// The kind's name in the log.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => $kind,)*
                }
            }

            /// The names of all kinds in the log.
            pub const KINDS: &'static [&'static str] = &[$($kind,)*];

            /// Describes events of a kind in a sentence; `None` for an unknown kind.
            #[must_use]
            pub fn description(kind: &str) -> Option<&'static str> {
                match kind {
                    $($kind => Some(concat!($($doc),*).trim_ascii()),)*
                    _ => None,
                }
            }

            /// Deserializes an event from its kind and payload as stored in the log.
            ///
            /// # Errors
            /// The kind is unknown, or the payload does not match it.
            pub fn from_log<'de, D: serde::Deserializer<'de>>(kind: &str, payload: D) -> Result<Self, D::Error> {
                match kind {
                    $($kind => serde::Deserialize::deserialize(payload).map(Self::$event),)*
                    _ => Err(serde::de::Error::custom(format!("there is no event `{kind}`"))),
                }
            }

            /// The aggregate type of events of a kind; `None` for an unknown kind.
            #[must_use]
            pub fn aggregate_type(kind: &str) -> Option<&'static str> {
                match kind {
                    $($kind => Some(type_of(|event: &$payload| event.$aggregate)),)*
                    _ => None,
                }
            }

            /// The aggregate that the event belongs to: its type's name and its id.
            #[must_use]
            pub fn aggregate(&self) -> (&'static str, uuid::Uuid) {
                match self {
                    $(Self::$event(event) => aggregate(event.$aggregate),)*
                }
            }
        }
    };
}

events! {
    /// A product was created, with its variants.
    ProductCreated(ProductEvent) = "product.created" of product_id;
    /// A product's own fields, its options or its images changed.
    ProductUpdated(ProductEvent) = "product.updated" of product_id;
    /// A product was deleted, with its variants.
    ProductDeleted(ProductEvent) = "product.deleted" of product_id;
    /// Variants were added to a product.
    VariantsCreated(VariantsEvent) = "variants.created" of product_id;
    /// Variants of a product changed.
    VariantsUpdated(VariantsEvent) = "variants.updated" of product_id;
    /// Variants of a product were deleted.
    VariantsDeleted(VariantsEvent) = "variants.deleted" of product_id;
    /// A collection was created.
    CollectionCreated(CollectionEvent) = "collection.created" of collection_id;
    /// A collection's own fields or rules changed.
    CollectionUpdated(CollectionEvent) = "collection.updated" of collection_id;
    /// A collection was deleted; its products are kept.
    CollectionDeleted(CollectionEvent) = "collection.deleted" of collection_id;
    /// Products were added to a collection manually.
    CollectionProductsAdded(CollectionProductsEvent) = "collection.products_added" of collection_id;
    /// Products were removed from a collection manually.
    CollectionProductsRemoved(CollectionProductsEvent) = "collection.products_removed" of collection_id;
    /// A variant's stock at a location changed.
    InventoryLevelChanged(InventoryEvent) = "inventory.level_changed" of variant_id;
    /// Units of a variant at a location were reserved for an order.
    InventoryReserved(ReservationEvent) = "inventory.reserved" of variant_id;
    /// A reservation of a variant at a location was released.
    InventoryReleased(ReservationEvent) = "inventory.released" of variant_id;
    /// A variant's available stock fell to the low-stock threshold.
    InventoryLow(LowStockEvent) = "inventory.low" of variant_id;
    /// A location was created.
    LocationCreated(LocationEvent) = "location.created" of location_id;
    /// A location changed.
    LocationUpdated(LocationEvent) = "location.updated" of location_id;
    /// A location was deleted.
    LocationDeleted(LocationEvent) = "location.deleted" of location_id;
    /// An order was placed.
    OrderPlaced(OrderPlacedEvent) = "order.placed" of order_id;
    /// An order was paid.
    OrderPaid(PaymentEvent) = "order.paid" of order_id;
    /// An order expired: its payment was declined or not made in time.
    OrderExpired(OrderExpiredEvent) = "order.expired" of order_id;
    /// Another change was recorded in an order's payment ledger.
    PaymentRecorded(PaymentEvent) = "payment.recorded" of order_id;
    /// An order was canceled.
    OrderCancelled(OrderCancelledEvent) = "order.cancelled" of order_id;
    /// An order's contact details, addresses, note, tags, number or status changed.
    OrderUpdated(OrderUpdatedEvent) = "order.updated" of order_id;
    /// Staff added a note to an order.
    OrderNoteAdded(OrderNoteEvent) = "order.note_added" of order_id;
    /// A mail to an order's buyer failed permanently.
    OrderMailFailed(OrderMailFailedEvent) = "order.mail_failed" of order_id;
    /// An order's units were taken from stock for shipping.
    FulfillmentOpened(FulfillmentOpenedEvent) = "fulfillment.opened" of order_id;
    /// Units of an order were shipped.
    FulfillmentCreated(FulfillmentEvent) = "fulfillment.created" of order_id;
    /// A shipment was canceled before it arrived.
    FulfillmentCancelled(FulfillmentEvent) = "fulfillment.cancelled" of order_id;
    /// A refund of an order was requested.
    RefundCreated(RefundEvent) = "refund.created" of order_id;
    /// A return of units of an order was opened.
    ReturnCreated(ReturnEvent) = "return.created" of order_id;
    /// Returned units were received.
    ReturnReceived(ReturnEvent) = "return.received" of order_id;
    /// A draft order was created.
    DraftOrderCreated(DraftOrderEvent) = "draft_order.created" of draft_order_id;
    /// A draft order changed.
    DraftOrderUpdated(DraftOrderEvent) = "draft_order.updated" of draft_order_id;
    /// A draft order was deleted.
    DraftOrderDeleted(DraftOrderEvent) = "draft_order.deleted" of draft_order_id;
    /// A draft order was turned into an order.
    DraftOrderCompleted(DraftOrderEvent) = "draft_order.completed" of draft_order_id;
    /// A past order was imported from another system.
    OrderImported(OrderImportedEvent) = "order.imported" of order_id;
    /// A discount was created.
    DiscountCreated(DiscountEvent) = "discount.created" of discount_id;
    /// A discount changed.
    DiscountUpdated(DiscountEvent) = "discount.updated" of discount_id;
    /// A discount was deleted.
    DiscountDeleted(DiscountEvent) = "discount.deleted" of discount_id;
    /// A gift card was issued by staff, or bought.
    GiftCardCreated(GiftCardEvent) = "gift_card.created" of gift_card_id;
    /// Staff changed a gift card's note, expiry or customer.
    GiftCardUpdated(GiftCardEvent) = "gift_card.updated" of gift_card_id;
    /// Staff deactivated a gift card.
    GiftCardDeactivated(GiftCardEvent) = "gift_card.deactivated" of gift_card_id;
    /// Staff added to a gift card's balance.
    GiftCardCredited(GiftCardEvent) = "gift_card.credited" of gift_card_id;
    /// Staff took from a gift card's balance.
    GiftCardDebited(GiftCardEvent) = "gift_card.debited" of gift_card_id;
    /// Staff added to a customer's store credit.
    StoreCreditCredited(StoreCreditEvent) = "store_credit_account.credited" of store_credit_account_id;
    /// Staff took from a customer's store credit.
    StoreCreditDebited(StoreCreditEvent) = "store_credit_account.debited" of store_credit_account_id;
    /// A tax rate was created.
    TaxRateCreated(TaxRateEvent) = "tax_rate.created" of tax_rate_id;
    /// A tax rate changed.
    TaxRateUpdated(TaxRateEvent) = "tax_rate.updated" of tax_rate_id;
    /// A tax rate was deleted.
    TaxRateDeleted(TaxRateEvent) = "tax_rate.deleted" of tax_rate_id;
    /// A shipping zone was created.
    ShippingZoneCreated(ShippingZoneEvent) = "shipping_zone.created" of shipping_zone_id;
    /// A shipping zone changed.
    ShippingZoneUpdated(ShippingZoneEvent) = "shipping_zone.updated" of shipping_zone_id;
    /// A shipping zone was deleted, with its rates.
    ShippingZoneDeleted(ShippingZoneEvent) = "shipping_zone.deleted" of shipping_zone_id;
    /// A shipping rate was created.
    ShippingRateCreated(ShippingRateEvent) = "shipping_rate.created" of shipping_rate_id;
    /// A shipping rate changed.
    ShippingRateUpdated(ShippingRateEvent) = "shipping_rate.updated" of shipping_rate_id;
    /// A shipping rate was deleted.
    ShippingRateDeleted(ShippingRateEvent) = "shipping_rate.deleted" of shipping_rate_id;
    /// A cart was created.
    CartCreated(CartEvent) = "cart.created" of cart_id;
    /// A cart or one of its lines changed.
    CartUpdated(CartEvent) = "cart.updated" of cart_id;
    /// A customer signed up.
    CustomerCreated(CustomerEvent) = "customer.created" of customer_id;
    /// Staff created a customer.
    CustomerAdded(CustomerEvent) = "customer.added" of customer_id;
    /// A customer's details or addresses changed.
    CustomerUpdated(CustomerEvent) = "customer.updated" of customer_id;
    /// A customer's password changed; their sessions were ended.
    CustomerPasswordChanged(CustomerEvent) = "customer.password_changed" of customer_id;
    /// A customer verified their email address.
    CustomerEmailVerified(CustomerEvent) = "customer.email_verified" of customer_id;
    /// A customer requested a password reset; the token is sent by mail.
    CustomerRecoveryRequested(CustomerTokenEvent) = "customer.recovery_requested" of customer_id;
    /// A customer's e-mail address is to be verified; the token is sent by mail.
    CustomerVerificationRequested(CustomerTokenEvent) = "customer.verification_requested" of customer_id;
    /// A used refresh token of a customer was presented again and may be stolen. The session was
    /// ended.
    CustomerSessionRevoked(CustomerEvent) = "customer.session_revoked" of customer_id;
    /// A customer's personal data was exported for them.
    CustomerDataExported(CustomerEvent) = "customer.data_exported" of customer_id;
    /// A customer's personal data was erased.
    CustomerErased(CustomerEvent) = "customer.erased" of customer_id;
    /// A staff member was created.
    StaffMemberCreated(StaffEvent) = "staff_member.created" of staff_id;
    /// A staff member, their roles or their password changed.
    StaffMemberUpdated(StaffEvent) = "staff_member.updated" of staff_id;
    /// A staff member was deleted.
    StaffMemberDeleted(StaffEvent) = "staff_member.deleted" of staff_id;
    /// A used refresh token of a staff member was presented again and may be stolen. The session
    /// was ended.
    StaffSessionRevoked(StaffSessionEvent) = "staff_member.session_revoked" of staff_id;
    /// A role was created.
    RoleCreated(RoleEvent) = "role.created" of role_id;
    /// A role's name or permissions changed.
    RoleUpdated(RoleEvent) = "role.updated" of role_id;
    /// A role was deleted.
    RoleDeleted(RoleEvent) = "role.deleted" of role_id;
    /// An API key was created.
    ApiKeyCreated(ApiKeyEvent) = "api_key.created" of api_key_id;
    /// An API key was revoked.
    ApiKeyRevoked(ApiKeyEvent) = "api_key.revoked" of api_key_id;
    /// The shop's settings, brand or policies changed.
    ShopUpdated(ShopEvent) = "shop.updated" of shop_id;
    /// A menu was created.
    MenuCreated(MenuEvent) = "menu.created" of menu_id;
    /// A menu or its items changed.
    MenuUpdated(MenuEvent) = "menu.updated" of menu_id;
    /// A menu was deleted.
    MenuDeleted(MenuEvent) = "menu.deleted" of menu_id;
    /// A page was created.
    PageCreated(PageEvent) = "page.created" of page_id;
    /// A page changed, or was published or hidden.
    PageUpdated(PageEvent) = "page.updated" of page_id;
    /// A page was deleted.
    PageDeleted(PageEvent) = "page.deleted" of page_id;
    /// A redirect from an old path was created.
    UrlRedirectCreated(UrlRedirectEvent) = "url_redirect.created" of url_redirect_id;
    /// A redirect was deleted.
    UrlRedirectDeleted(UrlRedirectEvent) = "url_redirect.deleted" of url_redirect_id;
    /// A webhook subscription was created.
    WebhookCreated(WebhookEvent) = "webhook.created" of webhook_subscription_id;
    /// A webhook subscription changed.
    WebhookUpdated(WebhookEvent) = "webhook.updated" of webhook_subscription_id;
    /// A webhook subscription was paused, because its deliveries failed for a day or its owner may
    /// no longer see its topics.
    WebhookPaused(WebhookEvent) = "webhook.paused" of webhook_subscription_id;
    /// A webhook subscription was deleted.
    WebhookDeleted(WebhookEvent) = "webhook.deleted" of webhook_subscription_id;
}

impl Event {
    /// The version of the payload's format; incremented when a field changes its meaning or is
    /// removed.
    #[must_use]
    pub fn version(&self) -> i32 {
        1
    }
}

/// The aggregate type of the id that a payload field holds.
fn type_of<P, I: Id>(_: fn(&P) -> I) -> &'static str {
    I::TYPE
}

fn aggregate<I: Id>(id: I) -> (&'static str, uuid::Uuid) {
    (I::TYPE, id.uuid())
}
