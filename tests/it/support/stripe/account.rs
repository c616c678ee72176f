//! A merchant's account at Stripe: its objects, and what happens to them.

use serde_json::{Value, json};

use super::form::Form;
use super::objects::{self, ApiError, int, text};
use super::vault::Vault;

/// Currencies with three decimals, whose amounts must end with a zero.
const THREE_DECIMALS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
/// The statuses in which a payment intent can be confirmed.
const CONFIRMABLE: &[&str] = &["requires_payment_method", "requires_confirmation", "requires_action"];
/// The statuses in which a payment intent can be canceled.
const CANCELABLE: &[&str] =
    &["requires_payment_method", "requires_capture", "requires_confirmation", "requires_action"];

/// The account.
pub(super) struct Account {
    /// The address of the server, for the page of 3-D Secure.
    address: String,
    last_id: u64,
    pub(super) intents: Vec<Intent>,
    pub(super) charges: Vec<Value>,
    pub(super) refunds: Vec<Value>,
    disputes: Vec<Value>,
    pub(super) vault: Vault,
    /// In the order in which they happened.
    pub(super) events: Vec<Value>,
    /// Whether the search does not find new objects yet.
    pub(super) is_search_delayed: bool,
}

/// A payment intent, with what the object does not show.
pub(super) struct Intent {
    pub(super) object: Value,
    /// The payment method, by its name in tests. Empty if there is none.
    method: String,
    return_url: Option<String>,
    /// Whether methods are accepted that send the buyer to another page.
    may_redirect: bool,
}

impl Account {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            last_id: 0,
            intents: Vec::new(),
            charges: Vec::new(),
            refunds: Vec::new(),
            disputes: Vec::new(),
            vault: Vault::default(),
            events: Vec::new(),
            is_search_delayed: false,
        }
    }

    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}_{:024}", self.last_id)
    }

    pub(super) fn emit(&mut self, kind: &str, object: &Value) {
        let id = self.next_id("evt");
        self.events.push(objects::event(&id, kind, object));
    }

    /// An event that tells what the changed fields were before.
    pub(super) fn emit_change(&mut self, kind: &str, object: &Value, before: &Value) {
        let id = self.next_id("evt");
        let mut event = objects::event(&id, kind, object);
        event["data"]["previous_attributes"] = before.clone();
        self.events.push(event);
    }

    fn intent_mut(&mut self, id: &str) -> Result<&mut Intent, ApiError> {
        let found = self.intents.iter_mut().find(|intent| intent.object["id"] == id);
        found.ok_or_else(|| ApiError::not_found("payment_intent", id))
    }

    fn charge_mut(&mut self, id: &str) -> Result<&mut Value, ApiError> {
        let found = self.charges.iter_mut().find(|charge| charge["id"] == id);
        found.ok_or_else(|| ApiError::not_found("charge", id))
    }

    /// The object with an id.
    pub(super) fn object(&self, id: &str) -> Result<Value, ApiError> {
        let intents = self.intents.iter().map(|intent| &intent.object);
        let all = intents.chain(&self.charges).chain(&self.refunds).chain(&self.disputes);
        let mut all = all.chain(self.vault.objects());
        let found = all.find(|object| object["id"] == id).cloned();
        found.ok_or_else(|| ApiError::not_found("object", id))
    }

    /// Replaces the ids at the paths of `expand[]` by the objects.
    pub(super) fn expanded(&self, mut object: Value, form: &Form) -> Value {
        for path in form.expansions() {
            let steps: Vec<&str> = path.split('.').collect();
            self.expand(&mut object, &steps);
        }
        object
    }

    fn expand(&self, object: &mut Value, path: &[&str]) {
        let Some((first, rest)) = path.split_first() else { return };
        if *first == "refunds" && object["object"] == "charge" {
            let of_charge = |refund: &&Value| refund["charge"] == object["id"];
            let refunds: Vec<Value> = self.refunds.iter().rev().filter(of_charge).cloned().collect();
            object["refunds"] = objects::list("/v1/refunds", &refunds);
        }
        let Some(field) = object.get_mut(*first) else { return };
        if let Some(mut found) = field.as_str().and_then(|id| self.object(id).ok()) {
            self.expand(&mut found, rest);
            *field = found;
        } else if let Some(items) = field.as_array_mut() {
            for item in items {
                self.expand(item, rest);
            }
        } else if field.is_object() {
            self.expand(field, rest);
        }
    }

    /// `POST /v1/payment_intents`.
    pub(super) fn create_intent(&mut self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&[
            "amount",
            "automatic_payment_methods",
            "capture_method",
            "confirm",
            "confirmation_method",
            "confirmation_token",
            "currency",
            "customer",
            "description",
            "metadata",
            "off_session",
            "payment_method",
            "payment_method_options",
            "payment_method_types",
            "receipt_email",
            "return_url",
            "setup_future_usage",
            "shipping",
            "statement_descriptor",
            "statement_descriptor_suffix",
            "use_stripe_sdk",
        ])?;
        let amount = form.amount("amount")?.ok_or_else(|| ApiError::missing("amount"))?;
        let currency = form.get("currency").ok_or_else(|| ApiError::missing("currency"))?;
        check_amount(amount, currency)?;
        if let Some(customer) = form.get("customer") {
            self.check_customer(customer)?;
        }
        let is_confirmed = form.is_true("confirm");
        let redirects = form.get("automatic_payment_methods[allow_redirects]");
        let may_redirect = redirects != Some("never") && !form.has("payment_method_types");
        let return_url = form.get("return_url").map(str::to_owned);
        match return_url {
            None if is_confirmed && may_redirect => return Err(without_return_url()),
            Some(_) if !is_confirmed => {
                let message = "The parameter `return_url` cannot be passed when creating a PaymentIntent \
                               unless confirm is set to true.";
                return Err(ApiError::of_parameter("parameter_unknown", "return_url", message));
            }
            _ => {}
        }

        let id = self.next_id("pi");
        let client_secret = format!("{id}_secret_{:025}", self.last_id);
        let object = objects::payment_intent(&id, &client_secret, amount, form);
        let method = form.get("payment_method").unwrap_or_default().to_owned();
        self.emit("payment_intent.created", &object);
        self.intents.push(Intent { object: object.clone(), method, return_url, may_redirect });
        if is_confirmed { self.confirm(&id) } else { Ok(object) }
    }

    /// `POST /v1/payment_intents/:id/confirm`. Stripe's script takes care of redirects itself.
    pub(super) fn confirm_intent(
        &mut self,
        id: &str,
        form: &Form,
        is_by_script: bool,
    ) -> Result<Value, ApiError> {
        form.allow(&["client_secret", "key", "payment_method", "return_url", "use_stripe_sdk"])?;
        let intent = self.intent_mut(id)?;
        if let Some(method) = form.get("payment_method") {
            method.clone_into(&mut intent.method);
        }
        if let Some(url) = form.get("return_url") {
            intent.return_url = Some(url.to_owned());
        }
        if intent.may_redirect && intent.return_url.is_none() && !is_by_script {
            return Err(without_return_url());
        }
        self.confirm(id)
    }

    /// Tries to collect the payment. What happens depends on the payment method.
    fn confirm(&mut self, id: &str) -> Result<Value, ApiError> {
        let method_id = self.next_id("pm");
        let intent = self.intent_mut(id)?;
        if !CONFIRMABLE.contains(&text(&intent.object["status"]).as_str()) {
            return Err(ApiError::unexpected_state("confirm", &intent.object, CONFIRMABLE));
        }
        if intent.method.is_empty() {
            let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(ApiError::with_code("payment_intent_unexpected_state", message));
        }
        let (given, customer) = (intent.method.clone(), intent.object["customer"].clone());
        let method = self.name_of_method(&given, &customer)?;
        let intent = self.intent_mut(id)?;
        intent.object["payment_method"] = json!(if method == given { method_id } else { given });
        intent.method.clone_from(&method);
        match method.as_str() {
            "pm_card_visa" | "pm_card_refundFail" => self.succeed(id),
            "pm_card_chargeDeclined" => self.decline(id),
            "pm_card_authenticationRequired" => self.require_authentication(id),
            "pm_sepa" => self.process(id),
            other => Err(ApiError::not_found("PaymentMethod", other)),
        }
    }

    /// Adds a charge to an intent, or completes the one that is pending.
    fn charge(&mut self, id: &str, status: &str) -> Result<String, ApiError> {
        let is_pending = |charge: &Value| charge["payment_intent"] == id && charge["status"] == "pending";
        if let Some(charge) = self.charges.iter_mut().find(|charge| is_pending(charge)) {
            charge["status"] = json!(status);
            return Ok(text(&charge["id"]));
        }
        let charge_id = self.next_id("ch");
        let intent = self.intent_mut(id)?;
        intent.object["latest_charge"] = json!(charge_id);
        let charge = objects::charge(&charge_id, &intent.object, status);
        self.charges.push(charge);
        Ok(charge_id)
    }

    /// The payment succeeds: it is captured, or else authorized.
    pub(super) fn succeed(&mut self, id: &str) -> Result<Value, ApiError> {
        let charge_id = self.charge(id, "succeeded")?;
        let intent = &mut self.intent_mut(id)?.object;
        let is_captured = intent["capture_method"] != "manual";
        let amount = intent["amount"].clone();
        intent["next_action"] = Value::Null;
        intent["processing"] = Value::Null;
        intent["last_payment_error"] = Value::Null;
        let kind = if is_captured {
            intent["status"] = json!("succeeded");
            intent["amount_received"] = amount.clone();
            "payment_intent.succeeded"
        } else {
            intent["status"] = json!("requires_capture");
            intent["amount_capturable"] = amount.clone();
            "payment_intent.amount_capturable_updated"
        };
        let intent = intent.clone();
        let name = self.intent_mut(id)?.method.clone();
        self.save_after_payment(&intent, &name);
        let charge = self.charge_mut(&charge_id)?;
        charge["paid"] = json!(true);
        charge["captured"] = json!(is_captured);
        charge["amount_captured"] = if is_captured { amount } else { json!(0) };
        charge["outcome"] = json!({ "network_status": "approved_by_network", "type": "authorized" });
        let charge = charge.clone();
        self.emit("charge.succeeded", &charge);
        self.emit(kind, &intent);
        Ok(intent)
    }

    fn decline(&mut self, id: &str) -> Result<Value, ApiError> {
        let charge_id = self.charge(id, "failed")?;
        let charge = self.charge_mut(&charge_id)?;
        charge["failure_code"] = json!("card_declined");
        charge["failure_message"] = json!("Your card was declined.");
        charge["outcome"] = json!({ "network_status": "declined_by_network", "type": "issuer_declined" });
        let charge = charge.clone();
        self.emit("charge.failed", &charge);
        let mut error = objects::card_error(&charge_id, &charge["payment_method"]);
        error["payment_intent"] = self.fail(id, &error)?;
        Err(ApiError::new(402, &error))
    }

    /// The payment fails: the intent waits for another payment method.
    fn fail(&mut self, id: &str, error: &Value) -> Result<Value, ApiError> {
        let intent = self.intent_mut(id)?;
        intent.method.clear();
        let intent = &mut intent.object;
        intent["status"] = json!("requires_payment_method");
        intent["payment_method"] = Value::Null;
        intent["next_action"] = Value::Null;
        intent["last_payment_error"] = error.clone();
        let intent = intent.clone();
        self.emit("payment_intent.payment_failed", &intent);
        Ok(intent)
    }

    fn require_authentication(&mut self, id: &str) -> Result<Value, ApiError> {
        let page = format!("{}/3ds/{id}", self.address);
        let intent = self.intent_mut(id)?;
        intent.object["status"] = json!("requires_action");
        intent.object["next_action"] = match &intent.return_url {
            Some(url) => {
                json!({ "type": "redirect_to_url", "redirect_to_url": { "return_url": url, "url": page } })
            }
            None => {
                json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } })
            }
        };
        let intent = intent.object.clone();
        self.emit("payment_intent.requires_action", &intent);
        Ok(intent)
    }

    /// The bank decides later.
    fn process(&mut self, id: &str) -> Result<Value, ApiError> {
        let charge_id = self.charge(id, "pending")?;
        let charge = self.object(&charge_id)?;
        self.emit("charge.pending", &charge);
        let intent = &mut self.intent_mut(id)?.object;
        intent["status"] = json!("processing");
        let intent = intent.clone();
        self.emit("payment_intent.processing", &intent);
        Ok(intent)
    }

    /// The buyer passes or fails 3-D Secure. Returns where they are sent then.
    pub(super) fn authenticate(&mut self, id: &str, is_passed: bool) -> Result<String, ApiError> {
        let intent = self.intent_mut(id)?;
        if intent.object["status"] != "requires_action" {
            return Err(ApiError::unexpected_state("authenticate", &intent.object, &["requires_action"]));
        }
        let url = intent.return_url.clone().unwrap_or_default();
        let secret = text(&intent.object["client_secret"]);
        let method = intent.object["payment_method"].clone();
        if is_passed {
            self.succeed(id)?;
        } else {
            self.fail(id, &objects::authentication_error(&method))?;
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        let status = if is_passed { "succeeded" } else { "failed" };
        let payment = format!("payment_intent={id}&payment_intent_client_secret={secret}");
        Ok(format!("{url}{separator}{payment}&redirect_status={status}"))
    }

    /// `POST /v1/payment_intents/:id/cancel`.
    pub(super) fn cancel_intent(&mut self, id: &str, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["cancellation_reason"])?;
        let intent = &mut self.intent_mut(id)?.object;
        if !CANCELABLE.contains(&text(&intent["status"]).as_str()) {
            return Err(ApiError::unexpected_state("cancel", intent, CANCELABLE));
        }
        intent["status"] = json!("canceled");
        intent["canceled_at"] = intent["created"].clone();
        intent["cancellation_reason"] = json!(form.get("cancellation_reason"));
        intent["next_action"] = Value::Null;
        intent["amount_capturable"] = json!(0);
        let intent = intent.clone();
        self.emit("payment_intent.canceled", &intent);
        Ok(intent)
    }

    /// `POST /v1/payment_intents/:id/capture`.
    pub(super) fn capture_intent(&mut self, id: &str, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["amount_to_capture", "final_capture", "metadata", "statement_descriptor"])?;
        let to_capture = form.amount("amount_to_capture")?;
        let intent = &mut self.intent_mut(id)?.object;
        if intent["status"] != "requires_capture" {
            return Err(ApiError::unexpected_state("capture", intent, &["requires_capture"]));
        }
        let capturable = int(&intent["amount_capturable"]);
        let amount = to_capture.unwrap_or(capturable);
        if amount > capturable {
            let message = "The amount to capture is greater than the amount that can be captured.";
            return Err(ApiError::of_parameter("amount_too_large", "amount_to_capture", message));
        }
        intent["status"] = json!("succeeded");
        intent["amount_received"] = json!(amount);
        intent["amount_capturable"] = json!(0);
        let intent = intent.clone();
        let charge = self.charge_mut(&text(&intent["latest_charge"]))?;
        charge["captured"] = json!(true);
        charge["amount_captured"] = json!(amount);
        let charge = charge.clone();
        self.emit("charge.captured", &charge);
        self.emit("payment_intent.succeeded", &intent);
        Ok(intent)
    }

    /// `GET /v1/payment_intents`.
    pub(super) fn list_intents(&self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["created", "limit", "starting_after"])?;
        let bound = |name: &str| form.get(name).and_then(|time| time.parse::<i64>().ok());
        let (earliest, latest) = (bound("created[gte]"), bound("created[lte]"));
        let is_found = |object: &&Value| {
            let created = int(&object["created"]);
            earliest.is_none_or(|time| created >= time) && latest.is_none_or(|time| created <= time)
        };
        let found = self.intents.iter().map(|intent| &intent.object).filter(is_found);
        Ok(listed("/v1/payment_intents", found, form))
    }

    /// `GET /v1/payment_intents/search`, for conditions on metadata only.
    pub(super) fn search_intents(&self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["limit", "query"])?;
        let query = form.get("query").ok_or_else(|| ApiError::missing("query"))?;
        let conditions: Option<Vec<(String, String)>> = query.split(" AND ").map(condition).collect();
        let conditions =
            conditions.ok_or_else(|| ApiError::invalid("We were unable to parse your search query."))?;
        let is_found = |object: &&Value| {
            let is_met = |(key, value): &(String, String)| object["metadata"].get(key) == Some(&json!(value));
            !self.is_search_delayed && conditions.iter().all(is_met)
        };
        let found = self.intents.iter().map(|intent| &intent.object).filter(is_found);
        let mut result = listed("/v1/payment_intents/search", found, form);
        result["object"] = json!("search_result");
        result["next_page"] = Value::Null;
        Ok(result)
    }

    /// `POST /v1/refunds`.
    pub(super) fn create_refund(&mut self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["amount", "charge", "metadata", "payment_intent", "reason"])?;
        let charge_id = match (form.get("charge"), form.get("payment_intent")) {
            (Some(charge), _) => charge.to_owned(),
            (None, Some(intent)) => text(&self.intent_mut(intent)?.object["latest_charge"]),
            (None, None) => return Err(ApiError::missing("payment_intent")),
        };
        let charge = self.object(&charge_id)?;
        if charge["status"] != "succeeded" || charge["captured"] != json!(true) {
            return Err(ApiError::invalid("This PaymentIntent does not have a successful charge to refund."));
        }
        let is_open = |dispute: &Value| dispute["charge"] == charge["id"] && dispute["status"] != "won";
        if self.disputes.iter().any(is_open) {
            let message = format!("Charge {charge_id} has been charged back; cannot issue a refund.");
            return Err(ApiError::with_code("charge_disputed", &message));
        }
        let left = int(&charge["amount_captured"]) - int(&charge["amount_refunded"]);
        if left == 0 {
            let message = format!("Charge {charge_id} has already been refunded.");
            return Err(ApiError::with_code("charge_already_refunded", &message));
        }
        let amount = form.amount("amount")?.unwrap_or(left);
        check_amount(amount, &text(&charge["currency"]))?;
        if amount > left {
            let message = "Refund amount is greater than unrefunded amount on charge";
            return Err(ApiError::of_parameter("amount_too_large", "amount", message));
        }
        let refund = objects::refund(&self.next_id("re"), &charge, amount, form);
        self.refunds.push(refund.clone());
        let charge = self.add_refunded(&charge_id, amount)?;
        self.emit("refund.created", &refund);
        self.emit("charge.refunded", &charge);
        Ok(refund)
    }

    /// Changes the refunded amount of a charge.
    fn add_refunded(&mut self, charge: &str, amount: i64) -> Result<Value, ApiError> {
        let charge = self.charge_mut(charge)?;
        let refunded = int(&charge["amount_refunded"]) + amount;
        charge["amount_refunded"] = json!(refunded);
        charge["refunded"] = json!(refunded == int(&charge["amount_captured"]));
        Ok(charge.clone())
    }

    /// `GET /v1/refunds`.
    pub(super) fn list_refunds(&self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["charge", "limit", "payment_intent", "starting_after"])?;
        Ok(listed("/v1/refunds", self.refunds.iter().filter(|object| is_of(object, form)), form))
    }

    /// `GET /v1/disputes`.
    pub(super) fn list_disputes(&self, form: &Form) -> Result<Value, ApiError> {
        form.allow(&["charge", "limit", "payment_intent", "starting_after"])?;
        Ok(listed("/v1/disputes", self.disputes.iter().filter(|object| is_of(object, form)), form))
    }

    /// The bank returns a refund: it has failed after all, if it was made to a card that fails
    /// refunds.
    pub(super) fn fail_refund(&mut self, id: &str) -> Result<(), ApiError> {
        let refund = self.object(id)?;
        let intent = self.intent_mut(&text(&refund["payment_intent"]))?;
        assert_eq!(intent.method, "pm_card_refundFail", "refunds to this card succeed");
        self.add_refunded(&text(&refund["charge"]), -int(&refund["amount"]))?;
        for refund in self.refunds.iter_mut().filter(|refund| refund["id"] == id) {
            refund["status"] = json!("failed");
            refund["failure_reason"] = json!("expired_or_canceled_card");
        }
        let refund = self.object(id)?;
        for kind in ["charge.refund.updated", "refund.updated", "refund.failed"] {
            self.emit(kind, &refund);
        }
        Ok(())
    }

    /// The buyer disputes a payment. Returns the dispute's id.
    pub(super) fn dispute(&mut self, intent: &str) -> Result<String, ApiError> {
        let charge = text(&self.intent_mut(intent)?.object["latest_charge"]);
        let id = self.next_id("du");
        let charge = self.charge_mut(&charge)?;
        charge["disputed"] = json!(true);
        let dispute = objects::dispute(&id, charge);
        self.disputes.push(dispute.clone());
        self.emit("charge.dispute.created", &dispute);
        self.emit("charge.dispute.funds_withdrawn", &dispute);
        Ok(id)
    }

    /// A dispute ends: it is `won` or `lost`.
    pub(super) fn close_dispute(&mut self, id: &str, status: &str) -> Result<(), ApiError> {
        for dispute in self.disputes.iter_mut().filter(|dispute| dispute["id"] == id) {
            dispute["status"] = json!(status);
        }
        let dispute = self.object(id)?;
        self.emit("charge.dispute.closed", &dispute);
        if status == "won" {
            self.emit("charge.dispute.funds_reinstated", &dispute);
        }
        Ok(())
    }

    /// Someone else with access to the account changes what an intent is to collect.
    pub(super) fn change_intent(&mut self, id: &str, amount: i64, currency: &str) -> Result<(), ApiError> {
        let intent = &mut self.intent_mut(id)?.object;
        intent["amount"] = json!(amount);
        intent["currency"] = json!(currency);
        Ok(())
    }
}

/// Refuses amounts that card networks can't process.
fn check_amount(amount: i64, currency: &str) -> Result<(), ApiError> {
    if THREE_DECIMALS.contains(&currency.to_ascii_lowercase().as_str()) && amount % 10 != 0 {
        let message = format!("Amounts in {currency} must be a multiple of ten");
        return Err(ApiError::of_parameter("parameter_invalid_integer", "amount", &message));
    }
    Ok(())
}

fn without_return_url() -> ApiError {
    ApiError::invalid(
        "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some \
         of these payment methods might redirect your customer off of your page, you must provide a \
         `return_url`. If you don't want to accept redirect-based payment methods, set \
         `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to \
         `never` when creating Setup Intents and Payment Intents.",
    )
}

/// The objects from the newest to the oldest, up to the limit.
pub(super) fn listed<'a>(url: &str, found: impl Iterator<Item = &'a Value>, form: &Form) -> Value {
    let mut data: Vec<Value> = found.cloned().collect();
    data.reverse();
    if let Some(after) = form.get("starting_after") {
        let seen = data.iter().position(|object| object["id"] == after).map_or(0, |at| at + 1);
        data.drain(..seen);
    }
    let limit = form.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(10);
    let has_more = data.len() > limit;
    data.truncate(limit);
    let mut list = objects::list(url, &data);
    list["has_more"] = json!(has_more);
    list
}

/// Whether an object belongs to the charge and the payment intent that a list is limited to.
fn is_of(object: &Value, form: &Form) -> bool {
    ["charge", "payment_intent"].iter().all(|name| form.get(name).is_none_or(|id| object[*name] == id))
}

/// A condition of a search, such as `metadata['order_id']:'1'`: its key and its value.
fn condition(text: &str) -> Option<(String, String)> {
    let text = text.trim().replace('"', "'");
    let (key, value) = text.strip_prefix("metadata['")?.split_once("']:'")?;
    Some((key.to_owned(), value.strip_suffix('\'')?.to_owned()))
}
