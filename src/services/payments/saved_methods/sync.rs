//! Reading saved methods from their providers: when a webhook says that they have changed, when a
//! payment has saved one, and when a storefront asks for it.

use std::sync::Arc;
use std::time::Duration;

use super::{
    DeletePaymentCustomer, append_event, ensure_default, require_customer, saves_nothing, unreachable,
};
use crate::context::OpContext;
use crate::db::Tx;
use crate::domain::ids::{CustomerId, PaymentMethodId};
use crate::domain::time::Timestamp;
use crate::error::{Error, with_causes};
use crate::integrations::payments::{PaymentProvider, ProviderError, SavedCard};
use crate::jobs::{NewJob, enqueue};
use crate::repositories::customers;
use crate::repositories::payments::customers::{self as payment_customers, PaymentCustomer};
use crate::repositories::payments::saved_methods::{self, SavedMethod};
use crate::services::payments::Payments;

/// How long a removed method is remembered: a call to the provider that began before the removal
/// must have ended by then, because its result would bring the method back.
const REMOVED_TTL: Duration = Duration::from_hours(1);

impl Payments {
    /// Reads the signed-in customer's methods from the providers, for example after saving one
    /// without a payment. Does nothing after a few calls a minute.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a provider does not respond.
    pub async fn sync_methods(&self, op: &OpContext) -> Result<(), Error> {
        let customer = require_customer(op)?;
        if !self.method_sync_limits.admit(customer, op.now()) {
            return Ok(());
        }
        let accounts =
            payment_customers::by_customer_id(&mut self.db.read(&op.statements).await?, customer).await?;
        for account in accounts {
            let Some(provider) = self.provider(&account.provider) else { continue };
            let synced = self.sync_account(op, provider, &account).await?;
            synced.map_err(|error| unreachable(provider, &error))?;
        }
        Ok(())
    }

    /// Reads a customer's methods after a webhook reported a change. Customers of the same provider
    /// account who are unknown to the shop are ignored.
    pub(in crate::services::payments) async fn sync_reported(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        reference: &str,
    ) -> Result<(), Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let account = payment_customers::find_by_reference(&mut conn, provider.name(), reference).await?;
        drop(conn);
        let Some(account) = account else { return Ok(()) };
        let synced = self.sync_account(op, provider, &account).await?;
        // The provider sends the webhook again.
        synced.map_err(|error| Error::Internal(Arc::new(error)))
    }

    /// Reads the customer's methods after a payment has saved one, or was refused because of one.
    /// If that fails, the payment is not affected, and a webhook or the next call brings them.
    pub(in crate::services::payments) async fn sync_after_charge(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
    ) {
        let Some(customer) = op.actor.customer() else { return };
        let problem = match self.sync_customer(op, provider, customer).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => with_causes(&error),
        };
        tracing::warn!(provider = provider.name(), "saved payment methods can't be read: {problem}");
    }

    async fn sync_customer(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        customer: CustomerId,
    ) -> Result<Result<(), ProviderError>, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let account = payment_customers::find(&mut conn, customer, provider.name()).await?;
        drop(conn);
        let Some(account) = account else { return Ok(Ok(())) };
        self.sync_account(op, provider, &account).await
    }

    /// Reads a customer's methods from a provider.
    pub(super) async fn sync_account(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        account: &PaymentCustomer,
    ) -> Result<Result<(), ProviderError>, Error> {
        let Some(vault) = provider.vault() else { return Err(saves_nothing()) };
        let asked_at = op.now();
        let listed = match self.call_vault(provider, || vault.methods(&account.reference)).await {
            Ok(listed) => listed,
            Err(error) => return Ok(Err(error)),
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                store(tx, op, account, asked_at, listed.as_deref()).await
            })
            .await
            .map(Ok)
    }

    /// The customer's record at a provider, created there if necessary.
    pub(super) async fn payment_customer(
        &self,
        op: &OpContext,
        provider: &Arc<dyn PaymentProvider>,
        customer: CustomerId,
    ) -> Result<Result<PaymentCustomer, ProviderError>, Error> {
        let Some(vault) = provider.vault() else { return Err(saves_nothing()) };
        let mut conn = self.db.read(&op.statements).await?;
        let known = payment_customers::find(&mut conn, customer, provider.name()).await?;
        drop(conn);
        if let Some(known) = known {
            return Ok(Ok(known));
        }
        let reference = match self.call_vault(provider, || vault.create_customer(customer)).await {
            Ok(reference) => reference,
            Err(error) => return Ok(Err(error)),
        };
        let new = PaymentCustomer {
            customer_id: customer,
            provider: provider.name().to_owned(),
            reference,
            synced_at: op.now(),
            created_at: op.now(),
        };
        let stored =
            self.db.transaction(&op.statements, async |tx: &mut Tx| adopt(tx, op, &new).await).await?;
        stored.map(Ok).ok_or(Error::Unauthenticated)
    }
}

/// Stores a customer whom a provider has just created, unless a concurrent request was faster, or
/// the customer was erased meanwhile: then the new one is deleted again.
async fn adopt(tx: &mut Tx, op: &OpContext, new: &PaymentCustomer) -> Result<Option<PaymentCustomer>, Error> {
    let customer = customers::lock(tx.conn(), new.customer_id).await?;
    let is_erased = customer.is_none_or(|customer| customer.erased_at.is_some());
    let known = payment_customers::find(tx.conn(), new.customer_id, &new.provider).await?;
    if is_erased || known.is_some() {
        enqueue(tx, op, [NewJob::new(&DeletePaymentCustomer::of(new))?]).await?;
        return Ok(known);
    }
    payment_customers::insert(tx.conn(), new).await?;
    Ok(Some(new.clone()))
}

/// Stores the methods that a provider listed when it was asked at `asked_at`; `None` if it does not
/// know the customer any more.
async fn store(
    tx: &mut Tx,
    op: &OpContext,
    account: &PaymentCustomer,
    asked_at: Timestamp,
    listed: Option<&[SavedCard]>,
) -> Result<(), Error> {
    let customer = account.customer_id;
    customers::lock(tx.conn(), customer).await?;
    let current = payment_customers::find(tx.conn(), customer, &account.provider).await?;
    // The customer was erased meanwhile, or a later list was stored.
    let is_current =
        |current: &PaymentCustomer| current.reference == account.reference && current.synced_at <= asked_at;
    if !current.as_ref().is_some_and(is_current) {
        return Ok(());
    }
    let Some(listed) = listed else {
        payment_customers::delete(tx.conn(), account).await?;
        ensure_default(tx, customer).await?;
        return append_event(tx, op, customer).await;
    };
    let has_changed = store_listed(tx, op, account, listed).await?;
    ensure_default(tx, customer).await?;
    payment_customers::set_synced_at(tx.conn(), account, asked_at).await?;
    if has_changed {
        append_event(tx, op, customer).await?;
    }
    Ok(())
}

/// Inserts, updates and deletes methods, until they are those that the provider has listed. Returns
/// whether there was anything to do.
async fn store_listed(
    tx: &mut Tx,
    op: &OpContext,
    account: &PaymentCustomer,
    listed: &[SavedCard],
) -> Result<bool, Error> {
    let known = saved_methods::with_removed(tx.conn(), account.customer_id, &account.provider).await?;
    let mut has_changed = false;
    for row in &known {
        let card = listed.iter().find(|card| card.reference == row.reference);
        match (card, row.removed_at) {
            (None, None) => {
                saved_methods::delete(tx.conn(), row.id).await?;
                has_changed = true;
            }
            (None, Some(removed_at)) if removed_at.plus(REMOVED_TTL) <= op.now() => {
                saved_methods::delete(tx.conn(), row.id).await?;
            }
            (Some(card), None) => {
                let updated = labeled(row.clone(), card);
                if updated != *row {
                    saved_methods::update(tx.conn(), &updated).await?;
                    has_changed = true;
                }
            }
            (_, Some(_)) => {}
        }
    }
    // The newest one is listed first.
    for card in listed.iter().rev() {
        if known.iter().any(|row| row.reference == card.reference) {
            continue;
        }
        let row = SavedMethod {
            id: PaymentMethodId::generate(),
            customer_id: account.customer_id,
            provider: account.provider.clone(),
            reference: card.reference.clone(),
            brand: String::new(),
            last_digits: String::new(),
            expiry_month: 0,
            expiry_year: 0,
            is_default: false,
            removed_at: None,
            created_at: op.now(),
        };
        saved_methods::insert(tx.conn(), &labeled(row, card)).await?;
        has_changed = true;
    }
    Ok(has_changed)
}

/// A method with the label that the provider gives.
fn labeled(row: SavedMethod, card: &SavedCard) -> SavedMethod {
    SavedMethod {
        brand: card.brand.clone(),
        last_digits: card.last_digits.clone(),
        expiry_month: card.expiry_month,
        expiry_year: card.expiry_year,
        ..row
    }
}
