//! Pages can be read and used by everyone: axe finds nothing, in light and dark, on a screen and on
//! a phone, and every control can be reached with the keyboard.

use serde_json::json;

use super::{PATIENT, visit, visit_with};
use crate::support::stripe::StripeDouble;
use crate::support::{Database, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_can_use_the_steps_of_checkout() {
    let app = TestApp::sqlite().await;
    app.seed_demo().await;
    visit(&app, "steps", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_can_use_the_page_of_an_order() {
    let stripe = StripeDouble::start().await;
    let settings = [stripe.settings().as_slice(), &[PATIENT]].concat();
    let app = TestApp::with(Database::sqlite().await.unwrap(), &settings).await;
    app.seed_demo().await;
    visit_with(&app, Some(&stripe), "orders", json!({})).await;
}
