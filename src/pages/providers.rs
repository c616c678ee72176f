//! The ways to pay that a page offers: which there are is up to the services; here they get their
//! names and hints. A signed-in customer also chooses among saved payment methods.

use std::sync::Arc;

use serde::Serialize;

use uuid::Uuid;

use super::Visit;
use crate::domain::ids::{Id, PaymentMethodId};
use crate::domain::payments::{PaymentFlow, brand_name};
use crate::services::payments::{MAX_SAVED_METHODS, PaymentInput, PaymentProvider, SavedMethod};

/// The field with the name of the chosen provider, followed by a colon and the UUID of a saved
/// method if one is chosen.
const PROVIDER: &str = "provider";
/// The field with the token for providers that are charged with one.
const CARD: &str = "card";
/// The field that is set if the method is to be saved.
const SAVE: &str = "save";
/// The field that is different in each form, so that a form that is sent twice pays once.
pub(super) const ATTEMPT: &str = "attempt";

/// A provider as a page offers it.
#[derive(Serialize)]
pub(super) struct ProviderOption {
    name: &'static str,
    label: String,
    hint: String,
    /// Whether a token is entered in the form, as for tests.
    takes_token: bool,
    needs_script: bool,
    /// Whether the buyer may save the method.
    may_save: bool,
    is_selected: bool,
    saved: Vec<SavedOption>,
}

/// A saved method as a page offers it.
#[derive(Serialize)]
struct SavedOption {
    id: String,
    /// The value of the field.
    value: String,
    label: String,
    is_selected: bool,
}

/// The options for these providers, and for the saved methods of the customer who is signed in,
/// except expired ones. The selected one is the one that was chosen before, else the default
/// method, else the first provider.
pub(super) fn options(
    visit: &Visit<'_>,
    providers: &[Arc<dyn PaymentProvider>],
    saved: &[SavedMethod],
) -> Vec<ProviderOption> {
    let (chosen, chosen_method) = chosen(visit);
    let may_save = visit.op.actor.customer().is_some() && saved.len() < MAX_SAVED_METHODS;
    let now = visit.op.now();
    let saved: Vec<&SavedMethod> = saved.iter().filter(|method| !method.is_expired(now)).collect();
    let is_accepted = |method: &&SavedMethod| providers.iter().any(|known| known.name() == method.provider);
    let selected_method = saved.iter().copied().filter(is_accepted).find(|method| match chosen {
        "" => method.is_default,
        _ => chosen_method == Some(method.id),
    });
    let selected_method = selected_method.map(|method| method.id);
    let is_chosen = |provider: &Arc<dyn PaymentProvider>| provider.name() == chosen;
    let selected = providers.iter().find(|provider| is_chosen(provider)).or_else(|| providers.first());
    let selected = selected.filter(|_| selected_method.is_none()).map(|provider| provider.name());
    let option = |provider: &Arc<dyn PaymentProvider>| {
        let (label, hint) = texts(visit, provider.name(), provider.flow());
        ProviderOption {
            name: provider.name(),
            label,
            hint,
            takes_token: provider.flow() == PaymentFlow::Token,
            needs_script: provider.flow() == PaymentFlow::ConfirmOnClient,
            may_save: may_save && provider.vault().is_some(),
            is_selected: selected == Some(provider.name()),
            saved: saved
                .iter()
                .filter(|method| method.provider == provider.name())
                .map(|method| saved_option(visit, method, selected_method == Some(method.id)))
                .collect(),
        }
    };
    providers.iter().map(option).collect()
}

fn saved_option(visit: &Visit<'_>, method: &SavedMethod, is_selected: bool) -> SavedOption {
    let expiry = format!("{:02}/{}", method.expiry_month, method.expiry_year);
    let (brand, digits) = (brand_name(&method.brand), method.last_digits.as_str());
    let id = method.id.uuid().to_string();
    SavedOption {
        value: format!("{}:{id}", method.provider),
        label: visit.text_with(
            "provider.saved_card",
            &[("brand", brand.as_str()), ("digits", digits), ("expiry", expiry.as_str())],
        ),
        id,
        is_selected,
    }
}

/// The name of the chosen provider, and the saved method that is chosen.
pub(super) fn chosen<'a>(visit: &'a Visit<'_>) -> (&'a str, Option<PaymentMethodId>) {
    let value = visit.param(PROVIDER);
    match value.split_once(':') {
        Some((provider, method)) => match Uuid::try_parse(method) {
            Ok(method) => (provider, Some(PaymentMethodId::from_uuid(method))),
            // There is no such provider.
            Err(_) => (value, None),
        },
        None => (value, None),
    }
}

/// The label and hint of a provider.
fn texts(visit: &Visit<'_>, name: &str, flow: PaymentFlow) -> (String, String) {
    let (label, hint) = match name {
        "manual" => ("provider.manual", "provider.manual_hint"),
        "test" => ("provider.test", "provider.test_hint"),
        "stripe" => ("provider.stripe", "provider.stripe_hint"),
        "paypal" => ("provider.paypal", "provider.redirect_hint"),
        _ if flow == PaymentFlow::Redirect => return (name.to_owned(), visit.text("provider.redirect_hint")),
        _ => return (name.to_owned(), String::new()),
    };
    (visit.text(label), visit.text(hint))
}

/// How the buyer wants to pay, as entered. Only providers with pages or a script of their own learn
/// where the buyer returns to.
pub(super) fn payment_input(
    visit: &Visit<'_>,
    provider: Option<&Arc<dyn PaymentProvider>>,
    return_path: &str,
) -> PaymentInput {
    let flow = provider.map(|provider| provider.flow());
    let returns = matches!(flow, Some(PaymentFlow::Redirect | PaymentFlow::ConfirmOnClient));
    let takes_token = flow == Some(PaymentFlow::Token);
    let (name, saved_method) = chosen(visit);
    let may_save =
        visit.op.actor.customer().is_some() && provider.is_some_and(|provider| provider.vault().is_some());
    PaymentInput {
        provider: name.to_owned(),
        token: if takes_token { visit.param(CARD).to_owned() } else { String::new() },
        return_url: returns.then(|| format!("{}{return_path}", visit.request.base_url)),
        saved_method,
        is_saved_for_later: may_save && saved_method.is_none() && !visit.param(SAVE).is_empty(),
    }
}
