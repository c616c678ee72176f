//! Placing an order: a cart becomes an order at the prices of that moment, in one transaction, and is then paid for.
//!
//! The transaction, in this order: the cart is locked, so that of several requests for it one is served at a time; the answer that
//! was given under the idempotency key is looked up; the cart is priced, and refused if that is not what the buyer saw or if
//! something can't be had; the order is written; discounts are used up and stock is reserved last, since those rows are wanted by
//! other orders too and stay locked until the commit; only the events follow, which tell what is left. Nothing is locked that orders
//! of other things want. The order gets its number at the end, or, where its buyer is charged
//! first, when it is known to stand.
//!
//! What is paid, and by whom, comes after the commit: see `services::payments`. Under one key the answer is the order, as it is:
//! a request that is sent again while its payment runs waits for the end of it.

mod holds;
mod input;

pub use holds::HoldLimits;
pub use input::PlaceOrder;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::auth::{Actor, Keys};
use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, OnConstraint, Tx, retrying};
use crate::domain::catalog::{InventoryPolicy, full_title};
use crate::domain::event::{CartEvent, Event, OrderPlacedEvent, PaymentEvent};
use crate::domain::ids::{Id, OrderId, OrderLineId, PaymentId, VariantId};
use crate::domain::inventory::Pieces;
use crate::domain::order::OrderStatus;
use crate::domain::payment::PaymentKind;
use crate::domain::permission::Permission;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::carts::{self, Cart, CartLine};
use crate::repositories::inventory::InventoryLevel;
use crate::repositories::orders::{self, Order, OrderLine};
use crate::repositories::payments::{self, Payment};
use crate::repositories::{customers, discounts, products, variants};
use crate::services::idempotency::Once;
use crate::services::payments::{Charging, Outcome, Payments};
use crate::services::pricing::{Basket, Priced, Pricing};
use crate::services::stock::{self, Plan, Short, Want};
use crate::services::validate::Problems;
use crate::services::{Shop, cart, credentials, sale};
use input::Checked;

/// The input's field that is to blame for what is in the cart.
const CART: &[&str] = &["input", "cartId"];

/// Places orders.
pub struct Checkout {
    db: Db,
    shop: Arc<Shop>,
    pricing: Arc<Pricing>,
    payments: Arc<Payments>,
    holds: HoldLimits,
    keys: Arc<Keys>,
}

/// What a transaction came to.
enum Placed {
    /// An order, which is to be paid for while others wait for the end of that.
    Now(Box<Order>, Option<Charging>),
    /// An order that was placed before under the same key.
    Before(OrderId),
}

/// What is known from earlier tries of the same request.
#[derive(Default)]
struct Tries {
    count: AtomicU32,
    /// There is an order of this cart.
    is_ordered: AtomicBool,
}

impl Checkout {
    /// The service over a database.
    #[must_use]
    pub fn new(
        db: Db,
        shop: Arc<Shop>,
        pricing: Arc<Pricing>,
        payments: Arc<Payments>,
        holds: HoldLimits,
        keys: Arc<Keys>,
    ) -> Self {
        Self { db, shop, pricing, payments, holds, keys }
    }

    /// Places an order of a cart and has it paid for; the order since. Whoever knows the cart's id may: a customer's cart is theirs.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, the new total and a declined payment included; [`Error::Conflict`] for a
    /// key that was used otherwise.
    pub async fn place(&self, op: &OpContext, input: &PlaceOrder, key: Option<&str>) -> Result<Order, Error> {
        let checked = input.check(&self.shop, &self.payments)?;
        let once = Once::new(key, "orderPlace", input)?;
        let once = match op.actor {
            Actor::Anonymous => once.map(|once| once.within(format!("cart:{}", checked.cart.id.uuid()))),
            _ => once,
        };
        let tries = Tries::default();
        let placed = retrying(|| self.place_once(op, &checked, once.as_ref(), &tries)).await?;
        let outcome = match placed {
            Placed::Before(id) => self.payments.outcome(op, id).await?,
            Placed::Now(order, None) => Some(Outcome { order: *order, declined: None }),
            Placed::Now(order, Some(charging)) => {
                let charged = self.payments.charge(op, *order, &checked.provider, &checked.token).await;
                // Those who wait for the same answer may go on.
                drop(charging);
                Some(charged?)
            }
        };
        match outcome {
            Some(Outcome { order, declined: None }) => Ok(order),
            Some(Outcome { declined: Some(reason), .. }) => {
                let message = format!(
                    "The payment was declined: {reason}. Nothing was charged; try another way to pay"
                );
                Err(Error::invalid(&["input", "payment"], UserErrorCode::PaymentDeclined, message))
            }
            None => Err(Error::Conflict("the order of this key has been deleted".to_owned())),
        }
    }

    async fn place_once(
        &self,
        op: &OpContext,
        input: &Checked,
        once: Option<&Once<'_>>,
        tries: &Tries,
    ) -> Result<Placed, Error> {
        let attempt = tries.count.fetch_add(1, Ordering::Relaxed);
        let mut tx = self.db.begin(&op.statements).await?;
        let result = self.place_in(&mut tx, op, input, once, tries, attempt > 0).await;
        match result {
            Ok(placed @ Placed::Now(..)) => {
                tx.commit().await?;
                Ok(placed)
            }
            other => {
                tx.rollback().await?;
                other
            }
        }
    }

    async fn place_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        input: &Checked,
        once: Option<&Once<'_>>,
        tries: &Tries,
        is_retry: bool,
    ) -> Result<Placed, Error> {
        let cart = carts::lock(tx.conn(), input.cart.id).await?;
        let (cart, is_ordered) = cart
            .filter(|(cart, _)| may_order(op, &self.keys, cart, &input.cart.token))
            .ok_or_else(|| Error::invalid(CART, UserErrorCode::NotFound, "There is no such cart"))?;
        // After the lock, so that the answer of another request with the same key is seen.
        if let Some(once) = once
            && let Some(order) = once.answer(tx, op).await?
        {
            return Ok(Placed::Before(order));
        }
        let clashed = tries.is_ordered.load(Ordering::Relaxed);
        if is_ordered || (clashed && !orders::free_cart(tx.conn(), cart.id).await?) {
            let message = "The cart has been ordered already: there is an order of it";
            return Err(Error::invalid(CART, UserErrorCode::Taken, message));
        }
        let lines = carts::lines(tx.conn(), &[cart.id]).await?;
        if lines.is_empty() {
            return Err(Error::invalid(CART, UserErrorCode::Blank, "The cart is empty"));
        }
        let email = self.email(tx, op, &cart, input).await?;
        let mut order = self.order_of(op, &cart, input, email)?;
        if !input.provider.charges() {
            holds::lock_caller(tx, op, &order).await?;
        }
        let priced = self.price(tx, op, &cart, input, &lines, &order).await?;
        let lines = sale::sold_lines(&lines, &priced);
        if lines.is_empty() {
            let message = "Nothing in the cart is for sale any more: put something else into it";
            return Err(Error::invalid(CART, UserErrorCode::Blank, message));
        }
        self.fill(op, &mut order, &priced, input);
        let plan = self.plan(tx, &cart, input, &lines, &priced, is_retry).await?;

        let inserted = orders::insert(tx.conn(), &order).await;
        inserted.on_constraint("orders", "cart_id", || {
            // Tried again, it is seen whether that order was given up.
            tries.is_ordered.store(true, Ordering::Relaxed);
            Error::from(DbError::clash())
        })?;
        orders::insert_lines(tx.conn(), order_lines(&order, &lines, &priced, &plan)).await?;
        let is_charged = order.status == OrderStatus::PendingPayment;
        if is_charged {
            payments::insert(tx.conn(), &requested(op, &order, input.provider.name())).await?;
        }
        if let Some(once) = once {
            once.keep(tx, op, &order.id).await?;
        }
        let used = &priced.counted_discounts;
        if let Some(refused) = discounts::use_up(tx.conn(), used, order.id, order.buyer(), op.now()).await? {
            let message = match refused.code {
                Some(code) => format!("The discount {code} takes nothing off any more: {}", refused.reason),
                None => format!("A discount takes nothing off any more: {}", refused.reason),
            };
            return Err(Error::invalid(CART, UserErrorCode::Stale, message));
        }
        if is_charged && !input.provider.charges() {
            let demand = finite_demand(&lines, &priced, &plan);
            let title = |id| priced.variants.get(&id).map(title_of).unwrap_or_default();
            self.holds.admit(tx, op, &order, &demand, title).await?;
        }
        // If somebody was faster: tried again, it is seen what is left.
        let reserved = stock::reserve_plan(tx, op, &plan, self.shop.low_stock).await?;
        let reserved = reserved.ok_or_else(DbError::clash)?;
        let is_charged = is_charged && input.provider.charges();
        if !is_charged {
            orders::give_number(tx.conn(), &mut order).await?;
        }
        // The last of all, since they tell what is left, and in one statement.
        let placed = placed_events(&order, input.provider.name());
        events::append(tx, op, placed.into_iter().chain(reserved)).await?;
        // Before the commit, which is when others can find the order.
        let charging = is_charged.then(|| self.payments.begin(order.id));
        Ok(Placed::Now(Box::new(order), charging))
    }

    /// Where the buyer gets mail: as it was sent, or as the cart has it, or the customer's account.
    async fn email(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &Cart,
        input: &Checked,
    ) -> Result<String, Error> {
        const FIELD: &[&str] = &["input", "email"];
        let given = input.email.clone().or_else(|| cart.email.clone());
        let customer = match cart.customer_id.or(op.actor.customer()) {
            Some(id) if given.is_none() => customers::by_ids(tx.conn(), &[id]).await?.pop(),
            _ => None,
        };
        let email = given.or_else(|| customer?.email).ok_or_else(|| {
            let message = "Email can't be blank: it is not in the cart either";
            Error::invalid(FIELD, UserErrorCode::Blank, message)
        })?;
        // What the cart or the account has may be older than what is asked of an address now.
        let mut problems = Problems::default();
        let email = credentials::email(&mut problems, FIELD, &email);
        problems.check().map(|()| email)
    }

    /// An order without its prices.
    fn order_of(&self, op: &OpContext, cart: &Cart, input: &Checked, email: String) -> Result<Order, Error> {
        let shipping = input
            .shipping_address
            .clone()
            .or_else(|| cart.destination().map(|destination| destination.address.clone()));
        let billing = input.billing_address.clone().or_else(|| shipping.clone());
        Ok(Order {
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
        })
    }

    /// What the cart costs at this moment.
    async fn price(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        cart: &Cart,
        input: &Checked,
        lines: &[CartLine],
        order: &Order,
    ) -> Result<Priced, Error> {
        let in_cart = cart::basket(cart, lines);
        let basket = Basket {
            buyer: order.buyer(),
            destination: order.shipping_address.as_ref().map(|address| &address.0),
            country: in_cart.country.or(op.locale.country),
            delivery_option: input.delivery_option.as_deref().or(in_cart.delivery_option),
            ..in_cart
        };
        self.pricing.price_order(op, tx.conn(), &basket).await
    }

    /// Puts the prices into the order, and says until when it waits to be paid.
    fn fill(&self, op: &OpContext, order: &mut Order, priced: &Priced, input: &Checked) {
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
            order.expires_at = Some(op.now().plus(input.provider.waits()));
        }
    }

    /// Which pieces the order gets, if it can be placed: everything that is wrong is told at once.
    async fn plan(
        &self,
        tx: &mut Tx,
        cart: &Cart,
        input: &Checked,
        lines: &[CartLine],
        priced: &Priced,
        is_retry: bool,
    ) -> Result<Plan, Error> {
        let mut problems = Problems::default();
        let is_sent = |line: &CartLine| {
            priced.variants.get(&line.variant_id).is_some_and(|(variant, _)| variant.requires_shipping)
        };
        if lines.iter().any(is_sent) {
            input.check_delivery(&mut problems, cart, priced);
        }
        let total = priced.quote.total;
        if total != input.expected_total {
            let message = format!(
                "The total is {} and not {} any more: look again, then decide",
                self.shop.money(total).to_decimal(),
                self.shop.money(input.expected_total).to_decimal()
            );
            problems.add(&["input", "expectedTotal"], UserErrorCode::Stale, message);
        }
        let wants = sale::wants(lines, priced);
        let locked = if is_retry { Some(locked_levels(tx, &wants, &priced.levels).await?) } else { None };
        let planned = stock::plan(&wants, locked.as_ref().unwrap_or(&priced.levels));
        for short in planned.as_ref().err().into_iter().flatten() {
            problems.add(CART, UserErrorCode::InsufficientStock, shortage(short, priced));
        }
        problems.check()?;
        planned.map_err(|_| Error::invalid(CART, UserErrorCode::InsufficientStock, "Sold out"))
    }
}

/// Whether the actor may order a cart whose token they sent. Staff may for the customer whose it is.
fn may_order(op: &OpContext, keys: &Keys, cart: &Cart, token: &str) -> bool {
    keys.opens_cart(cart, token, op.actor.customer())
        || (op.may(Permission::WriteOrders) && keys.opens_cart(cart, token, cart.customer_id))
}

/// The levels as they are, locked, in the order of preference that they were read in. After another order was faster: then what
/// is planned can be reserved.
async fn locked_levels(
    tx: &mut Tx,
    wants: &[Want],
    preferred: &HashMap<VariantId, Vec<InventoryLevel>>,
) -> Result<HashMap<VariantId, Vec<InventoryLevel>>, Error> {
    let counted: Vec<VariantId> =
        wants.iter().filter(|want| want.tracked).map(|want| want.variant_id).collect();
    let mut levels = stock::lock_levels(tx, &counted).await?;
    for (variant, levels) in &mut levels {
        let order = preferred.get(variant).map(Vec::as_slice).unwrap_or_default();
        levels.sort_by_key(|level| order.iter().position(|other| other.location_id == level.location_id));
    }
    Ok(levels)
}

/// Units that a plan reserves, of variants that others can't buy any more once these have run out.
fn finite_demand(lines: &[CartLine], priced: &Priced, plan: &Plan) -> BTreeMap<VariantId, i64> {
    let mut demand = BTreeMap::new();
    for (line, places) in lines.iter().zip(&plan.lines) {
        let is_finite =
            |(variant, _): &(Arc<variants::Variant>, _)| variant.inventory_policy == InventoryPolicy::Deny;
        if priced.variants.get(&line.variant_id).is_some_and(is_finite) {
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

fn shortage(short: &Short, priced: &Priced) -> String {
    let title = priced.variants.get(&short.variant_id).map(title_of);
    let title = title.as_deref().unwrap_or("a product");
    match short.available {
        0 => format!("{title} is sold out"),
        left => format!("Only {left} of {title} can be had"),
    }
}

/// The order's lines: what is sold, as it is at this moment.
fn order_lines(order: &Order, lines: &[CartLine], priced: &Priced, plan: &Plan) -> Vec<OrderLine> {
    let quoted: HashMap<_, _> = priced.quote.lines.iter().map(|line| (line.key, line)).collect();
    let line = |((position, line), reserved): ((i64, &CartLine), &Vec<Pieces>)| {
        let (variant, product) = priced.variants.get(&line.variant_id)?;
        let quoted = quoted.get(&line.id.uuid())?;
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
            attributes: line.attributes.clone(),
            requires_shipping: variant.requires_shipping,
            weight_milligrams: variant.weight_milligrams,
            reserved: Json(reserved.clone()),
            fulfilled_quantity: 0,
            refunded_quantity: 0,
            picked: Json(Vec::new()),
            product_id: Some(product.id),
        })
    };
    // Every line is quoted and planned, or the order would have been refused.
    (1..).zip(lines).zip(&plan.lines).filter_map(line).collect()
}

/// The ledger's first row: who is asked for the money, before they are.
fn requested(op: &OpContext, order: &Order, provider: &str) -> Payment {
    Payment {
        id: PaymentId::generate(),
        order_id: order.id,
        provider: provider.to_owned(),
        provider_event_id: format!("{}:{}", PaymentKind::Requested.as_str(), order.id.uuid()),
        kind: PaymentKind::Requested,
        amount: order.total,
        reference: None,
        message: None,
        refund_id: None,
        occurred_at: op.now(),
    }
}

fn placed_events(order: &Order, provider: &str) -> Vec<Event> {
    let mut events = vec![Event::OrderPlaced(OrderPlacedEvent {
        order_id: order.id,
        number: order.number,
        total: order.total,
        currency: order.currency.clone(),
    })];
    // Whoever follows the cart learns that it is gone.
    events.extend(order.cart_id.map(|cart_id| Event::CartUpdated(CartEvent { cart_id, total_quantity: 0 })));
    if order.status == OrderStatus::Paid {
        // There is nothing to be paid.
        events.push(Event::OrderPaid(PaymentEvent {
            order_id: order.id,
            provider: provider.to_owned(),
            kind: PaymentKind::Captured,
            amount: 0,
            message: None,
            refund_id: None,
        }));
    }
    events
}
