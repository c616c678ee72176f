//! Store credit, as customers and staff see it.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::credit_transactions::{CreditTransaction, history};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id, StoreCreditAccountId};
use crate::domain::page::{Cursor, CursorKey, CursorKeyKind, Page};
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::gid;
use crate::loaders::CreditAccount;

connection!(
    StoreCreditAccountConnection,
    StoreCreditAccountEdge,
    StoreCreditAccount,
    "store credit accounts"
);

/// The store credit of a customer. Only constructed for the customer, and for those who may manage
/// gift cards.
#[derive(Clone)]
pub(crate) struct StoreCreditAccount(pub Arc<CreditAccount>);

impl StoreCreditAccount {
    /// The store credit of a customer. Staff need a permission to see it.
    pub(crate) async fn of_customer(
        ctx: &Context<'_>,
        customer: CustomerId,
        args: PageArgs,
    ) -> Result<InlineObject<StoreCreditAccountConnection>> {
        const LIST: &str = "storeCreditAccounts";
        if ctx.op().actor.customer() != Some(customer) {
            ctx.op().authorize(Permission::ReadGiftCards)?;
        }
        let request = args.request(ctx, LIST, CursorKeyKind::None)?;
        let rows = ctx.loaders().customers.store_credit.load(customer).await?.to_vec();
        let is_at = |row: &Arc<CreditAccount>, cursor: &Cursor| row.id.uuid() == cursor.id;
        let page = Page::from_list(rows, &request, is_at).map(|row| (Self(row), CursorKey::None));
        let id = |account: &Self| account.0.id.uuid();
        Ok(InlineObject(StoreCreditAccountConnection(ConnectionPage::new(LIST, page, id))))
    }
}

/// The store credit of a customer, which the customer can pay with when signed in.
#[Object]
impl StoreCreditAccount {
    /// The ID of the account.
    pub async fn id(&self) -> ID {
        gid(StoreCreditAccountId::from_uuid(self.0.id.uuid()))
    }

    /// The amount that is left.
    async fn balance(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2::stored(ctx, self.0.balance, &self.0.currency)
    }

    /// The latest changes of the balance, newest first: up to 250.
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "Returns up to the first `n` items.")] first: i32,
    ) -> Result<Vec<CreditTransaction>> {
        history(ctx, &self.0, first).await
    }
}
