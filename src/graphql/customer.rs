//! Customers: what they see of themselves, and what staff see of them.

mod account_mutation;
mod address_mutation;
mod errors;
mod privacy_mutation;
mod sign_in_mutation;
mod staff_mutation;

pub use account_mutation::CustomerAccountMutation;
pub use address_mutation::CustomerAddressMutation;
pub use privacy_mutation::CustomerPrivacyMutation;
pub use sign_in_mutation::CustomerSignInMutation;
pub use staff_mutation::StaffCustomerMutation;

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::address::MailingAddress;
use super::connection::{Items, PageArgs, connection};
use super::guard::{Requires, reads_customers};
use super::in_order::InOrder;
use super::order::{OrderConnection, OrderSortKeys, orders_of_customer};
use super::request::RequestContext;
use super::scalars::{DateTime, gid, parse_gid};
use super::total::Total;
use crate::domain::ids::{CustomerId, Id};
use crate::domain::page::{Cursor, CursorKey, KeyKind, Page};
use crate::domain::permission::Permission;
use crate::loaders::{self, CustomerAddress};
use crate::services::sessions::SessionTokens;

connection!(CustomerConnection, CustomerEdge, Customer, "customers", counted);
connection!(MailingAddressConnection, MailingAddressEdge, MailingAddress, "addresses");

/// A customer. Made only for those who may see them: the customer, or staff.
#[derive(Clone)]
pub struct Customer(Arc<loaders::Customer>);

impl Customer {
    /// A customer that was read or written for somebody who may see them.
    pub fn of(row: loaders::Customer) -> Self {
        Self(Arc::new(row))
    }

    /// The customer with an id, if it is the actor themself, or the actor may see customers; for others there is none.
    pub async fn find(ctx: &Context<'_>, id: CustomerId) -> Result<Option<Self>> {
        if ctx.op().actor.customer() != Some(id) && !ctx.op().may(Permission::ReadCustomers) {
            return Ok(None);
        }
        Ok(ctx.loaders().customers.load(id).await?.map(Self))
    }

    async fn rows(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<CustomerAddress>]>> {
        Ok(ctx.loaders().addresses_of_customer.load(self.0.id).await?)
    }
}

fn shown(row: &CustomerAddress) -> MailingAddress {
    MailingAddress::of_book(row.id, &row.address.0)
}

/// A customer: somebody with an account in the shop.
#[Object]
impl Customer {
    /// The customer's global id.
    pub async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// Whether they want to hear of offers.
    async fn accepts_marketing(&self) -> bool {
        self.0.accepts_marketing
    }

    /// Their addresses, in the order they were made.
    async fn addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Whether the order is turned around.")] reverse: bool,
    ) -> Result<InOrder<MailingAddressConnection>> {
        let list = if reverse { "addresses/reverse" } else { "addresses" };
        let request = PageArgs { first, after, last, before }.request(ctx, list, KeyKind::None)?;
        let mut rows = self.rows(ctx).await?.to_vec();
        if reverse {
            rows.reverse();
        }
        let is_at = |row: &Arc<CustomerAddress>, cursor: &Cursor| row.id.uuid() == cursor.id;
        let page = Page::of_list(rows, &request, is_at);
        let page = page.map(|row| (shown(&row), CursorKey::None));
        Ok(InOrder(MailingAddressConnection(Items::new(list, page, MailingAddress::uuid))))
    }

    /// When they signed up.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The address to propose.
    async fn default_address(&self, ctx: &Context<'_>) -> Result<Option<InOrder<MailingAddress>>> {
        let rows = self.rows(ctx).await?;
        Ok(rows.iter().find(|row| row.is_default).map(|row| InOrder(shown(row))))
    }

    /// What to call them: their name, or else their address.
    async fn display_name(&self) -> String {
        let names = [self.0.first_name.as_deref(), self.0.last_name.as_deref()];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if name.is_empty() { self.0.email.clone().unwrap_or_default() } else { name }
    }

    /// E-mail address; null once they have been erased.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// Whether they proved that the e-mail address is theirs.
    async fn is_email_verified(&self) -> bool {
        self.0.email_verified_at.is_some()
    }

    /// When what was held on them was removed.
    async fn erased_at(&self) -> Option<DateTime> {
        self.0.erased_at.map(DateTime)
    }

    /// Given name.
    async fn first_name(&self) -> Option<&str> {
        self.0.first_name.as_deref()
    }

    /// Family name.
    async fn last_name(&self) -> Option<&str> {
        self.0.last_name.as_deref()
    }

    /// Their orders. Those without a number are left out, for staff as well: payments that were
    /// declined, or are being asked for. Staff find these in `orders`.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(desc = "The other way around.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "What they are sorted by.", default_with = "Some(OrderSortKeys::Id)")]
        sort_key: Option<OrderSortKeys>,
    ) -> Result<InOrder<OrderConnection>> {
        let page = PageArgs { first, after, last, before };
        orders_of_customer(ctx, self.0.id, page, sort_key, reverse.unwrap_or(false)).await
    }

    /// Phone number.
    async fn phone(&self) -> Option<&str> {
        self.0.phone.as_deref()
    }

    /// What staff noted on them; null for whoever may not see customers.
    async fn note(&self, ctx: &Context<'_>) -> Option<&str> {
        ctx.op().may(Permission::ReadCustomers).then_some(self.0.note.as_str())
    }

    /// Words that staff put to them.
    async fn tags(&self) -> &[String] {
        &self.0.tags.0
    }

    /// When they last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// What a customer's requests are signed with, as `Authorization: Bearer` or as the argument `customerAccessToken`.
#[derive(SimpleObject)]
pub struct CustomerAccessToken {
    /// The token.
    access_token: String,
    /// When it ends. Renew it before.
    expires_at: DateTime,
    /// What the token can be renewed with even when it has ended, once: for `customerAccessTokenRenew(refreshToken:)`. Null where
    /// the one that you have is still the one. Keep it safe: one that is sent twice ends the session.
    refresh_token: Option<String>,
}

impl From<SessionTokens> for CustomerAccessToken {
    fn from(tokens: SessionTokens) -> Self {
        Self {
            access_token: tokens.access_token,
            expires_at: DateTime(tokens.expires_at),
            refresh_token: tokens.refresh_token,
        }
    }
}

/// Reads of customers.
#[derive(Default)]
pub struct CustomerQuery;

#[Object]
impl CustomerQuery {
    /// The customer who is signed in, by the argument or by `Authorization: Bearer`; null if nobody is.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An access token; the request's bearer token when it is not given.")]
        customer_access_token: Option<String>,
    ) -> Result<Option<InOrder<Customer>>> {
        let token = customer_access_token.as_deref();
        let customer = ctx.services().customers.current(ctx.op(), token).await?;
        Ok(customer.map(|customer| InOrder(Customer::of(customer))))
    }

    /// A customer, by their id, for staff.
    #[graphql(guard = "Requires(Permission::ReadCustomers)", visible = "reads_customers")]
    async fn customer_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Their global id.")] id: ID,
    ) -> Result<Option<InOrder<Customer>>> {
        Ok(Customer::find(ctx, parse_gid(&id)?).await?.map(InOrder))
    }

    /// Customers in the order they signed up, for staff.
    #[graphql(guard = "Requires(Permission::ReadCustomers)", visible = "reads_customers")]
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many.")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "What they must have: beginnings of words of their names or e-mail addresses, and terms such as \
                    `email:ada@example.com`, `last_name:Lovelace`, `created_at:>=2026-01-31`, joined by spaces or `OR`, negated by `-`."
        )]
        query: Option<String>,
    ) -> Result<InOrder<CustomerConnection>> {
        const LIST: &str = "customers";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, KeyKind::None)?;
        let (page, warnings) =
            ctx.services().customers.customers(ctx.op(), query.as_deref(), &request).await?;
        ctx.search_hints().note(ctx, &warnings);
        let page = page.map(|row| (Customer::of(row), CursorKey::None));
        let items = Items::new(LIST, page, |customer: &Customer| customer.0.id.uuid());
        Ok(InOrder(CustomerConnection(items, Total::Customers(query))))
    }
}
