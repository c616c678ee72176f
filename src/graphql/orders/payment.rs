//! The payment of an order, as its buyer sees it.

use async_graphql::{Context, Enum, Result, SimpleObject};

use crate::domain::access::permissions::Permission;
use crate::domain::payments::{self, NextAction};
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::{DateTime, Url};
use crate::loaders;
use crate::services::payments::OrderPayment as PaymentState;

/// The status of an order's payment.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payments::PaymentStatus")]
pub enum OrderPaymentStatus {
    /// The order isn't paid yet. See `nextAction` for what must happen next.
    Pending,
    /// The payment is authorized, to be captured when the order is shipped.
    Authorized,
    /// The order is paid.
    Paid,
    /// The last payment was declined. The order can be paid in another way with
    /// `orderPaymentCreate`.
    Declined,
    /// The authorization was voided before it was captured. The order can be paid again with
    /// `orderPaymentCreate`.
    Voided,
    /// The order was canceled, or it expired before it was paid.
    Canceled,
}

/// The kinds of steps that a payment can require.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PaymentNextActionType {
    /// No step is required.
    None,
    /// The storefront confirms the payment with the script of the payment provider, such as
    /// Stripe's Payment Element, with `clientSecret` and `publishableKey`.
    ConfirmOnClient,
    /// The buyer approves the payment on the page at `url`, and then returns to the `returnUrl`
    /// given with the payment. Call `orderPaymentSync` when the buyer returns.
    Redirect,
    /// The payment provider reports the result later. Subscribe to `orderUpdated`, or call
    /// `orderPaymentSync` after a while.
    Wait,
}

/// The payment of an order.
#[derive(SimpleObject)]
pub(super) struct OrderPayment {
    /// The status of the payment.
    status: OrderPaymentStatus,
    /// The name of the payment provider that was paid or, if none was, of the one most recently
    /// asked to collect the payment. `gift_card` or `store_credit` if it covered the whole amount.
    /// Null if the order costs nothing.
    provider: Option<String>,
    /// The step that must be completed before the order is paid.
    next_action: PaymentNextAction,
}

/// A step that is required to complete a payment or to save a payment method.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PaymentNextAction {
    /// The kind of step.
    r#type: PaymentNextActionType,
    /// The secret that the payment provider's script needs to confirm this payment, or to save this
    /// payment method. Disclose it only to the buyer.
    client_secret: Option<String>,
    /// The public key that the payment provider's script needs.
    publishable_key: Option<String>,
    /// The page on which the buyer approves the payment.
    url: Option<Url>,
    /// When the order expires if it isn't paid. Null if no step is required, or if the order
    /// doesn't expire.
    expires_at: Option<DateTime>,
}

/// Loads the payment of an order, which the caller may see.
pub(super) async fn load(ctx: &Context<'_>, order: &loaders::Order) -> Result<OrderPayment> {
    let orders = &ctx.loaders().orders;
    let (ledger, actions) =
        futures_util::try_join!(orders.payments.load(order.id), orders.payment_actions.load(order.id))?;
    let mut payment = ctx.services().payments.payment_of(order, &ledger, actions.iter().cloned());
    if ctx.op().actor.is_staff() && !ctx.op().may(Permission::WriteOrders) {
        // Who has it can pay: the buyer, and whoever places orders for buyers.
        payment.next_action = payment.next_action.map(|_| NextAction::Wait);
    }
    Ok(to_payment(payment, order))
}

impl PaymentNextAction {
    /// A step with the public key for the provider's script. It does not expire.
    pub(in crate::graphql) fn new(action: Option<NextAction>, publishable_key: Option<String>) -> Self {
        let (r#type, client_secret, url) = match action {
            None => (PaymentNextActionType::None, None, None),
            Some(NextAction::ConfirmOnClient { client_secret, .. }) => {
                (PaymentNextActionType::ConfirmOnClient, Some(client_secret.0), None)
            }
            Some(NextAction::Redirect { url }) => (PaymentNextActionType::Redirect, None, Some(Url(url))),
            Some(NextAction::Wait) => (PaymentNextActionType::Wait, None, None),
        };
        Self { r#type, client_secret, publishable_key, url, expires_at: None }
    }
}

fn to_payment(payment: PaymentState, order: &loaders::Order) -> OrderPayment {
    let next_action = PaymentNextAction::new(payment.next_action, payment.publishable_key);
    let is_waiting = next_action.r#type != PaymentNextActionType::None;
    let expires_at = order.expires_at.filter(|_| is_waiting).map(DateTime);
    OrderPayment {
        status: payment.status.into(),
        provider: payment.provider,
        next_action: PaymentNextAction { expires_at, ..next_action },
    }
}
