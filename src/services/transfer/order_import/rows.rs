//! Converts an order of a file to database rows.

use std::collections::HashMap;

use crate::db::types::Json;
use crate::domain::catalog::DEFAULT_VARIANT_TITLE;
use crate::domain::checkout::quotes::{Allocation, DeliveryOption, QuotedDelivery, TaxLine};
use crate::domain::events::{Event, OrderImportedEvent};
use crate::domain::ids::{CustomerId, FulfillmentId, OrderId, OrderLineId, PaymentId, RefundId};
use crate::domain::money::rounding::distribute;
use crate::domain::orders::OrderStatus;
use crate::domain::orders::fulfillments::{FulfilledLine, FulfillmentState, RefundedLine};
use crate::domain::payments::PaymentKind;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::repositories::orders::fulfillments::Fulfillment;
use crate::repositories::orders::import::{ImportBatch, SoldVariant};
use crate::repositories::orders::refunds::Refund;
use crate::repositories::orders::{Order, OrderLine};
use crate::repositories::payments::Payment;
use crate::services::Shop;
use crate::services::transfer::order_csv::{
    FinancialStatus, FulfillmentStatus, LineRecord, OrderRecord, TaxRecord,
};

/// The provider in the ledger: manual, so that staff can make refunds by hand.
const IMPORT_PROVIDER: &str = "manual";
/// Title of a discount without a code.
const DEFAULT_DISCOUNT_TITLE: &str = "Discount";
/// Title of a delivery without a name.
const DEFAULT_DELIVERY_TITLE: &str = "Shipping";
/// Handle and strategy of an imported delivery.
const IMPORTED_DELIVERY: &str = "imported";

/// Variants and customers of the shop that orders refer to.
pub(super) struct ImportLookup {
    /// By exact SKU.
    variants_by_sku: HashMap<String, SoldVariant>,
    /// By SKU, ignoring letter case and accents.
    variants_by_normalized_sku: HashMap<String, SoldVariant>,
    customers: HashMap<String, CustomerId>,
}

impl ImportLookup {
    /// Creates the lookup; of variants with the same SKU the first is used.
    pub(super) fn new(variants: Vec<SoldVariant>, customers: Vec<(String, CustomerId)>) -> Self {
        let mut lookup = Self {
            variants_by_sku: HashMap::new(),
            variants_by_normalized_sku: HashMap::new(),
            customers: customers.into_iter().collect(),
        };
        for variant in variants {
            lookup
                .variants_by_normalized_sku
                .entry(text::key(&variant.sku))
                .or_insert_with(|| variant.clone());
            lookup.variants_by_sku.entry(variant.sku.clone()).or_insert(variant);
        }
        lookup
    }

    fn variant(&self, sku: &str) -> Option<&SoldVariant> {
        self.variants_by_sku.get(sku).or_else(|| self.variants_by_normalized_sku.get(&text::key(sku)))
    }
}

/// The result of adding an order to a batch.
pub(super) struct AddedOrder {
    /// The event to append.
    pub event: Event,
    /// Number of lines without a matching variant.
    pub unknown: u64,
}

/// Adds the rows of an order to a batch.
pub(super) fn add_order(
    batch: &mut ImportBatch,
    record: &OrderRecord,
    number: i64,
    lookup: &ImportLookup,
    shop: &Shop,
    now: Timestamp,
) -> AddedOrder {
    let id = OrderId::generate();
    let status = order_status(record);
    let totals = &record.totals;
    let (lines, delivery) = order_lines(record, id, lookup);
    let unknown = lines.iter().filter(|line| line.variant_id.is_none()).count() as u64;
    if !matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) {
        count_sold_units(batch, record, lookup);
    }
    let order = Order {
        id,
        number: Some(number),
        cart_id: None,
        imported_as: Some(record.name.clone()),
        customer_id: record.email.as_ref().and_then(|email| lookup.customers.get(email)).copied(),
        email: record.email.clone(),
        phone: record.phone.clone(),
        token_hash: None,
        status,
        currency: shop.currency.code().to_owned(),
        taxes_included: totals.taxes_included.unwrap_or(shop.taxes_included),
        subtotal: totals.lines,
        discount_total: totals.line_discounts.saturating_add(totals.discount),
        shipping_total: totals.shipping,
        tax_total: totals.tax,
        total: totals.total,
        delivery: Json(delivery),
        shipping_address: record.shipping_address.clone().map(Json),
        billing_address: record.billing_address.clone().map(Json),
        note: record.note.clone(),
        attributes: Json(record.attributes.clone()),
        cancel_reason: None,
        expires_at: None,
        placed_at: record.placed_at,
        cancelled_at: record.cancelled_at,
        updated_at: now,
        fulfillment_opened_at: None,
        language: None,
        tags: Json(Vec::new()),
    };
    let event = imported_event(&order, number, &record.name);
    let refund = refund(record, &lines, id);
    batch.payments.extend(payments(record, id, refund.as_ref().map(|refund| refund.id)));
    batch.refunds.extend(refund);
    batch.fulfillments.extend(fulfillment(record, &lines, id));
    batch.orders.push(order);
    batch.lines.extend(lines);
    AddedOrder { event, unknown }
}

fn count_sold_units(batch: &mut ImportBatch, record: &OrderRecord, lookup: &ImportLookup) {
    for line in &record.lines {
        if let Some(variant) = line.sku.as_ref().and_then(|sku| lookup.variant(sku)) {
            let sold = batch.sold.entry(variant.product_id).or_default();
            *sold = sold.saturating_add(line.quantity);
        }
    }
}

fn imported_event(order: &Order, number: i64, name: &str) -> Event {
    Event::OrderImported(OrderImportedEvent {
        order_id: order.id,
        number,
        imported_as: name.to_owned(),
        status: order.status,
        total: order.total,
        currency: order.currency.clone(),
        placed_at: order.placed_at,
    })
}

/// The status of an imported order. An unpaid order stays pending even if it was shipped on
/// account: its lines have the fulfilled quantities.
fn order_status(record: &OrderRecord) -> OrderStatus {
    if record.cancelled_at.is_some() {
        return OrderStatus::Cancelled;
    }
    match record.financial {
        FinancialStatus::Pending | FinancialStatus::Authorized | FinancialStatus::PartiallyPaid => {
            OrderStatus::PendingPayment
        }
        FinancialStatus::Voided | FinancialStatus::Expired => OrderStatus::Expired,
        FinancialStatus::Refunded => OrderStatus::Refunded,
        FinancialStatus::Paid | FinancialStatus::PartiallyRefunded => match record.refunded {
            0 => match record.fulfillment {
                FulfillmentStatus::Unfulfilled => OrderStatus::Paid,
                FulfillmentStatus::Partial => OrderStatus::PartiallyFulfilled,
                FulfillmentStatus::Fulfilled => OrderStatus::Fulfilled,
            },
            refunded if refunded == record.captured => OrderStatus::Refunded,
            _ => OrderStatus::PartiallyRefunded,
        },
    }
}

/// Builds the order's lines, with discounts and taxes allocated to them, and its delivery.
fn order_lines(
    record: &OrderRecord,
    order_id: OrderId,
    lookup: &ImportLookup,
) -> (Vec<OrderLine>, Option<QuotedDelivery>) {
    let gross = |line: &LineRecord| line.unit_price.saturating_mul(line.quantity);
    let own: Vec<i64> = record.lines.iter().map(|line| gross(line).saturating_sub(line.discount)).collect();
    let shares = distribute(record.totals.discount, &own);
    let mut lines = Vec::with_capacity(record.lines.len());
    for ((position, line), share) in (1..).zip(&record.lines).zip(&shares) {
        let variant = line.sku.as_ref().and_then(|sku| lookup.variant(sku));
        let (title, variant_title) = split_title(&line.title, variant);
        let discounts = [allocation(None, line.discount), allocation(record.discount_code.as_ref(), *share)];
        lines.push(OrderLine {
            id: OrderLineId::generate(),
            order_id,
            position,
            variant_id: variant.map(|variant| variant.id),
            title,
            variant_title,
            sku: line.sku.clone(),
            vendor: line
                .vendor
                .clone()
                .or_else(|| variant.map(|variant| variant.vendor.clone()))
                .unwrap_or_default(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            discount_total: line.discount.saturating_add(*share),
            tax_total: 0,
            discounts: Json(discounts.into_iter().flatten().collect()),
            taxes: Json(Vec::new()),
            attributes: Json(Vec::new()),
            requires_shipping: line.requires_shipping,
            weight_milligrams: variant.map_or(0, |variant| variant.weight_milligrams),
            reserved: Json(Vec::new()),
            fulfilled_quantity: match record.fulfillment {
                FulfillmentStatus::Fulfilled => line.quantity,
                FulfillmentStatus::Partial if line.is_fulfilled => line.quantity,
                _ => 0,
            },
            refunded_quantity: if is_fully_refunded(record) { line.quantity } else { 0 },
            picked: Json(Vec::new()),
            product_id: variant.map(|variant| variant.product_id),
        });
    }
    let mut delivery = order_delivery(record);
    for tax in &record.taxes {
        spread_tax(record, tax, &mut lines, delivery.as_mut());
    }
    (lines, delivery)
}

/// Allocates a tax to the taxable lines. A file does not state the tax on shipping, so shipping
/// gets it only if no line can.
fn spread_tax(
    record: &OrderRecord,
    tax: &TaxRecord,
    lines: &mut [OrderLine],
    delivery: Option<&mut QuotedDelivery>,
) {
    let tax_line = |amount| TaxLine { title: tax.title.clone(), rate_micros: tax.rate_micros, amount };
    let has_weight = |weights: &Vec<i64>| weights.iter().any(|weight| *weight > 0);
    let all: Vec<i64> = lines.iter().map(OrderLine::total).collect();
    let taxable = all.iter().zip(&record.lines).map(|(total, line)| if line.taxable { *total } else { 0 });
    let taxable: Vec<i64> = taxable.collect();
    let weights = match delivery {
        _ if has_weight(&taxable) => taxable,
        Some(delivery) => {
            delivery.taxes.push(tax_line(tax.amount));
            return;
        }
        None if has_weight(&all) => all,
        None => vec![1; lines.len()],
    };
    for (line, amount) in lines.iter_mut().zip(distribute(tax.amount, &weights)) {
        if amount > 0 {
            line.tax_total = line.tax_total.saturating_add(amount);
            line.taxes.0.push(tax_line(amount));
        }
    }
}

/// Splits a title that combines product and variant: `Tall Mug - L`.
fn split_title(text: &str, variant: Option<&SoldVariant>) -> (String, String) {
    match variant.map(|variant| variant.title.as_str()) {
        Some(DEFAULT_VARIANT_TITLE) => (text.to_owned(), DEFAULT_VARIANT_TITLE.to_owned()),
        Some(known) => match text.strip_suffix(known).and_then(|rest| rest.strip_suffix(" - ")) {
            Some(title) if !title.is_empty() => (title.to_owned(), known.to_owned()),
            _ => (text.to_owned(), String::new()),
        },
        None => (text.to_owned(), String::new()),
    }
}

fn allocation(code: Option<&String>, amount: i64) -> Option<Allocation> {
    let title = code.cloned().unwrap_or_else(|| DEFAULT_DISCOUNT_TITLE.to_owned());
    (amount > 0).then(|| Allocation { discount_id: None, title, code: code.cloned(), amount })
}

fn order_delivery(record: &OrderRecord) -> Option<QuotedDelivery> {
    let (paid, discount) = (record.totals.shipping, record.totals.shipping_discount);
    if paid == 0 && discount == 0 && record.shipping_method.is_none() {
        return None;
    }
    Some(QuotedDelivery {
        option: DeliveryOption {
            handle: IMPORTED_DELIVERY.to_owned(),
            title: record.shipping_method.clone().unwrap_or_else(|| DEFAULT_DELIVERY_TITLE.to_owned()),
            strategy: IMPORTED_DELIVERY.to_owned(),
            price: paid.saturating_add(discount),
            pickup: None,
        },
        discounts: allocation(record.discount_code.as_ref(), discount).into_iter().collect(),
        taxes: Vec::new(),
    })
}

fn is_fully_refunded(record: &OrderRecord) -> bool {
    record.refunded > 0 && record.refunded == record.totals.total
}

/// When the refund was made: not in the file, so it is when the order was cancelled or paid.
fn refunded_at(record: &OrderRecord) -> Timestamp {
    record.cancelled_at.or(record.paid_at).unwrap_or(record.placed_at)
}

fn payments(record: &OrderRecord, order_id: OrderId, refund_id: Option<RefundId>) -> Vec<Payment> {
    let paid_at = record.paid_at.unwrap_or(record.placed_at);
    let row = |kind: PaymentKind, amount: i64, refund_id: Option<RefundId>, occurred_at: Timestamp| Payment {
        id: PaymentId::generate(),
        order_id,
        provider: IMPORT_PROVIDER.to_owned(),
        provider_event_id: format!("import:{}:{}", record.name, kind.as_str()),
        kind,
        amount,
        reference: record.payment_reference.clone(),
        message: record.payment_method.clone(),
        refund_id,
        occurred_at,
        attempt_id: None,
    };
    let mut rows = Vec::new();
    if record.financial == FinancialStatus::Authorized && record.totals.total > 0 {
        rows.push(row(PaymentKind::Authorized, record.totals.total, None, paid_at));
    }
    if record.captured > 0 {
        rows.push(row(PaymentKind::Captured, record.captured, None, paid_at));
    }
    if record.refunded > 0 {
        rows.push(row(PaymentKind::Refunded, record.refunded, refund_id, refunded_at(record)));
    }
    rows
}

/// Builds the refund. Its lines are known only when everything was refunded.
fn refund(record: &OrderRecord, lines: &[OrderLine], order_id: OrderId) -> Option<Refund> {
    let line = |line: &OrderLine| {
        let tax = if record.totals.taxes_included == Some(false) { line.tax_total } else { 0 };
        let amount = line.total().saturating_add(tax);
        RefundedLine {
            line_id: line.id,
            quantity: line.quantity,
            amount,
            tax: Some(line.tax_total),
            restocked: Vec::new(),
        }
    };
    let refunded_lines = if is_fully_refunded(record) { lines } else { &[] };
    let lines: Vec<RefundedLine> = refunded_lines.iter().map(line).collect();
    let of_lines: i64 = lines.iter().map(|line| line.amount).sum();
    let rest = record.refunded.saturating_sub(of_lines).max(0);
    (record.refunded > 0).then(|| Refund {
        id: RefundId::generate(),
        order_id,
        amount: record.refunded,
        note: String::new(),
        delivery: if lines.is_empty() { 0 } else { rest.min(record.totals.shipping) },
        lines: Json(lines),
        created_at: refunded_at(record),
        // The file does not state the tax on shipping.
        delivery_tax: 0,
    })
}

/// Builds a single fulfillment for everything that was shipped.
fn fulfillment(record: &OrderRecord, lines: &[OrderLine], order_id: OrderId) -> Option<Fulfillment> {
    let shipped_lines = lines.iter().filter(|line| line.fulfilled_quantity > 0);
    let lines: Vec<FulfilledLine> = shipped_lines
        .map(|line| FulfilledLine { line_id: line.id, quantity: line.fulfilled_quantity, taken: Vec::new() })
        .collect();
    let at = record.fulfilled_at.or(record.paid_at).unwrap_or(record.placed_at);
    (!lines.is_empty()).then(|| Fulfillment {
        id: FulfillmentId::generate(),
        order_id,
        status: FulfillmentState::Success,
        tracking_company: None,
        tracking_number: None,
        tracking_url: None,
        lines: Json(lines),
        created_at: at,
        updated_at: at,
    })
}
