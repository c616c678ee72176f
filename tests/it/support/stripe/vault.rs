//! Customers of the account with the cards that are attached to them, and setup intents. Written
//! from <https://docs.stripe.com/api/customers>, <https://docs.stripe.com/api/payment_methods>,
//! <https://docs.stripe.com/api/setup_intents> and
//! <https://docs.stripe.com/payments/save-during-payment>.

use serde_json::{Value, json};

use super::account::{Account, listed};
use super::form::Form;
use super::objects::{self, ApiError, text};
use super::{HttpResponse, PUBLISHABLE_KEY, StripeDouble};

/// What is saved.
#[derive(Default)]
pub(super) struct Vault {
    customers: Vec<Value>,
    methods: Vec<SavedMethod>,
    setups: Vec<Value>,
}

/// A payment method that is or was attached to a customer.
struct SavedMethod {
    object: Value,
    /// Its name in tests, which determines what happens.
    name: String,
}

impl StripeDouble {
    /// Saves a card as Stripe's script does in the buyer's browser.
    pub async fn confirm_setup(&self, client_secret: &str, method: &str) -> HttpResponse {
        let id = client_secret.split("_secret_").next().unwrap();
        let form = [("key", PUBLISHABLE_KEY), ("client_secret", client_secret), ("payment_method", method)];
        self.post(&format!("/v1/setup_intents/{id}/confirm"), &form).await
    }

    /// The customers, oldest first.
    pub fn customers(&self) -> Vec<Value> {
        self.state().account.customers()
    }

    /// The ids of the cards that a customer has saved, oldest first.
    pub fn attached(&self, customer: &str) -> Vec<String> {
        self.state().account.attached(customer)
    }

    /// Somebody else with access to the account deletes a customer.
    pub fn delete_customer(&self, customer: &str) {
        self.state().account.delete_customer(customer).unwrap();
    }

    /// The bank of a saved card replaces it by one that expires in this year.
    pub fn renew_card(&self, card: &str, year: i32) {
        self.state().account.renew_card(card, year).unwrap();
    }

    /// Takes the permissions for these resources from the secret key, such as `customers`.
    pub fn deny(&self, resources: &[&'static str]) {
        self.state().denied = resources.to_vec();
    }
}

impl Vault {
    pub(super) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.customers.iter().chain(self.methods.iter().map(|method| &method.object)).chain(&self.setups)
    }

    fn customer(&self, id: &str) -> Result<&Value, ApiError> {
        let found = self.customers.iter().find(|customer| customer["id"] == id);
        found.ok_or_else(|| ApiError::not_found("customer", id))
    }

    fn method_mut(&mut self, id: &str) -> Result<&mut SavedMethod, ApiError> {
        let found = self.methods.iter_mut().find(|method| method.object["id"] == id);
        found.ok_or_else(|| ApiError::not_found("PaymentMethod", id))
    }
}

impl Account {
    /// The customers, oldest first.
    pub(super) fn customers(&self) -> Vec<Value> {
        self.vault.customers.clone()
    }

    /// The ids of the methods that are attached to a customer, oldest first.
    pub(super) fn attached(&self, customer: &str) -> Vec<String> {
        let objects = self.vault.methods.iter().map(|method| &method.object);
        objects.filter(|object| object["customer"] == customer).map(|object| text(&object["id"])).collect()
    }

    /// `GET /v1/customers`, `GET /v1/payment_methods` or `GET /v1/setup_intents`.
    pub(super) fn list_saved(&self, resource: &str, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["limit", "starting_after"])?;
        let kind = resource.trim_end_matches('s');
        let found = self.vault.objects().filter(|object| object["object"] == kind);
        Ok(listed(&format!("/v1/{resource}"), found, form))
    }

    /// `POST /v1/customers`.
    pub(super) fn create_customer(&mut self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["description", "email", "metadata", "name", "phone"])?;
        let customer = json!({
            "id": self.next_id("cus"),
            "object": "customer",
            "description": form.get("description"),
            "email": form.get("email"),
            "livemode": false,
            "metadata": form.metadata(),
            "name": form.get("name"),
            "phone": form.get("phone"),
        });
        self.vault.customers.push(customer.clone());
        self.emit("customer.created", &customer);
        Ok(customer)
    }

    /// `DELETE /v1/customers/:id`.
    pub(super) fn delete_customer(&mut self, id: &str) -> Result<Value, ApiError> {
        let customer = self.vault.customer(id)?.clone();
        self.vault.customers.retain(|known| known["id"] != id);
        self.vault.methods.retain(|method| method.object["customer"] != id);
        self.emit("customer.deleted", &customer);
        Ok(json!({ "id": id, "object": "customer", "deleted": true }))
    }

    /// `GET /v1/customers/:id/payment_methods`.
    pub(super) fn list_methods(&self, customer: &str, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["limit", "starting_after", "type"])?;
        self.vault.customer(customer)?;
        let objects = self.vault.methods.iter().map(|method| &method.object);
        let found: Vec<Value> =
            objects.rev().filter(|object| object["customer"] == customer).cloned().collect();
        Ok(objects::list(&format!("/v1/customers/{customer}/payment_methods"), &found))
    }

    /// `POST /v1/payment_methods/:id/detach`.
    pub(super) fn detach_method(&mut self, id: &str) -> Result<Value, ApiError> {
        let object = &mut self.vault.method_mut(id)?.object;
        let customer = object["customer"].take();
        if customer.is_null() {
            let message = "The payment method you provided is not attached to a customer so detachment is \
                           impossible.";
            return Err(ApiError::invalid(message));
        }
        let object = object.clone();
        self.emit_change("payment_method.detached", &object, &json!({ "customer": customer }));
        Ok(object)
    }

    /// The bank replaces a card, and its network tells Stripe.
    pub(super) fn renew_card(&mut self, id: &str, year: i32) -> Result<(), ApiError> {
        let object = &mut self.vault.method_mut(id)?.object;
        object["card"]["exp_year"] = json!(year);
        let object = object.clone();
        self.emit("payment_method.automatically_updated", &object);
        Ok(())
    }

    /// `POST /v1/setup_intents`.
    pub(super) fn create_setup_intent(&mut self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["customer", "metadata", "payment_method_types", "usage"])?;
        let customer = form.get("customer").ok_or_else(|| ApiError::missing("customer"))?;
        self.check_customer(customer)?;
        let id = self.next_id("seti");
        let setup = json!({
            "id": id,
            "object": "setup_intent",
            "client_secret": format!("{id}_secret_1"),
            "customer": customer,
            "livemode": false,
            "metadata": form.metadata(),
            "next_action": null,
            "payment_method": null,
            "payment_method_types": ["card"],
            "status": "requires_payment_method",
            "usage": form.get("usage").unwrap_or("off_session"),
        });
        self.vault.setups.push(setup.clone());
        self.emit("setup_intent.created", &setup);
        Ok(setup)
    }

    /// `POST /v1/setup_intents/:id/confirm`.
    pub(super) fn confirm_setup_intent(&mut self, id: &str, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["client_secret", "key", "payment_method", "return_url"])?;
        let name = form.get("payment_method").ok_or_else(|| ApiError::missing("payment_method"))?;
        let setup = self.object(id)?;
        if setup["status"] != "requires_payment_method" {
            return Err(ApiError::invalid("You cannot confirm this SetupIntent."));
        }
        let method = self.next_id("pm");
        if name == "pm_card_chargeDeclined" {
            return Err(ApiError::new(402, &objects::card_error("", &json!(method))));
        }
        self.attach(&method, name, &text(&setup["customer"]));
        let setup = {
            let found = self.vault.setups.iter_mut().find(|setup| setup["id"] == id);
            let setup = found.ok_or_else(|| ApiError::not_found("setup_intent", id))?;
            setup["status"] = json!("succeeded");
            setup["payment_method"] = json!(method);
            setup.clone()
        };
        self.emit("setup_intent.succeeded", &setup);
        Ok(setup)
    }

    /// Refuses customers that don't exist, as parameters.
    pub(super) fn check_customer(&self, id: &str) -> Result<(), ApiError> {
        let message = format!("No such customer: '{id}'");
        let missing = |_| ApiError::of_parameter("resource_missing", "customer", &message);
        self.vault.customer(id).map(drop).map_err(missing)
    }

    /// The name in tests of a method that is charged, which is given by that name, or by its id if
    /// it was saved. A saved one can only be charged together with its customer.
    pub(super) fn name_of_method(&self, method: &str, customer: &Value) -> Result<String, ApiError> {
        let Some(saved) = self.vault.methods.iter().find(|saved| saved.object["id"] == method) else {
            return Ok(method.to_owned());
        };
        let owner = &saved.object["customer"];
        if owner.is_null() {
            let message = "The provided PaymentMethod was previously used without being attached to a \
                           Customer or was detached from a Customer, and may not be used again.";
            return Err(ApiError::invalid(message));
        }
        if owner != customer {
            let message = format!(
                "The PaymentMethod supplied ({method}) belongs to the Customer {}. Please include the \
                 Customer in the `customer` parameter on the PaymentIntent.",
                text(owner)
            );
            return Err(ApiError::invalid(&message));
        }
        Ok(saved.name.clone())
    }

    /// Saves the card of a payment that has succeeded, if its customer has agreed to that.
    pub(super) fn save_after_payment(&mut self, intent: &Value, name: &str) {
        let is_wanted = intent["payment_method_options"]["card"]["setup_future_usage"].is_string();
        let (id, customer) = (text(&intent["payment_method"]), text(&intent["customer"]));
        let is_known = self.vault.methods.iter().any(|saved| saved.object["id"] == id);
        if is_wanted && !is_known && !customer.is_empty() && name.starts_with("pm_card_") {
            self.attach(&id, name, &customer);
        }
    }

    fn attach(&mut self, id: &str, name: &str, customer: &str) {
        let object = json!({
            "id": id,
            "object": "payment_method",
            "billing_details": { "address": null, "email": null, "name": null, "phone": null },
            "card": {
                "brand": "visa", "country": "US", "exp_month": 8, "exp_year": 2034, "fingerprint": "f",
                "funding": "credit", "last4": "4242",
            },
            "customer": customer,
            "livemode": false,
            "metadata": {},
            "type": "card",
        });
        self.vault.methods.push(SavedMethod { object: object.clone(), name: name.to_owned() });
        self.emit("payment_method.attached", &object);
    }
}
