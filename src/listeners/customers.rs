//! What happens at payment providers after customers have removed a payment method, or were erased.

use super::Shared;
use crate::jobs::{JobContext, JobResult};
use crate::services::payments::{DeletePaymentCustomer, DetachMethod};

/// Removes a saved payment method at its provider.
pub(super) async fn detach_payment_method(deps: Shared, ctx: JobContext, job: DetachMethod) -> JobResult {
    Ok(deps.services.payments.detach_method(&ctx.op, &job).await?)
}

/// Deletes a customer at a payment provider.
pub(super) async fn delete_payment_customer(
    deps: Shared,
    ctx: JobContext,
    job: DeletePaymentCustomer,
) -> JobResult {
    Ok(deps.services.payments.delete_payment_customer(&ctx.op, &job).await?)
}
