//! Mutations of gift cards and store credit.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, Result, SimpleObject};

use super::credit_transactions::CreditTransaction;
use super::fields::GiftCard;
use super::{StoreCreditAccount, account_id};
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, GiftCardId, Id, StoreCreditAccountId};
use crate::domain::payments::credit::display_code;
use crate::error::Error;
use crate::graphql::request::RequestContext;
use crate::graphql::types::errors::{UserError, payload};
use crate::graphql::types::guard::{PermissionGuard, may_write_gift_cards};
use crate::graphql::types::scalars::{Date, Decimal, parse_gid, split_gid};
use crate::loaders::CreditAccount;
use crate::services::payments::gift_cards::{
    BalanceChange, ChangedBalance, CreditHolder, GiftCardPatch, NewGiftCard,
};

/// Mutations of gift cards and store credit.
#[derive(Default)]
pub(crate) struct GiftCardMutation;

/// The input fields of a new gift card.
#[derive(InputObject)]
pub struct GiftCardCreateInput {
    /// The amount, in the shop's currency. More than zero.
    initial_value: Decimal,
    /// The code: 12 to 20 letters and digits. Letter case, spaces and dashes are ignored. By
    /// default, a random, unguessable code of 16 characters is generated.
    code: Option<String>,
    /// A note for staff. At most 5000 characters.
    note: Option<String>,
    /// The last day on which it can be spent, in UTC. By default, it doesn't expire.
    expires_on: Option<Date>,
    /// The ID of the customer that the gift card is issued for. Anyone else who has the code can
    /// also use it.
    customer_id: Option<ID>,
}

/// The changes to a gift card. Omitted fields are left unchanged.
#[derive(InputObject)]
pub struct GiftCardUpdateInput {
    /// A note for staff. At most 5000 characters.
    note: Option<String>,
    /// The last day on which it can be spent, in UTC. Null removes it.
    expires_on: MaybeUndefined<Date>,
    /// The ID of the customer that the gift card is issued for. Null removes the customer.
    customer_id: MaybeUndefined<ID>,
}

/// Defines the inputs of changes of a balance, which differ only by name.
macro_rules! balance_inputs {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(InputObject)]
        pub struct $name {
            /// The amount, in the shop's currency. More than zero.
            amount: Decimal,
            /// A note for staff. At most 5000 characters.
            note: Option<String>,
        }

        impl From<$name> for BalanceChange {
            fn from(input: $name) -> Self {
                Self { amount: input.amount.0, note: input.note.unwrap_or_default() }
            }
        }
    )*};
}

balance_inputs! {
    /// An amount that is added to a gift card.
    GiftCardCreditInput;
    /// An amount that is taken from a gift card.
    GiftCardDebitInput;
    /// An amount that is added to store credit.
    StoreCreditAccountCreditInput;
    /// An amount that is taken from store credit.
    StoreCreditAccountDebitInput;
}

/// The result of `giftCardCreate`.
#[derive(SimpleObject)]
struct GiftCardCreatePayload {
    /// The new gift card. Null if the mutation failed.
    gift_card: Option<GiftCard>,
    /// The code, in groups of four characters. It is returned only once, since the shop doesn't
    /// store codes. Null if the mutation failed, or if the request was repeated with its
    /// idempotency key.
    gift_card_code: Option<String>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `giftCardUpdate`.
#[derive(SimpleObject)]
struct GiftCardUpdatePayload {
    /// The updated gift card. Null if the mutation failed.
    gift_card: Option<GiftCard>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// The result of `giftCardDeactivate`.
#[derive(SimpleObject)]
struct GiftCardDeactivatePayload {
    /// The gift card. Null if the mutation failed.
    gift_card: Option<GiftCard>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<UserError>,
}

/// Defines the payloads of changes of a balance.
macro_rules! balance_payloads {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $kind:ident } $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(SimpleObject)]
        struct $name {
            #[doc = concat!("The ", $what, " with its new balance. Null if the mutation failed.")]
            $field: Option<$kind>,
            /// The change. Null if the mutation failed.
            transaction: Option<CreditTransaction>,
            /// Errors in the input. Empty when the mutation succeeded.
            user_errors: Vec<UserError>,
        }

        impl $name {
            fn new(result: Result<ChangedBalance, Error>) -> Result<Self> {
                let (changed, user_errors) = payload(result)?;
                let (account, transaction) = changed.map(split).unzip();
                Ok(Self { $field: account.map($kind), transaction, user_errors })
            }
        }
    )*};
}

balance_payloads! {
    /// The result of `giftCardCredit`.
    GiftCardCreditPayload { gift_card: GiftCard } "gift card";
    /// The result of `giftCardDebit`.
    GiftCardDebitPayload { gift_card: GiftCard } "gift card";
    /// The result of `storeCreditAccountCredit`.
    StoreCreditAccountCreditPayload { store_credit_account: StoreCreditAccount } "account";
    /// The result of `storeCreditAccountDebit`.
    StoreCreditAccountDebitPayload { store_credit_account: StoreCreditAccount } "account";
}

fn split(changed: ChangedBalance) -> (Arc<CreditAccount>, CreditTransaction) {
    let currency = changed.account.currency.clone();
    (Arc::new(changed.account), CreditTransaction { row: changed.transaction, currency })
}

impl TryFrom<GiftCardCreateInput> for NewGiftCard {
    type Error = Error;

    fn try_from(input: GiftCardCreateInput) -> Result<Self, Error> {
        Ok(Self {
            initial_value: input.initial_value.0,
            code: input.code,
            note: input.note.unwrap_or_default(),
            expires_on: input.expires_on.map(|date| date.0.to_string()),
            customer_id: input.customer_id.as_ref().map(parse_gid).transpose()?,
        })
    }
}

impl TryFrom<GiftCardUpdateInput> for GiftCardPatch {
    type Error = Error;

    fn try_from(input: GiftCardUpdateInput) -> Result<Self, Error> {
        let customer: Option<Option<ID>> = input.customer_id.into();
        let customer = customer.map(|id| id.as_ref().map(parse_gid).transpose()).transpose()?;
        Ok(Self {
            note: input.note,
            expires_on: input.expires_on.map_value(|date| date.0).into(),
            customer_id: customer,
        })
    }
}

/// The store credit that an id stands for: that of a customer, or of an account.
fn store_credit(id: &ID) -> Result<CreditHolder, Error> {
    if split_gid(id).is_some_and(|(kind, _)| kind == CustomerId::TYPE) {
        return Ok(CreditHolder::Customer(parse_gid(id)?));
    }
    Ok(CreditHolder::StoreCredit(account_id(parse_gid::<StoreCreditAccountId>(id)?)))
}

fn gift_card(id: &ID) -> Result<CreditHolder, Error> {
    Ok(CreditHolder::GiftCard(account_id(parse_gid::<GiftCardId>(id)?)))
}

#[Object]
impl GiftCardMutation {
    /// Creates a gift card. Its code is returned only now.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn gift_card_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The gift card to create.")] gift_card: GiftCardCreateInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input returns the \
                          original gift card, without its code.")]
        idempotency_key: Option<String>,
    ) -> Result<GiftCardCreatePayload> {
        let (new, key) = (NewGiftCard::try_from(gift_card)?, idempotency_key.as_deref());
        let (created, user_errors) = payload(ctx.services().gift_cards.create(ctx.op(), &new, key).await)?;
        let (gift_card, code) = created.map(|created| (GiftCard::new(created.card), created.code)).unzip();
        let gift_card_code = code.flatten().as_deref().map(display_code);
        Ok(GiftCardCreatePayload { gift_card, gift_card_code, user_errors })
    }

    /// Updates a gift card.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn gift_card_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the gift card.")] id: ID,
        #[graphql(desc = "The fields to change.")] gift_card: GiftCardUpdateInput,
    ) -> Result<GiftCardUpdatePayload> {
        let (id, patch) = (account_id(parse_gid::<GiftCardId>(&id)?), GiftCardPatch::try_from(gift_card)?);
        let (changed, user_errors) = payload(ctx.services().gift_cards.update(ctx.op(), id, &patch).await)?;
        Ok(GiftCardUpdatePayload { gift_card: changed.map(GiftCard::new), user_errors })
    }

    /// Permanently deactivates a gift card, so that it can no longer be used. Orders already paid
    /// with it are not affected, and their refunds are still credited to it.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn gift_card_deactivate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the gift card.")] id: ID,
    ) -> Result<GiftCardDeactivatePayload> {
        let id = account_id(parse_gid::<GiftCardId>(&id)?);
        let (changed, user_errors) = payload(ctx.services().gift_cards.deactivate(ctx.op(), id).await)?;
        Ok(GiftCardDeactivatePayload { gift_card: changed.map(GiftCard::new), user_errors })
    }

    /// Adds to the balance of a gift card.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn gift_card_credit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the gift card.")] id: ID,
        #[graphql(desc = "The amount to add.")] input: GiftCardCreditInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input changes the \
                          balance only once.")]
        idempotency_key: Option<String>,
    ) -> Result<GiftCardCreditPayload> {
        let (holder, key) = (gift_card(&id)?, idempotency_key.as_deref());
        let changed = ctx.services().gift_cards.credit(ctx.op(), holder, &input.into(), key).await;
        GiftCardCreditPayload::new(changed)
    }

    /// Deducts an amount from the balance of a gift card.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn gift_card_debit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the gift card.")] id: ID,
        #[graphql(desc = "The amount to take.")] input: GiftCardDebitInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input changes the \
                          balance only once.")]
        idempotency_key: Option<String>,
    ) -> Result<GiftCardDebitPayload> {
        let (holder, key) = (gift_card(&id)?, idempotency_key.as_deref());
        let changed = ctx.services().gift_cards.debit(ctx.op(), holder, &input.into(), key).await;
        GiftCardDebitPayload::new(changed)
    }

    /// Adds an amount to a customer's store credit. If the customer has no store credit account
    /// yet, one is opened.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn store_credit_account_credit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the store credit account, or of its customer.")] id: ID,
        #[graphql(desc = "The amount to add.")] input: StoreCreditAccountCreditInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input changes the \
                          balance only once.")]
        idempotency_key: Option<String>,
    ) -> Result<StoreCreditAccountCreditPayload> {
        let (holder, key) = (store_credit(&id)?, idempotency_key.as_deref());
        let changed = ctx.services().gift_cards.credit(ctx.op(), holder, &input.into(), key).await;
        StoreCreditAccountCreditPayload::new(changed)
    }

    /// Deducts an amount from a customer's store credit.
    #[graphql(guard = "PermissionGuard(Permission::WriteGiftCards)", visible = "may_write_gift_cards")]
    async fn store_credit_account_debit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the store credit account, or of its customer.")] id: ID,
        #[graphql(desc = "The amount to take.")] input: StoreCreditAccountDebitInput,
        #[graphql(desc = "Makes retries safe: a request with the same key and input changes the \
                          balance only once.")]
        idempotency_key: Option<String>,
    ) -> Result<StoreCreditAccountDebitPayload> {
        let (holder, key) = (store_credit(&id)?, idempotency_key.as_deref());
        let changed = ctx.services().gift_cards.debit(ctx.op(), holder, &input.into(), key).await;
        StoreCreditAccountDebitPayload::new(changed)
    }
}
