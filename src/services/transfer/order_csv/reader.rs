//! Reads an order export, one order at a time.
//!
//! Called by the order import. It must not stop at a problem: errors are collected per row, the
//! order is yielded as an error with all its problems, and reading continues.

use std::io::Read;

use super::totals::{StatedAmounts, Totals};
use super::{
    AddressKind, AddressPart, Column, FileError, FinancialStatus, FulfillmentStatus, LineRecord, MAX_TAXES,
    OrderRecord, RowError, TaxRecord, values,
};
use crate::domain::checkout::pricing::MAX_AMOUNT;
use crate::domain::customers::addresses::Address;
use crate::domain::money::{Currency, Money};
use crate::domain::time::Timestamp;
use crate::services::transfer::csv_table::{self, Group, Groups, Header, MAX_ROWS, excerpt};

/// Maximum length of a name, code or title, in characters.
const MAX_CHARS: usize = 255;
/// The name of a tax that has none in the file.
const DEFAULT_TAX_TITLE: &str = "Tax";

/// An order, or everything that is wrong with its rows.
type OrderResult = Result<OrderRecord, Vec<RowError>>;
type Row<'a> = csv_table::Row<'a, Column>;

/// An iterator over the orders of a file. Each is yielded after its last row has been read.
pub struct OrderReader<R: Read> {
    groups: Groups<R, Column>,
    currency: Currency,
}

impl<R: Read> OrderReader<R> {
    /// Reads the header of a file whose orders are in `currency`.
    ///
    /// # Errors
    /// [`FileError`] when the file is not an order export.
    pub fn new(input: R, currency: Currency) -> Result<Self, FileError> {
        Ok(Self { groups: Groups::new(input)?, currency })
    }

    /// The columns of the file that are ignored, as spelled in the header.
    pub fn ignored_columns(&self) -> &[String] {
        &self.groups.header().ignored
    }
}

impl<R: Read> Iterator for OrderReader<R> {
    type Item = OrderResult;

    fn next(&mut self) -> Option<OrderResult> {
        let group = self.groups.next()?;
        Some(group.and_then(|group| parse_order(group, self.groups.header(), self.currency)))
    }
}

/// Parses the order of a group of rows.
fn parse_order(mut group: Group, header: &Header<Column>, currency: Currency) -> OrderResult {
    if let Some(first) = group.first_seen_line {
        let reason = format!(
            "the order `{}` already began in line {first}; the rows of an order must follow one another",
            excerpt(&group.key)
        );
        group.add_error(group.line, reason);
    }
    if let Some(line) = group.first_excess_line {
        group.add_error(line, format!("the order has more than {MAX_ROWS} rows"));
    }
    let is_missing_first_row = group.is_missing_first_row || group.first_seen_line.is_some();
    let rows = std::mem::take(&mut group.rows);
    let rows: Vec<Row> = rows.iter().map(|(line, cells)| Row { header, cells, line: *line }).collect();
    let mut order = None;
    let mut lines = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let mut problems = Vec::new();
        match (index, rows.first()) {
            (0, _) if !is_missing_first_row => {
                order = Some(parse_header(row, &group.key, currency, &mut problems));
            }
            (1.., Some(first)) if !is_missing_first_row => check_consistency(row, first, &mut problems),
            _ => {}
        }
        lines.push(parse_line(row, currency, &mut problems));
        for reason in problems {
            group.add_error(row.line, reason);
        }
    }
    let Some(mut order) = order.filter(|_| group.errors.is_empty()) else {
        return Err(group.into_errors());
    };
    order.record.lines = lines;
    order.finish(currency).map_err(|reasons| {
        for reason in reasons {
            group.add_error(group.line, reason);
        }
        group.into_errors()
    })
}

/// The columns of an order from its first row, before its lines are known.
struct OrderHeader {
    record: OrderRecord,
    subtotal: Option<i64>,
    /// The refunded amount, if the file has it.
    refunded: Option<i64>,
    /// The outstanding balance, if the file has it.
    outstanding: Option<i64>,
    /// Whether the file has the fulfillment status of lines.
    has_line_fulfillment: bool,
}

fn parse_header(row: &Row, name: &str, currency: Currency, problems: &mut Vec<String>) -> OrderHeader {
    check_header(row, currency, problems);
    let mut amount = |column| row.amount(column, currency, problems);
    let [subtotal, refunded, outstanding] =
        [Column::Subtotal, Column::Refunded, Column::Outstanding].map(&mut amount);
    let [shipping, total, discount] =
        [Column::Shipping, Column::Total, Column::DiscountAmount].map(|column| amount(column).unwrap_or(0));
    let taxes = parse_taxes(row, currency, problems);
    let (financial, fulfillment) = parse_statuses(row, problems);
    let record = OrderRecord {
        line: row.line,
        name: name.to_owned(),
        email: row.non_blank(Column::Email).map(|email| email.to_lowercase()),
        phone: row.non_blank(Column::Phone).map(|phone| strip_apostrophe(&phone)),
        placed_at: parse_timestamp(row, Column::CreatedAt, problems).unwrap_or(Timestamp::EPOCH),
        paid_at: parse_timestamp(row, Column::PaidAt, problems),
        fulfilled_at: parse_timestamp(row, Column::FulfilledAt, problems),
        cancelled_at: parse_timestamp(row, Column::CancelledAt, problems),
        financial,
        fulfillment,
        totals: Totals {
            discount,
            shipping,
            tax: taxes.iter().fold(0, |sum, tax| tax.amount.saturating_add(sum)),
            total,
            ..Totals::default()
        },
        captured: 0,
        refunded: 0,
        discount_code: row.non_blank(Column::DiscountCode),
        shipping_method: row.non_blank(Column::ShippingMethod),
        taxes,
        payment_method: row.non_blank(Column::PaymentMethod),
        payment_reference: row.non_blank(Column::PaymentReference),
        billing_address: parse_address(row, AddressKind::Billing, problems),
        shipping_address: parse_address(row, AddressKind::Shipping, problems),
        note: row.text(Column::Note).to_owned(),
        attributes: values::parse_attributes(row.text(Column::Attributes)),
        lines: Vec::new(),
    };
    OrderHeader {
        record,
        subtotal,
        refunded,
        outstanding,
        has_line_fulfillment: row.has(Column::LineFulfillment),
    }
}

/// Checks what an order's first row needs, how long its texts are, and its currency.
fn check_header(row: &Row, currency: Currency, problems: &mut Vec<String>) {
    for (column, needed) in [Column::Financial, Column::Currency, Column::Total, Column::CreatedAt]
        .map(|column| (column, row.name(column)))
    {
        if row.text(column).is_empty() {
            problems.push(format!("{needed} is empty: the first row of an order needs it"));
        }
    }
    for column in [Column::Name, Column::Email, Column::DiscountCode, Column::ShippingMethod] {
        let length = row.text(column).chars().count();
        if length > MAX_CHARS {
            let name = row.name(column);
            problems.push(format!("{name} has {length} characters; at most {MAX_CHARS} are allowed"));
        }
    }
    let code = row.text(Column::Currency);
    if !code.is_empty() && !code.eq_ignore_ascii_case(currency.code()) {
        let shown = row.describe(Column::Currency);
        problems.push(format!("{shown} is not the shop's currency, which is {}", currency.code()));
    }
}

fn parse_statuses(row: &Row, problems: &mut Vec<String>) -> (FinancialStatus, FulfillmentStatus) {
    let reason = "is none of pending, authorized, partially_paid, paid, partially_refunded, refunded, voided and expired";
    let financial = row.value(
        Column::Financial,
        FinancialStatus::Pending,
        values::parse_financial_status,
        reason,
        problems,
    );
    let fulfillment = row.value(
        Column::Fulfillment,
        FulfillmentStatus::Unfulfilled,
        values::parse_fulfillment_status,
        "is none of unfulfilled, partial, fulfilled and restocked",
        problems,
    );
    (financial, fulfillment)
}

impl OrderHeader {
    /// Completes the order, or returns why its amounts don't add up.
    fn finish(mut self, currency: Currency) -> Result<OrderRecord, Vec<String>> {
        self.record.totals = self.reconcile(currency)?;
        let mut problems = Vec::new();
        self.record.captured = self.captured_amount(currency, &mut problems);
        self.record.refunded = self.refunded_amount(currency, &mut problems);
        if self.record.fulfillment == FulfillmentStatus::Partial && !self.has_line_fulfillment {
            let reason =
                "an order that is partially fulfilled needs the column `Lineitem fulfillment status`";
            problems.push(reason.to_owned());
        }
        if problems.is_empty() { Ok(self.record) } else { Err(problems) }
    }

    /// The order's amounts, if they make up its total.
    fn reconcile(&self, currency: Currency) -> Result<Totals, Vec<String>> {
        let order = &self.record;
        let shown = |minor| Money::new(minor, currency).to_decimal();
        let too_much = || {
            vec![format!("the order's amounts are too large: an order can cost up to {}", shown(MAX_AMOUNT))]
        };
        let gross = order.lines.iter().try_fold(0_i64, |sum, line| {
            line.unit_price.checked_mul(line.quantity).and_then(|gross| sum.checked_add(gross))
        });
        let line_discounts = order.lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.discount));
        let (lines, line_discounts) = gross.zip(line_discounts).ok_or_else(too_much)?;
        if lines > MAX_AMOUNT || order.totals.total > MAX_AMOUNT {
            return Err(too_much());
        }
        let Totals { discount, shipping, tax, total, .. } = order.totals;
        let subtotal = self.subtotal;
        let stated = StatedAmounts { lines, line_discounts, discount, subtotal, shipping, tax, total };
        stated.reconcile().ok_or_else(|| {
            let subtotal = subtotal.map(|subtotal| format!("Subtotal {}, ", shown(subtotal))).unwrap_or_default();
            vec![format!(
                "the amounts don't add up: {subtotal}Shipping {}, Taxes {} and Total {} are not what the lines come to, \
                 which is {} less discounts of {}",
                shown(shipping),
                shown(tax),
                shown(total),
                shown(lines),
                shown(line_discounts.saturating_add(discount)),
            )]
        })
    }

    /// The amount that was paid, by the order's status.
    fn captured_amount(&self, currency: Currency, problems: &mut Vec<String>) -> i64 {
        let total = self.record.totals.total;
        match self.record.financial {
            FinancialStatus::Paid | FinancialStatus::PartiallyRefunded | FinancialStatus::Refunded => total,
            FinancialStatus::PartiallyPaid => match self.outstanding.map(|left| total.checked_sub(left)) {
                Some(Some(paid)) if paid >= 0 => paid,
                Some(_) => {
                    let shown = Money::new(total, currency).to_decimal();
                    problems.push(format!("more is outstanding than the order's total, {shown}"));
                    0
                }
                None => {
                    problems.push("an order that is partially paid needs the Outstanding Balance".to_owned());
                    0
                }
            },
            _ => 0,
        }
    }

    /// The amount that was refunded, by the order's status and the amount that was paid.
    fn refunded_amount(&self, currency: Currency, problems: &mut Vec<String>) -> i64 {
        let OrderRecord { financial, captured, totals, .. } = &self.record;
        match (financial, self.refunded) {
            (FinancialStatus::Refunded, None | Some(0)) => totals.total,
            (FinancialStatus::PartiallyRefunded, None | Some(0)) => {
                problems.push("an order that is partially refunded needs the Refunded Amount".to_owned());
                0
            }
            (_, Some(refunded)) if refunded > *captured => {
                let [refunded, captured] =
                    [refunded, *captured].map(|minor| Money::new(minor, currency).to_decimal());
                problems.push(format!("{refunded} was refunded, and only {captured} was paid"));
                0
            }
            (_, refunded) => refunded.unwrap_or(0),
        }
    }
}

/// Later rows may repeat the order's columns, but not contradict them.
fn check_consistency(row: &Row, first: &Row, problems: &mut Vec<String>) {
    for column in [Column::Email, Column::Financial, Column::Currency, Column::Total, Column::CreatedAt] {
        let text = row.text(column);
        if !text.is_empty() && !text.eq_ignore_ascii_case(first.text(column)) {
            let shown = row.describe(column);
            problems.push(format!("{shown} differs from that of the same order in line {}", first.line));
        }
    }
}

fn parse_line(row: &Row, currency: Currency, problems: &mut Vec<String>) -> LineRecord {
    for (column, hint) in [
        (Column::Title, "every row needs what was sold"),
        (Column::Quantity, "every row needs the number of units sold"),
        (Column::Price, "write 0 if it cost nothing"),
    ] {
        if row.text(column).is_empty() {
            problems.push(format!("{} is empty: {hint}", row.name(column)));
        }
    }
    let reason = "is not a quantity: write a whole number from 1 to 1000000";
    let quantity = row.value(Column::Quantity, 0, values::parse_quantity, reason, problems);
    let unit_price = row.amount(Column::Price, currency, problems).unwrap_or(0);
    let discount = row.amount(Column::LineDiscount, currency, problems).unwrap_or(0);
    if discount > 0 && unit_price.checked_mul(quantity).is_some_and(|gross| discount > gross) {
        problems.push(format!("{} is more than the line costs", row.describe(Column::LineDiscount)));
    }
    LineRecord {
        line: row.line,
        title: row.text(Column::Title).to_owned(),
        sku: row.code(Column::Sku, &mut Vec::new()),
        vendor: row.non_blank(Column::Vendor),
        quantity,
        unit_price,
        discount,
        requires_shipping: row.flag(Column::RequiresShipping, true, problems),
        taxable: row.flag(Column::Taxable, true, problems),
        is_fulfilled: row.text(Column::LineFulfillment).eq_ignore_ascii_case("fulfilled"),
    }
}

/// The order's taxes: the named ones if their amounts make up the total, otherwise a single one.
fn parse_taxes(row: &Row, currency: Currency, problems: &mut Vec<String>) -> Vec<TaxRecord> {
    let mut named = Vec::new();
    for number in 1..=MAX_TAXES {
        let amount = row.amount(Column::TaxValue(number), currency, problems).unwrap_or(0);
        if amount > 0 {
            let title =
                row.non_blank(Column::TaxName(number)).unwrap_or_else(|| DEFAULT_TAX_TITLE.to_owned());
            named.push(TaxRecord { rate_micros: values::parse_tax_rate(&title).unwrap_or(0), title, amount });
        }
    }
    let sum = named.iter().fold(0_i64, |sum, tax| sum.saturating_add(tax.amount));
    match row.amount(Column::Taxes, currency, problems) {
        Some(0) => Vec::new(),
        Some(amount) if amount != sum => {
            vec![TaxRecord { title: DEFAULT_TAX_TITLE.to_owned(), rate_micros: 0, amount }]
        }
        _ => named,
    }
}

fn parse_timestamp(row: &Row, column: Column, problems: &mut Vec<String>) -> Option<Timestamp> {
    let reason = "is not a date and time: write it as 2010-12-01 08:26:00 +0000";
    row.value(column, None, |text| values::parse_timestamp(text).map(Some), reason, problems)
}

fn parse_address(row: &Row, kind: AddressKind, problems: &mut Vec<String>) -> Option<Address> {
    let part = |field| row.non_blank(Column::Address(kind, field));
    let (first_name, last_name) =
        part(AddressPart::Name).map_or((None, None), |name| values::split_name(&name));
    let reason = "is not a country: write its two letters, such as GB";
    let country = Column::Address(kind, AddressPart::Country);
    let country = row.value(country, None, |text| values::parse_country(text).map(Some), reason, problems);
    let address = Address {
        first_name,
        last_name,
        company: part(AddressPart::Company),
        address1: part(AddressPart::Address1).or_else(|| part(AddressPart::Street)),
        address2: part(AddressPart::Address2),
        city: part(AddressPart::City),
        province: part(AddressPart::Province),
        zip: part(AddressPart::Zip).map(|zip| strip_apostrophe(&zip)),
        country,
        phone: part(AddressPart::Phone).map(|phone| strip_apostrophe(&phone)),
        latitude: None,
        longitude: None,
    };
    Some(address).filter(|address| *address != Address::default())
}

/// Strips the apostrophe that Shopify writes before digits, so that spreadsheets leave them alone.
fn strip_apostrophe(text: &str) -> String {
    text.strip_prefix('\'').unwrap_or(text).to_owned()
}
