//! Exports all orders as CSV with the columns of Shopify's order export: one row per line item, the
//! first of which also has the columns of the order.
//!
//! Reads in chunks, so that memory use does not depend on the size of the shop.

use std::collections::HashMap;
use std::io::Write;

use csv::Writer;

use super::product_export::ExportError;
use super::spreadsheet::{address_cells, optional_cell, text_cell};
use crate::context::OpContext;
use crate::db::{Conn, Db, DbError};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::OrderId;
use crate::domain::money::{Currency, Money};
use crate::domain::orders::fulfillments::FulfillmentState;
use crate::domain::orders::{FinancialStatus, FulfillmentStatus, LineCount};
use crate::domain::payments::PaymentKind;
use crate::domain::time::Timestamp;
use crate::repositories::orders::fulfillments::{self, Fulfillment};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment, ledger_totals};

/// Number of orders per chunk.
const CHUNK_SIZE: i64 = 200;

/// Columns that are filled in every row.
const LINE_COLUMNS: [&str; 9] = [
    "Lineitem quantity",
    "Lineitem name",
    "Lineitem price",
    "Lineitem sku",
    "Lineitem requires shipping",
    "Lineitem taxable",
    "Lineitem fulfillment status",
    "Lineitem discount",
    "Vendor",
];

/// Columns that are filled in an order's first row only.
const ORDER_COLUMNS: [&str; 42] = [
    "Email",
    "Phone",
    "Financial Status",
    "Paid at",
    "Fulfillment Status",
    "Fulfilled at",
    "Currency",
    "Subtotal",
    "Shipping",
    "Taxes",
    "Total",
    "Discount Code",
    "Discount Amount",
    "Shipping Method",
    "Created at",
    "Cancelled at",
    "Payment Method",
    "Payment Reference",
    "Refunded Amount",
    "Outstanding Balance",
    "Notes",
    "Note Attributes",
    "Tags",
    "Id",
    "Billing Name",
    "Billing Address1",
    "Billing Address2",
    "Billing Company",
    "Billing City",
    "Billing Zip",
    "Billing Province",
    "Billing Country",
    "Billing Phone",
    "Shipping Name",
    "Shipping Address1",
    "Shipping Address2",
    "Shipping Company",
    "Shipping City",
    "Shipping Zip",
    "Shipping Province",
    "Shipping Country",
    "Shipping Phone",
];

/// Exports orders.
pub struct OrderExport {
    db: Db,
}

/// An order with its lines, ledger and fulfillments.
struct ExportedOrder {
    order: Order,
    lines: Vec<OrderLine>,
    ledger: Vec<Payment>,
    fulfillments: Vec<Fulfillment>,
}

impl OrderExport {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Exports every order; calls `progress` with the number written so far. Returns the total.
    ///
    /// # Errors
    /// [`ExportError`] when the shop can't be read or the file can't be written.
    pub async fn run<W: Write>(
        &self,
        op: &OpContext,
        output: W,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ExportError> {
        op.authorize(Permission::ReadOrders)?;
        op.authorize(Permission::ReadCustomers)?;
        let mut writer = Writer::from_writer(output);
        writer.write_record(["Name"].into_iter().chain(ORDER_COLUMNS).chain(LINE_COLUMNS))?;
        let (mut written, mut last) = (0, None);
        loop {
            let mut conn = self.db.read(&op.statements).await?;
            let chunk = orders::list_after(&mut conn, last, CHUNK_SIZE).await?;
            let Some(end) = chunk.last() else { break };
            last = Some(end.id);
            for order in load_orders(&mut conn, chunk).await? {
                write_order(&mut writer, &order)?;
                written += 1;
            }
            progress(written);
        }
        writer.flush().map_err(csv::Error::from)?;
        Ok(written)
    }
}

async fn load_orders(conn: &mut Conn, orders: Vec<Order>) -> Result<Vec<ExportedOrder>, DbError> {
    let ids: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    let mut lines = group_by_order(orders::lines(conn, &ids).await?, |line| line.order_id);
    let mut ledgers = group_by_order(payments::by_order_ids(conn, &ids).await?, |payment| payment.order_id);
    let mut fulfillments =
        group_by_order(fulfillments::by_order_ids(conn, &ids).await?, |fulfillment| fulfillment.order_id);
    let exported = orders.into_iter().map(|order| ExportedOrder {
        lines: lines.remove(&order.id).unwrap_or_default(),
        ledger: ledgers.remove(&order.id).unwrap_or_default(),
        fulfillments: fulfillments.remove(&order.id).unwrap_or_default(),
        order,
    });
    Ok(exported.collect())
}

fn group_by_order<V>(rows: Vec<V>, order_id: impl Fn(&V) -> OrderId) -> HashMap<OrderId, Vec<V>> {
    let mut groups: HashMap<OrderId, Vec<V>> = HashMap::new();
    for row in rows {
        groups.entry(order_id(&row)).or_default().push(row);
    }
    groups
}

fn write_order<W: Write>(writer: &mut Writer<W>, exported: &ExportedOrder) -> Result<(), ExportError> {
    let ExportedOrder { order, lines, .. } = exported;
    let currency = Currency::parse(&order.currency).map_err(DbError::corrupt)?;
    let name = order.name();
    let mut head = order_cells(exported, currency);
    for line in lines {
        let cells = [text_cell(&name)].into_iter().chain(head).chain(line_cells(line, currency));
        writer.write_record(cells)?;
        // The order's columns are filled in its first row only.
        head = vec![String::new(); ORDER_COLUMNS.len()];
    }
    Ok(())
}

fn line_cells(line: &OrderLine, currency: Currency) -> [String; 9] {
    let title = match line.variant_title.as_str() {
        "" | crate::domain::catalog::DEFAULT_VARIANT_TITLE => line.title.clone(),
        variant => format!("{} - {variant}", line.title),
    };
    let is_shipped = line.fulfilled_quantity >= line.quantity;
    [
        line.quantity.to_string(),
        text_cell(&title),
        Money::new(line.unit_price, currency).to_decimal(),
        optional_cell(line.sku.as_deref()),
        line.requires_shipping.to_string(),
        (!line.taxes.0.is_empty()).to_string(),
        if is_shipped { "fulfilled" } else { "pending" }.to_owned(),
        Money::new(line.discount_total, currency).to_decimal(),
        text_cell(&line.vendor),
    ]
}

fn order_cells(exported: &ExportedOrder, currency: Currency) -> Vec<String> {
    let amount = |minor| Money::new(minor, currency).to_decimal();
    let ExportedOrder { order, lines, ledger, fulfillments } = exported;
    let paid = ledger_totals(ledger).without_undone_releases(order.status.is_cancelled_or_expired());
    let counts = lines.iter().map(OrderLine::count);
    let status = FulfillmentStatus::from(LineCount::shipped(counts));
    let capture = ledger.iter().find(|row| row.kind == PaymentKind::Captured);
    let last_fulfillment =
        fulfillments.iter().rev().find(|fulfillment| fulfillment.status == FulfillmentState::Success);
    let delivery = order.delivery.0.as_ref();
    let attributes: Vec<String> = order
        .attributes
        .0
        .iter()
        .map(|attribute| format!("{}: {}", attribute.key, attribute.value))
        .collect();
    let mut cells = vec![
        optional_cell(order.email.as_deref()),
        optional_cell(order.phone.as_deref()),
        FinancialStatus::of(order.status, order.total, paid).as_str().to_lowercase(),
        format_time(capture.map(|row| row.occurred_at)),
        match status {
            FulfillmentStatus::Unfulfilled => "unfulfilled",
            FulfillmentStatus::PartiallyFulfilled => "partial",
            FulfillmentStatus::Fulfilled => "fulfilled",
        }
        .to_owned(),
        format_time(
            last_fulfillment
                .filter(|_| status == FulfillmentStatus::Fulfilled)
                .map(|fulfillment| fulfillment.created_at),
        ),
        order.currency.clone(),
        amount(order.subtotal.saturating_sub(order.discount_total)),
        amount(order.shipping_total),
        amount(order.tax_total),
        amount(order.total),
        text_cell(&discount_codes(order, lines).join(", ")),
        // Discounts are stated per line.
        amount(0),
        optional_cell(delivery.map(|delivery| delivery.option.title.as_str())),
        order.placed_at.to_string(),
        format_time(order.cancelled_at),
        optional_cell(ledger.first().map(|row| row.provider.as_str())),
        optional_cell(capture.and_then(|row| row.reference.as_deref())),
        amount(paid.refunded),
        amount(order.total.saturating_sub(paid.captured).max(0)),
        text_cell(&order.note),
        text_cell(&attributes.join("\n")),
        text_cell(&order.tags.0.join(", ")),
        crate::domain::ids::Id::uuid(order.id).to_string(),
    ];
    cells.extend(address_cells(order.billing_address.as_ref().map(|address| &address.0)));
    cells.extend(address_cells(order.shipping_address.as_ref().map(|address| &address.0)));
    cells
}

/// The codes of all discounts of the order, each once.
fn discount_codes<'a>(order: &'a Order, lines: &'a [OrderLine]) -> Vec<&'a str> {
    let of_delivery = order.delivery.0.iter().flat_map(|delivery| &delivery.discounts);
    let discounts = lines.iter().flat_map(|line| &line.discounts.0).chain(of_delivery);
    let mut codes = Vec::new();
    for code in discounts.filter_map(|discount| discount.code.as_deref()) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes
}

fn format_time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}
