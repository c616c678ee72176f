//! Typed ids, so that a `ProductId` can't be passed for a `VariantId`. All are UUIDv7 and therefore
//! sortable by time.
//!
//! Ids are generated only here.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Timestamp;

/// Common functionality of ids: the type's name in global ids, and conversion from and to UUIDs.
pub trait Id: Copy + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static {
    /// The GraphQL type that the id belongs to: the middle part of `gid://mercato/Product/<uuid>`.
    const TYPE: &'static str;
    /// Wraps a UUID that is known to be an id of this type.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The bare UUID.
    fn uuid(self) -> Uuid;

    /// The smallest id of a time: those that are generated later are greater.
    #[must_use]
    fn first_at(time: Timestamp) -> Self {
        Self::from_uuid(first_at(time))
    }

    /// The global id `gid://mercato/Product/<uuid>`, in Mercato's own namespace.
    fn gid(self) -> String {
        let mut text = String::with_capacity(Namespace::Mercato.prefix().len() + Self::TYPE.len() + 37);
        text.push_str(Namespace::Mercato.prefix());
        text.push_str(Self::TYPE);
        text.push('/');
        text.push_str(self.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        text
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $gid:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Generates an id, later than all ids generated before on this node.
            #[must_use]
            pub fn generate() -> Self {
                Self(generate())
            }
        }

        impl Id for $name {
            const TYPE: &'static str = $gid;
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", $gid, self.0)
            }
        }
    )*};
}

ids! {
    /// A shop's id.
    ShopId = "Shop";
    /// A product's id.
    ProductId = "Product";
    /// A variant's id.
    VariantId = "ProductVariant";
    /// A product image's id.
    ImageId = "MediaImage";
    /// The id of an uploaded image or video; an image's becomes its [`ImageId`] once it is
    /// ready.
    MediaId = "Media";
    /// A video's id: its [`MediaId`] under its public type.
    VideoId = "Video";
    /// A collection's id.
    CollectionId = "Collection";
    /// A stock location's id.
    LocationId = "Location";
    /// An event's id.
    EventId = "Event";
    /// A customer's id.
    CustomerId = "Customer";
    /// The id of an address in a customer's address book.
    AddressId = "MailingAddress";
    /// A staff member's id.
    StaffId = "StaffMember";
    /// The id of a staff role.
    RoleId = "Role";
    /// An API key's id.
    ApiKeyId = "ApiKey";
    /// A refresh token's id.
    RefreshTokenId = "RefreshToken";
    /// The id of a session: all refresh tokens descended from one sign-in.
    SessionId = "Session";
    /// The id of a token mailed to a customer.
    CustomerTokenId = "CustomerToken";
    /// A cart's id. Not a global id by itself: that of a cart contains its key, too.
    CartId = "Cart";
    /// A cart line's id.
    CartLineId = "CartLine";
    /// The id of a cart's delivery address.
    CartAddressId = "CartSelectableAddress";
    /// The id of a cart's only delivery group: the cart's own UUID.
    DeliveryGroupId = "CartDeliveryGroup";
    /// A shipping zone's id.
    ShippingZoneId = "ShippingZone";
    /// A shipping rate's id.
    ShippingRateId = "ShippingRate";
    /// A discount's id.
    DiscountId = "Discount";
    /// A tax rate's id.
    TaxRateId = "TaxRate";
    /// An order's id.
    OrderId = "Order";
    /// An order line's id.
    OrderLineId = "OrderLine";
    /// The id of an entry of the payment ledger.
    PaymentId = "Payment";
    /// The id of a gift card or of store credit. Not a global id: those are [`GiftCardId`],
    /// [`AppliedGiftCardId`] and [`StoreCreditAccountId`], with the same UUID.
    CreditAccountId = "CreditAccount";
    /// The id of a change of the balance of a credit account.
    CreditTransactionId = "CreditTransaction";
    /// A gift card's id, as staff see it.
    GiftCardId = "GiftCard";
    /// A gift card's id, as the buyer of a cart sees it.
    AppliedGiftCardId = "AppliedGiftCard";
    /// The id of a customer's store credit.
    StoreCreditAccountId = "StoreCreditAccount";
    /// The id of a payment method that a customer has saved.
    PaymentMethodId = "CustomerPaymentMethod";
    /// A fulfillment's id.
    FulfillmentId = "Fulfillment";
    /// A refund's id.
    RefundId = "Refund";
    /// A return's id.
    ReturnId = "Return";
    /// The id of a webhook subscription.
    WebhookSubscriptionId = "WebhookSubscription";
    /// The id of a webhook delivery.
    WebhookDeliveryId = "WebhookDelivery";
    /// The id of an attempt at a webhook delivery.
    WebhookAttemptId = "WebhookAttempt";
    /// A menu's id.
    MenuId = "Menu";
    /// A menu item's id.
    MenuItemId = "MenuItem";
    /// A page's id.
    PageId = "Page";
    /// The id of one of the shop's policies.
    PolicyId = "ShopPolicy";
    /// A URL redirect's id.
    UrlRedirectId = "UrlRedirect";
    /// The id of the shop's only market: the shop's own UUID.
    MarketId = "Market";
    /// A draft order's id.
    DraftOrderId = "DraftOrder";
    /// A job's id.
    JobId = "Job";
    /// The id under which a worker reserved jobs. Not a global id: each reservation has a new one.
    WorkerId = "Worker";
}

/// The namespace of global ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Namespace {
    /// `gid://mercato/…`, the default.
    #[default]
    Mercato,
    /// `gid://shopify/…`, as in Shopify's Storefront API: some storefronts build ids themselves.
    Shopify,
}

impl Namespace {
    /// All namespaces. Ids in any of them are accepted.
    pub const ALL: [Self; 2] = [Self::Mercato, Self::Shopify];

    /// The prefix of global ids in this namespace.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mercato => "gid://mercato/",
            Self::Shopify => "gid://shopify/",
        }
    }
}

/// The part of a global id after the namespace: `Product/<uuid>`.
#[must_use]
pub fn without_namespace(gid: &str) -> Option<&str> {
    Namespace::ALL.iter().find_map(|namespace| gid.strip_prefix(namespace.prefix()))
}

/// Generates a UUIDv7.
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
fn generate() -> Uuid {
    Uuid::now_v7()
}

/// The smallest UUIDv7 of a time: ids that were generated later are greater.
fn first_at(time: Timestamp) -> Uuid {
    let millis = u64::try_from(time.micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// Derives an id from two others: deterministic, with the timestamp of the first.
#[must_use]
pub fn derive(first: Uuid, second: Uuid) -> Uuid {
    /// The bits of a UUIDv7 other than the timestamp.
    const RANDOM: u128 = (1 << 80) - 1;
    let mixed = first.as_u128() ^ (second.as_u128() & RANDOM);
    let builder = uuid::Builder::from_u128(mixed);
    builder.with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
}

/// Generates a request's id, as shown in responses and logs.
#[must_use]
pub fn request_id() -> String {
    generate().simple().to_string()
}

/// Generates the id of a trace, whose lowest 56 bits are random.
#[must_use]
pub fn trace_id() -> u128 {
    Uuid::new_v4().as_u128()
}

/// Generates the id of a span of a trace; not zero.
#[must_use]
pub fn span_id() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_namespaces_are_accepted() {
        for gid in ["gid://mercato/Product/7", "gid://shopify/Product/7"] {
            assert_eq!(without_namespace(gid), Some("Product/7"), "{gid}");
        }
        for other in ["", "Product/7", "gid://", "gid://other/Product/7", "gid://Shopify/Product/7"] {
            assert_eq!(without_namespace(other), None, "{other}");
        }
    }

    #[test]
    fn derived_ids_are_deterministic() {
        let [first, second, third] = [generate(), generate(), generate()];
        let derived = derive(first, second);
        assert_eq!(derived, derive(first, second));
        assert!(derived != derive(first, third) && derived != derive(third, second));
        assert_eq!(derived.get_version_num(), 7);
        assert_eq!(derived.get_timestamp(), first.get_timestamp());
    }
}
