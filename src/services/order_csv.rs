//! Shopify's order export, read: what was sold elsewhere, at the prices of the time.
//!
//! Called by the order import. It must never touch the database, never yield an order of which one row is bad or whose
//! amounts don't add up, and never hold more of a file than one order and the names seen so far.
//!
//! An order is one or more consecutive rows with the same name. Its first row has what belongs to the order; every row has a
//! line item. Columns are found by their names, in any order.

mod reader;
#[cfg(test)]
mod tests;
mod totals;
mod values;

use csv::ByteRecord;

use super::csv_table::{self, Header, Layout};
use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::domain::time::Timestamp;

pub use super::csv_table::{FileError, RowError};
pub use reader::OrderReader;
pub use totals::Totals;

/// An order with its lines, as a file states it. Amounts are in minor units of the shop's currency.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderRecord {
    /// The line its first row starts on, from 1.
    pub line: u64,
    /// What it was called: `#1001`.
    pub name: String,
    /// The buyer's address, in lower case.
    pub email: Option<String>,
    /// The buyer's phone number.
    pub phone: Option<String>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was paid for.
    pub paid_at: Option<Timestamp>,
    /// When it was sent.
    pub fulfilled_at: Option<Timestamp>,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// What became of the money.
    pub financial: FinancialStatus,
    /// What became of the goods.
    pub fulfillment: FulfillmentStatus,
    /// What it came to.
    pub totals: Totals,
    /// What was paid, refunds not taken off.
    pub captured: i64,
    /// What was given back of it.
    pub refunded: i64,
    /// The code of its discount.
    pub discount_code: Option<String>,
    /// How it was delivered.
    pub shipping_method: Option<String>,
    /// Its taxes; their amounts sum up to `totals.tax`.
    pub taxes: Vec<TaxRecord>,
    /// How it was paid for.
    pub payment_method: Option<String>,
    /// The payment's name where it was made.
    pub payment_reference: Option<String>,
    /// Where the bill went.
    pub billing_address: Option<Address>,
    /// Where the goods went.
    pub shipping_address: Option<Address>,
    /// What the buyer wrote.
    pub note: String,
    /// What the storefront added.
    pub attributes: Vec<Attribute>,
    /// Its lines in file order, at least one.
    pub lines: Vec<LineRecord>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRecord {
    /// The line its row starts on, from 1.
    pub line: u64,
    /// What was sold, in the words of the time.
    pub title: String,
    /// The shop's own code for it.
    pub sku: Option<String>,
    /// Who makes it; may be empty.
    pub vendor: Option<String>,
    /// How many pieces, at least one.
    pub quantity: i64,
    /// One piece, before discounts.
    pub unit_price: i64,
    /// What was taken off this line alone.
    pub discount: i64,
    /// Whether it is a thing that is sent.
    pub requires_shipping: bool,
    /// Whether tax was charged on it.
    pub taxable: bool,
    /// Whether it was sent, where the file tells for each line.
    pub is_fulfilled: bool,
}

/// A tax on an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxRecord {
    /// What it is called.
    pub title: String,
    /// Millionths, as its name tells; 0 when it does not.
    pub rate_micros: i64,
    /// Minor units.
    pub amount: i64,
}

/// What became of an order's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinancialStatus {
    /// Nothing is paid yet.
    Pending,
    /// The money is kept ready.
    Authorized,
    /// Some of it is paid.
    PartiallyPaid,
    /// It is paid for.
    Paid,
    /// Some of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// The payment was given up.
    Voided,
    /// It was not paid for in time.
    Expired,
}

/// What became of an order's goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FulfillmentStatus {
    /// Nothing is sent.
    Unfulfilled,
    /// Some of it is sent.
    Partial,
    /// All of it is sent.
    Fulfilled,
}

/// A column this module knows. Taxes are numbered from 1.
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
    Address(Side, Part),
}

/// Which of an order's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Billing,
    Shipping,
}

/// A part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Name,
    /// The lines of the address in one; read where they have no columns of their own.
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

/// How many taxes an order can have.
const MAX_TAXES: usize = 5;

/// Each column with its name.
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
    (Column::Address(Side::Billing, Part::Name), "Billing Name"),
    (Column::Address(Side::Billing, Part::Street), "Billing Street"),
    (Column::Address(Side::Billing, Part::Address1), "Billing Address1"),
    (Column::Address(Side::Billing, Part::Address2), "Billing Address2"),
    (Column::Address(Side::Billing, Part::Company), "Billing Company"),
    (Column::Address(Side::Billing, Part::City), "Billing City"),
    (Column::Address(Side::Billing, Part::Zip), "Billing Zip"),
    (Column::Address(Side::Billing, Part::Province), "Billing Province"),
    (Column::Address(Side::Billing, Part::Country), "Billing Country"),
    (Column::Address(Side::Billing, Part::Phone), "Billing Phone"),
    (Column::Address(Side::Shipping, Part::Name), "Shipping Name"),
    (Column::Address(Side::Shipping, Part::Street), "Shipping Street"),
    (Column::Address(Side::Shipping, Part::Address1), "Shipping Address1"),
    (Column::Address(Side::Shipping, Part::Address2), "Shipping Address2"),
    (Column::Address(Side::Shipping, Part::Company), "Shipping Company"),
    (Column::Address(Side::Shipping, Part::City), "Shipping City"),
    (Column::Address(Side::Shipping, Part::Zip), "Shipping Zip"),
    (Column::Address(Side::Shipping, Part::Province), "Shipping Province"),
    (Column::Address(Side::Shipping, Part::Country), "Shipping Country"),
    (Column::Address(Side::Shipping, Part::Phone), "Shipping Phone"),
];

impl csv_table::Column for Column {
    const FILE: &'static str = "Shopify order export";
    const TELLING: &'static [Self] = &[Self::Quantity, Self::Title, Self::Price];

    fn named(name: &str) -> Option<(Self, Option<Layout>)> {
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
        (header.lossy(record, Self::Name), header.lossy(record, Self::Financial).is_empty())
    }

    fn no_key(header: &Header<Self>) -> String {
        format!("{} is empty: every row needs the name of its order", header.name(Self::Name))
    }
}
