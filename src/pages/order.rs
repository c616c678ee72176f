//! The page of an order: its status, what has to happen next, other ways to pay it, and what was
//! ordered. It is the confirmation after checkout, and where payment providers send the buyer back
//! to.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use uuid::Uuid;

use super::providers::{self, ProviderOption};
use super::summary::Summary;
use super::{BuyerPages, Fields, Page, PageResponse, Visit, links, redirect, status};
use crate::domain::ids::{self, Id, OrderId};
use crate::domain::money::{Currency, Money};
use crate::domain::orders::fulfillments::FulfillmentState;
use crate::domain::orders::{OrderStatus, refunded_total};
use crate::domain::payments::{NextAction, PaymentFlow, PaymentStatus};
use crate::error::{Error, UserError, UserErrorCode};
use crate::services::checkout::RetryPayment;
use crate::services::orders::OrderView;

/// After how many seconds the page is loaded again without JavaScript while the provider is asked.
const WAIT_REFRESH_SECONDS: u32 = 5;
/// The same, while the order waits for something that takes longer.
const IDLE_REFRESH_SECONDS: u32 = 60;

#[derive(Serialize)]
struct OrderPage {
    name: String,
    /// The global id, for the subscription.
    gid: String,
    token: String,
    /// Changes with whatever the page shows.
    state: String,
    /// Whether the page soon changes by itself.
    is_waiting: bool,
    /// The kind of symbol next to the title.
    mark: &'static str,
    message: String,
    problem: Option<String>,
    refunded: Option<Money>,
    /// The page on which the buyer approves the payment.
    approval_url: Option<String>,
    stripe: Option<StripeForm>,
    shipments: Vec<Shipment>,
    summary: Summary,
    email: Option<String>,
    /// Lines of the address that it is shipped to.
    address: Vec<String>,
    /// Lines of the address where it is picked up.
    pickup: Vec<String>,
    form_path: String,
    providers: Vec<ProviderOption>,
    /// Whether nothing else can be done but pay in another way.
    is_retry_open: bool,
    attempt: String,
    /// What is left to pay.
    due: Money,
}

/// What Stripe's Payment Element needs.
#[derive(Serialize)]
struct StripeForm {
    publishable_key: String,
    client_secret: String,
    /// Whether the card is saved for the customer who placed the order. Others who open the page
    /// have to know.
    is_saving: bool,
    return_url: String,
}

#[derive(Serialize)]
struct Shipment {
    carrier: Option<String>,
    number: Option<String>,
    url: Option<String>,
}

impl BuyerPages {
    /// Shows an order. If the buyer has just returned from a payment provider, asks it first.
    pub(super) async fn show_order(&self, visit: &Visit<'_>, order: &str) -> Result<PageResponse, Error> {
        let Some(id) = parse_id(order) else { return self.not_found(visit) };
        let token = visit.param(links::TOKEN);
        if !visit.param(links::RETURNED).is_empty() {
            return match self.services.payments.sync(&visit.op, id, Some(token)).await {
                // Without what the provider has appended to the URL.
                Ok(_) => Ok(redirect(self.order_path(visit, id, &[]))),
                Err(Error::Invalid(_)) => self.not_found(visit),
                Err(error) => Err(error),
            };
        }
        self.order_page(visit, id, None).await
    }

    /// Handles a form of the page.
    pub(super) async fn submit_order(
        &self,
        visit: &Visit<'_>,
        order: &str,
        form: &Fields,
    ) -> Result<PageResponse, Error> {
        let Some(id) = parse_id(order) else { return self.not_found(visit) };
        match form.text("action") {
            "pay" => self.submit_payment(visit, id).await,
            _ => self.notice(visit, "unreadable", status::BAD_REQUEST),
        }
    }

    /// Pays an order in another way.
    async fn submit_payment(&self, visit: &Visit<'_>, id: OrderId) -> Result<PageResponse, Error> {
        let provider = self.services.payments.provider(providers::chosen(visit).0);
        let token = visit.param(links::TOKEN);
        let return_path = links::order(id, token, visit.chosen_language(), &[(links::RETURNED, "1")]);
        let input = RetryPayment {
            order_id: id,
            token: Some(token.to_owned()),
            payment: providers::payment_input(visit, provider, &return_path),
        };
        let key = Some(visit.param(providers::ATTEMPT));
        let problem = match self.services.checkout.retry(&visit.op, &input, key).await {
            Ok(_) => return Ok(redirect(self.order_path(visit, id, &[(links::FORWARD, "1")]))),
            Err(Error::Invalid(problems)) => refusal(&problems),
            Err(Error::Conflict(_)) => "problem.sent_before",
            Err(error) => return Err(error),
        };
        self.order_page(visit, id, Some(visit.text(problem))).await
    }

    /// The path of an order's page, with its token.
    pub(super) fn order_path(&self, visit: &Visit<'_>, order: OrderId, others: &[(&str, &str)]) -> String {
        links::order(order, &self.keys.order_token(order), visit.chosen_language(), others)
    }

    async fn order_page(
        &self,
        visit: &Visit<'_>,
        id: OrderId,
        problem: Option<String>,
    ) -> Result<PageResponse, Error> {
        let token = visit.param(links::TOKEN);
        let Some(view) = self.services.orders.view_by_token(&visit.op, id, token).await? else {
            return self.not_found(visit);
        };
        let variants: Vec<_> = view.lines.iter().filter_map(|line| line.variant_id).collect();
        let images = self.images(&visit.op, &variants).await?;
        let currency = Currency::parse(&view.order.currency).unwrap_or(self.shop.currency);
        let summary = Summary::of_order(&view, currency, &images);
        let title = visit.text(&format!("order.title.{}", self.state(&view)));
        let images = summary.images();
        let status = if problem.is_some() { status::CONFLICT } else { status::OK };
        let content = self.order_content(visit, &view, summary, problem);
        let is_forwarding = !visit.param(links::FORWARD).is_empty() && status == status::OK;
        let refresh_seconds = match view.payment.next_action {
            // The problem stays until the buyer has read it.
            _ if status != status::OK => None,
            Some(NextAction::Wait) => Some(WAIT_REFRESH_SECONDS),
            _ if view.order.status == OrderStatus::PendingPayment => Some(IDLE_REFRESH_SECONDS),
            _ => None,
        };
        let page = Page {
            status,
            images,
            has_stripe: content.stripe.is_some(),
            forward: content.approval_url.clone().filter(|_| is_forwarding),
            refresh_seconds,
            ..Page::new("order.html", title, content)
        };
        self.render(visit, &page)
    }

    fn order_content(
        &self,
        visit: &Visit<'_>,
        view: &OrderView,
        summary: Summary,
        problem: Option<String>,
    ) -> OrderPage {
        let (order, payment) = (&view.order, &view.payment);
        let currency = Currency::parse(&order.currency).unwrap_or(self.shop.currency);
        let money = |minor| Money::new(minor, currency);
        let token = visit.param(links::TOKEN);
        let pickup = order.delivery.0.as_ref().and_then(|delivery| delivery.option.pickup.as_ref());
        let address = order.shipping_address.as_ref().filter(|_| pickup.is_none());
        let ways = self.services.checkout.ways_to_pay(&visit.op, order, &view.ledger);
        let refunded = refunded_total(order.status, view.paid());
        let approval_url = match &payment.next_action {
            Some(NextAction::Redirect { url }) => Some(url.clone()).filter(|url| is_web_address(url)),
            _ => None,
        };
        let stripe = stripe_form(visit, view);
        let is_retry_open = stripe.is_none() && matches!(self.state(view), "declined" | "expired");
        OrderPage {
            name: order.name(),
            gid: order.id.gid(),
            token: token.to_owned(),
            state: format!("{}-{}", self.state(view), fingerprint(view)),
            is_waiting: payment.next_action == Some(NextAction::Wait),
            mark: mark(self.state(view)),
            message: visit.text(&format!("order.text.{}", self.state(view))),
            problem,
            refunded: (refunded > 0).then(|| money(refunded)),
            approval_url,
            stripe,
            shipments: shipments(view),
            summary,
            email: order.email.clone(),
            address: address.map(|address| address.0.lines(true, true)).unwrap_or_default(),
            pickup: pickup.map(|place| place.address().lines(false, true)).unwrap_or_default(),
            form_path: self.order_path(visit, order.id, &[]),
            providers: providers::options(visit, &ways, &[]),
            is_retry_open,
            attempt: ids::request_id(),
            due: money(view.due()),
        }
    }

    /// The name of an order's state, in the names of its texts.
    fn state(&self, view: &OrderView) -> &'static str {
        match view.order.status {
            OrderStatus::PendingPayment => self.payment_state(view),
            OrderStatus::Paid => "paid",
            OrderStatus::PartiallyFulfilled => "partly_sent",
            OrderStatus::Fulfilled => "sent",
            OrderStatus::Cancelled => "canceled",
            OrderStatus::PartiallyRefunded => "partly_refunded",
            OrderStatus::Refunded => "refunded",
            OrderStatus::Expired if view.payment.status == PaymentStatus::Declined => "declined",
            OrderStatus::Expired => "expired",
        }
    }

    fn payment_state(&self, view: &OrderView) -> &'static str {
        let payment = &view.payment;
        let is_offline = payment.provider.as_ref().is_some_and(|name| {
            self.services
                .payments
                .all()
                .any(|known| known.name() == name && known.flow() == PaymentFlow::Offline)
        });
        match &payment.next_action {
            _ if payment.status == PaymentStatus::Authorized => "paid",
            _ if payment.status == PaymentStatus::Declined => "declined",
            _ if payment.status == PaymentStatus::Voided => "expired",
            Some(NextAction::ConfirmOnClient { .. }) => "confirm",
            Some(NextAction::Redirect { .. }) => "redirect",
            None if is_offline => "offline",
            Some(NextAction::Wait) | None => "wait",
        }
    }
}

fn parse_id(text: &str) -> Option<OrderId> {
    Uuid::try_parse(text).ok().map(OrderId::from_uuid)
}

/// The kind of symbol for a state.
fn mark(state: &str) -> &'static str {
    match state {
        "paid" | "offline" | "partly_sent" | "sent" | "partly_refunded" | "refunded" => "done",
        "declined" | "expired" | "canceled" => "stopped",
        _ => "open",
    }
}

/// A number that changes with what the page shows of the order, its ledger and its shipments. Other
/// changes, such as units being picked, must not reload the page while the buyer is using it.
fn fingerprint(view: &OrderView) -> u64 {
    let order = &view.order;
    let address = order.shipping_address.as_ref().map(|address| address.0.lines(true, true));
    let sent = view.fulfillments.iter().map(|one| one.updated_at.micros()).max();
    let mut hasher = DefaultHasher::new();
    (order.status.as_str(), &order.email, address, view.ledger.len(), sent).hash(&mut hasher);
    hasher.finish()
}

/// The form for Stripe's Payment Element, if the payment waits for it.
fn stripe_form(visit: &Visit<'_>, view: &OrderView) -> Option<StripeForm> {
    let payment = &view.payment;
    let Some(NextAction::ConfirmOnClient { client_secret, is_saving }) = &payment.next_action else {
        return None;
    };
    if payment.provider.as_deref() != Some("stripe") {
        return None;
    }
    let (token, returned) = (visit.param(links::TOKEN), [(links::RETURNED, "1")]);
    let path = links::order(view.order.id, token, visit.chosen_language(), &returned);
    Some(StripeForm {
        publishable_key: payment.publishable_key.clone()?,
        client_secret: client_secret.0.clone(),
        is_saving: *is_saving,
        return_url: format!("{}{path}", visit.request.base_url),
    })
}

fn shipments(view: &OrderView) -> Vec<Shipment> {
    let sent = view.fulfillments.iter().filter(|one| one.status == FulfillmentState::Success);
    let shipment = sent.map(|one| Shipment {
        carrier: one.tracking_company.clone(),
        number: one.tracking_number.clone(),
        // Staff may enter anything.
        url: one.tracking_url.clone().filter(|url| is_web_address(url)),
    });
    shipment.collect()
}

fn is_web_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// The text for the most important of the problems.
fn refusal(problems: &[UserError]) -> &'static str {
    let has = |code: UserErrorCode| problems.iter().any(|problem| problem.code == code);
    let is_held = |problem: &UserError| problem.field.iter().any(|part| part == "cartId");
    if has(UserErrorCode::InsufficientStock) {
        if problems.iter().any(is_held) { "problem.stock" } else { "problem.order_sold_out" }
    } else if has(UserErrorCode::TooMany) {
        "problem.too_many_orders"
    } else if has(UserErrorCode::NotAllowed) {
        "problem.not_payable"
    } else {
        "problem.payment"
    }
}
