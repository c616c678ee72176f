//! The pages for buyers: checkout and the status of orders, without JavaScript.

mod browser;
mod chromium;
mod customers;
mod gift_cards;
mod orders;
mod safety;

use std::time::Duration;

use mercato::domain::ids::{Id, OrderId};
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Database, TestApp, both, order_input};
use browser::{Browser, Shown, checkout_path};

/// A buyer's contact and address.
const CONTACT: [(&str, &str); 7] = [
    ("email", "Ada@Example.com"),
    ("firstName", "Ada"),
    ("lastName", "Lovelace"),
    ("address1", "1 Main St"),
    ("zip", "10115"),
    ("city", "Berlin"),
    ("country", "DE"),
];

/// The order whose page is shown.
#[track_caller]
fn order_of(page: &Shown) -> OrderId {
    let rest = page.path.strip_prefix("/orders/").unwrap_or_else(|| panic!("no order: {page:?}"));
    OrderId::from_uuid(Uuid::try_parse(rest.split('?').next().unwrap()).unwrap())
}

/// Goes through checkout up to the review; for digital products, only an address for mail is
/// needed.
async fn review(browser: &Browser<'_>, cart: &str) -> Shown {
    let contact = browser.check_out(cart).await;
    let review = browser.submit(&contact, "contact", &[("email", "ada@example.com")]).await;
    assert!(review.html.contains("name=\"attempt\""), "{review:?}");
    review
}

/// A shipped product, with stock. Returns the ids of product and variant.
async fn create_shipped(app: &TestApp, title: &str, price: &str, units: i64) -> (String, String) {
    let product = json!({ "title": title, "status": "ACTIVE" });
    let variant = json!({ "price": price, "requiresShipping": true, "isInventoryTracked": true });
    let (product, variant) = app.create_priced(product, variant).await;
    let location = app.create_location(&format!("Shelf of {title}")).await;
    app.add_stock(&variant, &location, units).await;
    (product, variant)
}

both!(a_cart_is_ordered_in_three_steps_in_english_and_german);
async fn a_cart_is_ordered_in_three_steps_in_english_and_german(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    for (language, heading, provider, thanks, status) in [
        ("en", "Contact and address", "manual", "Please pay as agreed", OrderStatus::PendingPayment),
        ("de", "Kontakt und Adresse", "test", "Ihre Bestellung ist bestätigt", OrderStatus::Paid),
    ] {
        let browser = Browser::new(&app, language);
        let cart = app.cart(&[(&mug, 2)]).await;
        let contact = browser.check_out(&cart).await;
        assert_eq!(contact.status, 200);
        contact.assert_has(heading);
        contact.assert_has("Mug");

        let empty = browser.submit(&contact, "contact", &[("email", ""), ("city", "Köln")]).await;
        assert_eq!(empty.status, 422, "{empty:?}");
        assert!(empty.html.contains("aria-invalid=\"true\" aria-describedby=\"email-problem\""));
        assert!(empty.html.contains("<a href=\"#address1\">"), "{}", empty.html);
        assert_eq!(empty.field("contact", "city"), "Köln", "what was entered is kept");
        let wrong =
            browser.submit(&empty, "contact", &[CONTACT.as_slice(), &[("email", "ada")]].concat()).await;
        assert_eq!(wrong.status, 422, "{wrong:?}");
        let opened = browser.open(&wrong.path).await;
        assert_eq!(opened.status, 200, "the page of a refused form can be opened by its URL");

        let delivery = browser.submit(&wrong, "contact", &CONTACT).await;
        assert_eq!(delivery.status, 200, "{delivery:?}");
        delivery.assert_has("1 Main St");
        let review = browser.submit(&delivery, "delivery", &[("option", "express")]).await;
        review.assert_has("ada@example.com");
        review.assert_has("Ring twice");
        let total = review.field("place", "total");
        assert!(total.parse::<f64>().unwrap() > 20.0, "delivery costs something: {total}");

        let order = browser.submit(&review, "place", &[("provider", provider)]).await;
        order.assert_has(thanks);
        let stored = app.order(order_of(&order)).await;
        assert_eq!((stored.status, stored.email.as_deref()), (status, Some("ada@example.com")));
        assert_eq!(stored.language, Some(language.to_uppercase()));
        assert_eq!(stored.shipping_address.unwrap().0.city.as_deref(), Some("Berlin"));
    }
}

both!(discount_codes_are_entered_at_the_review);
async fn discount_codes_are_entered_at_the_review(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let percentage = json!({ "percentage": { "percentage": "10" } });
    app.create_discount(json!({ "title": "Ten", "code": "TEN", "value": percentage })).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let page = browser.submit(&page, "codes", &[("code", "ten"), ("remove", "")]).await;
    assert_eq!(page.field("place", "total"), "9.00");
    let page = browser.submit(&page, "codes", &[("code", "NONE"), ("remove", "")]).await;
    page.assert_has("NONE does not apply to this cart.");
    let page = browser.submit(&page, "codes", &[("remove", "ten")]).await;
    assert_eq!(page.field("place", "total"), "10.00");
}

both!(a_form_that_is_sent_twice_places_one_order);
async fn a_form_that_is_sent_twice_places_one_order(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let pay = [("provider", "test")];
    let (one, two) = tokio::join!(browser.submit(&page, "place", &pay), browser.submit(&page, "place", &pay));
    let again = browser.submit(&page, "place", &pay).await;
    let order = order_of(&one);
    assert_eq!((order_of(&two), order_of(&again)), (order, order));
    assert_eq!(app.ledger(order).await, ["requested 1000", "captured 1000"]);
    assert_eq!(app.count_orders().await, 1);
}

both!(a_changed_price_is_shown_before_it_is_paid);
async fn a_changed_price_is_shown_before_it_is_paid(app: TestApp) {
    let product = json!({ "title": "Mug", "status": "ACTIVE" });
    let variant = json!({ "price": "10", "requiresShipping": false, "isInventoryTracked": false });
    let (product, mug) = app.create_priced(product, variant).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    let document = "mutation($id: ID!, $variant: ProductVariantsBulkInput!) {
        productVariantsBulkUpdate(productId: $id, variants: [$variant]) { userErrors { message } }
    }";
    let change = json!({ "id": product, "variant": { "id": mug, "price": "12" } });
    app.admin().ask_with(document, change).await.assert_ok();
    let changed = browser.submit(&page, "place", &[("provider", "test")]).await;
    assert_eq!(changed.status, 409);
    changed.assert_has("The total has changed.");
    assert_eq!((changed.field("place", "total").as_str(), app.count_orders().await), ("12.00", 0));
    let order = browser.submit(&changed, "place", &[("provider", "test")]).await;
    assert_eq!(app.order(order_of(&order)).await.total, 1_200);
}

both!(what_was_sold_in_the_meantime_is_named_and_removed);
async fn what_was_sold_in_the_meantime_is_named_and_removed(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 2).await;
    let bowl = app.create_stocked("Bowl", "5", 9).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 2), (&bowl, 1)]).await).await;
    let other = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    browser.submit(&other, "place", &[("provider", "test")]).await.assert_has("Your order is confirmed.");
    let sold_out = browser.submit(&page, "place", &[("provider", "test")]).await;
    assert_eq!(sold_out.status, 409);
    sold_out.assert_has("Something in your cart was sold in the meantime.");
    sold_out.assert_has("Only 1 available");
    let adjusted = browser.submit(&sold_out, "fix", &[]).await;
    adjusted.assert_has_not("Only 1 available");
    assert_eq!(adjusted.field("place", "total"), "15.00");
    browser.submit(&adjusted, "place", &[("provider", "test")]).await.assert_has("Your order is confirmed.");
}

both!(carts_that_can_not_be_checked_out_have_clear_pages);
async fn carts_that_can_not_be_checked_out_have_clear_pages(app: TestApp) {
    let browser = Browser::new(&app, "en");
    let mug = app.create_stocked("Mug", "10", 40).await;
    let empty = browser.check_out(&app.cart(&[]).await).await;
    empty.assert_has("Your cart is empty");

    let cart = app.cart(&[(&mug, 1)]).await;
    let page = review(&browser, &cart).await;
    let order = browser.submit(&page, "place", &[("provider", "manual")]).await;
    let ordered = browser.check_out(&cart).await;
    ordered.assert_has("This cart has been ordered");
    assert_eq!(order_of(&browser.open(&ordered.button_link()).await), order_of(&order));

    let wrong_key = checkout_path(&cart).replace("key=", "key=0");
    for path in [wrong_key.as_str(), "/checkout/none?key=1", "/checkout/none", "/orders/none?token=1"] {
        let page = browser.open(path).await;
        assert_eq!(page.status, 404, "{path}");
        page.assert_has("This page does not exist");
    }
    let wrong_token = order.path.replace("token=", "token=0");
    assert_eq!(browser.open(&wrong_token).await.status, 404);
}

both!(an_expired_cart_no_longer_exists);
async fn an_expired_cart_no_longer_exists(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let browser = Browser::new(&app, "en");
    let page = review(&browser, &app.cart(&[(&mug, 1)]).await).await;
    app.clock.advance(Duration::from_hours(24 * 31));
    app.app.services.clean_up.run(&app.app.system()).await.unwrap();
    let placed = browser.submit(&page, "place", &[("provider", "test")]).await;
    assert_eq!((placed.status, app.count_orders().await), (404, 0));
    placed.assert_has("the cart has expired");
}

both!(checkout_may_be_elsewhere);
async fn checkout_may_be_elsewhere(database: Database) {
    let app = TestApp::with(database, &[("CHECKOUT_URL", "https://pay.shop.example/")]).await;
    let reply = app.anonymous().ask("mutation { cartCreate(input: {}) { cart { checkoutUrl } } }").await.ok();
    let url = reply["cartCreate.cart.checkoutUrl"].as_str().unwrap();
    assert!(url.starts_with("https://pay.shop.example/checkout/") && url.contains("?key="), "{url}");

    let mug = app.create_stocked("Mug", "5", 5).await;
    let cart = app.cart(&[(&mug, 1)]).await;
    let placed = app.anonymous().place(order_input(&cart, "5", "tok_ok")).await.ok();
    let query = "query($id: ID!) { node(id: $id) { ... on Order { statusUrl } } }";
    let id = json!({ "id": placed["orderPlace.order.id"] });
    let reply = app.admin().ask_with(query, id).await.ok();
    let url = reply["node"]["statusUrl"].as_str().unwrap();
    assert!(url.starts_with("https://pay.shop.example/orders/") && url.contains("?token="), "{url}");

    // Nobody can be signed in there.
    let customer = app.customer();
    let reply = customer.ask("mutation { cartCreate(input: {}) { cart { id } } }").await.ok();
    let document = "mutation($id: ID!) {
        customerCheckoutUrlCreate(cartId: $id) { checkoutUrl expiresAt userErrors { field message code } }
    }";
    let reply = customer.ask_with(document, json!({ "id": reply["cartCreate.cart.id"] })).await;
    let error = reply.user_errors("customerCheckoutUrlCreate").remove(0);
    assert_eq!(error.code, "NOT_ALLOWED");
    assert!(error.message.contains("CHECKOUT_URL"), "{}", error.message);
    assert_eq!(reply["customerCheckoutUrlCreate.checkoutUrl"], Value::Null);
}
