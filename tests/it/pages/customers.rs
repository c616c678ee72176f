//! Carts of signed-in customers, which the link to their page opens without signing in.

use mercato::domain::checkout::carts::CartRef;
use mercato::domain::ids::Id;
use mercato::domain::orders::OrderStatus;
use serde_json::{Value, json};

use super::browser::{Browser, checkout_path};
use super::{CONTACT, create_shipped, order_of};
use crate::support::{Client, Database, TestApp, both};

const CREATE: &str = "mutation($input: CartInput!) {
    cartCreate(input: $input) { cart { id checkoutUrl } userErrors { message } }
}";
const READ: &str = "query($id: ID!) { cart(id: $id) { id } }";

/// Creates a cart, and returns its id and the path of its page.
async fn create(app: &TestApp, client: &Client, input: Value) -> (String, String) {
    let reply = client.ask_with(CREATE, json!({ "input": input })).await.ok();
    let text = |name: &str| reply[&*format!("cartCreate.cart.{name}")].as_str().unwrap().to_owned();
    (text("id"), path_of(app, &text("checkoutUrl")))
}

fn path_of(app: &TestApp, url: &str) -> String {
    url.strip_prefix(&format!("http://{}", app.address)).unwrap().to_owned()
}

/// The global id that ends with what is in the path of a page.
fn id_with_key_of(path: &str) -> String {
    format!("gid://mercato/Cart/{}", path.strip_prefix("/checkout/").unwrap())
}

async fn may_read(client: &Client, id: &str) -> bool {
    !client.ask_with(READ, json!({ "id": id })).await.ok()["cart"].is_null()
}

both!(a_customers_cart_is_ordered_for_them_by_its_link);
async fn a_customers_cart_is_ordered_for_them_by_its_link(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let lines = json!([{ "merchandiseId": mug, "quantity": 2 }]);
    let (_, path) = create(&app, &app.customer(), json!({ "lines": lines })).await;
    let browser = Browser::new(&app, "en");
    let contact = browser.open(&path).await;
    contact.assert_has("The address of your account");
    contact.assert_has_not("customer@example.com");
    assert!(!contact.html.contains("name=\"email\""), "{}", contact.html);

    let entered = [CONTACT.as_slice(), &[("email", "eve@example.com")]].concat();
    let delivery = browser.submit(&contact, "contact", &entered).await;
    let review = browser.submit(&delivery, "delivery", &[("option", "standard")]).await;
    review.assert_has("The address of your account");
    let placed = browser.submit(&review, "place", &[("provider", "test")]).await;
    placed.assert_has("Your order is confirmed.");
    let order = app.order(order_of(&placed)).await;
    assert_eq!((order.status, order.customer_id), (OrderStatus::Paid, Some(app.customer_id)));
    assert_eq!(order.email.as_deref(), Some("customer@example.com"));
    browser.open(&path).await.assert_has("This cart has been ordered");
}

both!(what_is_in_a_customers_cart_is_prefilled);
async fn what_is_in_a_customers_cart_is_prefilled(app: TestApp) {
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let address = json!({
        "firstName": "Ada", "lastName": "Lovelace", "address1": "1 Main St", "zip": "10115",
        "city": "Berlin", "countryCode": "DE",
    });
    let input = json!({
        "lines": [{ "merchandiseId": mug }],
        "buyerIdentity": { "email": "ada@example.com" },
        "delivery": { "addresses": [{ "address": { "deliveryAddress": address }, "selected": true }] },
    });
    let (_, path) = create(&app, &app.customer(), input).await;
    let browser = Browser::new(&app, "en");
    let delivery = browser.open(&path).await;
    delivery.assert_has("1 Main St");
    let contact = browser.open(&format!("{path}&step=contact")).await;
    contact.assert_has("ada@example.com");
    assert!(!contact.html.contains("name=\"email\""), "{}", contact.html);
    assert_eq!(contact.field("contact", "city"), "Berlin");
}

both!(an_address_that_does_not_fit_is_refused_with_a_reason_but_only_for_guests);
async fn an_address_that_does_not_fit_is_refused_with_a_reason_but_only_for_guests(database: Database) {
    let app = TestApp::with(database, &[("GUEST_CART_BYTES", "1024")]).await;
    let (_, mug) = create_shipped(&app, "Mug", "10", 40).await;
    let input = json!({ "lines": [{ "merchandiseId": mug }], "note": "n".repeat(900) });
    let browser = Browser::new(&app, "en");
    let (_, path) = create(&app, &app.anonymous(), input.clone()).await;
    let refused = browser.submit(&browser.open(&path).await, "contact", &CONTACT).await;
    assert_eq!(refused.status, 422);
    refused.assert_has("This could not be saved");
    assert_eq!(refused.field("contact", "city"), "Berlin", "what was entered is kept");

    let (_, path) = create(&app, &app.customer(), input).await;
    let delivery = browser.submit(&browser.open(&path).await, "contact", &CONTACT).await;
    assert_eq!(delivery.status, 200, "{delivery:?}");
    delivery.assert_has("1 Main St");
}

both!(the_link_to_a_customers_cart_opens_only_its_page);
async fn the_link_to_a_customers_cart_opens_only_its_page(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let input = json!({ "lines": [{ "merchandiseId": mug }] });
    let owner = app.customer();
    let (id, path) = create(&app, &owner, input.clone()).await;
    let (other, _) = create(&app, &owner, input).await;
    let browser = Browser::new(&app, "en");
    assert_eq!(browser.open(&path).await.status, 200);
    // The cart's own key may have been known to others before.
    assert_eq!(browser.open(&checkout_path(&id)).await.status, 404);
    let key = path.split_once("?key=").unwrap().1;
    let other = CartRef::parse(&other).unwrap().id.uuid();
    assert_eq!(browser.open(&format!("/checkout/{other}?key={key}")).await.status, 404);

    // Over the API, the link is not enough: it would show the customer.
    let by_link = id_with_key_of(&path);
    let eve = app.new_customer("eve@example.com").await;
    for client in [app.anonymous(), eve, app.admin()] {
        assert!(!may_read(&client, &by_link).await);
    }
    assert!(may_read(&owner, &by_link).await && may_read(&owner, &id).await);
}

both!(the_link_to_a_guests_cart_expires_when_it_becomes_a_customers);
async fn the_link_to_a_guests_cart_expires_when_it_becomes_a_customers(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 40).await;
    let input = json!({ "lines": [{ "merchandiseId": mug }] });
    let (id, path) = create(&app, &app.anonymous(), input).await;
    let browser = Browser::new(&app, "en");
    assert_eq!(browser.open(&path).await.status, 200);
    let document = "mutation($id: ID!) {
        cartBuyerIdentityUpdate(cartId: $id, buyerIdentity: { countryCode: DE }) {
            cart { checkoutUrl } userErrors { message }
        }
    }";
    let reply = app.customer().ask_with(document, json!({ "id": id })).await.ok();
    let url = reply["cartBuyerIdentityUpdate.cart.checkoutUrl"].as_str().unwrap();
    assert_eq!(browser.open(&path).await.status, 404);
    assert_eq!(browser.open(&path_of(&app, url)).await.status, 200);
}
