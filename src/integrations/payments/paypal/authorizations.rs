//! Authorized payments: captured in one or several parts when the order is shipped, or voided.

use serde_json::json;

use super::amounts::Amount;
use super::custom_ids::CustomId;
use super::orders::Transaction;
use super::{PayPal, api, ids_of};
use crate::domain::ids::Id;
use crate::integrations::payments::{Capture, ProviderError, ProviderEvent};

const AUTHORIZATIONS: &str = "/v2/payments/authorizations";

impl PayPal {
    /// Captures an authorization, or a part of it. PayPal makes a capture with the same request id
    /// once, for as long as an authorization lasts. If nothing can be captured, because the payment
    /// was voided or captured otherwise, reports what has happened.
    pub(super) async fn capture_authorization(
        &self,
        capture: &Capture,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        let payment = &capture.payment;
        let ids = ids_of(payment);
        let Some(id) = &payment.reference else { return Err(nothing_to_capture()) };
        let Some(order) = self.order(id).await? else { return Err(nothing_to_capture()) };
        let Some(authorization) = order.open_authorization() else {
            // An approved order is captured, if that is what it was created for.
            return Ok(self.complete(&order, ids).await?.events);
        };
        let amount = Amount::new(payment.amount, &payment.currency).map_err(ProviderError::Refused)?;
        let body = json!({ "amount": amount, "final_capture": capture.is_final });
        let path = format!("{}/capture", api::path_to(AUTHORIZATIONS, &authorization.id)?);
        let request_id = capture.capture_id.uuid().to_string();
        let reply = self.api.post(&path, Some(&request_id), &body.to_string()).await?;
        if !reply.status.is_success() {
            return Err(api::failure(&reply));
        }
        let made: Transaction = api::read(reply)?;
        Ok(made.capture_event(ids, Some(id))?.into_iter().collect())
    }

    /// Voids what is left of an authorization. If it is over already, reports how it ended.
    pub(super) async fn void_authorization(
        &self,
        order_id: &str,
        authorization_id: &str,
        ids: CustomId,
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        let path = format!("{}/void", api::path_to(AUTHORIZATIONS, authorization_id)?);
        // No request id: PayPal might repeat an earlier refusal, and a void can happen only once.
        let reply = self.api.post(&path, None, "").await?;
        match self.order(order_id).await? {
            Some(order) if order.open_authorization().is_none() => order.events(ids),
            _ if reply.status.is_success() => {
                Err(ProviderError::Failed("PayPal still shows the authorization as open".to_owned()))
            }
            _ => Err(api::failure(&reply)),
        }
    }
}

fn nothing_to_capture() -> ProviderError {
    ProviderError::Refused("PayPal knows no such payment".to_owned())
}
