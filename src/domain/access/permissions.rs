//! Permissions of staff and services.

use std::fmt;

use crate::domain::catalog::text_enum;

text_enum! {
    /// A permission of a role or an API key.
    Permission {
        /// See drafts, archived products and internal fields of the catalog.
        ReadProducts = "READ_PRODUCTS",
        /// Change products, variants and collections.
        WriteProducts = "WRITE_PRODUCTS",
        /// See orders, their payments and their history.
        ReadOrders = "READ_ORDERS",
        /// Change orders: mark as paid, ship, cancel, refund.
        WriteOrders = "WRITE_ORDERS",
        /// See customers and their addresses.
        ReadCustomers = "READ_CUSTOMERS",
        /// Change customers, export their data, erase them.
        WriteCustomers = "WRITE_CUSTOMERS",
        /// See stock levels and locations.
        ReadInventory = "READ_INVENTORY",
        /// Change stock levels.
        WriteInventory = "WRITE_INVENTORY",
        /// See reports.
        ReadReports = "READ_REPORTS",
        /// Change staff, their roles and API keys.
        ManageStaff = "MANAGE_STAFF",
        /// Change the shop's settings, pages, menus, redirects, discounts, taxes, shipping and
        /// locations.
        ManageSettings = "MANAGE_SETTINGS",
        /// See gift cards and store credit, with their histories.
        ReadGiftCards = "READ_GIFT_CARDS",
        /// Issue gift cards and store credit, and change their balances.
        WriteGiftCards = "WRITE_GIFT_CARDS",
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
