//! Menus: what their items link to, and their maximum size.

use crate::domain::catalog::text_enum;

/// Maximum number of levels of a menu.
pub const MAX_LEVELS: usize = 3;
/// Maximum number of items of a menu, all levels together.
pub const MAX_ITEMS: usize = 250;
/// Maximum number of tags of an item.
pub const MAX_TAGS: usize = 20;

text_enum! {
    /// What a menu item links to.
    MenuItemKind {
        /// All products.
        Catalog = "catalog",
        /// A collection.
        Collection = "collection",
        /// The list of collections.
        Collections = "collections",
        /// The buyer's account.
        CustomerAccountPage = "customer_account_page",
        /// The storefront's home page.
        Frontpage = "frontpage",
        /// A URL, or a path of the storefront.
        Http = "http",
        /// A page.
        Page = "page",
        /// A product.
        Product = "product",
        /// The search page.
        Search = "search",
        /// A policy of the shop.
        ShopPolicy = "shop_policy",
    }
}

impl MenuItemKind {
    /// Whether the item links to a particular resource of the shop.
    #[must_use]
    pub fn has_resource(self) -> bool {
        matches!(self, Self::Collection | Self::Page | Self::Product | Self::ShopPolicy)
    }

    /// The path of pages that every storefront has once; `None` for kinds whose target depends on
    /// the item.
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
