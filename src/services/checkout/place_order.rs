//! Placing an order: turns a cart into an order at current prices in one transaction, and then
//! charges the buyer.
//!
//! The steps of the transaction and their order:
//!
//! - lock the cart, which serializes requests for the same cart;
//! - look up the response stored under the idempotency key;
//! - price the cart, and refuse if the total differs from the one the buyer saw or if a line is not
//!   available;
//! - insert the order;
//! - take what gift cards and store credit pay, see `services::payments::credit`;
//! - redeem discounts and reserve stock: last, because other orders compete for these rows and they
//!   stay locked until the commit;
//! - append the events.
//!
//! Orders of different products don't wait for each other's locks, unless they have the same buyer,
//! limited discount or gift card. The order gets its number at the end or, if it is charged at
//! checkout, after the charge, unless that is declined or the buyer has to act first.
//!
//! Charging happens after the commit, see `services::payments`; paying the order in another way is
//! in `retry`. A repeated request with the same idempotency key waits until a payment in progress
//! has ended, and returns the order as it is then.

mod chosen_payment;
mod completion;
mod credit;
mod holds;
mod input;
mod retry;

pub use chosen_payment::{ChosenPayment, DirectPayment};
pub use completion::{Completion, CompletionState, Readiness, Submission};
pub use holds::HoldLimits;
pub use input::{PlaceOrder, missing_address_parts};
pub use retry::RetryPayment;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::auth::Keys;
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Conn, Db, DbError, OnConstraint, Tx};
use crate::domain::access::actors::Actor;
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::{InventoryPolicy, full_title};
use crate::domain::checkout::carts::CartRef;
use crate::domain::events::{CartEvent, Event, OrderPlacedEvent, PaymentEvent};
use crate::domain::ids::{Id, OrderId, VariantId};
use crate::domain::orders::OrderStatus;
use crate::domain::payments::{PaymentFlow, PaymentKind};
use crate::error::{Error, UserError, UserErrorCode};
use crate::events;
use crate::repositories::catalog::inventory::InventoryLevel;
use crate::repositories::catalog::{products, variants};
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::repositories::checkout::discounts;
use crate::repositories::customers;
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment};
use crate::services::Shop;
use crate::services::access::credentials;
use crate::services::catalog::inventory::stock::{self, Demand, ReservationPlan, Shortfall};
use crate::services::checkout::carts::{basket, may_use};
use crate::services::checkout::order_lines::{OrderedLine, order_lines};
use crate::services::checkout::pricing::{Basket, PricedBasket, Pricing};
use crate::services::checkout::sale;
use crate::services::idempotency::IdempotentCall;
use crate::services::input::Problems;
use crate::services::payments::credit as spending;
use crate::services::payments::{ChargeGuard, CreditPlan, PaymentOutcome, Payments, payment_request};
use holds::Hold;
use input::CheckedOrder;

/// The input field that problems with the cart's contents are reported for.
const CART: &[&str] = &["input", "cartId"];

/// Places orders.
pub struct Checkout {
    db: Db,
    shop: Arc<Shop>,
    pricing: Arc<Pricing>,
    payments: Arc<Payments>,
    holds: HoldLimits,
    keys: Arc<Keys>,
    /// The base URL of the pages of orders, without a trailing slash, if they are elsewhere.
    checkout_url: Option<String>,
}

/// An order whose payment was requested.
#[derive(Clone, Debug)]
pub struct PlacedOrder {
    /// The order.
    pub order: Order,
    /// The problem of the payment: it was declined, or its provider did not respond. The order may
    /// be paid in another way.
    pub problem: Option<UserError>,
}

/// The result of the transaction.
enum Placement {
    /// A new order, or a new payment of an order. If there is something to charge, it comes with
    /// the payment request and the guard that makes repeated requests wait.
    New(Box<Order>, Option<(Box<Payment>, ChargeGuard)>),
    /// The order that was placed earlier with the same idempotency key.
    Replayed(OrderId),
}

/// An order that is about to be placed: of which lines, at which prices, from which stock.
struct PreparedOrder {
    order: Order,
    lines: Vec<CartLine>,
    priced: PricedBasket,
    plan: ReservationPlan,
    /// What gift cards and store credit pay.
    credit: CreditPlan,
    /// The request for the rest of the payment; `None` if nothing is left to pay.
    request: Option<Payment>,
}

/// What earlier attempts of the same request have found out.
#[derive(Default)]
struct RetryState {
    attempts: AtomicU32,
    /// The insert failed because the cart already has an order.
    is_ordered: AtomicBool,
}

impl Checkout {
    /// Creates the service.
    #[must_use]
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        pricing: Arc<Pricing>,
        payments: Arc<Payments>,
        holds: HoldLimits,
        keys: Arc<Keys>,
        checkout_url: Option<String>,
    ) -> Self {
        Self { db, shop, pricing, payments, holds, keys, checkout_url }
    }

    /// Turns a cart into an order, charges it, and returns the updated order. Anyone who has a
    /// guest cart's id and key may order it. A customer's cart can be ordered by the customer, by
    /// staff, and on its checkout page; the order always belongs to the customer.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, among them a changed total; [`Error::Conflict`] when
    /// the key was used for a different request.
    pub async fn place(
        &self,
        op: &OpContext,
        input: &PlaceOrder,
        key: Option<&str>,
    ) -> Result<PlacedOrder, Error> {
        let checked = input.check(&self.shop, &self.payments)?;
        let call = IdempotentCall::new(key, "orderPlace", input)?;
        let call = match op.actor {
            Actor::Anonymous => call.map(|call| call.scoped_to(format!("cart:{}", checked.cart.id.uuid()))),
            _ => call,
        };
        let retry_state = RetryState::default();
        let placement = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.place_in(tx, op, &checked, call.as_ref(), &retry_state).await
            })
            .await?;
        let outcome = match placement {
            Placement::Replayed(id) => self.payments.await_outcome(op, id).await?,
            Placement::New(order, None) => Some(PaymentOutcome::of(*order)),
            Placement::New(order, Some((request, guard))) => {
                let charged = self.payments.charge(op, *order, &request, &checked.method).await;
                // Lets repeated requests that wait for this charge continue.
                drop(guard);
                Some(charged?)
            }
        };
        placed_order(outcome, &["input", "payment"])
    }

    async fn place_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        input: &CheckedOrder,
        call: Option<&IdempotentCall<'_>>,
        retry_state: &RetryState,
    ) -> Result<Placement, Error> {
        let cart = self.lock_cart(tx, op, &input.cart).await?;
        let cart =
            cart.ok_or_else(|| Error::invalid(CART, UserErrorCode::NotFound, "There is no such cart"))?;
        // After taking the lock, so that the response of a concurrent request with the same key is
        // seen. Not with `run_once`, because an order that is found must not be charged again.
        if let Some(call) = call
            && let Some(order) = call.replay(tx.conn(), op).await?
        {
            return Ok(Placement::Replayed(order));
        }
        self.place_locked(tx, op, cart, input, call, retry_state).await
    }

    /// Locks a cart that the actor may order; also returns whether it has an order.
    async fn lock_cart(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &CartRef,
    ) -> Result<Option<(Cart, bool)>, Error> {
        let found = carts::lock(tx.conn(), cart.id).await?;
        Ok(found.filter(|(row, _)| may_order(op, &self.keys, row, &cart.key)))
    }

    async fn place_locked(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        (cart, is_ordered): (Cart, bool),
        input: &CheckedOrder,
        call: Option<&IdempotentCall<'_>>,
        retry_state: &RetryState,
    ) -> Result<Placement, Error> {
        let is_retry = retry_state.attempts.fetch_add(1, Ordering::Relaxed) > 0;
        let has_conflicted = retry_state.is_ordered.load(Ordering::Relaxed);
        if is_ordered || (has_conflicted && !orders::detach_from_cart(tx.conn(), cart.id).await?) {
            let message = "The cart has already been ordered";
            return Err(Error::invalid(CART, UserErrorCode::Taken, message));
        }
        let prepared = self.prepare(tx, op, &cart, input, is_retry).await?;
        prepared.insert(tx, op, call, retry_state).await?;
        let PreparedOrder { mut order, lines, priced, plan, credit, request } = prepared;
        let spent = spending::take(tx, op, order.id, &credit).await?;
        redeem_discounts(tx, op, &order, &priced).await?;
        let flow = input.method.provider.flow();
        if request.is_some() && flow != PaymentFlow::Token {
            let demand = limited_demand(&lines, &priced, &plan);
            let title = |id| priced.variants.get(&id).map(title_of).unwrap_or_default();
            self.holds.admit(tx, op, &order, Hold { flow, demand: &demand }, title).await?;
        }
        // If a concurrent order took the stock first, retry with the current levels.
        let reserved = stock::reserve_plan(tx, op, &plan, self.shop.low_stock).await?;
        let reserved = reserved.ok_or_else(DbError::conflict)?;
        let to_charge = request.filter(|_| flow.is_charged_at_checkout());
        if to_charge.is_none() {
            orders::assign_number(tx.conn(), &mut order).await?;
        }
        // Events come last because they contain the remaining stock; one statement inserts them
        // all.
        let placed = order_placed_events(&order, input.method.provider.name(), &spent);
        events::append(tx, op, placed.into_iter().chain(reserved)).await?;
        // Before the commit, because the order is visible to others afterwards.
        let attempt = to_charge.map(|request| (Box::new(request), self.payments.begin_charge(order.id)));
        Ok(Placement::New(Box::new(order), attempt))
    }

    /// Prices the cart and chooses the stock, or returns why it can't be ordered.
    async fn prepare(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &Cart,
        input: &CheckedOrder,
        is_retry: bool,
    ) -> Result<PreparedOrder, Error> {
        let lines = carts::lines(tx.conn(), &[cart.id]).await?;
        if lines.is_empty() {
            return Err(Error::invalid(CART, UserErrorCode::Blank, "The cart is empty"));
        }
        let email = Self::resolve_email(tx.conn(), op, cart, input).await?;
        let mut order = self.build_order(op, cart, input, email);
        if input.method.provider.flow() != PaymentFlow::Token {
            holds::lock_caller(tx, op, &order).await?;
        }
        let priced = self.price(tx.conn(), op, cart, input, &lines, &order).await?;
        let lines = sale::sellable_lines(&lines, &priced);
        if lines.is_empty() {
            let message = "Nothing in the cart is for sale any longer: add something else";
            return Err(Error::invalid(CART, UserErrorCode::Blank, message));
        }
        Self::apply_quote(op, &mut order, &priced, input);
        let credit = self.plan_credit(tx.conn(), op, cart, &order, order.total, is_retry).await?;
        let due = order.total.saturating_sub(credit.total());
        self.check_credit(input, &credit, due)?;
        if due == 0 {
            (order.status, order.expires_at) = (OrderStatus::Paid, None);
        } else {
            let (field, method) = (["input", "payment"], &input.method);
            method.check_chargeable(&field, due, &order.currency)?;
            self.payments.check_saved_method(tx.conn(), op, &field, method, order.customer_id).await?;
        }
        let plan = self.plan(tx, cart, input, &lines, &priced, is_retry).await?;
        let is_unpaid = order.status == OrderStatus::PendingPayment;
        let request = is_unpaid.then(|| payment_request(op, &order, due, input.method.provider.name()));
        Ok(PreparedOrder { order, lines, priced, plan, credit, request })
    }

    /// The buyer's e-mail address: from the input, else the cart, else the customer's account.
    async fn resolve_email(
        conn: &mut Conn,
        op: &OpContext,
        cart: &Cart,
        input: &CheckedOrder,
    ) -> Result<String, Error> {
        const FIELD: &[&str] = &["input", "email"];
        let given = input.email.clone().or_else(|| cart.email.clone());
        let customer = match cart.customer_id.or(op.actor.customer()) {
            Some(id) if given.is_none() => customers::by_ids(conn, &[id]).await?.pop(),
            _ => None,
        };
        let email = given.or_else(|| customer?.email).ok_or_else(|| {
            let message = "Email can't be blank: the cart has none either";
            Error::invalid(FIELD, UserErrorCode::Blank, message)
        })?;
        // An address stored in the cart or the account may predate the current rules.
        let mut problems = Problems::default();
        let email = credentials::check_email(&mut problems, FIELD, &email);
        problems.check().map(|()| email)
    }

    /// Builds the order, except for its prices.
    fn build_order(&self, op: &OpContext, cart: &Cart, input: &CheckedOrder, email: String) -> Order {
        let shipping = input
            .shipping_address
            .clone()
            .or_else(|| cart.destination().map(|destination| destination.address.clone()));
        let billing = input.billing_address.clone().or_else(|| shipping.clone());
        Order {
            id: OrderId::generate(),
            number: None,
            cart_id: Some(cart.id),
            imported_as: None,
            customer_id: cart.customer_id.or(op.actor.customer()),
            email: Some(email),
            phone: cart.phone.clone().or_else(|| shipping.as_ref()?.phone.clone()),
            status: OrderStatus::PendingPayment,
            currency: self.shop.currency.code().to_owned(),
            taxes_included: self.shop.taxes_included,
            subtotal: 0,
            discount_total: 0,
            shipping_total: 0,
            tax_total: 0,
            total: 0,
            delivery: Json(None),
            shipping_address: shipping.map(Json),
            billing_address: billing.map(Json),
            note: cart.note.clone(),
            attributes: cart.attributes.clone(),
            cancel_reason: None,
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

    /// Prices the cart.
    async fn price(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        cart: &Cart,
        input: &CheckedOrder,
        lines: &[CartLine],
        order: &Order,
    ) -> Result<PricedBasket, Error> {
        let in_cart = basket(cart, lines);
        let basket = Basket {
            buyer: order.buyer(),
            destination: order.shipping_address.as_ref().map(|address| &address.0),
            country: in_cart.country.or(op.locale.country),
            delivery_option: input.delivery_option.as_deref().or(in_cart.delivery_option),
            ..in_cart
        };
        self.pricing.price_order(op, conn, &basket).await
    }

    /// Copies the prices into the order, and sets when it expires if it is not paid.
    fn apply_quote(op: &OpContext, order: &mut Order, priced: &PricedBasket, input: &CheckedOrder) {
        let quote = &priced.quote;
        order.taxes_included = quote.taxes_included;
        order.subtotal = quote.subtotal;
        order.discount_total = quote.discount_total;
        order.shipping_total = quote.shipping_total;
        order.tax_total = quote.tax_total;
        order.total = quote.total;
        order.delivery = Json(quote.delivery.clone());
        if order.total == 0 {
            order.status = OrderStatus::Paid;
        } else {
            order.expires_at = Some(op.now().plus(input.method.provider.payment_timeout()));
        }
    }

    /// Chooses the units to reserve, or returns all reasons why the order can't be placed.
    async fn plan(
        &self,
        tx: &mut Tx,
        cart: &Cart,
        input: &CheckedOrder,
        lines: &[CartLine],
        priced: &PricedBasket,
        is_retry: bool,
    ) -> Result<ReservationPlan, Error> {
        if is_retry {
            let demands = sale::demands(lines, priced);
            let locked = lock_levels_in_order(tx, &demands, &priced.levels).await?;
            return self.plan_from(&locked, cart, input, lines, priced);
        }
        self.plan_from(&priced.levels, cart, input, lines, priced)
    }

    /// Chooses the units to reserve from these levels.
    fn plan_from(
        &self,
        levels: &HashMap<VariantId, Vec<InventoryLevel>>,
        cart: &Cart,
        input: &CheckedOrder,
        lines: &[CartLine],
        priced: &PricedBasket,
    ) -> Result<ReservationPlan, Error> {
        let mut problems = Problems::default();
        if sale::needs_shipping(lines, priced) {
            input.check_delivery(&mut problems, cart, priced);
        }
        let total = priced.quote.total;
        if let Some(expected) = input.expected_total.filter(|expected| *expected != total) {
            let message = format!(
                "The total is {} instead of {}: review the cart and try again",
                self.shop.money(total).to_decimal(),
                self.shop.money(expected).to_decimal()
            );
            problems.add(&["input", "expectedTotal"], UserErrorCode::Stale, message);
        }
        let planned = stock::plan(&sale::demands(lines, priced), levels);
        for shortfall in planned.as_ref().err().into_iter().flatten() {
            problems.add(CART, UserErrorCode::InsufficientStock, shortfall_message(shortfall, priced));
        }
        problems.check()?;
        planned.map_err(|_error| Error::invalid(CART, UserErrorCode::InsufficientStock, "Sold out"))
    }
}

impl PreparedOrder {
    /// Inserts the order with its lines, the request for its payment, and the response of the call.
    async fn insert(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        call: Option<&IdempotentCall<'_>>,
        retry_state: &RetryState,
    ) -> Result<(), Error> {
        let Self { order, lines, priced, plan, request, .. } = self;
        let inserted = orders::insert(tx.conn(), order).await;
        inserted.on_constraint("orders", "cart_id", || {
            // The cart's existing order may have expired: the retry then detaches it.
            retry_state.is_ordered.store(true, Ordering::Relaxed);
            Error::from(DbError::conflict())
        })?;
        let ordered =
            lines.iter().map(|line| OrderedLine { key: line.id.uuid(), attributes: &line.attributes.0 });
        orders::insert_lines(tx.conn(), order_lines(order.id, ordered, priced, plan)).await?;
        if let Some(request) = request {
            payments::insert(tx.conn(), request).await?;
        }
        if let Some(call) = call {
            call.store(tx, op, &order.id).await?;
        }
        Ok(())
    }
}

async fn redeem_discounts(
    tx: &mut Tx,
    op: &OpContext,
    order: &Order,
    priced: &PricedBasket,
) -> Result<(), Error> {
    let used = &priced.counted_discounts;
    let Some(refused) = discounts::use_up(tx.conn(), used, order.id, order.buyer(), op.now()).await? else {
        return Ok(());
    };
    let message = match refused.code {
        Some(code) => format!("The discount {code} no longer applies: {}", refused.reason),
        None => format!("A discount no longer applies: {}", refused.reason),
    };
    Err(Error::invalid(CART, UserErrorCode::Stale, message))
}

/// Whether the actor may order this cart with this key. Staff may do so on behalf of the cart's
/// customer.
fn may_order(op: &OpContext, keys: &Keys, cart: &Cart, key: &str) -> bool {
    may_use(op, keys, cart, key)
        || (op.may(Permission::WriteOrders) && keys.may_open_cart(cart, key, cart.customer_id))
}

/// Locks the current levels and sorts them in the order of preference in which they were read. Used
/// after losing a race with another order, so that the new plan can't fail again.
async fn lock_levels_in_order(
    tx: &mut Tx,
    demands: &[Demand],
    preferred: &HashMap<VariantId, Vec<InventoryLevel>>,
) -> Result<HashMap<VariantId, Vec<InventoryLevel>>, Error> {
    let tracked: Vec<VariantId> =
        demands.iter().filter(|demand| demand.is_tracked).map(|demand| demand.variant_id).collect();
    let mut levels = stock::lock_levels(tx, &tracked).await?;
    for (variant, levels) in &mut levels {
        let order = preferred.get(variant).map(Vec::as_slice).unwrap_or_default();
        levels.sort_by_key(|level| order.iter().position(|other| other.location_id == level.location_id));
    }
    Ok(levels)
}

/// Units to be reserved of variants that can't be oversold.
fn limited_demand(
    lines: &[CartLine],
    priced: &PricedBasket,
    plan: &ReservationPlan,
) -> BTreeMap<VariantId, i64> {
    let mut demand = BTreeMap::new();
    for (line, places) in lines.iter().zip(&plan.lines) {
        let is_limited =
            |(variant, _): &(Arc<variants::Variant>, _)| variant.inventory_policy == InventoryPolicy::Deny;
        if priced.variants.get(&line.variant_id).is_some_and(is_limited) {
            let units: i64 = places.iter().map(|place| place.quantity).sum();
            *demand.entry(line.variant_id).or_default() += units;
        }
    }
    demand.retain(|_, units| *units > 0);
    demand
}

fn title_of((variant, product): &(Arc<variants::Variant>, Arc<products::Product>)) -> String {
    full_title(&product.title, &variant.title)
}

fn shortfall_message(shortfall: &Shortfall, priced: &PricedBasket) -> String {
    let title = priced.variants.get(&shortfall.variant_id).map(title_of);
    let title = title.as_deref().unwrap_or("a product");
    match shortfall.available {
        0 => format!("{title} is sold out"),
        left => format!("Only {left} of {title} available"),
    }
}

/// The result of a charge, with the error that a declined payment is to be reported as.
fn placed_order(outcome: Option<PaymentOutcome>, field: &[&str]) -> Result<PlacedOrder, Error> {
    let Some(PaymentOutcome { order, declined, is_unreachable }) = outcome else {
        return Err(Error::Conflict("the order of this key has been deleted".to_owned()));
    };
    let problem = match declined {
        Some(reason) => {
            let message =
                format!("The payment was declined: {reason}. Nothing was charged; try another way to pay");
            Some(UserError::new(field, UserErrorCode::PaymentDeclined, message))
        }
        None if is_unreachable => {
            let message = "The payment provider did not respond: try again, or try another way to pay";
            Some(UserError::new(field, UserErrorCode::PaymentProviderUnavailable, message))
        }
        None => None,
    };
    Ok(PlacedOrder { order, problem })
}

/// The events of a new order, on which credit was spent.
fn order_placed_events(order: &Order, provider: &str, spent: &[Payment]) -> Vec<Event> {
    let mut events = vec![Event::OrderPlaced(OrderPlacedEvent {
        order_id: order.id,
        number: order.number,
        total: order.total,
        currency: order.currency.clone(),
    })];
    // Subscribers of the cart learn that it has been ordered.
    events.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity: 0 })));
    let is_paid = order.status == OrderStatus::Paid;
    match spent.split_last() {
        // Credit has paid for all of it.
        Some((last, others)) if is_paid => {
            events.extend(spending::recorded(others));
            events.push(Event::OrderPaid(last.event()));
        }
        _ if !is_paid => events.extend(spending::recorded(spent)),
        // An order that costs nothing is paid from the start.
        _ => events.push(Event::OrderPaid(PaymentEvent {
            order_id: order.id,
            provider: provider.to_owned(),
            kind: PaymentKind::Captured,
            amount: 0,
            message: None,
            refund_id: None,
        })),
    }
    events
}
