//! Typed ids: a `ProductId` cannot be passed where a `VariantId` is meant. All are UUIDv7, so they rise with time.
//!
//! The one place where ids are made.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What all ids share: their type's name in global ids, and the way to and from a UUID.
pub trait Id: Copy + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static {
    /// The GraphQL type this id belongs to: the middle part of `gid://mercato/Product/<uuid>`.
    const TYPE: &'static str;
    /// Wraps a UUID that is known to be such an id.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The bare UUID.
    fn uuid(self) -> Uuid;

    /// The global id, `gid://mercato/Product/<uuid>`, in the namespace that ids are made in.
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
            /// A new id, later than every id made before it on this node.
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
    /// The id of a picture or video that is being worked on; a picture's is its [`ImageId`] once it is ready.
    MediaId = "Media";
    /// A video's id: its [`MediaId`], as clients know it.
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
    /// The id of a role of staff.
    RoleId = "Role";
    /// An API key's id.
    ApiKeyId = "ApiKey";
    /// A refresh token's id.
    RefreshTokenId = "RefreshToken";
    /// The id of all refresh tokens of one sign-in.
    FamilyId = "Session";
    /// The id of a token that is mailed to a customer.
    CustomerTokenId = "CustomerToken";
    /// A cart's id. No global id by itself: a cart's holds its token too.
    CartId = "Cart";
    /// A cart line's id.
    CartLineId = "CartLine";
    /// The id of a delivery address that a cart may be sent to.
    CartAddressId = "CartSelectableAddress";
    /// The id of what of a cart is sent together: the cart's own UUID, since that is all of it.
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
    /// The id of a row of the payment ledger.
    PaymentId = "Payment";
    /// A fulfillment's id.
    FulfillmentId = "Fulfillment";
    /// A refund's id.
    RefundId = "Refund";
    /// A return's id.
    ReturnId = "Return";
    /// The id of another service's endpoint.
    WebhookSubscriptionId = "WebhookSubscription";
    /// The id of a message to an endpoint.
    WebhookDeliveryId = "WebhookDelivery";
    /// The id of an attempt to send a message to an endpoint.
    WebhookAttemptId = "WebhookAttempt";
    /// A menu's id.
    MenuId = "Menu";
    /// The id of an item of a menu.
    MenuItemId = "MenuItem";
    /// A page's id.
    PageId = "Page";
    /// The id of a policy of the shop.
    PolicyId = "ShopPolicy";
    /// The id of a redirect.
    UrlRedirectId = "UrlRedirect";
    /// The id of the shop's only market: the shop's own UUID.
    MarketId = "Market";
    /// A draft order's id.
    DraftOrderId = "DraftOrder";
    /// A job's id.
    JobId = "Job";
    /// The id of a process that runs jobs. No global id: it lives as long as the process.
    WorkerId = "Worker";
}

/// The first part of global ids: whose they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Namespace {
    /// `gid://mercato/…`, as ids are made.
    #[default]
    Mercato,
    /// `gid://shopify/…`, as the Storefront API has them: some storefronts put their ids together
    /// themselves.
    Shopify,
}

impl Namespace {
    /// All namespaces. Ids are read in each, whichever is written.
    pub const ALL: [Self; 2] = [Self::Mercato, Self::Shopify];

    /// What global ids of the namespace begin with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mercato => "gid://mercato/",
            Self::Shopify => "gid://shopify/",
        }
    }
}

/// What follows the namespace in a global id: `Product/<uuid>`.
#[must_use]
pub fn without_namespace(gid: &str) -> Option<&str> {
    Namespace::ALL.iter().find_map(|namespace| gid.strip_prefix(namespace.prefix()))
}

/// A new UUIDv7.
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
fn generate() -> Uuid {
    Uuid::now_v7()
}

/// An id that follows from two others: the same whenever it is made, and of the time of the first.
#[must_use]
pub fn derived(first: Uuid, second: Uuid) -> Uuid {
    /// The part of a UUIDv7 that is not its time.
    const RANDOM: u128 = (1 << 80) - 1;
    let mixed = first.as_u128() ^ (second.as_u128() & RANDOM);
    let builder = uuid::Builder::from_u128(mixed);
    builder.with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
}

/// A new id for a request, as it appears in responses and logs.
#[must_use]
pub fn request_id() -> String {
    generate().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_namespaces_are_read() {
        for gid in ["gid://mercato/Product/7", "gid://shopify/Product/7"] {
            assert_eq!(without_namespace(gid), Some("Product/7"), "{gid}");
        }
        for other in ["", "Product/7", "gid://", "gid://other/Product/7", "gid://Shopify/Product/7"] {
            assert_eq!(without_namespace(other), None, "{other}");
        }
    }

    #[test]
    fn an_id_that_follows_from_others_is_always_the_same() {
        let [first, second, third] = [generate(), generate(), generate()];
        let made = derived(first, second);
        assert_eq!(made, derived(first, second));
        assert!(made != derived(first, third) && made != derived(third, second));
        assert_eq!(made.get_version_num(), 7);
        assert_eq!(made.get_timestamp(), first.get_timestamp());
    }
}
