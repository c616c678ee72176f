//! Gift cards, as staff see them.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};

use super::account_id;
use super::credit_transactions::{CreditTransaction, history};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{GiftCardId, Id};
use crate::domain::page::{CursorKey, CursorKeyKind};
use crate::domain::payments::credit;
use crate::domain::reports::Day;
use crate::graphql::customers::Customer;
use crate::graphql::request::RequestContext;
use crate::graphql::shop::MoneyV2;
use crate::graphql::types::connection::{ConnectionPage, PageArgs, connection};
use crate::graphql::types::guard::{PermissionGuard, may_read_gift_cards, may_see_gift_cards};
use crate::graphql::types::inline_object::InlineObject;
use crate::graphql::types::scalars::{Date, DateTime, gid, parse_gid};
use crate::loaders::CreditAccount;

connection!(GiftCardConnection, GiftCardEdge, GiftCard, "gift cards");

/// A gift card. Only constructed for those who may manage gift cards.
#[derive(Clone)]
pub(super) struct GiftCard(pub Arc<CreditAccount>);

impl GiftCard {
    /// A gift card that was loaded or saved for someone who may see it.
    pub(super) fn new(row: CreditAccount) -> Self {
        Self(Arc::new(row))
    }
}

/// A gift card. Anyone who has its code can pay with it. The code is shown only once, when the gift
/// card is created or sent by email.
#[Object(visible = "may_see_gift_cards")]
impl GiftCard {
    /// The ID of the gift card.
    pub async fn id(&self) -> ID {
        gid(GiftCardId::from_uuid(self.0.id.uuid()))
    }

    /// The amount that is left.
    async fn balance(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2::stored(ctx, self.0.balance, &self.0.currency)
    }

    /// The amount that it was issued with.
    async fn initial_value(&self, ctx: &Context<'_>) -> MoneyV2 {
        MoneyV2::stored(ctx, self.0.initial_value, &self.0.currency)
    }

    /// The last characters of its code.
    async fn last_characters(&self) -> &str {
        &self.0.last_characters
    }

    /// Its code with all but the last characters hidden.
    async fn masked_code(&self) -> String {
        format!("•••• •••• •••• {}", self.0.last_characters)
    }

    /// Whether the gift card can be used while it has a balance: it hasn't been deactivated and
    /// hasn't expired.
    async fn is_enabled(&self, ctx: &Context<'_>) -> bool {
        credit::is_spendable(self.0.expires_at, self.0.disabled_at, ctx.op().now())
    }

    /// The last day on which it can be spent, in UTC. Null if it doesn't expire.
    async fn expires_on(&self) -> Option<Date> {
        self.0.expires_at.map(|at| Date(Day::ending_at(at)))
    }

    /// When staff deactivated it. Null if it wasn't deactivated.
    async fn deactivated_at(&self) -> Option<DateTime> {
        self.0.disabled_at.map(DateTime)
    }

    /// A note by staff. May be empty.
    async fn note(&self) -> &str {
        &self.0.note
    }

    /// The customer that staff issued the gift card for. Null if there is none, or if you may not
    /// see customers.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Option<Customer>> {
        match self.0.customer_id {
            Some(id) => Customer::find(ctx, id).await,
            None => Ok(None),
        }
    }

    /// The latest changes of its balance, newest first: up to 250.
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50, desc = "Returns up to the first `n` items.")] first: i32,
    ) -> Result<Vec<CreditTransaction>> {
        history(ctx, &self.0, first).await
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it or its balance was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// Queries for gift cards.
#[derive(Default)]
pub(crate) struct GiftCardQuery;

#[Object]
impl GiftCardQuery {
    /// Returns a gift card by ID.
    #[graphql(guard = "PermissionGuard(Permission::ReadGiftCards)", visible = "may_read_gift_cards")]
    async fn gift_card(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the gift card.")] id: ID,
    ) -> Result<Option<GiftCard>> {
        let id = account_id(parse_gid::<GiftCardId>(&id)?);
        let found = ctx.loaders().checkout.credit_accounts.load(id).await?;
        Ok(found.filter(|account| account.kind == credit::CreditKind::GiftCard).map(GiftCard))
    }

    /// Returns the gift cards, in order of creation.
    #[graphql(guard = "PermissionGuard(Permission::ReadGiftCards)", visible = "may_read_gift_cards")]
    async fn gift_cards(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<GiftCardConnection>> {
        const LIST: &str = "giftCards";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let page = ctx.services().gift_cards.page(ctx.op(), &request).await?;
        let page = page.map(|row| (GiftCard::new(row), CursorKey::None));
        Ok(InlineObject(GiftCardConnection(ConnectionPage::new(LIST, page, |card| card.0.id.uuid()))))
    }
}
