//! Saved cards: a `Customer` for each of ours who saves one, with `PaymentMethod`s attached.
//!
//! A card is attached when a payment that saves it succeeds, or by a `SetupIntent`. Customers have
//! our id in their metadata and no personal data.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Stripe;
use super::api::{self, Expandable, Page};
use super::webhooks::Notification;
use crate::domain::ids::{CustomerId, Id};
use crate::domain::payments::ClientSecret;
use crate::integrations::payments::http::ProviderReply;
use crate::integrations::payments::vault::{PaymentVault, SavedCard};
use crate::integrations::payments::{ProviderError, ProviderFuture};

/// The path of customers.
const CUSTOMERS: &str = "/v1/customers";
/// The path of payment methods.
const METHODS: &str = "/v1/payment_methods";
/// The path of `SetupIntent` objects.
const SETUP_INTENTS: &str = "/v1/setup_intents";

#[derive(Deserialize)]
struct Customer {
    id: String,
}

/// A `SetupIntent`. Not `Debug`: it contains the client secret.
#[derive(Deserialize)]
struct SetupIntent {
    client_secret: String,
}

#[derive(Deserialize)]
struct Method {
    id: String,
    customer: Option<Expandable>,
    card: Option<Card>,
}

#[derive(Deserialize)]
struct Card {
    brand: String,
    last4: String,
    exp_month: i32,
    exp_year: i32,
}

impl Method {
    fn saved_card(self) -> Option<SavedCard> {
        let Card { brand, last4, exp_month, exp_year } = self.card?;
        Some(SavedCard {
            reference: self.id,
            brand,
            last_digits: last4.chars().take(4).collect(),
            expiry_month: exp_month,
            expiry_year: exp_year,
        })
    }
}

impl Stripe {
    /// The objects needed to save cards that the key has no permission to read.
    pub(super) async fn denied_objects(&self) -> Result<Vec<&'static str>, ProviderError> {
        let needed = [(CUSTOMERS, "Customers"), (METHODS, "PaymentMethods"), (SETUP_INTENTS, "SetupIntents")];
        let mut denied = Vec::new();
        for (path, name) in needed {
            let reply = self.api.get(path, &[("limit", "1")]).await?;
            if reply.status == StatusCode::FORBIDDEN {
                denied.push(name);
            }
        }
        Ok(denied)
    }

    async fn create_vault_customer(&self, customer: CustomerId) -> Result<String, ProviderError> {
        let form = [("metadata[customer_id]", customer.uuid().to_string())];
        // Without an idempotency key: it would bring back a customer that was deleted since.
        let created: Customer = api::read(self.api.post(CUSTOMERS, &form, None).await?)?;
        Ok(created.id)
    }

    async fn delete_vault_customer(&self, customer: &str) -> Result<(), ProviderError> {
        let reply = self.api.delete(&format!("{CUSTOMERS}/{}", api::escape(customer))).await?;
        if reply.status == StatusCode::NOT_FOUND { Ok(()) } else { api::read::<Value>(reply).map(drop) }
    }

    async fn create_setup_intent(&self, customer: &str) -> Result<ClientSecret, ProviderError> {
        let form = [
            ("customer", customer.to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            // The customer is going to be present when the card is charged.
            ("usage", "on_session".to_owned()),
        ];
        let reply = self.api.post(SETUP_INTENTS, &form, None).await?;
        let intent: SetupIntent = api::read(reply).map_err(without_ids)?;
        Ok(ClientSecret(intent.client_secret))
    }

    /// The newest hundred cards: more than a customer may save.
    async fn list_methods(&self, customer: &str) -> Result<Option<Vec<SavedCard>>, ProviderError> {
        let path = format!("{CUSTOMERS}/{}/payment_methods", api::escape(customer));
        let reply = self.api.get(&path, &[("type", "card"), ("limit", "100")]).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let page: Page<Method> = api::read(reply).map_err(without_ids)?;
        Ok(Some(page.data.into_iter().filter_map(Method::saved_card).collect()))
    }

    async fn detach_method(&self, method: &str) -> Result<(), ProviderError> {
        let path = format!("{METHODS}/{}", api::escape(method));
        let reply = self.api.post(&format!("{path}/detach"), &[], None).await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(()),
            // Because it is detached already.
            StatusCode::BAD_REQUEST if !self.is_attached(&path).await? => Ok(()),
            _ => api::read::<Value>(reply).map(drop).map_err(without_ids),
        }
    }

    async fn is_attached(&self, path: &str) -> Result<bool, ProviderError> {
        let reply: ProviderReply = self.api.get(path, &[]).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        Ok(api::read::<Method>(reply).map_err(without_ids)?.customer.is_some())
    }
}

impl PaymentVault for Stripe {
    fn create_customer(&self, customer: CustomerId) -> ProviderFuture<'_, String> {
        Box::pin(self.create_vault_customer(customer))
    }

    fn delete_customer<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, ()> {
        Box::pin(self.delete_vault_customer(customer))
    }

    fn set_up<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, ClientSecret> {
        Box::pin(self.create_setup_intent(customer))
    }

    fn methods<'a>(&'a self, customer: &'a str) -> ProviderFuture<'a, Option<Vec<SavedCard>>> {
        Box::pin(self.list_methods(customer))
    }

    fn remove<'a>(&'a self, method: &'a str) -> ProviderFuture<'a, ()> {
        Box::pin(self.detach_method(method))
    }
}

/// The customer whose methods may have changed, as a webhook says. Whether it is one of ours is up
/// to the service.
pub(super) fn changed_customer(notification: &Notification) -> Option<String> {
    let object = notification.raw_object();
    let of_field = |object: &Value| {
        let customer = object.get("customer")?;
        customer.as_str().or_else(|| customer.get("id")?.as_str()).map(str::to_owned)
    };
    match notification.kind.as_str() {
        "payment_method.attached"
        | "payment_method.updated"
        | "payment_method.automatically_updated"
        | "setup_intent.succeeded" => of_field(object),
        "payment_method.detached" => notification.previous_attributes().and_then(of_field),
        "customer.deleted" => object.get("id")?.as_str().map(str::to_owned),
        "payment_intent.succeeded" | "payment_intent.amount_capturable_updated" => {
            let is_saved = object.pointer("/payment_method_options/card/setup_future_usage");
            is_saved.filter(|usage| !usage.is_null()).and_then(|_| of_field(object))
        }
        _ => None,
    }
}

/// An error without Stripe's ids of customers and methods, which its messages quote.
pub(super) fn without_ids(error: ProviderError) -> ProviderError {
    let cut = |message: String| hide(&hide(&message, "cus_", "(customer)"), "pm_", "(token)");
    match error {
        ProviderError::Failed(message) => ProviderError::Failed(cut(message)),
        ProviderError::Refused(message) => ProviderError::Refused(cut(message)),
        error => error,
    }
}

/// Replaces all words of a message that begin with `prefix`.
fn hide(message: &str, prefix: &str, instead: &str) -> String {
    let mut parts = message.split(prefix);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(instead);
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(kind: &str, data: &Value) -> Option<String> {
        let body = json!({ "type": kind, "data": data }).to_string();
        changed_customer(&Notification::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn webhooks_name_the_customer_whose_cards_may_have_changed() {
        let of_customer = json!({ "object": { "id": "pm_1", "customer": "cus_1" } });
        for kind in ["payment_method.attached", "payment_method.updated", "setup_intent.succeeded"] {
            assert_eq!(changed(kind, &of_customer).as_deref(), Some("cus_1"), "{kind}");
        }
        assert_eq!(changed("payment_method.detached", &of_customer), None);
        let detached =
            json!({ "object": { "customer": null }, "previous_attributes": { "customer": "cus_1" } });
        assert_eq!(changed("payment_method.detached", &detached).as_deref(), Some("cus_1"));
        let deleted = json!({ "object": { "id": "cus_1", "object": "customer" } });
        assert_eq!(changed("customer.deleted", &deleted).as_deref(), Some("cus_1"));
        assert_eq!(changed("customer.created", &deleted), None);
        let paid = |usage: Value| {
            let options = json!({ "card": { "setup_future_usage": usage } });
            json!({ "object": { "customer": { "id": "cus_1" }, "payment_method_options": options } })
        };
        let kind = "payment_intent.succeeded";
        assert_eq!(changed(kind, &paid(json!("on_session"))).as_deref(), Some("cus_1"));
        assert_eq!(changed(kind, &paid(Value::Null)), None, "nothing was saved");
        assert_eq!(changed(kind, &of_customer), None);
    }

    #[test]
    fn messages_contain_no_ids_of_customers_and_methods() {
        let message = "The PaymentMethod supplied (pm_1aB) belongs to the Customer cus_9Z. No such: 'cus_8'";
        let error = without_ids(ProviderError::Refused(message.to_owned())).to_string();
        let expected =
            "The PaymentMethod supplied ((token)) belongs to the Customer (customer). No such: '(customer)'";
        assert_eq!(error, expected);
    }
}
