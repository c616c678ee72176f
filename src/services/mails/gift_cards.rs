//! The mail with a gift card that was bought. It goes to the recipient that the buyer named in the
//! attributes of the line, as storefronts of the dialect do, and otherwise to the buyer.

use super::content::{GiftCardDelivery, MailContent};
use super::{Draft, Language, Mails};
use crate::context::OpContext;
use crate::db::DbError;
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::carts::Attribute;
use crate::domain::customers::emails;
use crate::domain::ids::{CreditAccountId, JobId, OrderId};
use crate::domain::money::{Currency, Money};
use crate::domain::payments::credit::display_code;
use crate::domain::reports::Day;
use crate::error::Error;
use crate::integrations::mail::OutgoingMail;
use crate::repositories::orders::{self, OrderLine};
use crate::repositories::payments::credit;

/// The attribute of a line with the recipient's address.
const RECIPIENT_EMAIL: &str = "Recipient email";
/// The attribute with the recipient's name.
const RECIPIENT_NAME: &str = "Recipient name";
/// The attribute with the buyer's message.
const MESSAGE: &str = "Message";

impl Mails {
    /// Renders the mail with a gift card, and returns it with the order in which the card was
    /// bought. `None` if the card was already mailed or was deactivated, or if there is no address.
    /// The mail contains the code, so it requires the permission to issue gift cards.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the code was encrypted with a `JWT_SECRET` that this process does
    /// not have.
    pub async fn gift_card(
        &self,
        op: &OpContext,
        id: CreditAccountId,
        job: JobId,
    ) -> Result<Option<(OrderId, OutgoingMail)>, Error> {
        op.authorize(Permission::WriteGiftCards)?;
        let mut conn = self.db.read(&op.statements).await?;
        let Some(account) = credit::by_ids(&mut conn, &[id]).await?.pop() else { return Ok(None) };
        let (Some(sealed), Some(line)) = (&account.sealed_code, account.order_line_id) else {
            return Ok(None);
        };
        let Some(line) = orders::find_line(&mut conn, line).await? else { return Ok(None) };
        let Some(order) = orders::find(&mut conn, line.order_id).await? else { return Ok(None) };
        drop(conn);
        let code = self.auth.keys.open_gift_card_code(id, sealed).ok_or_else(|| {
            Error::Conflict("the code of the gift card was encrypted with another JWT_SECRET".to_owned())
        })?;
        let recipient = attribute(&line, RECIPIENT_EMAIL).and_then(|email| emails::parse(email).ok());
        let Some(to) = recipient.or_else(|| order.email.clone()) else { return Ok(None) };
        let currency = Currency::parse(&account.currency).map_err(DbError::corrupt)?;
        let content = MailContent::GiftCard(GiftCardDelivery {
            name: attribute(&line, RECIPIENT_NAME).map(str::to_owned),
            message: attribute(&line, MESSAGE).map(str::to_owned),
            amount: Money::new(account.balance, currency),
            code: display_code(&code),
            expires_on: account.expires_at.map(|at| Day::ending_at(at).date()),
        });
        let language = Language::from_code(order.language.as_deref());
        let mail = self.render_draft(op, job, Draft { to, language, content })?;
        Ok(Some((order.id, mail)))
    }
}

/// The value of an attribute of a line, regardless of letter case; `None` if it is blank.
fn attribute<'a>(line: &'a OrderLine, key: &str) -> Option<&'a str> {
    let is_it = |attribute: &&Attribute| attribute.key.trim().eq_ignore_ascii_case(key);
    let value = line.attributes.0.iter().find(is_it)?.value.trim();
    Some(value).filter(|value| !value.is_empty())
}
