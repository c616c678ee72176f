//! Menus: what their items can lead to, and how large they can be.

use super::catalog::text_enum;

/// How many levels of items a menu may have.
pub const MAX_LEVELS: usize = 3;
/// How many items a menu may have on all its levels together.
pub const MAX_ITEMS: usize = 250;
/// How many tags an item may have.
pub const MAX_TAGS: usize = 20;

text_enum! {
    /// What an item of a menu leads to.
    MenuItemKind {
        /// All products.
        Catalog = "catalog",
        /// A collection.
        Collection = "collection",
        /// The list of collections.
        Collections = "collections",
        /// The buyer's account.
        CustomerAccountPage = "customer_account_page",
        /// The storefront's first page.
        Frontpage = "frontpage",
        /// An address on the web, or a path of the storefront.
        Http = "http",
        /// A page.
        Page = "page",
        /// A product.
        Product = "product",
        /// The search.
        Search = "search",
        /// A policy of the shop.
        ShopPolicy = "shop_policy",
    }
}

impl MenuItemKind {
    /// Whether the item leads to one thing of the shop.
    #[must_use]
    pub fn has_resource(self) -> bool {
        matches!(self, Self::Collection | Self::Page | Self::Product | Self::ShopPolicy)
    }

    /// The path of what every storefront has one of; `None` for kinds whose items differ.
    #[must_use]
    pub fn path(self) -> Option<&'static str> {
        match self {
            Self::Catalog => Some("/collections/all"),
            Self::Collections => Some("/collections"),
            Self::CustomerAccountPage => Some("/account"),
            Self::Frontpage => Some("/"),
            Self::Search => Some("/search"),
            Self::Collection | Self::Http | Self::Page | Self::Product | Self::ShopPolicy => None,
        }
    }
}
