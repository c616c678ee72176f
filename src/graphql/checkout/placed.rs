//! The order that was placed.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use crate::domain::order::name;
use crate::graphql::request::RequestContext;
use crate::graphql::scalars::gid;
use crate::graphql::shop::MoneyV2;

/// An order.
#[derive(Clone)]
pub struct Order(pub Arc<crate::loaders::Order>);

/// An order.
#[Object]
impl Order {
    /// Its global id.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }
    /// How people call it.
    async fn name(&self) -> String {
        name(self.0.number)
    }
    /// Its number.
    async fn order_number(&self) -> i64 {
        self.0.number
    }
    /// Its state.
    async fn status(&self) -> &str {
        self.0.status.as_str()
    }
    /// What is to be paid.
    async fn total_price(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2(ctx.shop().money(self.0.total))
    }
}
