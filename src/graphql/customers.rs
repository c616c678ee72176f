//! Customers, as they see themselves and as staff see them.

mod account_mutation;
mod address_mutation;
pub(super) mod addresses;
mod errors;
mod payment_methods;
mod privacy_mutation;
mod sign_in_mutation;
mod staff_mutation;

pub(super) use account_mutation::CustomerAccountMutation;
pub(super) use address_mutation::CustomerAddressMutation;
pub(super) use payment_methods::CustomerPaymentMethodMutation;
pub(super) use privacy_mutation::CustomerPrivacyMutation;
pub(super) use sign_in_mutation::CustomerSignInMutation;
pub(super) use staff_mutation::StaffCustomerMutation;

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::gift_cards::{StoreCreditAccount, StoreCreditAccountConnection};
use super::orders::{OrderConnection, OrderSortKeys, orders_of_customer};
use super::request::RequestContext;
use super::types::connection::{ConnectionPage, PageArgs, connection};
use super::types::guard::{PermissionGuard, may_read_customers};
use super::types::inline_object::InlineObject;
use super::types::scalars::{DateTime, gid, parse_gid};
use super::types::total::TotalCount;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::{CustomerId, Id};
use crate::domain::page::{Cursor, CursorKey, CursorKeyKind, Page};
use crate::loaders::{self, CustomerAddress, SavedMethod};
use crate::services::access::sessions::SessionTokens;
use addresses::MailingAddress;
use payment_methods::CustomerPaymentMethod;

connection!(CustomerConnection, CustomerEdge, Customer, "customers", counted);
connection!(MailingAddressConnection, MailingAddressEdge, MailingAddress, "addresses");
connection!(
    CustomerPaymentMethodConnection,
    CustomerPaymentMethodEdge,
    CustomerPaymentMethod,
    "saved payment methods"
);

/// A customer. Only constructed for those who may see it: the customer and staff.
#[derive(Clone)]
pub(super) struct Customer {
    row: Arc<loaders::Customer>,
    /// Whether the caller is known to be the customer, by the request's token or another one.
    is_signed_in: bool,
}

impl Customer {
    /// A customer that was loaded for someone who may see it.
    pub(super) fn new(row: loaders::Customer) -> Self {
        Self { row: Arc::new(row), is_signed_in: false }
    }

    /// The caller, as identified by a token of the customer.
    pub(super) fn signed_in(row: loaders::Customer) -> Self {
        Self { row: Arc::new(row), is_signed_in: true }
    }

    /// Finds a customer by ID. `None` unless the actor is the customer or may read customers.
    pub(super) async fn find(ctx: &Context<'_>, id: CustomerId) -> Result<Option<Self>> {
        if ctx.op().actor.customer() != Some(id) && !ctx.op().may(Permission::ReadCustomers) {
            return Ok(None);
        }
        let row = ctx.loaders().customers.by_id.load(id).await?;
        Ok(row.map(|row| Self { row, is_signed_in: false }))
    }

    /// The saved payment methods; `None` unless the caller is the customer.
    async fn load_payment_methods(&self, ctx: &Context<'_>) -> Result<Option<Arc<[Arc<SavedMethod>]>>> {
        if !self.is_signed_in && ctx.op().actor.customer() != Some(self.row.id) {
            return Ok(None);
        }
        Ok(Some(ctx.loaders().customers.payment_methods.load(self.row.id).await?))
    }

    async fn load_addresses(&self, ctx: &Context<'_>) -> Result<Arc<[Arc<CustomerAddress>]>> {
        Ok(ctx.loaders().customers.addresses.load(self.row.id).await?)
    }
}

/// A customer with an account in the shop.
#[Object]
impl Customer {
    /// The ID of the customer.
    pub async fn id(&self) -> ID {
        gid(self.row.id)
    }

    /// Whether the customer accepts marketing.
    async fn accepts_marketing(&self) -> bool {
        self.row.accepts_marketing
    }

    /// The addresses in the customer's address book, in order of creation.
    async fn addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(default = false, desc = "Reverses the order.")] reverse: bool,
    ) -> Result<InlineObject<MailingAddressConnection>> {
        let list = if reverse { "addresses/reverse" } else { "addresses" };
        let request = PageArgs { first, after, last, before }.request(ctx, list, CursorKeyKind::None)?;
        let mut rows = self.load_addresses(ctx).await?.to_vec();
        if reverse {
            rows.reverse();
        }
        let is_at = |row: &Arc<CustomerAddress>, cursor: &Cursor| row.id.uuid() == cursor.id;
        let page = Page::from_list(rows, &request, is_at);
        let page = page.map(|row| (MailingAddress::from_address_book(&row), CursorKey::None));
        Ok(InlineObject(MailingAddressConnection(ConnectionPage::new(list, page, MailingAddress::uuid))))
    }

    /// When the account was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.row.created_at)
    }

    /// The default address, suggested at checkout.
    async fn default_address(&self, ctx: &Context<'_>) -> Result<Option<InlineObject<MailingAddress>>> {
        let rows = self.load_addresses(ctx).await?;
        Ok(rows
            .iter()
            .find(|row| row.is_default)
            .map(|row| InlineObject(MailingAddress::from_address_book(row))))
    }

    /// The default among the saved payment methods. Null for anyone but the customer.
    async fn default_payment_method(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<InlineObject<CustomerPaymentMethod>>> {
        let rows = self.load_payment_methods(ctx).await?;
        Ok(rows.and_then(|rows| payment_methods::default_of(&rows)).map(InlineObject))
    }

    /// The name to display: the first and last name, or else the email address.
    async fn display_name(&self) -> String {
        let names = [self.row.first_name.as_deref(), self.row.last_name.as_deref()];
        let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if name.is_empty() { self.row.email.clone().unwrap_or_default() } else { name }
    }

    /// The email address. Null after the customer was erased.
    async fn email(&self) -> Option<&str> {
        self.row.email.as_deref()
    }

    /// Whether the customer has verified the email address.
    async fn is_email_verified(&self) -> bool {
        self.row.email_verified_at.is_some()
    }

    /// When the customer's personal data was erased. Null if it wasn't.
    async fn erased_at(&self) -> Option<DateTime> {
        self.row.erased_at.map(DateTime)
    }

    /// The first name.
    async fn first_name(&self) -> Option<&str> {
        self.row.first_name.as_deref()
    }

    /// The last name.
    async fn last_name(&self) -> Option<&str> {
        self.row.last_name.as_deref()
    }

    /// The customer's orders. Orders without a number, whose payment was declined or is still in
    /// progress, are left out, even for staff, who find them in `orders`.
    #[expect(clippy::too_many_arguments, reason = "the dialect's arguments")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Reverses the order.", default_with = "Some(false)")] reverse: Option<bool>,
        #[graphql(desc = "The key to sort by.", default_with = "Some(OrderSortKeys::Id)")] sort_key: Option<
            OrderSortKeys,
        >,
    ) -> Result<InlineObject<OrderConnection>> {
        let page = PageArgs { first, after, last, before };
        orders_of_customer(ctx, self.row.id, page, sort_key, reverse.unwrap_or(false)).await
    }

    /// The saved payment methods, in the order in which they were saved. Null for everyone except
    /// the customer, including staff.
    async fn payment_methods(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<Option<InlineObject<CustomerPaymentMethodConnection>>> {
        const LIST: &str = "paymentMethods";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let Some(rows) = self.load_payment_methods(ctx).await? else { return Ok(None) };
        let is_at = |row: &Arc<SavedMethod>, cursor: &Cursor| row.id.uuid() == cursor.id;
        let page = Page::from_list(rows.to_vec(), &request, is_at);
        let page = page.map(|row| (CustomerPaymentMethod(row), CursorKey::None));
        let items = ConnectionPage::new(LIST, page, CustomerPaymentMethod::uuid);
        Ok(Some(InlineObject(CustomerPaymentMethodConnection(items))))
    }

    /// The phone number.
    async fn phone(&self) -> Option<&str> {
        self.row.phone.as_deref()
    }

    /// A note by staff. Null for anyone who can't read customers.
    async fn note(&self, ctx: &Context<'_>) -> Option<&str> {
        ctx.op().may(Permission::ReadCustomers).then_some(self.row.note.as_str())
    }

    /// The customer's store credit. Staff need a permission to see it.
    async fn store_credit_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
    ) -> Result<InlineObject<StoreCreditAccountConnection>> {
        let page = PageArgs { first, after, last, before };
        StoreCreditAccount::of_customer(ctx, self.row.id, page).await
    }

    /// The tags added by staff.
    async fn tags(&self) -> &[String] {
        &self.row.tags.0
    }

    /// When the customer was last updated.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.row.updated_at)
    }
}

/// An access token of a customer. Send it in the `Authorization: Bearer` header, or as
/// the `customerAccessToken` argument.
#[derive(SimpleObject)]
pub(super) struct CustomerAccessToken {
    /// The access token.
    access_token: String,
    /// When the access token expires. Renew it before then.
    expires_at: DateTime,
    /// The refresh token for `customerAccessTokenRenew`, which can be used once, even after the
    /// access token has expired. Null if the previous refresh token remains valid. Keep it secret.
    /// Using a refresh token twice ends the session.
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

/// Queries for customers.
#[derive(Default)]
pub(super) struct CustomerQuery;

#[Object]
impl CustomerQuery {
    /// Returns the signed-in customer, identified by the argument or by the `Authorization: Bearer`
    /// header. Null if nobody is signed in.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
    ) -> Result<Option<InlineObject<Customer>>> {
        let token = customer_access_token.as_deref();
        let customer = ctx.services().customers.current(ctx.op(), token).await?;
        Ok(customer.map(|customer| InlineObject(Customer::signed_in(customer))))
    }

    /// Returns a customer by ID. For staff only.
    #[graphql(guard = "PermissionGuard(Permission::ReadCustomers)", visible = "may_read_customers")]
    async fn customer_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the customer.")] id: ID,
    ) -> Result<Option<InlineObject<Customer>>> {
        Ok(Customer::find(ctx, parse_gid(&id)?).await?.map(InlineObject))
    }

    /// Returns the shop's customers, in order of creation. For staff only.
    #[graphql(guard = "PermissionGuard(Permission::ReadCustomers)", visible = "may_read_customers")]
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns up to the first `n` items.")] first: Option<i32>,
        #[graphql(desc = "Returns the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns up to the last `n` items.")] last: Option<i32>,
        #[graphql(desc = "Returns the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "A search query: prefixes of words in the name or the email address, and \
                          filters such as `email:ada@example.com`, `last_name:Lovelace` and \
                          `created_at:>=2026-01-31`, combined with spaces (and) or `OR` and negated \
                          with `-`.")]
        query: Option<String>,
    ) -> Result<InlineObject<CustomerConnection>> {
        const LIST: &str = "customers";
        let request = PageArgs { first, after, last, before }.request(ctx, LIST, CursorKeyKind::None)?;
        let (page, warnings) =
            ctx.services().customers.customers(ctx.op(), query.as_deref(), &request).await?;
        ctx.search_hints().add(ctx, &warnings);
        let page = page.map(|row| (Customer::new(row), CursorKey::None));
        let items = ConnectionPage::new(LIST, page, |customer: &Customer| customer.row.id.uuid());
        Ok(InlineObject(CustomerConnection(items, TotalCount::Customers(query))))
    }
}
