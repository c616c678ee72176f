//! The history of gift cards and of store credit.

use async_graphql::{Context, Enum, ID, Object, Result};

use crate::domain::access::permissions::Permission;
use crate::domain::payments::credit;
use crate::graphql::orders::Order;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::validate_first;
use crate::graphql::types::scalars::{DateTime, gid};
use crate::loaders::{self, CreditAccount};

/// A change of the balance of a gift card or of store credit.
#[derive(Clone)]
pub(super) struct CreditTransaction {
    pub(super) row: loaders::CreditTransaction,
    pub(super) currency: String,
}

/// Why the balance of a gift card or of store credit changed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "credit::CreditReason")]
pub enum CreditTransactionReason {
    /// The gift card was issued with this amount.
    Issued,
    /// Staff added to the balance.
    Credited,
    /// Staff deducted an amount from the balance.
    Debited,
    /// The balance was used to pay for all or part of an order.
    Spent,
    /// The amount was returned to the balance because the order expired, or was canceled before it
    /// was paid in full.
    Released,
    /// The amount was returned to the balance because the order was refunded.
    Refunded,
}

/// The latest changes of an account's balance, newest first.
pub(super) async fn history(
    ctx: &Context<'_>,
    account: &CreditAccount,
    first: i32,
) -> Result<Vec<CreditTransaction>> {
    let limit = validate_first(first)?;
    let rows = ctx.loaders().customers.credit_history.load(account.id).await?;
    let transaction = |row: &loaders::CreditTransaction| CreditTransaction {
        row: row.clone(),
        currency: account.currency.clone(),
    };
    Ok(rows.iter().take(limit).map(transaction).collect())
}

/// A change of the balance of a gift card or of store credit.
#[Object]
impl CreditTransaction {
    /// The ID of the change.
    async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Why the balance changed.
    async fn reason(&self) -> CreditTransactionReason {
        self.row.reason.into()
    }

    /// The amount of the change. Negative if it was deducted from the balance.
    async fn amount(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2::stored(ctx, self.row.amount, &self.currency)
    }

    /// The balance after the change.
    async fn balance_after_transaction(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2::stored(ctx, self.row.balance_after, &self.currency)
    }

    /// The order in which the gift card was bought, or that the balance was used to pay for. Null
    /// if there is none, or if you may not see it.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        match self.row.order_id {
            Some(id) => Order::find(ctx, id).await,
            None => Ok(None),
        }
    }

    /// A note by staff. Null unless you have the `READ_GIFT_CARDS` permission.
    async fn note(&self, ctx: &Context<'_>) -> Option<&str> {
        ctx.op().may(Permission::ReadGiftCards).then_some(self.row.note.as_str())
    }

    /// When it happened.
    async fn processed_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }
}
