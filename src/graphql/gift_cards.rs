//! Gift cards and store credit, as staff manage them and as customers see their own credit. Gift
//! cards of carts are in `checkout::carts`.

mod credit_transactions;
mod fields;
mod mutation;
mod store_credit;

pub(crate) use fields::GiftCardQuery;
pub(crate) use mutation::GiftCardMutation;
pub(crate) use store_credit::{StoreCreditAccount, StoreCreditAccountConnection};

use crate::domain::ids::{CreditAccountId, Id};

/// The account that a public id stands for.
fn account_id(id: impl Id) -> CreditAccountId {
    CreditAccountId::from_uuid(id.uuid())
}
