//! Draft orders: staff put lines together, give discounts by hand, and make an order of it, whose stock is reserved then.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hand::{by_hand, event as paid_event};
use super::{MAX_LINES, Orders, check_note};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, DbError, Tx};
use crate::domain::address::Address;
use crate::domain::cart::Attribute;
use crate::domain::draft::{Draft, DraftDiscount, DraftDiscountType, DraftLine};
use crate::domain::event::{DraftOrderEvent, Event, OrderPlacedEvent};
use crate::domain::ids::{CustomerId, DraftOrderId, Id, OrderId, OrderLineId, VariantId};
use crate::domain::money::Currency;
use crate::domain::order::OrderStatus;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::domain::permission::Permission;
use crate::domain::quote::Quote;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::discounts::{self, Buyer};
use crate::repositories::draft_orders::{self, DraftOrder};
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments;
use crate::services::idempotency::Once;
use crate::services::pricing::{Basket, BasketLine, Priced};
use crate::services::stock::{self, Plan, Want};
use crate::services::validate::Problems;
use crate::services::{address, credentials, set};

/// The input's field that names a draft.
const DRAFT: &[&str] = &["id"];
/// How many pieces a line may have.
const MAX_QUANTITY: i64 = 1_000_000;

/// A draft's fields: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DraftInput {
    /// What is bought.
    pub lines: Option<Vec<DraftLineInput>>,
    /// Who buys.
    pub customer_id: Option<Option<CustomerId>>,
    /// Their e-mail address.
    pub email: Option<Option<String>>,
    /// Their phone number.
    pub phone: Option<Option<String>>,
    /// Where it is sent.
    pub shipping_address: Option<Option<Address>>,
    /// Where the bill goes.
    pub billing_address: Option<Option<Address>>,
    /// The handle of the delivery option.
    pub delivery_option: Option<Option<String>>,
    /// A discount on all lines.
    pub discount: Option<Option<DiscountInput>>,
    /// What staff write for the buyer.
    pub note: Option<String>,
    /// What else is noted.
    pub attributes: Option<Vec<Attribute>>,
}

/// A line of a draft.
#[derive(Clone, Debug, Serialize)]
pub struct DraftLineInput {
    /// What is bought.
    pub variant_id: VariantId,
    /// How many pieces.
    pub quantity: i64,
    /// A discount on this line.
    pub discount: Option<DiscountInput>,
    /// What else is noted.
    pub attributes: Vec<Attribute>,
}

/// A discount that staff give by hand.
#[derive(Clone, Debug, Serialize)]
pub struct DiscountInput {
    /// What buyers read.
    pub title: Option<String>,
    /// What `value` is.
    pub kind: DraftDiscountType,
    /// An amount, or a number of hundredths: 10 is 10 %. A decimal number.
    pub value: String,
}

/// A draft that became an order.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The draft.
    pub draft: DraftOrder,
    /// The order.
    pub order: Order,
}

/// A draft's completion as its sender asked for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Completion {
    id: DraftOrderId,
    payment_pending: bool,
}

impl Orders {
    /// One draft.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not see orders.
    pub async fn draft(&self, op: &OpContext, id: DraftOrderId) -> Result<Option<DraftOrder>, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(draft_orders::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// A page of drafts, in the order they were begun.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not see orders.
    pub async fn drafts(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<DraftOrder>, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(draft_orders::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// How many drafts there are.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to those who may not see orders.
    pub async fn count_drafts(&self, op: &OpContext) -> Result<i64, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(draft_orders::count(&mut self.db.read(&op.statements).await?).await?)
    }

    /// Begins a draft.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn create_draft(
        &self,
        op: &OpContext,
        input: &DraftInput,
        key: Option<&str>,
    ) -> Result<DraftOrder, Error> {
        op.authorize(Permission::WriteOrders)?;
        let draft = self.patched(Draft::default(), input)?;
        let once = Once::new(key, "draftOrderCreate", input)?;
        let id = in_tx!(self, op, |tx| self.create_in(tx, op, draft.clone(), once.as_ref()))?;
        self.draft_after(op, id).await
    }

    /// Changes a draft; its lines are replaced as a whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, or when it is an order already; [`Error::Conflict`] for a key that was used
    /// otherwise.
    pub async fn update_draft(
        &self,
        op: &OpContext,
        id: DraftOrderId,
        input: &DraftInput,
        key: Option<&str>,
    ) -> Result<DraftOrder, Error> {
        op.authorize(Permission::WriteOrders)?;
        let once = Once::new(key, "draftOrderUpdate", &(id, input))?;
        let id = in_tx!(self, op, |tx| self.update_in(tx, op, id, input, once.as_ref()))?;
        self.draft_after(op, id).await
    }

    /// Makes an order of a draft, at the prices of this moment: its stock is reserved and its discounts are used up. With
    /// `payment_pending` it waits until it is marked as paid; without, it is paid for by a way of its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that can't be had; [`Error::Conflict`] for a key that was used otherwise.
    pub async fn complete_draft(
        &self,
        op: &OpContext,
        id: DraftOrderId,
        payment_pending: bool,
        key: Option<&str>,
    ) -> Result<Completed, Error> {
        op.authorize(Permission::WriteOrders)?;
        let completion = Completion { id, payment_pending };
        let once = Once::new(key, "draftOrderComplete", &completion)?;
        let order = in_tx!(self, op, |tx| self.complete_in(tx, op, completion, once.as_ref()))?;
        Ok(Completed { draft: self.draft_after(op, id).await?, order: self.reload(op, order).await? })
    }

    async fn draft_after(&self, op: &OpContext, id: DraftOrderId) -> Result<DraftOrder, Error> {
        let row = draft_orders::find(&mut self.db.read(&op.statements).await?, id).await?;
        row.ok_or_else(no_draft)
    }

    async fn create_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        mut draft: Draft,
        once: Option<&Once<'_>>,
    ) -> Result<DraftOrderId, Error> {
        if let Some(once) = once
            && let Some(answer) = once.answer(tx, op).await?
        {
            return Ok(answer);
        }
        let priced = self.price_draft(op, tx.conn(), &draft).await?;
        check_variants(&draft, &priced)?;
        draft.quote = Some(priced.quote);
        let row = DraftOrder {
            id: DraftOrderId::generate(),
            draft: Json(draft),
            order_id: None,
            created_at: op.now(),
            updated_at: op.now(),
        };
        draft_orders::insert(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: row.id, order_id: None };
        events::append(tx, op, [Event::DraftOrderCreated(event)]).await?;
        if let Some(once) = once {
            once.keep(tx, op, &row.id).await?;
        }
        Ok(row.id)
    }

    async fn update_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: DraftOrderId,
        input: &DraftInput,
        once: Option<&Once<'_>>,
    ) -> Result<DraftOrderId, Error> {
        let mut row = draft_orders::lock(tx.conn(), id).await?.ok_or_else(no_draft)?;
        if let Some(once) = once
            && let Some(answer) = once.answer(tx, op).await?
        {
            return Ok(answer);
        }
        if row.order_id.is_some() {
            return Err(is_order_already());
        }
        let mut draft = self.patched(row.draft.0, input)?;
        let priced = self.price_draft(op, tx.conn(), &draft).await?;
        if input.lines.is_some() {
            check_variants(&draft, &priced)?;
        }
        draft.quote = Some(priced.quote);
        row.draft = Json(draft);
        row.updated_at = op.now();
        draft_orders::update(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: id, order_id: None };
        events::append(tx, op, [Event::DraftOrderUpdated(event)]).await?;
        if let Some(once) = once {
            once.keep(tx, op, &id).await?;
        }
        Ok(id)
    }

    async fn complete_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        completion: Completion,
        once: Option<&Once<'_>>,
    ) -> Result<OrderId, Error> {
        let mut row = draft_orders::lock(tx.conn(), completion.id).await?.ok_or_else(no_draft)?;
        if let Some(once) = once
            && let Some(answer) = once.answer(tx, op).await?
        {
            return Ok(answer);
        }
        if row.order_id.is_some() {
            return Err(is_order_already());
        }
        let draft = row.draft.0.clone();
        if draft.lines.is_empty() {
            return Err(Error::invalid(DRAFT, UserErrorCode::Blank, "The draft has no lines"));
        }
        let priced = self.price_draft(op, tx.conn(), &draft).await?;
        let plan = plan(&draft, &priced)?;
        let mut order = self.order_of(op, &draft, &priced.quote)?;
        let mut paid = None;
        let payment =
            (!completion.payment_pending || order.total == 0).then(|| by_hand(op, &order, order.total));
        if let Some(payment) = &payment {
            order.status = OrderStatus::Paid;
            paid = Some(Event::OrderPaid(paid_event(payment)));
        }
        orders::insert(tx.conn(), &order).await.map_err(|error| match error {
            DbError::ForeignKey(..) => {
                Error::invalid(DRAFT, UserErrorCode::NotFound, "The draft's customer does not exist")
            }
            error => error.into(),
        })?;
        orders::insert_lines(tx.conn(), order_lines(&order, &draft, &priced, &plan)).await?;
        if let Some(payment) = payment.filter(|payment| payment.amount > 0) {
            payments::insert(tx.conn(), &payment).await?;
        }
        row.order_id = Some(order.id);
        row.draft.0.quote = Some(priced.quote);
        row.updated_at = op.now();
        draft_orders::update(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: row.id, order_id: Some(order.id) };
        if let Some(once) = once {
            once.keep(tx, op, &order.id).await?;
        }
        let used = &priced.counted_discounts;
        if discounts::use_up(tx.conn(), used, order.id, order.buyer(), op.now()).await?.is_some() {
            let message = "A discount takes nothing off any more: try again";
            return Err(Error::invalid(DRAFT, UserErrorCode::Stale, message));
        }
        // If somebody was faster: tried again, it is seen what is left.
        let reserved = stock::reserve_plan(tx, op, &plan, self.shop.low_stock).await?;
        let reserved = reserved.ok_or_else(DbError::clash)?;
        orders::give_number(tx.conn(), &mut order).await?;
        let placed = Event::OrderPlaced(OrderPlacedEvent {
            order_id: order.id,
            number: order.number,
            total: order.total,
            currency: order.currency.clone(),
        });
        let happened = [Some(placed), paid, Some(Event::DraftOrderCompleted(event))];
        events::append(tx, op, happened.into_iter().flatten().chain(reserved)).await?;
        Ok(order.id)
    }

    /// What a draft costs at this moment, its discounts by hand included.
    async fn price_draft(&self, op: &OpContext, conn: &mut Conn, draft: &Draft) -> Result<Priced, Error> {
        let line = |line: &DraftLine| BasketLine {
            key: line.key,
            variant_id: line.variant_id,
            quantity: line.quantity,
        };
        let basket = Basket {
            lines: draft.lines.iter().map(line).collect(),
            codes: &[],
            buyer: Buyer { customer_id: draft.customer_id, email: draft.email.as_deref() },
            destination: draft.shipping_address.as_ref(),
            country: None,
            delivery_option: draft.delivery_option.as_deref(),
        };
        let mut priced = self.pricing.price_order(op, conn, &basket).await?;
        draft.discount(&mut priced.quote);
        Ok(priced)
    }

    fn order_of(&self, op: &OpContext, draft: &Draft, quote: &Quote) -> Result<Order, Error> {
        let shipping = draft.shipping_address.clone();
        let billing = draft.billing_address.clone().or_else(|| shipping.clone());
        Ok(Order {
            id: OrderId::generate(),
            number: None,
            cart_id: None,
            imported_as: None,
            customer_id: draft.customer_id,
            email: draft.email.clone(),
            phone: draft.phone.clone(),
            status: OrderStatus::PendingPayment,
            currency: self.shop.currency.code().to_owned(),
            taxes_included: quote.taxes_included,
            subtotal: quote.subtotal,
            discount_total: quote.discount_total,
            shipping_total: quote.shipping_total,
            tax_total: quote.tax_total,
            total: quote.total,
            delivery: Json(quote.delivery.clone()),
            shipping_address: shipping.map(Json),
            billing_address: billing.map(Json),
            note: draft.note.clone(),
            attributes: Json(draft.attributes.clone()),
            cancel_reason: None,
            // Staff put it together, and staff decide how long it waits.
            expires_at: None,
            placed_at: op.now(),
            cancelled_at: None,
            updated_at: op.now(),
            fulfillment_opened_at: None,
            language: op.locale.language.map(str::to_owned),
            token_hash: None,
            tags: Json(Vec::new()),
        })
    }

    /// The draft with an input's fields, or everything that is wrong with them.
    fn patched(&self, mut draft: Draft, input: &DraftInput) -> Result<Draft, Error> {
        let mut problems = Problems::default();
        let currency = self.shop.currency;
        if let Some(lines) = &input.lines {
            if lines.len() > MAX_LINES {
                let message = format!("A draft has up to {MAX_LINES} lines");
                problems.add(&["draftOrder", "lineItems"], UserErrorCode::TooMany, message);
            }
            let line = |(at, line): (usize, &DraftLineInput)| {
                let at = at.to_string();
                if !(1..=MAX_QUANTITY).contains(&line.quantity) {
                    let message = format!("Quantity must be between 1 and {MAX_QUANTITY}");
                    problems.add(
                        &["draftOrder", "lineItems", &at, "quantity"],
                        UserErrorCode::Invalid,
                        message,
                    );
                }
                let field = ["draftOrder", "lineItems", &at, "appliedDiscount", "value"];
                let discount =
                    line.discount.as_ref().map(|sent| discount(&mut problems, &field, sent, currency));
                let key = OrderLineId::generate().uuid();
                let attributes = line.attributes.clone();
                DraftLine { key, variant_id: line.variant_id, quantity: line.quantity, discount, attributes }
            };
            draft.lines = lines.iter().enumerate().map(line).collect();
        }
        if let Some(sent) = &input.discount {
            let field = ["draftOrder", "appliedDiscount", "value"];
            draft.discount = sent.as_ref().map(|sent| discount(&mut problems, &field, sent, currency));
        }
        if let Some(email) = &input.email {
            let email = email.as_deref().filter(|email| !email.trim().is_empty());
            draft.email =
                email.map(|email| credentials::email(&mut problems, &["draftOrder", "email"], email));
        }
        for (name, kept, sent) in [
            ("shippingAddress", &mut draft.shipping_address, &input.shipping_address),
            ("billingAddress", &mut draft.billing_address, &input.billing_address),
        ] {
            if let Some(sent) = sent {
                *kept = sent.as_ref().map(|sent| address::check(&mut problems, &["draftOrder", name], sent));
            }
        }
        set(&mut draft.customer_id, input.customer_id.as_ref());
        set(&mut draft.phone, input.phone.as_ref());
        set(&mut draft.delivery_option, input.delivery_option.as_ref());
        set(&mut draft.note, input.note.as_ref());
        set(&mut draft.attributes, input.attributes.as_ref());
        problems.line(&["draftOrder", "phone"], draft.phone.as_deref().unwrap_or_default());
        problems.line(
            &["draftOrder", "deliveryOptionHandle"],
            draft.delivery_option.as_deref().unwrap_or_default(),
        );
        check_note(&mut problems, &["draftOrder", "note"], &draft.note);
        let lines = draft.lines.iter().flat_map(|line| &line.attributes);
        for attribute in lines.chain(&draft.attributes) {
            problems.required(&["draftOrder", "customAttributes", "key"], &attribute.key);
            check_note(&mut problems, &["draftOrder", "customAttributes", "value"], &attribute.value);
        }
        problems.check()?;
        Ok(draft)
    }
}

/// A discount as it is kept; what is wrong with it is noted.
fn discount(
    problems: &mut Problems,
    field: &[&str],
    sent: &DiscountInput,
    currency: Currency,
) -> DraftDiscount {
    let title = sent.title.as_deref().map(str::trim).filter(|title| !title.is_empty()).unwrap_or("Discount");
    problems.line(field, title);
    let value = match sent.kind {
        DraftDiscountType::FixedAmount => problems.amount(field, &sent.value, currency),
        DraftDiscountType::Percentage => match percentage(&sent.value) {
            Some(micros) => micros,
            None => {
                let message = "A percentage is a number from 0 to 100 with up to four decimals";
                problems.add(field, UserErrorCode::Invalid, message);
                0
            }
        },
    };
    DraftDiscount { title: title.to_owned(), kind: sent.kind, value }
}

/// A number of hundredths in millionths: 12.5 is 125000.
fn percentage(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || !is_number(whole) || !is_number(fraction)
    {
        return None;
    }
    let micros = format!("{whole}{fraction:0<4}").parse::<i64>().ok()?;
    (micros <= 1_000_000).then_some(micros)
}

/// Sees that everything can be bought at all.
fn check_variants(draft: &Draft, priced: &Priced) -> Result<(), Error> {
    let mut problems = Problems::default();
    for (at, line) in draft.lines.iter().enumerate() {
        if priced.quote.lines.iter().all(|quoted| quoted.key != line.key) {
            let field = ["draftOrder", "lineItems", &at.to_string(), "variantId"];
            problems.add(
                &field,
                UserErrorCode::NotFound,
                "Product variant does not exist or is not for sale",
            );
        }
    }
    problems.check()
}

/// Which pieces the order gets, or everything that can't be had.
fn plan(draft: &Draft, priced: &Priced) -> Result<Plan, Error> {
    let mut problems = Problems::default();
    let is_sold = |line: &&DraftLine| priced.quote.lines.iter().any(|quoted| quoted.key == line.key);
    if draft.lines.iter().filter(is_sold).count() < draft.lines.len() {
        problems.add(DRAFT, UserErrorCode::NotFound, "Something in the draft can't be bought any more");
    }
    let is_sent = priced.variants.values().any(|(variant, _)| variant.requires_shipping);
    if is_sent && draft.delivery_option.is_some() && priced.quote.delivery.is_none() {
        let message = "The delivery option can't be had for this address: choose another, or none";
        problems.add(DRAFT, UserErrorCode::Stale, message);
    }
    let want = |line: &DraftLine| {
        let (variant, _) = priced.variants.get(&line.variant_id)?;
        Some(Want::of(variant, line.quantity))
    };
    let wants: Vec<Want> = draft.lines.iter().filter_map(want).collect();
    let planned = stock::plan(&wants, &priced.levels);
    for short in planned.as_ref().err().into_iter().flatten() {
        let title = priced.variants.get(&short.variant_id).map_or("a product", |(_, product)| &product.title);
        let message = format!("Only {} of {title} can be had", short.available);
        problems.add(DRAFT, UserErrorCode::InsufficientStock, message);
    }
    problems.check()?;
    planned.map_err(|_| Error::invalid(DRAFT, UserErrorCode::InsufficientStock, "Sold out"))
}

/// The order's lines: what is sold, as it is at this moment.
fn order_lines(order: &Order, draft: &Draft, priced: &Priced, plan: &Plan) -> Vec<OrderLine> {
    let quoted: HashMap<Uuid, _> = priced.quote.lines.iter().map(|line| (line.key, line)).collect();
    let line = |((position, line), reserved): ((i64, &DraftLine), &Vec<_>)| {
        let (variant, product) = priced.variants.get(&line.variant_id)?;
        let quoted = quoted.get(&line.key)?;
        Some(OrderLine {
            id: OrderLineId::generate(),
            order_id: order.id,
            position,
            variant_id: Some(variant.id),
            title: product.title.clone(),
            variant_title: variant.title.clone(),
            sku: variant.sku.clone(),
            vendor: product.vendor.clone(),
            quantity: quoted.quantity,
            unit_price: quoted.unit_price,
            discount_total: quoted.discount_total,
            tax_total: quoted.tax_total,
            discounts: Json(quoted.discounts.clone()),
            taxes: Json(quoted.taxes.clone()),
            attributes: Json(line.attributes.clone()),
            requires_shipping: variant.requires_shipping,
            weight_milligrams: variant.weight_milligrams,
            reserved: Json(reserved.clone()),
            fulfilled_quantity: 0,
            refunded_quantity: 0,
            picked: Json(Vec::new()),
            product_id: Some(product.id),
        })
    };
    // Every line is quoted and planned, or the draft would have been refused.
    (1..).zip(&draft.lines).zip(&plan.lines).filter_map(line).collect()
}

fn no_draft() -> Error {
    Error::invalid(DRAFT, UserErrorCode::NotFound, "Draft order does not exist")
}

fn is_order_already() -> Error {
    Error::invalid(DRAFT, UserErrorCode::NotAllowed, "The draft is an order already: it allows nothing more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_exact() {
        for (text, micros) in
            [("10", 100_000), ("12.5", 125_000), ("0.0001", 1), ("100", 1_000_000), ("0", 0)]
        {
            assert_eq!(percentage(text), Some(micros), "{text}");
        }
        for text in ["", "-1", "100.1", "1e2", "10%", "0.00001", "1,5", "."] {
            assert_eq!(percentage(text), None, "{text}");
        }
    }
}
