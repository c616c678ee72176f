//! Draft orders: staff assemble lines, apply manual discounts and complete the draft, which turns
//! it into an order and reserves its stock.

use serde::{Deserialize, Serialize};

use super::draft_discount::{DiscountInput, parse_discount};
use super::lines::MAX_LINES;
use super::staff_actions::manual_payment;
use super::{Orders, check_note};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::carts::Attribute;
use crate::domain::checkout::quotes::Quote;
use crate::domain::customers::addresses::Address;
use crate::domain::events::{DraftOrderEvent, Event, OrderPlacedEvent};
use crate::domain::ids::{CustomerId, DraftOrderId, Id, OrderId, OrderLineId, VariantId};
use crate::domain::money::Currency;
use crate::domain::orders::OrderStatus;
use crate::domain::orders::drafts::{Draft, DraftLine};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::checkout::discounts::{self, Buyer};
use crate::repositories::orders::drafts::{self, DraftOrder};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments;
use crate::services::access::credentials;
use crate::services::catalog::inventory::stock::{self, Demand, ReservationPlan};
use crate::services::checkout::order_lines::{OrderedLine, order_lines};
use crate::services::checkout::pricing::{Basket, BasketLine, PricedBasket};
use crate::services::idempotency::{IdempotentCall, run_once};
use crate::services::input::{Problems, addresses};
use crate::services::set;

/// The argument that identifies a draft.
const DRAFT: &[&str] = &["id"];
/// Maximum quantity of a line.
const MAX_QUANTITY: i64 = 1_000_000;

/// The fields of a draft. `None` keeps a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DraftInput {
    /// The lines.
    pub lines: Option<Vec<DraftLineInput>>,
    /// The customer.
    pub customer_id: Option<Option<CustomerId>>,
    /// E-mail address.
    pub email: Option<Option<String>>,
    /// Phone number.
    pub phone: Option<Option<String>>,
    /// Shipping address.
    pub shipping_address: Option<Option<Address>>,
    /// Billing address.
    pub billing_address: Option<Option<Address>>,
    /// Handle of the delivery option.
    pub delivery_option: Option<Option<String>>,
    /// A discount on the whole order.
    pub discount: Option<Option<DiscountInput>>,
    /// A note to the buyer.
    pub note: Option<String>,
    /// Custom attributes.
    pub attributes: Option<Vec<Attribute>>,
}

/// A line of a draft.
#[derive(Clone, Debug, Serialize)]
pub struct DraftLineInput {
    /// The variant.
    pub variant_id: VariantId,
    /// Number of units.
    pub quantity: i64,
    /// A discount on this line.
    pub discount: Option<DiscountInput>,
    /// Custom attributes.
    pub attributes: Vec<Attribute>,
}

/// A completed draft and the resulting order.
#[derive(Clone, Debug)]
pub struct CompletedDraft {
    /// The draft.
    pub draft: DraftOrder,
    /// The order.
    pub order: Order,
}

/// The input of a completion.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct DraftCompletion {
    id: DraftOrderId,
    payment_pending: bool,
}

impl Orders {
    /// The draft with this id.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to read orders.
    pub async fn draft(&self, op: &OpContext, id: DraftOrderId) -> Result<Option<DraftOrder>, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(drafts::find(&mut self.db.read(&op.statements).await?, id).await?)
    }

    /// A page of drafts, oldest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to read orders.
    pub async fn drafts(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<DraftOrder>, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(drafts::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Counts all drafts.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to read orders.
    pub async fn count_drafts(&self, op: &OpContext) -> Result<i64, Error> {
        op.authorize(Permission::ReadOrders)?;
        Ok(drafts::count(&mut self.db.read(&op.statements).await?).await?)
    }

    /// Creates a draft.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems; [`Error::Conflict`] when the key was used for a
    /// different request.
    pub async fn create_draft(
        &self,
        op: &OpContext,
        input: &DraftInput,
        key: Option<&str>,
    ) -> Result<DraftOrder, Error> {
        op.authorize(Permission::WriteOrders)?;
        let draft = self.apply_input(Draft::default(), input)?;
        let call = IdempotentCall::new(key, "draftOrderCreate", input)?;
        let id = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            self.create_draft_in(tx, op, draft.clone()).await
        })
        .await?;
        self.reload_draft(op, id).await
    }

    /// Updates a draft. Its lines are replaced as a whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or when the draft has been completed;
    /// [`Error::Conflict`] when the key was used for a different request.
    pub async fn update_draft(
        &self,
        op: &OpContext,
        id: DraftOrderId,
        input: &DraftInput,
        key: Option<&str>,
    ) -> Result<DraftOrder, Error> {
        op.authorize(Permission::WriteOrders)?;
        let call = IdempotentCall::new(key, "draftOrderUpdate", &(id, input))?;
        let id = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            self.update_draft_in(tx, op, id, input).await
        })
        .await?;
        self.reload_draft(op, id).await
    }

    /// Turns a draft into an order at current prices, reserves its stock and redeems its discounts.
    /// With `payment_pending`, the order waits until it is marked as paid; otherwise it counts as
    /// paid manually.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is not available; [`Error::Conflict`] when the key
    /// was used for a different request.
    pub async fn complete_draft(
        &self,
        op: &OpContext,
        id: DraftOrderId,
        payment_pending: bool,
        key: Option<&str>,
    ) -> Result<CompletedDraft, Error> {
        op.authorize(Permission::WriteOrders)?;
        let completion = DraftCompletion { id, payment_pending };
        let call = IdempotentCall::new(key, "draftOrderComplete", &completion)?;
        let order = run_once(&self.db, op, call.as_ref(), async |tx: &mut Tx| {
            self.complete_draft_in(tx, op, completion).await
        })
        .await?;
        Ok(CompletedDraft { draft: self.reload_draft(op, id).await?, order: self.reload(op, order).await? })
    }

    async fn reload_draft(&self, op: &OpContext, id: DraftOrderId) -> Result<DraftOrder, Error> {
        let row = drafts::find(&mut self.db.read(&op.statements).await?, id).await?;
        row.ok_or_else(draft_not_found)
    }

    async fn create_draft_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        mut draft: Draft,
    ) -> Result<DraftOrderId, Error> {
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
        drafts::insert(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: row.id, order_id: None };
        events::append(tx, op, [Event::DraftOrderCreated(event)]).await?;
        Ok(row.id)
    }

    async fn update_draft_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        id: DraftOrderId,
        input: &DraftInput,
    ) -> Result<DraftOrderId, Error> {
        let mut row = drafts::lock(tx.conn(), id).await?.ok_or_else(draft_not_found)?;
        if row.order_id.is_some() {
            return Err(draft_completed());
        }
        let mut draft = self.apply_input(row.draft.0, input)?;
        let priced = self.price_draft(op, tx.conn(), &draft).await?;
        if input.lines.is_some() {
            check_variants(&draft, &priced)?;
        }
        draft.quote = Some(priced.quote);
        row.draft = Json(draft);
        row.updated_at = op.now();
        drafts::update(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: id, order_id: None };
        events::append(tx, op, [Event::DraftOrderUpdated(event)]).await?;
        Ok(id)
    }

    async fn complete_draft_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        completion: DraftCompletion,
    ) -> Result<OrderId, Error> {
        let mut row = drafts::lock(tx.conn(), completion.id).await?.ok_or_else(draft_not_found)?;
        if row.order_id.is_some() {
            return Err(draft_completed());
        }
        let draft = row.draft.0.clone();
        if draft.lines.is_empty() {
            return Err(Error::invalid(DRAFT, UserErrorCode::Blank, "The draft has no lines"));
        }
        let priced = self.price_draft(op, tx.conn(), &draft).await?;
        let plan = plan(&draft, &priced)?;
        let mut order = self.order_of(op, &draft, &priced.quote);
        let mut paid = None;
        let payment = (!completion.payment_pending || order.total == 0)
            .then(|| manual_payment(op, &order, order.total));
        if let Some(payment) = &payment {
            order.status = OrderStatus::Paid;
            paid = Some(Event::OrderPaid(payment.event()));
        }
        orders::insert(tx.conn(), &order).await.map_err(|error| match error {
            DbError::ForeignKey(..) => {
                Error::invalid(DRAFT, UserErrorCode::NotFound, "The draft's customer does not exist")
            }
            error => error.into(),
        })?;
        let ordered =
            draft.lines.iter().map(|line| OrderedLine { key: line.key, attributes: &line.attributes });
        orders::insert_lines(tx.conn(), order_lines(order.id, ordered, &priced, &plan)).await?;
        if let Some(payment) = payment.filter(|payment| payment.amount > 0) {
            payments::insert(tx.conn(), &payment).await?;
        }
        row.order_id = Some(order.id);
        row.draft.0.quote = Some(priced.quote);
        row.updated_at = op.now();
        drafts::update(tx.conn(), &row).await?;
        let event = DraftOrderEvent { draft_order_id: row.id, order_id: Some(order.id) };
        let used = &priced.counted_discounts;
        if discounts::use_up(tx.conn(), used, order.id, order.buyer(), op.now()).await?.is_some() {
            let message = "A discount no longer applies: try again";
            return Err(Error::invalid(DRAFT, UserErrorCode::Stale, message));
        }
        // A concurrent order was faster: retry with the current stock levels.
        let reserved = stock::reserve_plan(tx, op, &plan, self.shop.low_stock).await?;
        let reserved = reserved.ok_or_else(DbError::conflict)?;
        orders::assign_number(tx.conn(), &mut order).await?;
        let placed = Event::OrderPlaced(OrderPlacedEvent {
            order_id: order.id,
            number: order.number,
            total: order.total,
            currency: order.currency.clone(),
        });
        let events = [Some(placed), paid, Some(Event::DraftOrderCompleted(event))];
        events::append(tx, op, events.into_iter().flatten().chain(reserved)).await?;
        Ok(order.id)
    }

    /// Prices a draft, including its manual discounts.
    async fn price_draft(
        &self,
        op: &OpContext,
        conn: &mut Conn,
        draft: &Draft,
    ) -> Result<PricedBasket, Error> {
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
        draft.apply_discounts(&mut priced.quote);
        Ok(priced)
    }

    fn order_of(&self, op: &OpContext, draft: &Draft, quote: &Quote) -> Order {
        let shipping = draft.shipping_address.clone();
        let billing = draft.billing_address.clone().or_else(|| shipping.clone());
        Order {
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
            // Orders of staff do not expire by themselves.
            expires_at: None,
            placed_at: op.now(),
            cancelled_at: None,
            updated_at: op.now(),
            fulfillment_opened_at: None,
            language: op.locale.language.map(str::to_owned),
            token_hash: None,
            tags: Json(Vec::new()),
        }
    }

    /// Applies the input to a draft, or returns all problems.
    fn apply_input(&self, mut draft: Draft, input: &DraftInput) -> Result<Draft, Error> {
        let mut problems = Problems::default();
        let currency = self.shop.currency;
        if let Some(lines) = &input.lines {
            draft.lines = draft_lines(&mut problems, lines, currency);
        }
        if let Some(discount) = &input.discount {
            let field = ["draftOrder", "appliedDiscount", "value"];
            draft.discount =
                discount.as_ref().map(|discount| parse_discount(&mut problems, &field, discount, currency));
        }
        if let Some(email) = &input.email {
            let email = email.as_deref().filter(|email| !email.trim().is_empty());
            draft.email =
                email.map(|email| credentials::check_email(&mut problems, &["draftOrder", "email"], email));
        }
        for (name, kept, address) in [
            ("shippingAddress", &mut draft.shipping_address, &input.shipping_address),
            ("billingAddress", &mut draft.billing_address, &input.billing_address),
        ] {
            if let Some(address) = address {
                *kept = address
                    .as_ref()
                    .map(|address| addresses::check(&mut problems, &["draftOrder", name], address));
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

/// The lines of a draft, each with a new key.
fn draft_lines(problems: &mut Problems, lines: &[DraftLineInput], currency: Currency) -> Vec<DraftLine> {
    if lines.len() > MAX_LINES {
        let message = format!("A draft has up to {MAX_LINES} lines");
        problems.add(&["draftOrder", "lineItems"], UserErrorCode::TooMany, message);
    }
    let line = |(at, line): (usize, &DraftLineInput)| {
        let at = at.to_string();
        if !(1..=MAX_QUANTITY).contains(&line.quantity) {
            let message = format!("Quantity must be between 1 and {MAX_QUANTITY}");
            problems.add(&["draftOrder", "lineItems", &at, "quantity"], UserErrorCode::Invalid, message);
        }
        let field = ["draftOrder", "lineItems", &at, "appliedDiscount", "value"];
        let discount = line.discount.as_ref().map(|input| parse_discount(problems, &field, input, currency));
        let key = OrderLineId::generate().uuid();
        let attributes = line.attributes.clone();
        DraftLine { key, variant_id: line.variant_id, quantity: line.quantity, discount, attributes }
    };
    lines.iter().enumerate().map(line).collect()
}

/// Checks that all variants exist and are for sale.
fn check_variants(draft: &Draft, priced: &PricedBasket) -> Result<(), Error> {
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

/// Chooses the units to reserve, or returns everything that is not available.
fn plan(draft: &Draft, priced: &PricedBasket) -> Result<ReservationPlan, Error> {
    let mut problems = Problems::default();
    let is_sold = |line: &&DraftLine| priced.quote.lines.iter().any(|quoted| quoted.key == line.key);
    if draft.lines.iter().filter(is_sold).count() < draft.lines.len() {
        problems.add(DRAFT, UserErrorCode::NotFound, "Something in the draft is no longer for sale");
    }
    let is_shipped = priced.variants.values().any(|(variant, _)| variant.requires_shipping);
    if is_shipped && draft.delivery_option.is_some() && priced.quote.delivery.is_none() {
        let message = "The delivery option is not available for this address: choose another one, or none";
        problems.add(DRAFT, UserErrorCode::Stale, message);
    }
    let demand = |line: &DraftLine| {
        let (variant, _) = priced.variants.get(&line.variant_id)?;
        Some(Demand::of(variant, line.quantity))
    };
    let demands: Vec<Demand> = draft.lines.iter().filter_map(demand).collect();
    let planned = stock::plan(&demands, &priced.levels);
    for shortfall in planned.as_ref().err().into_iter().flatten() {
        let title =
            priced.variants.get(&shortfall.variant_id).map_or("a product", |(_, product)| &product.title);
        let message = format!("Only {} of {title} available", shortfall.available);
        problems.add(DRAFT, UserErrorCode::InsufficientStock, message);
    }
    problems.check()?;
    planned.map_err(|_error| Error::invalid(DRAFT, UserErrorCode::InsufficientStock, "Sold out"))
}

fn draft_not_found() -> Error {
    Error::invalid(DRAFT, UserErrorCode::NotFound, "Draft order does not exist")
}

fn draft_completed() -> Error {
    Error::invalid(
        DRAFT,
        UserErrorCode::NotAllowed,
        "The draft has been completed and can no longer be changed",
    )
}
