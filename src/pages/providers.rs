//! The ways to pay that a page offers: which there are is up to the services; here they get their
//! names and hints.

use std::sync::Arc;

use serde::Serialize;

use super::Visit;
use crate::domain::payments::PaymentFlow;
use crate::services::payments::{PaymentInput, PaymentProvider};

/// The field with the name of the chosen provider.
pub(super) const PROVIDER: &str = "provider";
/// The field with the token for providers that are charged with one.
const CARD: &str = "card";
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
    is_selected: bool,
}

/// The options for these providers. The selected one is the one that was chosen before, else the
/// first one.
pub(super) fn options(
    visit: &Visit<'_>,
    providers: &[Arc<dyn PaymentProvider>],
    chosen: &str,
) -> Vec<ProviderOption> {
    let is_chosen = |provider: &Arc<dyn PaymentProvider>| provider.name() == chosen;
    let selected = providers.iter().find(|provider| is_chosen(provider)).or_else(|| providers.first());
    let selected = selected.map(|provider| provider.name());
    let option = |provider: &Arc<dyn PaymentProvider>| {
        let (label, hint) = texts(visit, provider.name(), provider.flow());
        ProviderOption {
            name: provider.name(),
            label,
            hint,
            takes_token: provider.flow() == PaymentFlow::Token,
            needs_script: provider.flow() == PaymentFlow::ConfirmOnClient,
            is_selected: selected == Some(provider.name()),
        }
    };
    providers.iter().map(option).collect()
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
    PaymentInput {
        provider: visit.param(PROVIDER).to_owned(),
        token: if takes_token { visit.param(CARD).to_owned() } else { String::new() },
        return_url: returns.then(|| format!("{}{return_path}", visit.request.base_url)),
    }
}
