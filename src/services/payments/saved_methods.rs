//! The payment methods that customers have saved, to pay with them again. Each belongs to one
//! customer, and nobody else may see, use or remove it, not even staff.
//!
//! The providers store the methods (`PaymentVault`); the database has their labels (brand, last
//! digits, expiry), as last read from the provider (`sync`). When a customer removes a method, it
//! disappears at once, and a job removes it at the provider. No card numbers or secrets are stored.

mod jobs;
mod sync;

pub use jobs::{DeletePaymentCustomer, DetachMethod};

use std::sync::Arc;

use super::{PaymentMethod, Payments};
use crate::context::OpContext;
use crate::db::{Conn, Tx};
use crate::domain::events::{CustomerEvent, Event};
use crate::domain::ids::{CustomerId, Id, PaymentMethodId};
use crate::domain::payments::NextAction;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::integrations::payments::{Charge, ChargedCustomer, PaymentProvider, ProviderError};
use crate::jobs::{NewJob, enqueue};
use crate::repositories::customers;
use crate::repositories::payments::customers as payment_customers;
use crate::repositories::payments::saved_methods::{self, SavedMethod};
use crate::services::access::attempts::AttemptKind;

/// Maximum number of methods that a customer can save.
pub(crate) const MAX_SAVED_METHODS: usize = 20;

/// What the storefront needs to save a method without paying. Stored nowhere.
#[derive(Clone, Debug)]
pub struct MethodSetup {
    /// What the customer has to do.
    pub next_action: NextAction,
    /// The public key for the provider's script.
    pub publishable_key: Option<String>,
}

impl Payments {
    /// The methods that the signed-in customer has saved, oldest first.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when no customer is signed in.
    pub async fn saved_methods(&self, op: &OpContext) -> Result<Vec<SavedMethod>, Error> {
        let customer = require_customer(op)?;
        Ok(saved_methods::by_customer_ids(&mut self.db.read(&op.statements).await?, &[customer]).await?)
    }

    /// Begins to save a method of the signed-in customer without paying. `provider` may be omitted
    /// if only one saves methods.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the provider saves none or does not respond, or too many are saved
    /// already; [`Error::Throttled`] after too many calls.
    pub async fn set_up_method(&self, op: &OpContext, provider: Option<&str>) -> Result<MethodSetup, Error> {
        let customer = require_customer(op)?;
        let provider = self.saving_provider(provider)?;
        let known = self.saved_methods(op).await?;
        check_count(&[], known.len())?;
        let attempt =
            self.setup_limits.check(op, AttemptKind::PaymentSetup, &customer.uuid().to_string()).await?;
        self.setup_limits.count(op, &attempt, None).await?;
        let result = match self.payment_customer(op, &provider, customer).await? {
            Ok(account) => {
                let Some(vault) = provider.vault() else { return Err(saves_nothing()) };
                let set_up = self.call_vault(&provider, || vault.set_up(&account.reference)).await;
                if matches!(set_up, Err(ProviderError::Refused(_))) {
                    // If the provider does not know the customer any more, the next call creates
                    // another.
                    self.sync_account(op, &provider, &account).await?.ok();
                }
                set_up
            }
            Err(error) => Err(error),
        };
        let client_secret = result.map_err(|error| unreachable(&provider, &error))?;
        Ok(MethodSetup {
            next_action: NextAction::ConfirmOnClient { client_secret, is_saving: true },
            publishable_key: provider.publishable_key().map(str::to_owned),
        })
    }

    /// Removes a method of the signed-in customer. If it was the default, the oldest of the others
    /// becomes the default.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has no such method.
    pub async fn remove_method(&self, op: &OpContext, id: PaymentMethodId) -> Result<(), Error> {
        let customer = require_customer(op)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let row = find_own(tx, customer, id).await?;
                let removed = SavedMethod {
                    brand: String::new(),
                    last_digits: String::new(),
                    is_default: false,
                    removed_at: Some(op.now()),
                    ..row
                };
                saved_methods::update(tx.conn(), &removed).await?;
                ensure_default(tx, customer).await?;
                enqueue(tx, op, [NewJob::new(&DetachMethod { method_id: id })?]).await?;
                append_event(tx, op, customer).await
            })
            .await
    }

    /// Makes a method the default of the signed-in customer.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the customer has no such method.
    pub async fn set_default_method(&self, op: &OpContext, id: PaymentMethodId) -> Result<(), Error> {
        let customer = require_customer(op)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let row = find_own(tx, customer, id).await?;
                saved_methods::clear_default(tx.conn(), customer).await?;
                saved_methods::update(tx.conn(), &SavedMethod { is_default: true, ..row }).await?;
                append_event(tx, op, customer).await
            })
            .await
    }

    /// Checks that the caller may pay with a saved method, or save one. `field` is the path of the
    /// input, and `owner` the customer of the order. A method is saved only with an order of the
    /// customer's own: otherwise, somebody else might enter theirs.
    pub(crate) async fn check_saved_method(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        field: &[&str],
        method: &PaymentMethod,
        owner: Option<CustomerId>,
    ) -> Result<(), Error> {
        let path = |name: &'static str| [field, &[name]].concat();
        let customer = op.actor.customer();
        if let Some(id) = method.saved_method {
            let known = match customer {
                Some(customer) => saved_methods::by_customer_ids(conn, &[customer]).await?,
                None => Vec::new(),
            };
            let is_it = |row: &SavedMethod| row.id == id && row.provider == method.provider.name();
            let field = path("customerPaymentMethodId");
            return if known.iter().any(is_it) { Ok(()) } else { Err(not_found(&field)) };
        }
        if !method.is_saved_for_later {
            return Ok(());
        }
        let field = path("isSavedForLater");
        let Some(customer) = customer else {
            let message = "Only signed-in customers can save payment methods";
            return Err(Error::invalid(&field, UserErrorCode::NotAllowed, message));
        };
        if owner != Some(customer) {
            let message = "You can save a payment method only with an order of your own";
            return Err(Error::invalid(&field, UserErrorCode::NotAllowed, message));
        }
        let known = saved_methods::by_customer_ids(conn, &[customer]).await?;
        check_count(&field, known.len())
    }

    /// Adds the customer to a charge that uses a saved method or saves one. Refused if the saved
    /// method was removed meanwhile.
    pub(super) async fn with_customer(
        &self,
        op: &OpContext,
        charge: Charge,
        method: &PaymentMethod,
    ) -> Result<Result<Charge, ProviderError>, Error> {
        let provider = &method.provider;
        let customer = op.actor.customer();
        if let Some(id) = method.saved_method {
            let removed = || ProviderError::Refused("the saved payment method was removed".to_owned());
            let Some(customer) = customer else { return Ok(Err(removed())) };
            let mut conn = self.db.read(&op.statements).await?;
            let known = saved_methods::by_customer_ids(&mut conn, &[customer]).await?;
            let account = payment_customers::find(&mut conn, customer, provider.name()).await?;
            let known = known.into_iter().find(|row| row.id == id && row.provider == provider.name());
            return Ok(match (known, account) {
                (Some(known), Some(account)) => {
                    let customer = ChargedCustomer { reference: account.reference, is_saving: false };
                    Ok(Charge { token: known.reference, customer: Some(customer), ..charge })
                }
                _ => Err(removed()),
            });
        }
        let (true, Some(customer)) = (method.is_saved_for_later, customer) else { return Ok(Ok(charge)) };
        Ok(Ok(match self.payment_customer(op, provider, customer).await? {
            Ok(account) => {
                let customer = ChargedCustomer { reference: account.reference, is_saving: true };
                Charge { customer: Some(customer), ..charge }
            }
            // The payment goes ahead even if the method can't be saved.
            Err(error) => {
                tracing::warn!(provider = provider.name(), "a payment method is not saved: {error}");
                charge
            }
        }))
    }

    /// The provider with this name, or the only one, that saves methods.
    fn saving_provider(&self, name: Option<&str>) -> Result<Arc<dyn PaymentProvider>, Error> {
        let mut saving = self.all().filter(|provider| provider.vault().is_some());
        let found = match name {
            Some(name) => saving.find(|provider| provider.name() == name),
            None => match (saving.next(), saving.next()) {
                (Some(only), None) => Some(only),
                (Some(_), Some(_)) => {
                    let message = "Several payment providers can save payment methods: specify `provider`";
                    return Err(Error::invalid(&["provider"], UserErrorCode::Blank, message));
                }
                (None, _) => None,
            },
        };
        found.cloned().ok_or_else(saves_nothing)
    }
}

fn require_customer(op: &OpContext) -> Result<CustomerId, Error> {
    op.actor.customer().ok_or_else(|| op.authentication_error())
}

fn check_count(field: &[&str], known: usize) -> Result<(), Error> {
    if known < MAX_SAVED_METHODS {
        return Ok(());
    }
    let message = format!("You can save up to {MAX_SAVED_METHODS} payment methods: remove one first");
    Err(Error::invalid(field, UserErrorCode::TooMany, message))
}

/// One of the customer's own methods; locks the customer. Those of others are not found.
async fn find_own(tx: &mut Tx, customer: CustomerId, id: PaymentMethodId) -> Result<SavedMethod, Error> {
    customers::lock(tx.conn(), customer).await?;
    let known = saved_methods::by_customer_ids(tx.conn(), &[customer]).await?;
    known.into_iter().find(|row| row.id == id).ok_or_else(|| not_found(&["id"]))
}

/// Makes the oldest method of a customer the default if there is none.
async fn ensure_default(tx: &mut Tx, customer: CustomerId) -> Result<(), Error> {
    let known = saved_methods::by_customer_ids(tx.conn(), &[customer]).await?;
    if known.iter().any(|row| row.is_default) {
        return Ok(());
    }
    if let Some(oldest) = known.into_iter().next() {
        saved_methods::update(tx.conn(), &SavedMethod { is_default: true, ..oldest }).await?;
    }
    Ok(())
}

async fn append_event(tx: &mut Tx, op: &OpContext, customer_id: CustomerId) -> Result<(), Error> {
    Ok(events::append(tx, op, [Event::CustomerUpdated(CustomerEvent { customer_id })]).await?)
}

fn not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "You have no such saved payment method")
}

fn saves_nothing() -> Error {
    let message = "The payment provider can't save payment methods";
    Error::invalid(&["provider"], UserErrorCode::NotAllowed, message)
}

/// The error for a customer when the provider did not respond, or refused for a reason that only
/// the shop can fix.
fn unreachable(provider: &Arc<dyn PaymentProvider>, error: &ProviderError) -> Error {
    tracing::warn!(provider = provider.name(), "saved payment methods can't be reached: {error}");
    let message = "The payment provider did not respond: try again";
    Error::invalid(&[], UserErrorCode::PaymentProviderUnavailable, message)
}
