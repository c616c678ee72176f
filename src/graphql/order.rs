//! Orders: what their buyers see, and what staff see and do.
//!
//! An order is shown to staff who may read orders, to its customer, and to whom has its token: `find` and the service decide.
//! What belongs to an order is reached through it alone.

mod discount;
mod draft;
mod edit_mutation;
mod fields;
mod history;
mod line;
mod mutation;
mod query;
mod sentence;

pub use discount::DiscountApplicationTargetType;
pub use draft::{DraftOrderMutation, DraftOrderQuery};
pub use edit_mutation::OrderEditMutation;
pub use fields::Order;
pub use mutation::OrderMutation;
pub use query::{OrderQuery, OrderSortKeys, orders_of_customer};

use async_graphql::Context;

use super::connection::connection;
use super::request::RequestContext;
use super::shop::MoneyV2;
use crate::domain::money::{Currency, Money};
use crate::loaders;

connection!(DraftOrderConnection, DraftOrderEdge, draft::DraftOrder, "drafts of orders", counted);
connection!(OrderConnection, OrderEdge, Order, "orders", counted);
connection!(OrderLineItemConnection, OrderLineItemEdge, line::OrderLineItem, "lines of an order");
connection!(
    FulfillmentLineItemConnection,
    FulfillmentLineItemEdge,
    history::FulfillmentLineItem,
    "lines of a fulfillment"
);
connection!(
    DiscountApplicationConnection,
    DiscountApplicationEdge,
    discount::DiscountApplication,
    "discounts of an order"
);
connection!(
    OrderTimelineEventConnection,
    OrderTimelineEventEdge,
    history::OrderTimelineEvent,
    "things that happened to an order"
);

/// An amount in the order's currency.
fn money(ctx: &Context<'_>, order: &loaders::Order, minor: i64) -> MoneyV2 {
    let currency = Currency::parse(&order.currency).unwrap_or(ctx.shop().currency);
    MoneyV2(Money::new(minor, currency))
}
