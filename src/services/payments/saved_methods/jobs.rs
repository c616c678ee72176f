//! Jobs that remove at a provider what is gone here: a saved method, or a customer who was erased.
//! They are repeated for about a day while the provider does not respond.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::domain::ids::PaymentMethodId;
use crate::error::Error;
use crate::integrations::payments::PaymentProvider;
use crate::jobs::{JobPayload, Policy};
use crate::repositories::payments::customers::PaymentCustomer;
use crate::repositories::payments::saved_methods;
use crate::services::payments::Payments;

/// Enough retries for a provider that is down for a day.
const POLICY: Policy = Policy { max_retries: 14, ..Policy::DEFAULT };

/// Payload of the job that removes a method at its provider.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DetachMethod {
    /// The removed method.
    pub method_id: PaymentMethodId,
}

impl JobPayload for DetachMethod {
    const KIND: &'static str = "payment.detach_method";
    const POLICY: Policy = POLICY;
}

/// Payload of the job that deletes a customer at a provider.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletePaymentCustomer {
    /// The provider's name.
    pub provider: String,
    /// The provider's id of the customer.
    pub reference: String,
}

impl JobPayload for DeletePaymentCustomer {
    const KIND: &'static str = "payment.delete_customer";
    const POLICY: Policy = POLICY;
}

impl DeletePaymentCustomer {
    /// The payload for a customer.
    #[must_use]
    pub fn of(customer: &PaymentCustomer) -> Self {
        Self { provider: customer.provider.clone(), reference: customer.reference.clone() }
    }
}

impl Payments {
    /// Removes a method at its provider, after its customer has removed it. Called by the job;
    /// idempotent.
    ///
    /// # Errors
    /// [`Error::Internal`] when the provider does not respond.
    pub async fn detach_method(&self, op: &OpContext, job: &DetachMethod) -> Result<(), Error> {
        op.authorize(Permission::WriteCustomers)?;
        let row = saved_methods::find(&mut self.db.read(&op.statements).await?, job.method_id).await?;
        // Otherwise its customer was erased, which another job takes care of.
        let Some(row) = row.filter(|row| row.removed_at.is_some()) else { return Ok(()) };
        let provider = self.enabled(&row.provider)?;
        let Some(vault) = provider.vault() else { return Ok(()) };
        let removed = self.call_vault(provider, || vault.remove(&row.reference)).await;
        removed.map_err(|error| Error::Internal(Arc::new(error)))
    }

    /// Deletes a customer at a provider, with all methods. Called by the job; idempotent.
    ///
    /// # Errors
    /// [`Error::Internal`] when the provider does not respond.
    pub async fn delete_payment_customer(
        &self,
        op: &OpContext,
        job: &DeletePaymentCustomer,
    ) -> Result<(), Error> {
        op.authorize(Permission::WriteCustomers)?;
        let provider = self.enabled(&job.provider)?;
        let Some(vault) = provider.vault() else { return Ok(()) };
        let deleted = self.call_vault(provider, || vault.delete_customer(&job.reference)).await;
        deleted.map_err(|error| Error::Internal(Arc::new(error)))
    }

    fn enabled(&self, name: &str) -> Result<&Arc<dyn PaymentProvider>, Error> {
        self.provider(name)
            .ok_or_else(|| Error::Conflict(format!("the payment provider {name} is not enabled at present")))
    }
}
