//! Carts: what a buyer means to buy.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::address::Address;
use super::ids::{CartAddressId, CartId, Id, Namespace, without_namespace};

/// Something a storefront notes on a cart, on one of its lines, or on the order that comes of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// What it is called.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
}

/// An address that a cart may be sent to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartAddress {
    /// Made by us.
    pub id: CartAddressId,
    /// Whether the cart is sent there; true of one address at most.
    pub selected: bool,
    /// Whether it is for this cart alone, and so not to be kept in the customer's address book.
    pub one_time_use: bool,
    /// The address.
    pub address: Address,
}

/// What a global id says of a cart: `gid://mercato/Cart/<uuid>?key=<token>`. Whoever knows the token may use the cart, so the
/// id alone is never enough.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CartRef {
    /// Which cart.
    pub id: CartId,
    /// What its owner knows.
    pub token: String,
}

impl CartRef {
    /// Reads a global id; `None` when it is none of a cart's, or lacks its key.
    #[must_use]
    pub fn parse(gid: &str) -> Option<Self> {
        let rest = without_namespace(gid)?.strip_prefix(CartId::TYPE)?.strip_prefix('/')?;
        let (uuid, token) = rest.split_once("?key=")?;
        Some(Self { id: CartId::from_uuid(Uuid::try_parse(uuid).ok()?), token: token.to_owned() })
    }
}

impl fmt::Display for CartRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = Namespace::Mercato.prefix();
        write!(f, "{namespace}{}/{}?key={}", CartId::TYPE, self.id.uuid(), self.token)
    }
}

/// Without the token, which is no business of a log's.
impl fmt::Debug for CartRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_ids_read_back_and_tell_logs_no_token() {
        let cart = CartRef { id: CartId::from_uuid(Uuid::from_u128(7)), token: "secret".to_owned() };
        let gid = cart.to_string();
        assert_eq!(gid, "gid://mercato/Cart/00000000-0000-0000-0000-000000000007?key=secret");
        assert_eq!(CartRef::parse(&gid), Some(cart.clone()));
        // As storefronts put it together that keep what stands after the last slash.
        assert_eq!(CartRef::parse(&gid.replace("mercato", "shopify")), Some(cart.clone()));
        assert!(!format!("{cart:?}").contains("secret"));
    }

    #[test]
    fn an_id_without_its_key_or_of_something_else_is_none() {
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
