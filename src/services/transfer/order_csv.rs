//! Reads Shopify's order export: orders placed elsewhere, at the prices of the time.
//!
//! Called by the order import. It must not access the database, never yield an order with an
//! invalid row or amounts that don't add up, and never hold more of a file than one order and the
//! names seen so far.
//!
//! An order is one or more consecutive rows with the same name. Its first row has the columns of
//! the order; every row has a line item. Columns are identified by name, in any order.

mod reader;
#[cfg(test)]
mod tests;
mod totals;
mod values;

use csv::ByteRecord;

use super::csv_table::{self, Header, Layout};
use crate::domain::checkout::carts::Attribute;
use crate::domain::customers::addresses::Address;
use crate::domain::time::Timestamp;

pub use super::csv_table::{FileError, RowError};
pub use reader::OrderReader;
pub use totals::Totals;

/// An order with its lines, as stated in a file. Amounts are in minor units of the shop's currency.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderRecord {
    /// The line its first row starts on, from 1.
    pub line: u64,
    /// Its name: `#1001`.
    pub name: String,
    /// The buyer's e-mail address, in lower case.
    pub email: Option<String>,
    /// The buyer's phone number.
    pub phone: Option<String>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was paid for.
    pub paid_at: Option<Timestamp>,
    /// When it was shipped.
    pub fulfilled_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// Payment status.
    pub financial: FinancialStatus,
    /// Fulfillment status.
    pub fulfillment: FulfillmentStatus,
    /// Its amounts.
    pub totals: Totals,
    /// The amount that was paid, before refunds.
    pub captured: i64,
    /// The amount that was refunded.
    pub refunded: i64,
    /// Discount code.
    pub discount_code: Option<String>,
    /// Shipping method.
    pub shipping_method: Option<String>,
    /// Its taxes; their sum is `totals.tax`.
    pub taxes: Vec<TaxRecord>,
    /// Payment method.
    pub payment_method: Option<String>,
    /// The provider's reference of the payment.
    pub payment_reference: Option<String>,
    /// Billing address.
    pub billing_address: Option<Address>,
    /// Shipping address.
    pub shipping_address: Option<Address>,
    /// Note of the buyer.
    pub note: String,
    /// Attributes added by the storefront.
    pub attributes: Vec<Attribute>,
    /// Its lines in file order, at least one.
    pub lines: Vec<LineRecord>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRecord {
    /// The line its row starts on, from 1.
    pub line: u64,
    /// Title of the product and variant at the time.
    pub title: String,
    /// SKU.
    pub sku: Option<String>,
    /// Vendor.
    pub vendor: Option<String>,
    /// Number of units, at least one.
    pub quantity: i64,
    /// Price of one unit, before discounts.
    pub unit_price: i64,
    /// Discount on this line alone.
    pub discount: i64,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Whether it was taxed.
    pub taxable: bool,
    /// Whether it was fulfilled, if the file has the column.
    pub is_fulfilled: bool,
}

/// A tax on an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRecord {
    /// Its name.
    pub title: String,
    /// Its rate in millionths, taken from its name; 0 if the name has none.
    pub rate_micros: i64,
    /// Its amount in minor units.
    pub amount: i64,
}

/// The payment status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinancialStatus {
    /// Not paid yet.
    Pending,
    /// Authorized, not captured.
    Authorized,
    /// Partially paid.
    PartiallyPaid,
    /// Fully paid.
    Paid,
    /// Partially refunded.
    PartiallyRefunded,
    /// Fully refunded.
    Refunded,
    /// The payment was voided.
    Voided,
    /// Not paid in time.
    Expired,
}

/// The fulfillment status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FulfillmentStatus {
    /// Nothing was fulfilled.
    Unfulfilled,
    /// Some lines were fulfilled.
    Partial,
    /// Everything was fulfilled.
    Fulfilled,
}

/// A known column. Taxes are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Column {
    Name,
    Email,
    Phone,
    Financial,
    PaidAt,
    Fulfillment,
    FulfilledAt,
    Currency,
    Subtotal,
    Shipping,
    Taxes,
    Total,
    DiscountCode,
    DiscountAmount,
    ShippingMethod,
    CreatedAt,
    Quantity,
    Title,
    Price,
    Sku,
    RequiresShipping,
    Taxable,
    LineFulfillment,
    LineDiscount,
    Vendor,
    Note,
    Attributes,
    CancelledAt,
    PaymentMethod,
    PaymentReference,
    Refunded,
    Outstanding,
    TaxName(usize),
    TaxValue(usize),
    Address(AddressKind, AddressPart),
}

/// One of an order's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum AddressKind {
    Billing,
    Shipping,
}

/// A field of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum AddressPart {
    Name,
    /// All street lines in one cell; used when there are no separate columns.
    Street,
    Address1,
    Address2,
    Company,
    City,
    Zip,
    Province,
    Country,
    Phone,
}

/// Number of tax columns.
const MAX_TAXES: usize = 5;

/// The name of each column.
const COLUMNS: [(Column, &str); 62] = [
    (Column::Name, "Name"),
    (Column::Email, "Email"),
    (Column::Phone, "Phone"),
    (Column::Financial, "Financial Status"),
    (Column::PaidAt, "Paid at"),
    (Column::Fulfillment, "Fulfillment Status"),
    (Column::FulfilledAt, "Fulfilled at"),
    (Column::Currency, "Currency"),
    (Column::Subtotal, "Subtotal"),
    (Column::Shipping, "Shipping"),
    (Column::Taxes, "Taxes"),
    (Column::Total, "Total"),
    (Column::DiscountCode, "Discount Code"),
    (Column::DiscountAmount, "Discount Amount"),
    (Column::ShippingMethod, "Shipping Method"),
    (Column::CreatedAt, "Created at"),
    (Column::Quantity, "Lineitem quantity"),
    (Column::Title, "Lineitem name"),
    (Column::Price, "Lineitem price"),
    (Column::Sku, "Lineitem sku"),
    (Column::RequiresShipping, "Lineitem requires shipping"),
    (Column::Taxable, "Lineitem taxable"),
    (Column::LineFulfillment, "Lineitem fulfillment status"),
    (Column::LineDiscount, "Lineitem discount"),
    (Column::Vendor, "Vendor"),
    (Column::Note, "Notes"),
    (Column::Attributes, "Note Attributes"),
    (Column::CancelledAt, "Cancelled at"),
    (Column::PaymentMethod, "Payment Method"),
    (Column::PaymentReference, "Payment Reference"),
    (Column::Refunded, "Refunded Amount"),
    (Column::Outstanding, "Outstanding Balance"),
    (Column::TaxName(1), "Tax 1 Name"),
    (Column::TaxValue(1), "Tax 1 Value"),
    (Column::TaxName(2), "Tax 2 Name"),
    (Column::TaxValue(2), "Tax 2 Value"),
    (Column::TaxName(3), "Tax 3 Name"),
    (Column::TaxValue(3), "Tax 3 Value"),
    (Column::TaxName(4), "Tax 4 Name"),
    (Column::TaxValue(4), "Tax 4 Value"),
    (Column::TaxName(5), "Tax 5 Name"),
    (Column::TaxValue(5), "Tax 5 Value"),
    (Column::Address(AddressKind::Billing, AddressPart::Name), "Billing Name"),
    (Column::Address(AddressKind::Billing, AddressPart::Street), "Billing Street"),
    (Column::Address(AddressKind::Billing, AddressPart::Address1), "Billing Address1"),
    (Column::Address(AddressKind::Billing, AddressPart::Address2), "Billing Address2"),
    (Column::Address(AddressKind::Billing, AddressPart::Company), "Billing Company"),
    (Column::Address(AddressKind::Billing, AddressPart::City), "Billing City"),
    (Column::Address(AddressKind::Billing, AddressPart::Zip), "Billing Zip"),
    (Column::Address(AddressKind::Billing, AddressPart::Province), "Billing Province"),
    (Column::Address(AddressKind::Billing, AddressPart::Country), "Billing Country"),
    (Column::Address(AddressKind::Billing, AddressPart::Phone), "Billing Phone"),
    (Column::Address(AddressKind::Shipping, AddressPart::Name), "Shipping Name"),
    (Column::Address(AddressKind::Shipping, AddressPart::Street), "Shipping Street"),
    (Column::Address(AddressKind::Shipping, AddressPart::Address1), "Shipping Address1"),
    (Column::Address(AddressKind::Shipping, AddressPart::Address2), "Shipping Address2"),
    (Column::Address(AddressKind::Shipping, AddressPart::Company), "Shipping Company"),
    (Column::Address(AddressKind::Shipping, AddressPart::City), "Shipping City"),
    (Column::Address(AddressKind::Shipping, AddressPart::Zip), "Shipping Zip"),
    (Column::Address(AddressKind::Shipping, AddressPart::Province), "Shipping Province"),
    (Column::Address(AddressKind::Shipping, AddressPart::Country), "Shipping Country"),
    (Column::Address(AddressKind::Shipping, AddressPart::Phone), "Shipping Phone"),
];

impl csv_table::Column for Column {
    const FILE: &'static str = "Shopify order export";
    const DISTINCTIVE: &'static [Self] = &[Self::Quantity, Self::Title, Self::Price];

    fn from_name(name: &str) -> Option<(Self, Option<Layout>)> {
        let name = name.trim();
        let found = COLUMNS.iter().find(|(_, known)| name.eq_ignore_ascii_case(known));
        found.map(|&(column, _)| (column, None))
    }

    fn name(self, _: Layout) -> &'static str {
        COLUMNS.iter().find(|(column, _)| *column == self).map_or("", |&(_, name)| name)
    }

    fn required(_: Layout) -> &'static [Self] {
        &[
            Self::Name,
            Self::Financial,
            Self::Currency,
            Self::Total,
            Self::CreatedAt,
            Self::Quantity,
            Self::Title,
            Self::Price,
        ]
    }

    fn examples() -> String {
        "Name, Email, Financial Status, Lineitem quantity".to_owned()
    }

    fn key(header: &Header<Self>, record: &ByteRecord) -> (String, bool) {
        (header.lossy_text(record, Self::Name), header.lossy_text(record, Self::Financial).is_empty())
    }

    fn missing_key_message(header: &Header<Self>) -> String {
        format!("{} is empty: every row needs the name of its order", header.name(Self::Name))
    }
}
