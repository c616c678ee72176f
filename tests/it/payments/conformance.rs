//! What is true of every payment provider: the rules in CONTRIBUTING.md, which the service relies
//! on. Each is tested with each provider, through the trait alone.
//!
//! A provider without a step of the buyer, webhooks or an API says so in its [`Rig`].

mod captures;
mod echo;
mod rigs;

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId, PaymentId, RefundId};
use mercato::domain::payments::{NextAction, PaymentFlow, PaymentKind};
use mercato::integrations::payments::{
    Capture, Charge, Headers, PaymentProvider, PaymentRef, PaymentState, ProviderError, ProviderEvent,
    ProviderFuture, Providers, Refund, Webhook,
};
use tokio::net::TcpListener;
use uuid::{Uuid, uuid};

use rigs::{Rig, Signed, WRONG_KEY, payment_ref};

/// The buyer's e-mail address.
const EMAIL: &str = "buyer@example.com";
/// The storefront's page to which buyers return.
const RETURN_URL: &str = "https://shop.example/return?cart=1";
/// A token that nobody knows.
const UNKNOWN_TOKEN: &str = "pm_of_the_buyer";
/// The id of an attempt of 1970.
const OLD_ATTEMPT: Uuid = uuid!("00000000-0000-7000-8000-000000000001");
/// An address that refuses connections.
const CLOSED_URL: &str = "http://127.0.0.1:1";
/// The timeout of calls that are expected to time out.
const IMPATIENT: Duration = Duration::from_millis(300);
/// How long a call may take that fails, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Creates a test of a rule for each provider.
macro_rules! rule {
    ($rule:ident) => { rule!($rule: manual ManualRig, test TestRig, stripe StripeRig, paypal PayPalRig); };
    ($rule:ident: $($provider:ident $rig:ident),*) => {
        mod $rule {
            use crate::payments::conformance::rigs::{self, Rig};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $provider() {
                    super::$rule(rigs::$rig::start().await).await;
                }
            )*
        }
    };
}

// After the macro, which it uses, too.
mod vault;

/// A payment that the buyer has completed.
struct Paid {
    charge: Charge,
    payment: PaymentRef,
    /// What `fetch` reports.
    events: Vec<ProviderEvent>,
}

/// Whether the provider moves money. Otherwise there are no events but refunds.
fn moves_money<R: Rig>() -> bool {
    R::FLOW.is_charged_at_checkout()
}

fn new_charge(token: &str, amount: i64, currency: &str) -> Charge {
    Charge {
        attempt_id: PaymentId::generate(),
        order_id: OrderId::generate(),
        amount,
        currency: currency.to_owned(),
        token: token.to_owned(),
        return_url: Some(RETURN_URL.to_owned()),
        customer: None,
    }
}

fn new_refund(payment: &PaymentRef, amount: i64) -> Refund {
    Refund { refund_id: RefundId::generate(), payment: PaymentRef { amount, ..payment.clone() } }
}

/// Identifies a payment as the service does after the response to its charge.
fn payment_of(charge: &Charge, state: &PaymentState) -> PaymentRef {
    let pending = state.pending.as_ref().map(|pending| pending.reference.clone());
    let reported = || state.events.iter().find_map(|event| event.reference.clone());
    payment_ref(charge, pending.or_else(reported))
}

/// Makes a payment, and lets the buyer complete it.
async fn pay<R: Rig>(rig: &R, charge: Charge) -> Paid {
    let state = rig.provider().authorize(&charge).await.unwrap();
    rig.complete(&state).await;
    let payment = payment_of(&charge, &state);
    let PaymentState { events, pending } = rig.provider().fetch(&payment).await.unwrap();
    assert_eq!(pending, None);
    Paid { charge, payment, events }
}

/// Makes a payment of 12.50 EUR.
async fn pay_some<R: Rig>(rig: &R) -> Paid {
    pay(rig, new_charge(R::TOKEN, 1_250, "EUR")).await
}

/// What counts of events. References and messages are only shown.
fn facts(events: &[ProviderEvent]) -> Vec<ProviderEvent> {
    let fact = |event: &ProviderEvent| ProviderEvent { reference: None, message: None, ..event.clone() };
    events.iter().map(fact).collect()
}

/// Receives a webhook. A provider without webhooks rejects whatever claims to be one.
async fn receive<R: Rig>(rig: &R, webhook: Option<Signed>) -> Option<Webhook> {
    assert_eq!(webhook.is_some(), R::SIGNATURE.is_some());
    let Some((headers, body)) = webhook else {
        assert_bad_signature(rig, &Vec::new(), "{}").await;
        return None;
    };
    Some(rig.provider().parse_webhook(&headers, body.as_bytes()).await.unwrap())
}

async fn assert_bad_signature<R: Rig>(rig: &R, headers: &Headers, body: &str) {
    let result = rig.provider().parse_webhook(headers, body.as_bytes()).await;
    assert!(matches!(result, Err(ProviderError::BadSignature)), "{headers:?}: {result:?}");
}

/// The result of a call, which must not take long.
async fn soon<T>(call: ProviderFuture<'_, T>) -> Result<T, ProviderError> {
    tokio::time::timeout(SOON, call).await.expect("the call has a timeout")
}

/// The results of all calls but that of webhooks, with a payment that the provider does not know.
async fn call_all<R: Rig>(
    provider: &dyn PaymentProvider,
    token: &str,
) -> Vec<(&'static str, Result<(), ProviderError>)> {
    let charge = new_charge(token, 1_250, "EUR");
    let payment = payment_ref(&charge, Some(R::UNKNOWN.to_owned()));
    let refund = new_refund(&payment, 400);
    let capture = Capture { capture_id: charge.attempt_id, payment: payment.clone(), is_final: true };
    vec![
        ("fetch", soon(provider.fetch(&payment)).await.map(drop)),
        ("void", soon(provider.void(&payment)).await.map(drop)),
        ("refund", soon(provider.refund(&refund)).await.map(drop)),
        ("capture", soon(provider.capture(&capture)).await.map(drop)),
        ("authorize", soon(provider.authorize(&charge)).await.map(drop)),
        ("check", soon(provider.check()).await.map(drop)),
    ]
}

rule!(a_charge_leads_to_what_the_flow_says);
async fn a_charge_leads_to_what_the_flow_says<R: Rig>(rig: R) {
    let provider = rig.provider();
    assert!(Providers::NAMES.contains(&provider.name()));
    assert_eq!(provider.flow(), R::FLOW);
    assert_eq!(provider.publishable_key().is_some(), R::FLOW == PaymentFlow::ConfirmOnClient);
    assert!(!provider.payment_timeout().is_zero());

    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    let state = provider.authorize(&charge).await.unwrap();
    let action = state.pending.as_ref().map(|pending| &pending.next_action);
    let is_expected = match R::FLOW {
        PaymentFlow::Offline => state == PaymentState::default(),
        PaymentFlow::Token => action.is_none() && !state.events.is_empty(),
        PaymentFlow::ConfirmOnClient => matches!(action, Some(NextAction::ConfirmOnClient { .. })),
        PaymentFlow::Redirect => matches!(action, Some(NextAction::Redirect { .. })),
    };
    assert!(is_expected, "{state:?}");
    if R::FLOW != PaymentFlow::Token {
        assert!(state.events.is_empty(), "{state:?}");
        assert_eq!(rig.books(&charge).await, (0, 0), "the buyer has not done anything yet");
    }
}

rule!(an_attempt_moves_money_once_however_often_it_is_authorized);
async fn an_attempt_moves_money_once_however_often_it_is_authorized<R: Rig>(mut rig: R) {
    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    let first = rig.provider().authorize(&charge).await.unwrap();
    assert_eq!(rig.provider().authorize(&charge).await.unwrap(), first);
    rig.restart();
    assert_eq!(rig.provider().authorize(&charge).await.unwrap(), first, "in another process");

    rig.complete(&first).await;
    let payment = payment_of(&charge, &first);
    let fetched = rig.provider().fetch(&payment).await.unwrap();
    assert_eq!(rig.provider().fetch(&payment).await.unwrap(), fetched);
    rig.provider().authorize(&charge).await.unwrap();
    let expected = if moves_money::<R>() { (1_250, 1) } else { (0, 0) };
    assert_eq!(rig.books(&charge).await, expected);
}

rule!(a_capture_is_the_same_event_by_whatever_way_it_is_reported);
async fn a_capture_is_the_same_event_by_whatever_way_it_is_reported<R: Rig>(mut rig: R) {
    let Paid { charge, payment, events } = pay_some(&rig).await;
    let kinds: Vec<PaymentKind> = events.iter().map(|event| event.kind).collect();
    let expected: &[PaymentKind] = if moves_money::<R>() { &[PaymentKind::Captured] } else { &[] };
    assert_eq!(kinds, expected);
    let captured = facts(&events);

    let webhook = rig.capture_webhook(&charge).await;
    for _ in 0..2 {
        if let Some(reported) = receive(&rig, webhook.clone()).await {
            assert_eq!(facts(&reported.events), captured);
        }
    }
    rig.restart();
    assert_eq!(facts(&rig.provider().fetch(&payment).await.unwrap().events), captured);
    assert_eq!(facts(&rig.provider().void(&payment).await.unwrap()), captured);
}

rule!(a_payment_is_found_by_its_attempt);
async fn a_payment_is_found_by_its_attempt<R: Rig>(rig: R) {
    let Paid { payment, events, .. } = pay_some(&rig).await;
    let lost = PaymentRef { reference: None, ..payment };
    let found = rig.provider().fetch(&lost).await.unwrap();
    if R::FLOW == PaymentFlow::Redirect {
        // The link for the buyer was lost with the reference, so such a payment can't complete.
        assert_eq!(found, PaymentState::default());
    } else {
        assert_eq!(facts(&found.events), facts(&events));
    }
}

rule!(amounts_are_charged_and_reported_in_minor_units_of_their_currency);
async fn amounts_are_charged_and_reported_in_minor_units_of_their_currency<R: Rig>(rig: R) {
    for (amount, currency) in [(1_250, "EUR"), (1_250, "JPY"), (12_340, "KWD")] {
        let charge = new_charge(R::TOKEN, amount, currency);
        let refusal = rig.provider().can_charge(amount, currency).err();
        assert_eq!(refusal.is_none(), R::CURRENCIES.contains(&currency), "{refusal:?}");
        if let Some(refusal) = refusal {
            assert!(refusal.contains(currency), "{refusal}");
            let error = rig.provider().authorize(&charge).await.unwrap_err();
            assert!(matches!(&error, ProviderError::Refused(reason) if *reason == refusal), "{error:?}");
            assert_eq!(rig.books(&charge).await.0, 0);
            continue;
        }
        let Paid { charge, payment, events } = pay(&rig, charge).await;
        assert_eq!(rig.books(&charge).await.0, if moves_money::<R>() { amount } else { 0 });
        for captured in &events {
            assert_captured::<R>(captured, &charge, amount);
        }
        assert_eq!(events.len(), usize::from(moves_money::<R>()), "{events:?}");

        let refunded = rig.provider().refund(&new_refund(&payment, amount)).await.unwrap();
        assert_eq!((refunded.len(), refunded[0].amount), (1, amount), "{refunded:?}");
        assert_eq!(refunded[0].currency.as_deref(), R::REPORTS_CURRENCY.then_some(currency));
        assert_eq!(rig.books(&charge).await.0, 0);
    }
}

#[track_caller]
fn assert_captured<R: Rig>(event: &ProviderEvent, charge: &Charge, amount: i64) {
    assert_eq!((event.kind, event.amount), (PaymentKind::Captured, amount));
    assert_eq!(event.currency.as_deref(), R::REPORTS_CURRENCY.then_some(charge.currency.as_str()));
    assert_eq!((event.order_id, event.attempt_id), (charge.order_id, Some(charge.attempt_id)));
    assert_eq!(event.refund_id, None);
    let id = event.id.strip_prefix("captured:");
    assert!(id.is_some_and(|id| !id.is_empty()), "{event:?}");
    assert!(event.reference.is_some(), "{event:?}");
}

rule!(what_was_collected_is_reported_and_not_what_was_requested);
async fn what_was_collected_is_reported_and_not_what_was_requested<R: Rig>(rig: R) {
    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    let state = rig.provider().authorize(&charge).await.unwrap();
    let can_differ = rig.collect_one_less(&charge);
    assert_eq!(can_differ, R::IS_REMOTE, "only others can make a difference");
    let collected = if can_differ { 1_249 } else { charge.amount };
    rig.complete(&state).await;
    let events = rig.provider().fetch(&payment_of(&charge, &state)).await.unwrap().events;
    for event in &events {
        assert_captured::<R>(event, &charge, collected);
    }
    assert_eq!(events.len(), usize::from(moves_money::<R>()), "{events:?}");
    if let Some(reported) = receive(&rig, rig.capture_webhook(&charge).await).await {
        assert_eq!(facts(&reported.events), facts(&events));
    }
}

rule!(a_decline_moves_no_money);
async fn a_decline_moves_no_money<R: Rig>(rig: R) {
    let charge = new_charge(rig.decline_next(), 1_250, "EUR");
    let state = rig.provider().authorize(&charge).await.unwrap();
    if state.events.is_empty() {
        rig.complete(&state).await;
    }
    let payment = payment_of(&charge, &state);
    let mut events = state.events;
    for _ in 0..2 {
        events.extend(rig.provider().fetch(&payment).await.unwrap().events);
    }
    assert_eq!(!events.is_empty(), moves_money::<R>(), "{events:?}");
    for event in facts(&events) {
        assert_eq!((event.kind, event.attempt_id), (PaymentKind::Declined, Some(charge.attempt_id)));
        assert_eq!(event, facts(&events)[0], "it is one event");
    }
    assert_eq!(rig.books(&charge).await, (0, 0));
}

rule!(a_voided_payment_can_not_complete);
async fn a_voided_payment_can_not_complete<R: Rig>(mut rig: R) {
    for is_reference_known in [true, false] {
        let charge = new_charge(R::OPEN_TOKEN, 1_250, "EUR");
        let state = rig.provider().authorize(&charge).await.unwrap();
        let known = payment_of(&charge, &state);
        // The process may die before it records the reference.
        let reference = known.reference.filter(|_| is_reference_known);
        let payment = payment_ref(&charge, reference);
        let voided = rig.provider().void(&payment).await.unwrap();
        for event in &voided {
            assert_eq!((event.kind, event.attempt_id), (PaymentKind::Voided, Some(charge.attempt_id)));
        }
        assert_eq!(!voided.is_empty(), moves_money::<R>(), "{voided:?}");
        assert_eq!(facts(&rig.provider().void(&payment).await.unwrap()), facts(&voided));

        // The buyer still has the page open, and tries.
        rig.complete(&state).await;
        if let Some((headers, body)) = rig.approval_webhook() {
            rig.provider().parse_webhook(&headers, body.as_bytes()).await.unwrap();
        }
        rig.restart();
        rig.provider().authorize(&charge).await.unwrap();
        assert_eq!(facts(&rig.provider().void(&payment).await.unwrap()), facts(&voided));
        if R::FLOW != PaymentFlow::Redirect {
            // On the provider's pages a buyer only approves a payment. `fetch` would complete it,
            // so the service does not call that for a voided attempt.
            let fetched = rig.provider().fetch(&payment).await.unwrap();
            let is_captured = fetched.events.iter().any(|event| event.kind == PaymentKind::Captured);
            assert!(!is_captured && fetched.pending.is_none(), "{fetched:?}");
        }
        assert_eq!(rig.books(&charge).await, (0, 0));
    }
}

rule!(voiding_a_captured_payment_changes_nothing);
async fn voiding_a_captured_payment_changes_nothing<R: Rig>(rig: R) {
    let Paid { charge, payment, events } = pay_some(&rig).await;
    let lost = PaymentRef { reference: None, ..payment.clone() };
    for _ in 0..2 {
        assert_eq!(facts(&rig.provider().void(&payment).await.unwrap()), facts(&events));
    }
    if R::FLOW != PaymentFlow::Redirect {
        assert_eq!(facts(&rig.provider().void(&lost).await.unwrap()), facts(&events));
    }
    let expected = if moves_money::<R>() { (1_250, 1) } else { (0, 0) };
    assert_eq!(rig.books(&charge).await, expected);
}

rule!(a_webhook_moves_no_money);
async fn a_webhook_moves_no_money<R: Rig>(rig: R) {
    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    let state = rig.provider().authorize(&charge).await.unwrap();
    rig.complete(&state).await;
    let before = rig.books(&charge).await;
    if R::FLOW == PaymentFlow::Redirect {
        assert_eq!(before, (0, 0));
        let approval = rig.approval_webhook();
        for _ in 0..2 {
            let webhook = receive(&rig, approval.clone()).await.expect("a buyer's approval is reported");
            assert_eq!(webhook.approved, [(charge.order_id, charge.attempt_id)]);
            assert!(webhook.events.is_empty(), "{webhook:?}");
        }
        assert_eq!(rig.books(&charge).await, before);
        rig.provider().fetch(&payment_of(&charge, &state)).await.unwrap();
    } else {
        assert!(rig.approval_webhook().is_none());
        if let Some(webhook) = receive(&rig, rig.capture_webhook(&charge).await).await {
            assert!(webhook.approved.is_empty(), "{webhook:?}");
        }
        assert_eq!(rig.books(&charge).await, before);
    }
    let expected = if moves_money::<R>() { (1_250, 1) } else { (0, 0) };
    assert_eq!(rig.books(&charge).await, expected);
}

rule!(a_refund_is_made_once_however_often_it_is_requested);
async fn a_refund_is_made_once_however_often_it_is_requested<R: Rig>(mut rig: R) {
    let Paid { charge, payment, .. } = pay_some(&rig).await;
    let refund = new_refund(&payment, 400);
    let first = rig.provider().refund(&refund).await.unwrap();
    assert_eq!(first.len(), 1, "{first:?}");
    let event = &first[0];
    assert_eq!((event.kind, event.amount), (PaymentKind::Refunded, 400));
    assert_eq!((event.order_id, event.attempt_id), (charge.order_id, Some(charge.attempt_id)));
    assert_eq!(event.refund_id, Some(refund.refund_id));
    assert!(event.id.starts_with("refunded:"), "{event:?}");
    if let Some(webhook) = receive(&rig, rig.refund_webhook(&refund).await).await {
        assert_eq!(facts(&webhook.events), facts(&first));
    }

    assert_eq!(facts(&rig.provider().refund(&refund).await.unwrap()), facts(&first));
    rig.restart();
    assert_eq!(facts(&rig.provider().refund(&refund).await.unwrap()), facts(&first), "in another process");
    // Another refund of the same amount is another refund.
    let second = rig.provider().refund(&new_refund(&payment, 400)).await.unwrap();
    assert_ne!(second[0].id, event.id);
    assert_eq!(second[0].kind, PaymentKind::Refunded);

    let expected = if moves_money::<R>() { (450, 1) } else { (0, 0) };
    assert_eq!(rig.books(&charge).await, expected);
    let fetched = facts(&rig.provider().fetch(&payment).await.unwrap().events);
    for refunded in facts(&[first, second].concat()) {
        assert_eq!(fetched.contains(&refunded), moves_money::<R>(), "{fetched:?}");
    }
}

rule!(a_refund_that_is_split_among_payments_is_one_event_for_each);
async fn a_refund_that_is_split_among_payments_is_one_event_for_each<R: Rig>(rig: R) {
    let first = pay_some(&rig).await;
    let order_id = first.charge.order_id;
    let second = pay(&rig, Charge { order_id, ..new_charge(R::TOKEN, 1_250, "EUR") }).await;
    let one = new_refund(&first.payment, 400);
    let other = Refund { refund_id: one.refund_id, ..new_refund(&second.payment, 400) };
    let mut ids = Vec::new();
    for refund in [one, other] {
        let events = rig.provider().refund(&refund).await.unwrap();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].kind, PaymentKind::Refunded);
        assert_eq!(events[0].attempt_id, Some(refund.payment.attempt_id));
        assert_eq!(events[0].refund_id, Some(refund.refund_id));
        ids.push(events[0].id.clone());
    }
    assert_ne!(ids[0], ids[1], "the ledger would record only one of them");
}

rule!(webhooks_that_are_not_genuine_are_rejected);
async fn webhooks_that_are_not_genuine_are_rejected<R: Rig>(rig: R) {
    let paid = pay_some(&rig).await;
    let webhook = rig.capture_webhook(&paid.charge).await;
    let Some(name) = R::SIGNATURE else {
        assert!(webhook.is_none());
        for body in ["", "{}", "{\"events\":[]}"] {
            assert_bad_signature(&rig, &Vec::new(), body).await;
        }
        return;
    };
    let (headers, body) = webhook.expect("a provider with webhooks reports captures");
    let order = paid.charge.order_id.uuid().to_string();
    let forged = body.replace(&order, &OrderId::generate().uuid().to_string());
    assert_ne!(forged, body);
    assert_bad_signature(&rig, &headers, &forged).await;

    let unsigned: Headers = headers.iter().filter(|(known, _)| known != name).cloned().collect();
    assert_eq!(unsigned.len() + 1, headers.len());
    assert_bad_signature(&rig, &unsigned, &body).await;
    assert_bad_signature(&rig, &Vec::new(), &body).await;
    let (other, _) = rig.unrelated_webhooks().await.remove(0);
    let other = other.into_iter().find(|(known, _)| known == name).expect("it is signed").1;
    for signature in [other.as_str(), "forged", ""] {
        let mut wrong = unsigned.clone();
        wrong.push((name.to_owned(), signature.to_owned()));
        assert_bad_signature(&rig, &wrong, &body).await;
    }
    // The original is still accepted.
    receive(&rig, Some((headers, body))).await;
}

rule!(signed_webhooks_that_can_not_be_read_are_rejected_as_such);
async fn signed_webhooks_that_can_not_be_read_are_rejected_as_such<R: Rig>(rig: R) {
    for body in ["", "not JSON", "{\"id\": ", "[]"] {
        let Some(headers) = rig.sign(body) else {
            assert!(!R::IS_REMOTE, "others can sign anything");
            assert_bad_signature(&rig, &Vec::new(), body).await;
            continue;
        };
        let result = rig.provider().parse_webhook(&headers, body.as_bytes()).await;
        assert!(matches!(result, Err(ProviderError::BadWebhook(_))), "{body:?}: {result:?}");
    }
}

rule!(webhooks_about_anything_else_are_accepted_and_report_nothing);
async fn webhooks_about_anything_else_are_accepted_and_report_nothing<R: Rig>(rig: R) {
    let webhooks = rig.unrelated_webhooks().await;
    assert_eq!(webhooks.is_empty(), R::SIGNATURE.is_none());
    for (headers, body) in webhooks {
        let webhook = rig.provider().parse_webhook(&headers, body.as_bytes()).await.unwrap();
        assert_eq!(webhook, Webhook::default(), "{body}");
    }
}

rule!(nothing_has_happened_to_an_unknown_payment);
async fn nothing_has_happened_to_an_unknown_payment<R: Rig>(rig: R) {
    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    for reference in [None, Some(R::UNKNOWN.to_owned())] {
        let payment = payment_ref(&charge, reference);
        assert_eq!(rig.provider().fetch(&payment).await.unwrap(), PaymentState::default());
        // If the call that creates it may still be under way, it is not void yet.
        let voided = rig.provider().void(&payment).await;
        assert!(matches!(&voided, Ok(_) | Err(ProviderError::Refused(_))), "{voided:?}");
        let attempt_id = PaymentId::from_uuid(OLD_ATTEMPT);
        let voided = rig.provider().void(&PaymentRef { attempt_id, ..payment }).await.unwrap();
        let kinds: Vec<PaymentKind> = voided.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, vec![PaymentKind::Voided; usize::from(R::IS_REMOTE)], "{voided:?}");
    }
}

rule!(the_keys_are_checked);
async fn the_keys_are_checked<R: Rig>(rig: R) {
    assert!(!rig.provider().check().await.unwrap().is_empty());
    let wrong = rig.with_wrong_key();
    assert_eq!(wrong.is_some(), R::IS_REMOTE);
    if let Some(provider) = wrong {
        let result = provider.check().await;
        assert!(matches!(result, Err(ProviderError::Failed(_))), "{result:?}");
    }
}

rule!(a_provider_that_can_not_be_reached_is_an_error_within_its_timeout);
async fn a_provider_that_can_not_be_reached_is_an_error_within_its_timeout<R: Rig>(rig: R) {
    let paid = pay_some(&rig).await;
    let webhook = rig.capture_webhook(&paid.charge).await;
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for (url, is_silent) in [(silent_url.as_str(), true), (CLOSED_URL, false)] {
        let Some(provider) = rig.connect(url, IMPATIENT) else {
            assert!(!R::IS_REMOTE);
            for (call, result) in call_all::<R>(rig.provider(), R::TOKEN).await {
                // What was not authorized is not captured.
                let is_answered = matches!(result, Ok(()) | Err(ProviderError::Refused(_)));
                assert!(is_answered, "{call} depends on nobody: {result:?}");
            }
            continue;
        };
        for (call, result) in call_all::<R>(provider.as_ref(), R::TOKEN).await {
            let is_expected = match result {
                Err(ProviderError::TimedOut) => is_silent,
                Err(ProviderError::Failed(_)) => !is_silent,
                _ => false,
            };
            assert!(is_expected, "{call} of {url}: {result:?}");
        }
        if let Some((headers, body)) = &webhook {
            // Either it is verified here, or it has to be sent again: it may be genuine.
            let result = soon(provider.parse_webhook(headers, body.as_bytes())).await;
            let is_rejected =
                matches!(result, Err(ProviderError::BadSignature | ProviderError::BadWebhook(_)));
            assert!(!is_rejected, "{result:?}");
        }
    }
}

rule!(errors_contain_no_secrets);
async fn errors_contain_no_secrets<R: Rig>(rig: R) {
    let mut results = call_all::<R>(rig.provider(), UNKNOWN_TOKEN).await;
    let mut others = vec![rig.connect(CLOSED_URL, IMPATIENT), rig.with_wrong_key()];
    for (status, is_json) in [(200, true), (200, false), (401, true), (500, true), (502, false)] {
        others.push(rig.connect(&echo::start(status, is_json).await, SOON));
    }
    for provider in others.into_iter().flatten() {
        results.extend(call_all::<R>(provider.as_ref(), UNKNOWN_TOKEN).await);
    }
    let body = format!("{{\"type\":1,\"email\":\"{EMAIL}\"}}");
    for headers in [rig.sign(&body).unwrap_or_default(), Vec::new()] {
        let result = rig.provider().parse_webhook(&headers, body.as_bytes()).await;
        results.push(("parse_webhook", result.map(drop)));
    }
    let errors: Vec<ProviderError> = results.into_iter().filter_map(|(_, result)| result.err()).collect();
    assert!(errors.len() >= if R::IS_REMOTE { 30 } else { 2 }, "{errors:?}");

    let secrets = rig.secrets();
    let mut hidden = vec![EMAIL, UNKNOWN_TOKEN, WRONG_KEY, "://"];
    hidden.extend(secrets.iter().map(String::as_str));
    for error in &errors {
        let text = format!("{error} {error:?}");
        assert!(!hidden.iter().any(|secret| text.contains(secret)), "{text}");
    }
    // What the buyer needs is in the state, but not printed.
    let charge = new_charge(R::TOKEN, 1_250, "EUR");
    let text = format!("{:?}", rig.provider().authorize(&charge).await.unwrap());
    assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
}
