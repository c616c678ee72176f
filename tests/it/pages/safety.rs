//! What pages do with hostile texts, foreign forms and too many requests.

use serde_json::json;

use super::browser::{Browser, checkout_path};
use super::review;
use crate::support::{Database, TestApp, both, request};

const HOSTILE: &str = "\"><script>alert('1')</script>{{ 7 * 7 }}";

both!(texts_of_strangers_are_escaped);
async fn texts_of_strangers_are_escaped(app: TestApp) {
    let mug = app.create_stocked(HOSTILE, "10", 40).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let document = "mutation($id: ID!, $note: String!, $codes: [String!]!) {
        cartNoteUpdate(cartId: $id, note: $note) { userErrors { message } }
        cartDiscountCodesUpdate(cartId: $id, discountCodes: $codes) { userErrors { message } }
    }";
    let texts = json!({ "id": cart, "note": HOSTILE, "codes": [HOSTILE] });
    app.anonymous().ask_with(document, texts).await.assert_ok();
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &cart).await;
    let order = browser.submit(&page, "place", &[("provider", "test")]).await;
    for page in [page, order] {
        page.assert_has(HOSTILE);
        assert!(!page.html.contains("<script>"), "{}", page.html);
    }
    let reflected = format!("/checkout/%22%3E%3Cscript%3E?key={0}&lang={0}&step={0}", "%22%3E%3Cscript%3E");
    assert!(!browser.open(&reflected).await.html.contains("<script>"));
}

both!(forms_of_other_sites_are_refused);
async fn forms_of_other_sites_are_refused(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let pay = [("provider", "test")];
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let response = browser.send_form(&page, "place", &pay, &[foreign]).await;
        assert_eq!(response.status, 403, "{foreign:?}");
    }
    assert_eq!(app.count_orders().await, 0);
    let text = request("POST", &page.path).header("content-type", "text/plain");
    let response = app.send(text.body("action=place".to_owned()).unwrap()).await;
    assert_eq!(response.status, 400);
    let own = format!("http://{}", app.address);
    let response = browser.send_form(&page, "place", &pay, &[("origin", own.as_str())]).await;
    assert_eq!((response.status.as_u16(), app.count_orders().await), (303, 1));
}

both!(too_many_requests_are_refused_with_a_page);
async fn too_many_requests_are_refused_with_a_page(database: Database) {
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "2500/1")]).await;
    let cart = app.cart(&[]).await;
    let browser = Browser::new(&app, "en");
    for _ in 0..2 {
        assert_eq!(browser.check_out(&cart).await.status, 200);
    }
    let page = browser.check_out(&cart).await;
    assert_eq!(page.status, 429);
    page.assert_has("Please wait a moment");
    let get = request("GET", &checkout_path(&cart)).body(String::new()).unwrap();
    let seconds: u64 = app.send(get).await.header("retry-after").parse().unwrap();
    assert!((1..=1_000).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn logos_of_other_servers_are_allowed_by_origin() {
    let settings = [("SHOP_LOGO_URL", "https://cdn.example/logo.svg"), ("SHOP_ACCENT_COLOR", "#aa0000")];
    let app = TestApp::with(Database::sqlite().await.unwrap(), &settings).await;
    let page = Browser::new(&app, "en").check_out(&app.cart(&[]).await).await;
    page.assert_has("https://cdn.example/logo.svg");
    assert!(page.policy.contains("img-src 'self' data: https://cdn.example;"), "{}", page.policy);
}
