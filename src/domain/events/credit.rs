//! Payloads of events about gift cards and store credit. They never contain a code.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{CustomerId, GiftCardId, StoreCreditAccountId};

/// The payload of events about a gift card.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GiftCardEvent {
    /// The gift card.
    pub gift_card_id: GiftCardId,
    /// Its balance at the time, in minor units.
    pub balance: i64,
    /// ISO 4217.
    pub currency: String,
}

/// The payload of events about store credit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreCreditEvent {
    /// The account.
    pub store_credit_account_id: StoreCreditAccountId,
    /// Whose credit it is.
    pub customer_id: Option<CustomerId>,
    /// Its balance at the time, in minor units.
    pub balance: i64,
    /// ISO 4217.
    pub currency: String,
}
