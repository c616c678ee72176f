//! What is true of every provider that captures payments when their orders are shipped: a payment
//! is only authorized first, and then captured, as a whole or in parts, or voided.

use std::sync::Arc;
use std::time::Duration;

use mercato::domain::ids::PaymentId;
use mercato::domain::payments::{CaptureTiming, NextAction, PaymentKind};
use mercato::domain::time::SystemClock;
use mercato::integrations::payments::{
    Capture, Charge, PayPal, PayPalSettings, PaymentProvider, PaymentRef, PaymentState, ProviderError,
    ProviderEvent, Stripe, StripeSettings, TestProvider,
};
use secrecy::SecretString;

use super::rigs::{install_tls, setting};
use super::{facts, new_charge, new_refund, payment_of};
use crate::support::TestClock;
use crate::support::paypal::PayPalSandbox;
use crate::support::stripe::StripeDouble;

/// Longer than any call takes.
const PATIENT: Duration = Duration::from_secs(30);
/// How long an order waits for its payment; providers only pass it on.
const PAYMENT_TIMEOUT: Duration = Duration::from_mins(30);

/// What is at the other end of a provider.
enum Account {
    /// Nothing.
    None,
    Stripe(StripeDouble),
    PayPal(PayPalSandbox),
}

/// A provider that captures on fulfillment.
struct Holder {
    provider: Box<dyn PaymentProvider>,
    account: Account,
    token: &'static str,
}

/// Creates a test of a rule for each provider.
macro_rules! rule {
    ($rule:ident) => {
        mod $rule {
            use super::Holder;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn test() {
                super::$rule(Holder::test()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn stripe() {
                super::$rule(Holder::stripe().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn paypal() {
                super::$rule(Holder::paypal().await).await;
            }
        }
    };
}

impl Holder {
    fn test() -> Self {
        let provider = TestProvider::new(PAYMENT_TIMEOUT).unwrap().with_capture(CaptureTiming::OnFulfillment);
        Self { provider: Box::new(provider), account: Account::None, token: "tok_ok" }
    }

    async fn stripe() -> Self {
        install_tls();
        let double = StripeDouble::start().await;
        let settings = double.settings();
        let get = |name: &str| setting(&settings, name).to_owned();
        let settings = StripeSettings {
            secret_key: SecretString::from(get("STRIPE_SECRET_KEY")),
            publishable_key: get("STRIPE_PUBLISHABLE_KEY"),
            webhook_secrets: vec![SecretString::from(get("STRIPE_WEBHOOK_SECRET"))],
            api_url: get("STRIPE_API_URL"),
            capture: CaptureTiming::OnFulfillment,
            payment_timeout: PAYMENT_TIMEOUT,
            timeout: PATIENT,
            clock: Arc::new(SystemClock),
        };
        let provider = Box::new(Stripe::new(settings).unwrap());
        Self { provider, account: Account::Stripe(double), token: "" }
    }

    async fn paypal() -> Self {
        install_tls();
        let sandbox = PayPalSandbox::start().await;
        let settings = sandbox.settings();
        let get = |name: &str| setting(&settings, name).to_owned();
        let settings = PayPalSettings {
            client_id: get("PAYPAL_CLIENT_ID"),
            client_secret: SecretString::from(get("PAYPAL_CLIENT_SECRET")),
            webhook_id: get("PAYPAL_WEBHOOK_ID"),
            api_url: get("PAYPAL_API_URL"),
            capture: CaptureTiming::OnFulfillment,
            payment_timeout: PAYMENT_TIMEOUT,
            timeout: PATIENT,
            clock: Arc::new(TestClock::default()),
        };
        let provider = Box::new(PayPal::new(settings).unwrap());
        Self { provider, account: Account::PayPal(sandbox), token: "" }
    }

    /// Authorizes a payment, and lets the buyer do their part. Returns the payment, and what
    /// `fetch` reports.
    async fn hold(&self, amount: i64, currency: &str) -> (Charge, PaymentRef, Vec<ProviderEvent>) {
        let charge = new_charge(self.token, amount, currency);
        let state = self.provider.authorize(&charge).await.unwrap();
        self.complete(&state).await;
        let payment = payment_of(&charge, &state);
        let PaymentState { events, pending } = self.provider.fetch(&payment).await.unwrap();
        assert_eq!(pending, None);
        (charge, payment, events)
    }

    async fn complete(&self, state: &PaymentState) {
        let action = state.pending.as_ref().map(|pending| &pending.next_action);
        match (&self.account, action) {
            (Account::Stripe(double), Some(NextAction::ConfirmOnClient { client_secret, .. })) => {
                double.confirm(&client_secret.0, "pm_card_visa").await;
            }
            (Account::PayPal(sandbox), Some(NextAction::Redirect { url })) => {
                sandbox.approve(url).await;
            }
            (Account::None, None) => {}
            (_, action) => panic!("{action:?}"),
        }
    }

    /// What was captured less what was refunded, in minor units, by the books of the provider.
    async fn books(&self, charge: &Charge, payment: &PaymentRef) -> i64 {
        match &self.account {
            Account::None => {
                let events = self.provider.fetch(payment).await.unwrap().events;
                let sum = |kind: PaymentKind| -> i64 {
                    events.iter().filter(|event| event.kind == kind).map(|event| event.amount).sum()
                };
                sum(PaymentKind::Captured) - sum(PaymentKind::Refunded)
            }
            Account::Stripe(double) => double.books(charge.order_id).0,
            Account::PayPal(sandbox) => sandbox.held(charge.order_id),
        }
    }

    async fn fetch(&self, payment: &PaymentRef) -> Vec<ProviderEvent> {
        facts(&self.provider.fetch(payment).await.unwrap().events)
    }
}

fn part(payment: &PaymentRef, amount: i64, is_final: bool) -> Capture {
    let payment = PaymentRef { amount, ..payment.clone() };
    Capture { capture_id: PaymentId::generate(), payment, is_final }
}

fn amounts(events: &[ProviderEvent], kind: PaymentKind) -> Vec<i64> {
    events.iter().filter(|event| event.kind == kind).map(|event| event.amount).collect()
}

rule!(a_payment_is_authorized_and_nothing_is_captured);
async fn a_payment_is_authorized_and_nothing_is_captured(holder: Holder) {
    assert_eq!(holder.provider.capture_timing(), CaptureTiming::OnFulfillment);
    assert!(holder.provider.authorization_lifetime() > Duration::from_hours(24));
    for (amount, currency) in [(1_250, "EUR"), (1_250, "JPY"), (12_340, "KWD")] {
        if holder.provider.can_charge(amount, currency).is_err() {
            continue;
        }
        let (charge, payment, events) = holder.hold(amount, currency).await;
        let kinds: Vec<PaymentKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [PaymentKind::Authorized], "{events:?}");
        assert_eq!((events[0].amount, events[0].attempt_id), (amount, Some(charge.attempt_id)));
        assert_eq!(holder.fetch(&payment).await, facts(&events));
        assert_eq!(holder.books(&charge, &payment).await, 0);

        let captured = holder.provider.capture(&part(&payment, amount, true)).await.unwrap();
        assert_eq!(amounts(&captured, PaymentKind::Captured), [amount], "{captured:?}");
        assert_eq!(holder.books(&charge, &payment).await, amount);
    }
}

rule!(a_capture_is_made_once_however_often_it_is_requested);
async fn a_capture_is_made_once_however_often_it_is_requested(holder: Holder) {
    let (charge, payment, _) = holder.hold(1_250, "EUR").await;
    let first_amount = if holder.provider.may_capture_in_parts() { 500 } else { 1_250 };
    let request = part(&payment, first_amount, first_amount == 1_250);
    let first = facts(&holder.provider.capture(&request).await.unwrap());
    assert_eq!(amounts(&first, PaymentKind::Captured), [first_amount], "{first:?}");
    assert_eq!(facts(&holder.provider.capture(&request).await.unwrap()), first);
    assert_eq!(holder.books(&charge, &payment).await, first_amount);
    let fetched = holder.fetch(&payment).await;
    assert!(first.iter().all(|event| fetched.contains(event)), "{fetched:?}");
    if first_amount == 1_250 {
        return;
    }

    // Another capture of the same amount is another capture.
    for (amount, is_final, sum) in [(500, false, 1_000), (250, true, 1_250)] {
        let captured = holder.provider.capture(&part(&payment, amount, is_final)).await.unwrap();
        assert_eq!(amounts(&captured, PaymentKind::Captured), [amount]);
        assert_ne!(captured[0].id, first[0].id);
        assert_eq!(holder.books(&charge, &payment).await, sum);
    }
    let fetched = holder.fetch(&payment).await;
    assert_eq!(amounts(&fetched, PaymentKind::Captured).iter().sum::<i64>(), 1_250);
    assert!(amounts(&fetched, PaymentKind::Voided).is_empty(), "{fetched:?}");
}

rule!(no_more_is_captured_than_was_authorized);
async fn no_more_is_captured_than_was_authorized(holder: Holder) {
    let (charge, payment, _) = holder.hold(1_250, "EUR").await;
    let refused = holder.provider.capture(&part(&payment, 1_251, true)).await;
    assert!(matches!(refused, Err(ProviderError::Refused(_))), "{refused:?}");
    assert_eq!(holder.books(&charge, &payment).await, 0);
    holder.provider.capture(&part(&payment, 1_250, true)).await.unwrap();
    let again = holder.provider.capture(&part(&payment, 1, true)).await;
    let captured = again.map(|events| amounts(&events, PaymentKind::Captured)).unwrap_or_default();
    assert!(captured.iter().sum::<i64>() <= 1_250, "{captured:?}");
    assert_eq!(holder.books(&charge, &payment).await, 1_250);
}

rule!(a_voided_authorization_can_not_be_captured);
async fn a_voided_authorization_can_not_be_captured(holder: Holder) {
    let (charge, payment, _) = holder.hold(1_250, "EUR").await;
    let voided = facts(&holder.provider.void(&payment).await.unwrap());
    assert_eq!(amounts(&voided, PaymentKind::Voided), [1_250], "{voided:?}");
    assert!(voided.iter().all(|event| event.attempt_id == Some(charge.attempt_id)));
    assert_eq!(facts(&holder.provider.void(&payment).await.unwrap()), voided);

    match holder.provider.capture(&part(&payment, 1_250, true)).await {
        Ok(events) => assert_eq!(amounts(&events, PaymentKind::Voided), [1_250], "{events:?}"),
        Err(error) => assert!(matches!(error, ProviderError::Refused(_)), "{error:?}"),
    }
    assert_eq!(holder.books(&charge, &payment).await, 0);
    assert!(amounts(&holder.fetch(&payment).await, PaymentKind::Captured).is_empty());
}

rule!(voiding_the_rest_of_a_payment_keeps_what_was_captured);
async fn voiding_the_rest_of_a_payment_keeps_what_was_captured(holder: Holder) {
    if !holder.provider.may_capture_in_parts() {
        return;
    }
    let (charge, payment, _) = holder.hold(1_250, "EUR").await;
    holder.provider.capture(&part(&payment, 500, false)).await.unwrap();
    let voided = holder.provider.void(&payment).await.unwrap();
    assert_eq!(amounts(&voided, PaymentKind::Voided), [750], "{voided:?}");
    let fetched = holder.fetch(&payment).await;
    assert_eq!(amounts(&fetched, PaymentKind::Captured), [500], "{fetched:?}");
    assert_eq!(amounts(&fetched, PaymentKind::Voided), [750], "{fetched:?}");
    assert_eq!(holder.books(&charge, &payment).await, 500);
}

rule!(a_refund_may_exceed_a_single_capture);
async fn a_refund_may_exceed_a_single_capture(holder: Holder) {
    let (charge, payment, _) = holder.hold(1_250, "EUR").await;
    let parts = if holder.provider.may_capture_in_parts() { vec![500, 750] } else { vec![1_250] };
    for (at, amount) in parts.iter().enumerate() {
        holder.provider.capture(&part(&payment, *amount, at + 1 == parts.len())).await.unwrap();
    }
    let refund = new_refund(&payment, 1_000);
    for _ in 0..2 {
        let events = holder.provider.refund(&refund).await.unwrap();
        assert_eq!(amounts(&events, PaymentKind::Refunded).iter().sum::<i64>(), 1_000, "{events:?}");
        assert!(events.iter().all(|event| event.refund_id == Some(refund.refund_id)), "{events:?}");
        if let Account::Stripe(_) | Account::PayPal(_) = holder.account {
            assert_eq!(holder.books(&charge, &payment).await, 250);
        }
    }
    let too_much = holder.provider.refund(&new_refund(&payment, 251)).await.unwrap();
    if let Account::Stripe(_) | Account::PayPal(_) = holder.account {
        assert!(amounts(&too_much, PaymentKind::Refunded).iter().sum::<i64>() <= 250, "{too_much:?}");
        assert!(holder.books(&charge, &payment).await >= 0);
    }
}
