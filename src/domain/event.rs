//! Domain events: what happened, in the past tense, with a typed and versioned payload. Services append them in the
//! transaction of their cause; whoever follows the log reads them by kind and version.
//!
//! The table below is all of them; their payloads stand in a file an area.

mod account;
mod cart;
mod catalog;
mod content;
mod inventory;
mod name;
mod order;
mod order_import;
mod payment;
mod pricing;
mod topic;
mod webhook;

pub use account::{ApiKeyEvent, CustomerEvent, CustomerTokenEvent, RoleEvent, StaffEvent, StaffSessionEvent};
pub use cart::CartEvent;
pub use catalog::{CollectionEvent, CollectionProductsEvent, ProductEvent, VariantsEvent};
pub use content::{MenuEvent, PageEvent, ShopEvent, UrlRedirectEvent};
pub use inventory::{InventoryEvent, LocationEvent, LowStockEvent, ReservationEvent};
pub use order::{
    DraftOrderEvent, FulfillmentEvent, FulfillmentOpenedEvent, LinePieces, OrderCancelledEvent,
    OrderMailFailedEvent, OrderNoteEvent, OrderUpdatedEvent, RefundEvent, ReturnEvent,
};
pub use order_import::OrderImportedEvent;
pub use payment::{OrderExpiredEvent, OrderPlacedEvent, PaymentEvent};
pub use pricing::{DiscountEvent, ShippingRateEvent, ShippingZoneEvent, TaxRateEvent};
pub use topic::{Things, Topic};
pub use webhook::WebhookEvent;

use serde::Serialize;

use super::ids::Id;

/// Defines the events: each with its payload, its name in the log, and the field that tells whose history it belongs to.
macro_rules! events {
    ($($(#[doc = $doc:literal])* $event:ident($payload:ident) = $kind:literal of $aggregate:ident;)*) => {
        /// Something that happened in the shop.
        #[derive(Clone, PartialEq, Debug, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[doc = $doc])* $event($payload),)*
        }

        impl Event {
            /// The kind's name in the log.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => $kind,)*
                }
            }

            /// Every kind's name in the log.
            pub const KINDS: &'static [&'static str] = &[$($kind,)*];

            /// What events of a kind tell, in a sentence; `None` if there is no such kind.
            #[must_use]
            pub fn description(kind: &str) -> Option<&'static str> {
                match kind {
                    $($kind => Some(concat!($($doc),*).trim_ascii()),)*
                    _ => None,
                }
            }

            /// An event as it stands in the log: its kind's name and its payload.
            ///
            /// # Errors
            /// When there is no such kind, or the payload is none of it.
            pub fn read<'de, D: serde::Deserializer<'de>>(kind: &str, payload: D) -> Result<Self, D::Error> {
                match kind {
                    $($kind => serde::Deserialize::deserialize(payload).map(Self::$event),)*
                    _ => Err(serde::de::Error::custom(format!("there is no event `{kind}`"))),
                }
            }

            /// The type of what events of a kind happen to; `None` if there is no such kind.
            #[must_use]
            pub fn aggregate_type(kind: &str) -> Option<&'static str> {
                match kind {
                    $($kind => Some(type_of(|event: &$payload| event.$aggregate)),)*
                    _ => None,
                }
            }

            /// The thing whose history the event belongs to: its type's name and its id.
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
    /// A product was made, with its variants.
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
    /// A collection was made.
    CollectionCreated(CollectionEvent) = "collection.created" of collection_id;
    /// A collection's own fields or rules changed.
    CollectionUpdated(CollectionEvent) = "collection.updated" of collection_id;
    /// A collection was deleted; its products stay.
    CollectionDeleted(CollectionEvent) = "collection.deleted" of collection_id;
    /// Products were put into a collection by hand.
    CollectionProductsAdded(CollectionProductsEvent) = "collection.products_added" of collection_id;
    /// Products were taken out of a collection by hand.
    CollectionProductsRemoved(CollectionProductsEvent) = "collection.products_removed" of collection_id;
    /// The stock of a variant at a location changed.
    InventoryLevelChanged(InventoryEvent) = "inventory.level_changed" of variant_id;
    /// Pieces of a variant at a location are promised to an order.
    InventoryReserved(ReservationEvent) = "inventory.reserved" of variant_id;
    /// Pieces of a variant at a location that were promised can be sold again.
    InventoryReleased(ReservationEvent) = "inventory.released" of variant_id;
    /// So few pieces of a variant can still be sold that somebody should see to it.
    InventoryLow(LowStockEvent) = "inventory.low" of variant_id;
    /// A location was made.
    LocationCreated(LocationEvent) = "location.created" of location_id;
    /// A location changed.
    LocationUpdated(LocationEvent) = "location.updated" of location_id;
    /// A location was deleted.
    LocationDeleted(LocationEvent) = "location.deleted" of location_id;
    /// An order was placed.
    OrderPlaced(OrderPlacedEvent) = "order.placed" of order_id;
    /// An order is paid for.
    OrderPaid(PaymentEvent) = "order.paid" of order_id;
    /// An order was given up: the payment was declined, or did not come in time.
    OrderExpired(OrderExpiredEvent) = "order.expired" of order_id;
    /// Something else happened to an order's payment.
    PaymentRecorded(PaymentEvent) = "payment.recorded" of order_id;
    /// An order was canceled.
    OrderCancelled(OrderCancelledEvent) = "order.cancelled" of order_id;
    /// Staff changed how an order's buyer is reached, where it goes, or what is noted on it.
    OrderUpdated(OrderUpdatedEvent) = "order.updated" of order_id;
    /// Staff noted something on an order.
    OrderNoteAdded(OrderNoteEvent) = "order.note_added" of order_id;
    /// A mail to an order's buyer could not be sent, and no more is tried.
    OrderMailFailed(OrderMailFailedEvent) = "order.mail_failed" of order_id;
    /// The pieces of an order are off the shelf and are to be sent.
    FulfillmentOpened(FulfillmentOpenedEvent) = "fulfillment.opened" of order_id;
    /// Pieces of an order were sent.
    FulfillmentCreated(FulfillmentEvent) = "fulfillment.created" of order_id;
    /// Pieces that were sent are back before they arrived.
    FulfillmentCancelled(FulfillmentEvent) = "fulfillment.cancelled" of order_id;
    /// Money of an order is to go back.
    RefundCreated(RefundEvent) = "refund.created" of order_id;
    /// Pieces of an order are to come back.
    ReturnCreated(ReturnEvent) = "return.created" of order_id;
    /// They came.
    ReturnReceived(ReturnEvent) = "return.received" of order_id;
    /// A draft of an order was put together.
    DraftOrderCreated(DraftOrderEvent) = "draft_order.created" of draft_order_id;
    /// A draft of an order changed.
    DraftOrderUpdated(DraftOrderEvent) = "draft_order.updated" of draft_order_id;
    /// A draft was deleted.
    DraftOrderDeleted(DraftOrderEvent) = "draft_order.deleted" of draft_order_id;
    /// A draft became an order.
    DraftOrderCompleted(DraftOrderEvent) = "draft_order.completed" of draft_order_id;
    /// An order of the past came in from elsewhere.
    OrderImported(OrderImportedEvent) = "order.imported" of order_id;
    /// A discount was made.
    DiscountCreated(DiscountEvent) = "discount.created" of discount_id;
    /// A discount changed.
    DiscountUpdated(DiscountEvent) = "discount.updated" of discount_id;
    /// A discount was deleted.
    DiscountDeleted(DiscountEvent) = "discount.deleted" of discount_id;
    /// A tax rate was made.
    TaxRateCreated(TaxRateEvent) = "tax_rate.created" of tax_rate_id;
    /// A tax rate changed.
    TaxRateUpdated(TaxRateEvent) = "tax_rate.updated" of tax_rate_id;
    /// A tax rate was deleted.
    TaxRateDeleted(TaxRateEvent) = "tax_rate.deleted" of tax_rate_id;
    /// A shipping zone was made.
    ShippingZoneCreated(ShippingZoneEvent) = "shipping_zone.created" of shipping_zone_id;
    /// A shipping zone changed.
    ShippingZoneUpdated(ShippingZoneEvent) = "shipping_zone.updated" of shipping_zone_id;
    /// A shipping zone was deleted, with its rates.
    ShippingZoneDeleted(ShippingZoneEvent) = "shipping_zone.deleted" of shipping_zone_id;
    /// A shipping rate was made.
    ShippingRateCreated(ShippingRateEvent) = "shipping_rate.created" of shipping_rate_id;
    /// A shipping rate changed.
    ShippingRateUpdated(ShippingRateEvent) = "shipping_rate.updated" of shipping_rate_id;
    /// A shipping rate was deleted.
    ShippingRateDeleted(ShippingRateEvent) = "shipping_rate.deleted" of shipping_rate_id;
    /// A cart was made.
    CartCreated(CartEvent) = "cart.created" of cart_id;
    /// A cart or one of its lines changed.
    CartUpdated(CartEvent) = "cart.updated" of cart_id;
    /// A customer signed up.
    CustomerCreated(CustomerEvent) = "customer.created" of customer_id;
    /// Staff noted a customer, who did not sign up.
    CustomerAdded(CustomerEvent) = "customer.added" of customer_id;
    /// A customer's own fields or addresses changed.
    CustomerUpdated(CustomerEvent) = "customer.updated" of customer_id;
    /// A customer's password changed; their sessions ended.
    CustomerPasswordChanged(CustomerEvent) = "customer.password_changed" of customer_id;
    /// A customer proved that their e-mail address is theirs.
    CustomerEmailVerified(CustomerEvent) = "customer.email_verified" of customer_id;
    /// A customer is to be mailed a token to set a new password with.
    CustomerRecoveryRequested(CustomerTokenEvent) = "customer.recovery_requested" of customer_id;
    /// A customer is to be mailed a token to prove with that their address is theirs.
    CustomerVerificationRequested(CustomerTokenEvent) = "customer.verification_requested" of customer_id;
    /// A spent refresh token of a customer was sent again: somebody else may have it. The session ended.
    CustomerSessionRevoked(CustomerEvent) = "customer.session_revoked" of customer_id;
    /// All that was held on a customer was put together for them.
    CustomerDataExported(CustomerEvent) = "customer.data_exported" of customer_id;
    /// What was held on a customer was removed.
    CustomerErased(CustomerEvent) = "customer.erased" of customer_id;
    /// A member of staff was made.
    StaffMemberCreated(StaffEvent) = "staff_member.created" of staff_id;
    /// A member of staff, their roles or their password changed.
    StaffMemberUpdated(StaffEvent) = "staff_member.updated" of staff_id;
    /// A member of staff was deleted.
    StaffMemberDeleted(StaffEvent) = "staff_member.deleted" of staff_id;
    /// A spent refresh token of a member was sent again: somebody else may have it. The session ended.
    StaffSessionRevoked(StaffSessionEvent) = "staff_member.session_revoked" of staff_id;
    /// A role was made.
    RoleCreated(RoleEvent) = "role.created" of role_id;
    /// A role's name or permissions changed.
    RoleUpdated(RoleEvent) = "role.updated" of role_id;
    /// A role was deleted.
    RoleDeleted(RoleEvent) = "role.deleted" of role_id;
    /// An API key was made.
    ApiKeyCreated(ApiKeyEvent) = "api_key.created" of api_key_id;
    /// An API key was revoked.
    ApiKeyRevoked(ApiKeyEvent) = "api_key.revoked" of api_key_id;
    /// The shop's own settings, its brand or its policies changed.
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
    /// Requests for an old path are redirected from now on.
    UrlRedirectCreated(UrlRedirectEvent) = "url_redirect.created" of url_redirect_id;
    /// A redirect was deleted.
    UrlRedirectDeleted(UrlRedirectEvent) = "url_redirect.deleted" of url_redirect_id;
    /// An endpoint of another service is told of what happens.
    WebhookCreated(WebhookEvent) = "webhook.created" of webhook_subscription_id;
    /// An endpoint of another service changed.
    WebhookUpdated(WebhookEvent) = "webhook.updated" of webhook_subscription_id;
    /// An endpoint of another service took nothing for a day, and is told of nothing any more.
    WebhookPaused(WebhookEvent) = "webhook.paused" of webhook_subscription_id;
    /// An endpoint of another service was removed.
    WebhookDeleted(WebhookEvent) = "webhook.deleted" of webhook_subscription_id;
}

impl Event {
    /// The version of the payload's shape; it rises when a field changes its meaning or goes.
    #[must_use]
    pub fn version(&self) -> i32 {
        1
    }
}

/// The type of the id that a payload's field holds.
fn type_of<P, I: Id>(_: fn(&P) -> I) -> &'static str {
    I::TYPE
}

fn aggregate<I: Id>(id: I) -> (&'static str, uuid::Uuid) {
    (I::TYPE, id.uuid())
}
