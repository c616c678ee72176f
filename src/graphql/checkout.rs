//! Placing an order.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};

use super::address::MailingAddressInput;
use super::errors::{UserError, payload};
use super::order::Order;
use super::request::RequestContext;
use super::scalars::Decimal;
use crate::services::checkout::PlaceOrder;

/// Writes of placing orders.
#[derive(Default)]
pub struct CheckoutMutation;

/// An order to be placed. What is not given is taken from the cart.
#[derive(InputObject)]
pub struct OrderPlaceInput {
    /// The cart's global id.
    cart_id: ID,
    /// Where the buyer gets mail.
    email: Option<String>,
    /// Where it is sent; needed where something is.
    shipping_address: Option<MailingAddressInput>,
    /// Where the bill goes; not given, it is where the order is sent.
    billing_address: Option<MailingAddressInput>,
    /// The handle of one of the cart's delivery options; needed where something is sent.
    delivery_option_handle: Option<String>,
    /// How it is paid for.
    payment: OrderPaymentInput,
    /// The total that the buyer saw: if the cart costs something else by now, nothing is ordered.
    expected_total: Decimal,
}

/// How an order is paid for.
#[derive(InputObject)]
pub struct OrderPaymentInput {
    /// The payment provider's name: `manual`, or another that the shop takes payments by.
    provider: String,
    /// What the storefront got from the provider for the buyer's way to pay; `manual` needs none.
    token: Option<String>,
}

/// What became of the order.
#[derive(SimpleObject)]
struct OrderPlacePayload {
    /// The order; null if it was not placed, or its payment was declined. It waits in `PENDING_PAYMENT` where nobody has said yet
    /// whether it is paid for.
    order: Option<Order>,
    /// What lets its buyer see the order without signing in; to be kept secret.
    token: Option<String>,
    /// What is wrong with the input.
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
    /// Makes an order of a cart, and has it paid for. Of one cart there is one order, unless that was given up.
    async fn order_place(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.")] input: OrderPlaceInput,
        #[graphql(
            desc = "Makes it safe to send the same request twice: the same key and input get the same order, which is placed and \
                    paid for once. A new try, after a payment was declined, needs a new key."
        )]
        idempotency_key: Option<String>,
    ) -> Result<OrderPlacePayload> {
        let key = idempotency_key.as_deref();
        let placed = ctx.services().checkout.place(ctx.op(), &input.into(), key).await;
        let (order, user_errors) = payload(placed)?;
        let token = order.as_ref().map(|order| ctx.keys().order_token(order.id));
        Ok(OrderPlacePayload { order: order.map(|order| Order(Arc::new(order))), token, user_errors })
    }
}
