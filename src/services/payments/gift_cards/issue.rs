//! Gift cards that are bought: one is issued for each unit of a gift-card product once its order is
//! paid, and mailed to its recipient. They are issued exactly once, however often this is called.
//!
//! The code is encrypted until the mail is sent, and deleted then.

use serde::{Deserialize, Serialize};

use super::{GiftCards, gift_card, insert_issued};
use crate::auth::new_gift_card_code;
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CreditAccountId, OrderId};
use crate::error::Error;
use crate::jobs::{self, JobPayload, NewJob, Policy};
use crate::repositories::orders::{self, OrderLine};
use crate::repositories::payments::credit::{self, CreditAccount};

/// Number of gift cards issued per transaction.
const BATCH_SIZE: i64 = 100;

/// Payload of the job that mails a gift card.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GiftCardMail {
    /// The gift card.
    pub account_id: CreditAccountId,
}

impl JobPayload for GiftCardMail {
    const KIND: &'static str = "mail.gift_card";
    // For about a day, like other mails.
    const POLICY: Policy = Policy { max_retries: 14, ..Policy::DEFAULT };
}

impl GiftCards {
    /// Issues the gift cards that a paid order has bought. Returns their number.
    ///
    /// # Errors
    /// Database errors.
    pub async fn issue_bought(&self, op: &OpContext, order: OrderId) -> Result<u64, Error> {
        op.authorize(Permission::WriteOrders)?;
        let lines = credit::gift_card_lines(&mut self.db.read(&op.statements).await?, order).await?;
        let mut count = 0;
        for line in lines.iter().filter(|line| line.unit_price > 0) {
            loop {
                let issued = self
                    .db
                    .transaction(&op.statements, async |tx: &mut Tx| self.issue_in(tx, op, line).await)
                    .await?;
                count += issued;
                if issued == 0 {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Issues the next gift cards of a line. Returns their number.
    async fn issue_in(&self, tx: &mut Tx, op: &OpContext, line: &OrderLine) -> Result<u64, Error> {
        // Serializes calls for the same order.
        let order = orders::lock(tx.conn(), line.order_id).await?;
        let Some(order) = order.filter(|order| !order.status.is_cancelled_or_expired()) else {
            return Ok(0);
        };
        let before = credit::count_issued(tx.conn(), line.id).await?;
        let last = line.quantity.min(before.saturating_add(BATCH_SIZE));
        let mut cards = Vec::new();
        for unit in before.saturating_add(1)..=last {
            let (id, code) = (CreditAccountId::generate(), new_gift_card_code()?);
            cards.push(CreditAccount {
                initial_value: line.unit_price,
                balance: line.unit_price,
                order_line_id: Some(line.id),
                order_line_unit: Some(unit),
                sealed_code: Some(self.keys.seal_gift_card_code(id, &code)?),
                ..gift_card(op, id, &code, &order.currency)
            });
        }
        if cards.is_empty() {
            return Ok(0);
        }
        let mails = cards.iter().map(|card| NewJob::new(&GiftCardMail { account_id: card.id }));
        let mails = mails.collect::<Result<Vec<_>, _>>()?;
        let issued = mails.len();
        insert_issued(tx, op, cards, Some(order.id)).await?;
        jobs::enqueue(tx, op, mails).await?;
        Ok(u64::try_from(issued).unwrap_or(u64::MAX))
    }

    /// Deletes the code of a gift card that was mailed.
    ///
    /// # Errors
    /// Database errors.
    pub async fn forget_code(&self, op: &OpContext, id: CreditAccountId) -> Result<(), Error> {
        op.authorize(Permission::WriteGiftCards)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(mut account) = credit::lock(tx.conn(), id).await? else { return Ok(()) };
                account.sealed_code = None;
                Ok(credit::update(tx.conn(), &account).await?)
            })
            .await
    }
}
