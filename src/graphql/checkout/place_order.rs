//! Placing orders.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use crate::graphql::customers::addresses::MailingAddressInput;
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::scalars::Decimal;
use crate::services::checkout::PlaceOrder;

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
    /// How the order is paid.
    payment: OrderPaymentInput,
    /// The total that the buyer agreed to. If the current total differs, no order is placed.
    expected_total: Decimal,
}

/// How an order is paid.
#[derive(InputObject)]
pub(super) struct OrderPaymentInput {
    /// The name of the payment provider: `manual`, or another one that the shop has enabled.
    provider: String,
    /// The token of the payment method, obtained from the payment provider by the storefront. Not
    /// needed for `manual`.
    token: Option<String>,
}

/// The result of `orderPlace`.
#[derive(SimpleObject)]
struct OrderPlacePayload {
    /// The order. Null if the mutation failed or the payment was declined. While the outcome of the
    /// payment is unknown, its status is `PENDING_PAYMENT`.
    order: Option<Order>,
    /// The token that gives access to the order without signing in. Keep it secret.
    token: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

impl From<OrderPlaceInput> for PlaceOrder {
    fn from(input: OrderPlaceInput) -> Self {
        Self {
            cart_id: input.cart_id.0,
            email: input.email,
            shipping_address: input.shipping_address.map(Into::into),
            billing_address: input.billing_address.map(Into::into),
            delivery_option: input.delivery_option_handle,
            provider: input.payment.provider,
            token: input.payment.token.unwrap_or_default(),
            expected_total: input.expected_total.0,
        }
    }
}

#[Object]
impl CheckoutMutation {
    /// Places an order for a cart and charges the buyer. A cart can be ordered only once, unless
    /// its order was canceled or expired.
    async fn order_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order to place.")] input: OrderPlaceInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original order, which is placed and charged only once. To try again after \
                          a declined payment, use a new key.")]
        idempotency_key: Option<String>,
    ) -> Result<OrderPlacePayload> {
        let key = idempotency_key.as_deref();
        let placed = ctx.services().checkout.place(ctx.op(), &input.into(), key).await;
        let (order, user_errors) = payload(placed)?;
        let token = order.as_ref().map(|order| ctx.keys().order_token(order.id));
        Ok(OrderPlacePayload { order: order.map(|order| Order(Arc::new(order))), token, user_errors })
    }
}
