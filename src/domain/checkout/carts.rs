//! Carts: what a buyer intends to buy.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::customers::addresses::Address;
use crate::domain::ids::{CartAddressId, CartId, Id, Namespace, without_namespace};

/// A custom attribute that a storefront sets on a cart, a line, or the order created from them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// The attribute's key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
}

/// A delivery address of a cart.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartAddress {
    /// Assigned by the server.
    pub id: CartAddressId,
    /// Whether the cart's goods are shipped to this address; true for at most one.
    pub selected: bool,
    /// Whether the address is for this cart only and is not saved to the customer's address book.
    pub one_time_use: bool,
    /// The address.
    pub address: Address,
}

/// A cart's global id: `gid://mercato/Cart/<uuid>?key=<key>`. The key authorizes access, so the
/// UUID alone is never enough.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CartRef {
    /// The cart.
    pub id: CartId,
    /// The secret that authorizes access.
    pub key: String,
}

impl CartRef {
    /// Parses a global id; `None` if it is not a cart's or lacks its key.
    #[must_use]
    pub fn parse(gid: &str) -> Option<Self> {
        let rest = without_namespace(gid)?.strip_prefix(CartId::TYPE)?.strip_prefix('/')?;
        let (uuid, key) = rest.split_once("?key=")?;
        Some(Self { id: CartId::from_uuid(Uuid::try_parse(uuid).ok()?), key: key.to_owned() })
    }
}

impl fmt::Display for CartRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = Namespace::Mercato.prefix();
        write!(f, "{namespace}{}/{}?key={}", CartId::TYPE, self.id.uuid(), self.key)
    }
}

/// Leaves out the key, which must not be logged.
impl fmt::Debug for CartRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_ids_round_trip_and_debug_output_hides_the_key() {
        let cart = CartRef { id: CartId::from_uuid(Uuid::from_u128(7)), key: "secret".to_owned() };
        let gid = cart.to_string();
        assert_eq!(gid, "gid://mercato/Cart/00000000-0000-0000-0000-000000000007?key=secret");
        assert_eq!(CartRef::parse(&gid), Some(cart.clone()));
        // Some storefronts build the id themselves from what follows the last slash.
        assert_eq!(CartRef::parse(&gid.replace("mercato", "shopify")), Some(cart.clone()));
        assert!(!format!("{cart:?}").contains("secret"));
    }

    #[test]
    fn ids_without_a_key_or_of_other_types_are_rejected() {
        for gid in [
            "",
            "gid://mercato/Cart/00000000-0000-0000-0000-000000000007",
            "gid://mercato/Cart/7?key=secret",
            "gid://mercato/CartLine/00000000-0000-0000-0000-000000000007?key=secret",
            "gid://other/Cart/00000000-0000-0000-0000-000000000007?key=secret",
            "gid://shopify/Cart/c1-0123456789abcdef?key=secret",
        ] {
            assert_eq!(CartRef::parse(gid), None, "{gid}");
        }
    }
}
