//! Placing orders, and paying them in another way.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};

use crate::domain::payments;
use crate::error::Error;
use crate::graphql::customers::addresses::MailingAddressInput;
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::scalars::{Decimal, Url, parse_gid};
use crate::services::checkout::{PlaceOrder, PlacedOrder, RetryPayment};
use crate::services::payments::{PaymentInput, PaymentProvider as Provider};

/// Queries for payments.
#[derive(Default)]
pub(crate) struct PaymentQuery;

/// Checkout mutations.
#[derive(Default)]
pub(crate) struct CheckoutMutation;

/// The input fields of an order. What is omitted is taken from the cart.
#[derive(InputObject)]
pub struct OrderPlaceInput {
    /// The ID of the cart.
    cart_id: ID,
    /// The email address of the buyer. Required unless the cart has one.
    email: Option<String>,
    /// The shipping address. Required if a line needs shipping, unless the cart has one.
    shipping_address: Option<MailingAddressInput>,
    /// The billing address. Defaults to the shipping address.
    billing_address: Option<MailingAddressInput>,
    /// The handle of one of the cart's delivery options. Required if a line needs shipping, unless
    /// one is selected in the cart.
    delivery_option_handle: Option<String>,
    /// How the buyer pays the amount left after gift cards and store credit. Required unless that
    /// amount is zero.
    payment: Option<OrderPaymentInput>,
    /// The total that the buyer agreed to, including the part paid by gift cards and store credit.
    /// If the current total differs, no order is placed.
    expected_total: Decimal,
    /// The amount that the buyer agreed to pay in addition to gift cards and store credit: the
    /// cart's `paymentDueAmount`. If the amount has changed because a gift card was used elsewhere,
    /// no order is placed. By default, the remaining amount is charged whatever it is, unless a
    /// gift card can no longer be used at all, in which case no order is placed.
    expected_payment_due: Option<Decimal>,
}

/// How an order is paid.
#[derive(InputObject)]
pub(super) struct OrderPaymentInput {
    /// The name of the payment provider, one of `paymentProviders`.
    provider: String,
    /// The token of the payment method, obtained from the payment provider by the storefront.
    /// Required by providers whose flow is `TOKEN`.
    token: Option<String>,
    /// Where the payment provider sends the buyer after a step on its own pages. Required by
    /// providers whose flow is `REDIRECT`. At most 2048 bytes.
    return_url: Option<Url>,
    /// The ID of one of the signed-in customer's payment methods saved with this provider. Send it
    /// instead of a token. The bank may still require the buyer's confirmation.
    customer_payment_method_id: Option<ID>,
    /// Whether to save the card for the signed-in customer if the payment succeeds. Requires the
    /// customer's consent, an order of their own, and a provider whose `hasSavedMethods` is true.
    #[graphql(default_with = "Some(false)")]
    is_saved_for_later: Option<bool>,
}

/// How buyers pay through a payment provider.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payments::PaymentFlow")]
pub enum PaymentFlow {
    /// Outside of the shop, for example by bank transfer. Staff mark the order as paid.
    Offline,
    /// With a token that the storefront gets from the payment provider before it places the order.
    Token,
    /// With the payment provider's script, after the order is placed: `nextAction` contains the
    /// secret for the script. A token can be used instead, as for `TOKEN`.
    ConfirmOnClient,
    /// On the payment provider's pages, after the order is placed: `nextAction` has the URL.
    Redirect,
}

/// A payment provider that the shop uses.
#[derive(SimpleObject)]
struct PaymentProvider {
    /// The name, for the input fields `provider`.
    name: String,
    /// How buyers pay through the provider.
    flow: PaymentFlow,
    /// The public key that the payment provider's script needs.
    publishable_key: Option<String>,
    /// Whether signed-in customers can save payment methods with this provider, and reuse them.
    has_saved_methods: bool,
}

/// The result of `orderPlace`.
#[derive(SimpleObject)]
struct OrderPlacePayload {
    /// The order. Null if it wasn't placed. While it isn't paid, its status is `PENDING_PAYMENT`,
    /// and `payment` tells what has to happen next. If the payment was declined, the order is
    /// returned together with an error, and can be paid in another way with `orderPaymentCreate`.
    order: Option<Order>,
    /// The token that gives access to the order without signing in. Keep it secret.
    token: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `orderPaymentCreate`.
#[derive(SimpleObject)]
struct OrderPaymentCreatePayload {
    /// The order. Null if nothing was done.
    order: Option<Order>,
    /// Errors in the input, or the reason why the payment was declined.
    user_errors: Vec<UserError>,
}

/// The result of `orderPaymentSync`.
#[derive(SimpleObject)]
struct OrderPaymentSyncPayload {
    /// The order.
    order: Option<Order>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl TryFrom<OrderPaymentInput> for PaymentInput {
    type Error = Error;

    fn try_from(input: OrderPaymentInput) -> Result<Self, Error> {
        Ok(Self {
            provider: input.provider,
            token: input.token.unwrap_or_default(),
            return_url: input.return_url.map(|url| url.0),
            saved_method: input.customer_payment_method_id.as_ref().map(parse_gid).transpose()?,
            is_saved_for_later: input.is_saved_for_later.unwrap_or(false),
        })
    }
}

impl TryFrom<OrderPlaceInput> for PlaceOrder {
    type Error = Error;

    fn try_from(input: OrderPlaceInput) -> Result<Self, Error> {
        Ok(Self {
            cart_id: input.cart_id.0,
            email: input.email,
            shipping_address: input.shipping_address.map(Into::into),
            billing_address: input.billing_address.map(Into::into),
            delivery_option: input.delivery_option_handle,
            payment: input.payment.map(TryInto::try_into).transpose()?,
            expected_total: input.expected_total.0,
            expected_payment_due: input.expected_payment_due.map(|amount| amount.0),
        })
    }
}

/// The order of a result, with the problem of its payment among the errors.
fn placed(result: Result<PlacedOrder, Error>) -> Result<(Option<Order>, Vec<UserError>)> {
    let (placed, mut user_errors) = payload(result)?;
    let order = placed.map(|placed| {
        user_errors.extend(placed.problem.map(UserError::from));
        Order(Arc::new(placed.order))
    });
    Ok((order, user_errors))
}

#[Object]
impl PaymentQuery {
    /// Returns the payment providers that the shop uses, and what each of them needs.
    async fn payment_providers(&self, ctx: &Context<'_>) -> Vec<PaymentProvider> {
        let to_provider = |provider: &Arc<dyn Provider>| PaymentProvider {
            name: provider.name().to_owned(),
            flow: provider.flow().into(),
            publishable_key: provider.publishable_key().map(str::to_owned),
            has_saved_methods: provider.vault().is_some(),
        };
        ctx.services().payments.all().map(to_provider).collect()
    }
}

#[Object]
impl CheckoutMutation {
    /// Places an order for a cart, deducts the amounts paid by gift cards and store credit, and
    /// requests payment of the rest. If nothing is left to pay, the order is paid at once. A cart
    /// can be ordered only once, unless its order was canceled or expired.
    async fn order_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order to place.")] input: OrderPlaceInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original order, which is placed and charged only once. To try again after \
                          a declined payment, use `orderPaymentCreate`.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderPlacePayload> {
        let key = idempotency_key.as_deref();
        let input = PlaceOrder::try_from(input)?;
        let (order, user_errors) = placed(ctx.services().checkout.place(ctx.op(), &input, key).await)?;
        let token = order.as_ref().map(|order| ctx.keys().order_token(order.0.id));
        Ok(OrderPlacePayload { order, token, user_errors })
    }

    /// Pays an unpaid order in another way, for example after a payment was declined or because the
    /// buyer has changed their mind. Earlier payments of the order are voided. If the order has
    /// expired, its inventory, discounts, gift cards and store credit are used again. If any of
    /// them is no longer available, the mutation fails.
    async fn order_payment_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] order_id: ID,
        #[graphql(desc = "The token of the order. Not needed by its customer, if signed in.")] token: Option<
            String,
        >,
        #[graphql(desc = "How the order is paid.")] payment: OrderPaymentInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          result of the original one, and charges only once.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderPaymentCreatePayload> {
        let input = RetryPayment { order_id: parse_gid(&order_id)?, token, payment: payment.try_into()? };
        let key = idempotency_key.as_deref();
        let (order, user_errors) =
            placed(Box::pin(ctx.services().checkout.retry(ctx.op(), &input, key)).await)?;
        Ok(OrderPaymentCreatePayload { order, user_errors })
    }

    /// Fetches the status of an order's payment from the payment provider, for example when the
    /// buyer returns from its pages. The server also does this every five minutes.
    async fn order_payment_sync(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the order.")] order_id: ID,
        #[graphql(desc = "The token of the order. Not needed by its customer, if signed in.")] token: Option<
            String,
        >,
    ) -> Result<OrderPaymentSyncPayload> {
        let id = parse_gid(&order_id)?;
        let synced = ctx.services().payments.sync(ctx.op(), id, token.as_deref()).await;
        let (order, user_errors) = payload(synced)?;
        Ok(OrderPaymentSyncPayload { order: order.map(Order::new), user_errors })
    }
}
