//! The payment methods that customers have saved. Only their customer sees them, not even staff.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};

use super::Customer;
use super::errors::{customer_payload, customer_payload_type};
use crate::domain::ids::{Id, PaymentMethodId};
use crate::domain::payments::brand_name;
use crate::graphql::orders::PaymentNextAction;
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::{DateTime, Url, gid, parse_gid};
use crate::loaders::SavedMethod;
use crate::services::payments::MethodSetup;

/// A payment method that a customer has saved.
#[derive(Clone)]
pub(in crate::graphql) struct CustomerPaymentMethod(pub(super) Arc<SavedMethod>);

impl CustomerPaymentMethod {
    pub(super) fn uuid(&self) -> uuid::Uuid {
        self.0.id.uuid()
    }
}

/// A payment method that a customer has saved, to pay with it again. Visible only to the customer.
#[Object]
impl CustomerPaymentMethod {
    /// The ID of the payment method, for `customerPaymentMethodId` of a payment.
    async fn id(&self) -> ID {
        gid(self.0.id)
    }

    /// When the payment method was saved.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// The card.
    async fn instrument(&self, ctx: &Context<'_>) -> CustomerCreditCard {
        let card = &self.0;
        CustomerCreditCard {
            brand: brand_name(&card.brand),
            expiry_month: card.expiry_month,
            expiry_year: card.expiry_year,
            is_expired: card.is_expired(ctx.op().now()),
            last_digits: card.last_digits.clone(),
            masked_number: format!("•••• •••• •••• {}", card.last_digits),
        }
    }

    /// Whether it is the customer's default payment method, to be suggested at checkout.
    async fn is_default(&self) -> bool {
        self.0.is_default
    }

    /// The name of the payment provider, one of `paymentProviders`.
    async fn provider(&self) -> &str {
        &self.0.provider
    }
}

/// A saved credit or debit card, with the details that the customer needs to recognize it.
#[derive(SimpleObject)]
struct CustomerCreditCard {
    /// The brand, such as `Visa`.
    brand: String,
    /// The month in which the card expires, from 1 to 12.
    expiry_month: i32,
    /// The year in which the card expires, with four digits.
    expiry_year: i32,
    /// Whether the card has expired: its expiry month is over, in UTC. Don't offer an expired card
    /// for payment. It stays in the list because the bank may renew it.
    is_expired: bool,
    /// The last four digits of the number.
    last_digits: String,
    /// The number, of which only the last four digits are shown.
    masked_number: String,
}

customer_payload_type! {
    /// The result of `customerPaymentMethodCreate`.
    CustomerPaymentMethodCreatePayload {
        /// What the storefront has to do to save the payment method. Null if the mutation failed.
        next_action: Option<PaymentNextAction>,
    }
}

customer_payload_type! {
    /// The result of `customerPaymentMethodSync`.
    CustomerPaymentMethodSyncPayload {
        /// The customer, with the payment methods. Null if the mutation failed.
        customer: Option<Customer>,
    }
}

customer_payload_type! {
    /// The result of `customerPaymentMethodRemove`.
    CustomerPaymentMethodRemovePayload {
        /// The ID of the removed payment method. Null if the mutation failed.
        removed_customer_payment_method_id: Option<ID>,
    }
}

customer_payload_type! {
    /// The result of `customerDefaultPaymentMethodSet`.
    CustomerDefaultPaymentMethodSetPayload {
        /// The customer, with the payment methods. Null if the mutation failed.
        customer: Option<Customer>,
    }
}

customer_payload_type! {
    /// The result of `customerCheckoutUrlCreate`.
    CustomerCheckoutUrlCreatePayload {
        /// The URL. Null if the mutation failed.
        checkout_url: Option<Url>,
        /// When the URL stops signing the customer in. After that, it only opens the cart. Null if
        /// the mutation failed.
        expires_at: Option<DateTime>,
    }
}

/// Mutations of saved payment methods.
#[derive(Default)]
pub(crate) struct CustomerPaymentMethodMutation;

#[Object]
impl CustomerPaymentMethodMutation {
    /// Starts saving a payment method for the signed-in customer, without making a payment. The
    /// storefront passes `nextAction.clientSecret` to the payment provider's script, such as
    /// `stripe.confirmSetup`, and then calls `customerPaymentMethodSync`. A customer can save up to
    /// 20 payment methods. Too many calls fail with `THROTTLED`.
    async fn customer_payment_method_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The name of a payment provider whose `hasSavedMethods` is true. Defaults to the \
                          only one.")]
        provider: Option<String>,
    ) -> Result<CustomerPaymentMethodCreatePayload> {
        let (services, token) = (ctx.services(), customer_access_token.as_deref());
        let begun = async {
            let op = services.customers.require_customer(ctx.op(), token).await?;
            services.payments.set_up_method(&op, provider.as_deref()).await
        };
        let (begun, customer_user_errors, user_errors) = customer_payload(begun.await)?;
        let to_action =
            |setup: MethodSetup| PaymentNextAction::new(Some(setup.next_action), setup.publishable_key);
        let next_action = begun.map(to_action);
        Ok(CustomerPaymentMethodCreatePayload { next_action, customer_user_errors, user_errors })
    }

    /// Refreshes the signed-in customer's saved payment methods from the payment providers, for
    /// example after `customerPaymentMethodCreate`. Changes also arrive by webhook. The providers
    /// are queried at most 12 times a minute per customer; further calls return the payment methods
    /// known so far.
    async fn customer_payment_method_sync(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
    ) -> Result<CustomerPaymentMethodSyncPayload> {
        let (services, token) = (ctx.services(), customer_access_token.as_deref());
        let synced = async {
            let op = services.customers.require_customer(ctx.op(), token).await?;
            services.payments.sync_methods(&op).await?;
            services.customers.current(&op, None).await
        };
        let (customer, customer_user_errors, user_errors) = customer_payload(synced.await)?;
        let customer = customer.flatten().map(Customer::signed_in);
        Ok(CustomerPaymentMethodSyncPayload { customer, customer_user_errors, user_errors })
    }

    /// Removes a saved payment method of the signed-in customer. It can't be used from now on, and
    /// is soon removed at the payment provider, too.
    async fn customer_payment_method_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of the payment method.")] id: ID,
    ) -> Result<CustomerPaymentMethodRemovePayload> {
        let (services, token) = (ctx.services(), customer_access_token.as_deref());
        let method: PaymentMethodId = parse_gid(&id)?;
        let removed = async {
            let op = services.customers.require_customer(ctx.op(), token).await?;
            services.payments.remove_method(&op, method).await
        };
        let (removed, customer_user_errors, user_errors) = customer_payload(removed.await)?;
        let removed_customer_payment_method_id = removed.map(|()| id);
        Ok(CustomerPaymentMethodRemovePayload {
            removed_customer_payment_method_id,
            customer_user_errors,
            user_errors,
        })
    }

    /// Makes a saved payment method the default of the signed-in customer.
    async fn customer_default_payment_method_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of the payment method.")] id: ID,
    ) -> Result<CustomerDefaultPaymentMethodSetPayload> {
        let (services, token) = (ctx.services(), customer_access_token.as_deref());
        let method: PaymentMethodId = parse_gid(&id)?;
        let changed = async {
            let op = services.customers.require_customer(ctx.op(), token).await?;
            services.payments.set_default_method(&op, method).await?;
            services.customers.current(&op, None).await
        };
        let (customer, customer_user_errors, user_errors) = customer_payload(changed.await)?;
        let customer = customer.flatten().map(Customer::signed_in);
        Ok(CustomerDefaultPaymentMethodSetPayload { customer, customer_user_errors, user_errors })
    }

    /// Creates a checkout URL that also signs the customer in, for 30 minutes or until their
    /// session ends, whichever comes first. The page then offers the saved payment methods, and can
    /// save a new one. Redirect the customer to it immediately; don't display or store it. After
    /// that time, it works like `Cart.checkoutUrl`. Fails with `NOT_ALLOWED` if the `CHECKOUT_URL`
    /// setting specifies the shop's own checkout pages.
    async fn customer_checkout_url_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer access token. Defaults to the bearer token of the request.")]
        customer_access_token: Option<String>,
        #[graphql(desc = "The ID of a cart that belongs to the customer.")] cart_id: ID,
    ) -> Result<CustomerCheckoutUrlCreatePayload> {
        let (services, token) = (ctx.services(), customer_access_token.as_deref());
        let created = async {
            let op = services.customers.require_customer(ctx.op(), token).await?;
            services.carts.sign_in_link(&op, &cart_id).await
        };
        let (link, customer_user_errors, user_errors) = customer_payload(created.await)?;
        Ok(CustomerCheckoutUrlCreatePayload {
            checkout_url: link.as_ref().map(|link| Url(ctx.absolute_url(&link.url))),
            expires_at: link.map(|link| DateTime(link.expires_at)),
            customer_user_errors,
            user_errors,
        })
    }
}

/// The default among a customer's saved payment methods.
pub(super) fn default_of(rows: &[Arc<SavedMethod>]) -> Option<CustomerPaymentMethod> {
    rows.iter().find(|row| row.is_default).map(|row| CustomerPaymentMethod(Arc::clone(row)))
}
