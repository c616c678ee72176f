//! Orders, as their buyers see them and as staff see and manage them.
//!
//! An order is visible to staff who can read orders, to its customer, and to anyone who has its
//! token. Everything that belongs to an order is reached through the order only.

mod discounts;
mod drafts;
mod edit_mutation;
mod fields;
mod history;
mod lines;
mod mutation;
mod payment;
mod query;
mod timeline_message;

pub(super) use discounts::DiscountApplicationTargetType;
pub(super) use drafts::{DraftOrderMutation, DraftOrderQuery};
pub(super) use edit_mutation::OrderEditMutation;
pub(super) use fields::Order;
pub(super) use mutation::OrderMutation;
pub(super) use payment::PaymentNextAction;
pub(super) use query::{OrderQuery, OrderSortKeys, orders_of_customer};

use async_graphql::Context;

use super::shop::MoneyV2;
use super::types::connection::connection;
use crate::loaders;

connection!(DraftOrderConnection, DraftOrderEdge, drafts::DraftOrder, "draft orders", counted);
connection!(OrderConnection, OrderEdge, Order, "orders", counted);
connection!(OrderLineItemConnection, OrderLineItemEdge, lines::OrderLineItem, "lines of an order");
connection!(
    FulfillmentLineItemConnection,
    FulfillmentLineItemEdge,
    history::FulfillmentLineItem,
    "lines of a fulfillment"
);
connection!(
    DiscountApplicationConnection,
    DiscountApplicationEdge,
    discounts::DiscountApplication,
    "discount applications of an order"
);
connection!(
    OrderTimelineEventConnection,
    OrderTimelineEventEdge,
    history::OrderTimelineEvent,
    "timeline events of an order"
);

/// Converts an amount in minor units of the order's currency.
fn money(ctx: &Context<'_>, order: &loaders::Order, minor: i64) -> MoneyV2 {
    MoneyV2::stored(ctx, minor, &order.currency)
}
