//! Delivers the webhooks of payment providers: in no order, some of them several times, and some
//! never.

use std::sync::Arc;
use std::time::Duration;

use mercato::domain::time::{Clock, SystemClock};
use serde_json::Value;

use super::buyers::Shop;
use crate::chaos::random::Random;
use crate::chaos::server::try_post;
use crate::support::paypal::PayPalWebhook;
use crate::support::stripe::StripeDouble;

/// The pause between two webhooks.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be delivered.
enum Letter {
    Stripe(Value),
    PayPal(PayPalWebhook),
}

impl Letter {
    /// Sends it once. Returns whether it was accepted.
    async fn send(&self, shop: &Shop) -> bool {
        let now = SystemClock.now();
        let (path, headers, body) = match self {
            Self::Stripe(event) => {
                let (headers, body) = StripeDouble::webhook(event, now.micros() / 1_000_000);
                ("/payments/stripe/webhook", headers, body)
            }
            Self::PayPal(webhook) => {
                let webhook = webhook.clone().sent_at(&now.to_string());
                let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
                headers.extend(webhook.headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
                ("/payments/paypal/webhook", headers, webhook.body)
            }
        };
        let headers: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let response = try_post(shop.server, path, &headers, &body).await;
        response.is_some_and(|(status, _)| status == 200)
    }
}

/// Delivers webhooks about what happens from now on, until the shop is closed and all of them are
/// delivered or given up. Returns the number of those that were accepted.
pub(super) async fn deliver(shop: Arc<Shop>, mut random: Random) -> usize {
    let (mut stripe, mut paypal) = (shop.stripe.events().len(), shop.paypal.webhooks_after(0).len());
    let mut accepted = 0;
    let mut letters: Vec<Letter> = Vec::new();
    loop {
        let is_closed = shop.is_closed();
        let (events, webhooks) = (shop.stripe.events_after(stripe), shop.paypal.webhooks_after(paypal));
        (stripe, paypal) = (stripe + events.len(), paypal + webhooks.len());
        let new = events.into_iter().map(Letter::Stripe).chain(webhooks.into_iter().map(Letter::PayPal));
        letters.extend(new.filter(|_| !random.is_one_in(4)));
        if letters.is_empty() && is_closed {
            return accepted;
        }
        if !letters.is_empty() {
            let letter = letters.swap_remove(random.index(letters.len()));
            let is_accepted = letter.send(&shop).await;
            accepted += usize::from(is_accepted);
            // One that was not accepted is sent again, but not for ever.
            if random.is_one_in(if is_accepted { 4 } else { 2 }) {
                letters.push(letter);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
