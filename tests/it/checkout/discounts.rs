//! Discounts: editing them, their effect on lines and delivery, and limits on uses under concurrent
//! orders.

use std::time::Duration;

use mercato::db::{DbError, Tx};
use mercato::domain::access::permissions::Permission::ManageSettings;
use mercato::domain::checkout::discounts::DiscountRefusal;
use mercato::domain::ids::{DiscountId, OrderId};
use mercato::repositories::checkout::discounts::{self, Buyer, RefusedDiscount};
use mercato::repositories::orders;
use mercato::services::checkout::pricing::{Basket, PricedBasket};
use serde_json::{Value, json};

use crate::support::{
    Client, Codes, Reply, TestApp, blank_order, both, id_of, line, order_input, update_variables,
};

const CREATE: &str = "mutation($discount: DiscountCreateInput!) {
    discountCreate(discount: $discount) {
        discount {
            id title code discountClass status isActive usageLimit customerLimit usedCount endsAt
            value { kind percentage appliesOnEachItem amount { amount } buyQuantity getQuantity usesPerOrderLimit
                items { products { title } collections { title } } buy { products { title } } get { products { title } } }
            minimumSubtotal { amount } combinesWith { orderDiscounts productDiscounts shippingDiscounts }
        }
        userErrors { field message code }
    }
}";
const UPDATE: &str = "mutation($id: ID!, $discount: DiscountUpdateInput!) {
    discountUpdate(id: $id, discount: $discount) {
        discount { title code status usageLimit value { kind } minimumSubtotal { amount } }
        userErrors { field message code }
    }
}";
const DELETE: &str =
    "mutation($id: ID!) { discountDelete(id: $id) { deletedDiscountId userErrors { field message code } } }";

fn codes(codes: &[&str]) -> Codes {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

/// The discounts of each line with their amounts, as `Sale 200`.
fn discounts_of(priced: &PricedBasket) -> Vec<Vec<String>> {
    let lines = priced.quote.lines.iter();
    lines
        .map(|line| line.discounts.iter().map(|one| format!("{} {}", one.title, one.amount)).collect())
        .collect()
}

/// For each code, the reason why it was refused, or an empty text.
fn refusals(priced: &PricedBasket) -> Vec<String> {
    priced.codes.iter().map(|code| code.refused.clone().unwrap_or_default()).collect()
}

fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

/// A mug at 10.00, and a lamp at 40.00 in a collection.
struct Products {
    mug: String,
    mug_variant: String,
    lamp_variant: String,
    lamps: String,
}

impl Products {
    async fn seed(app: &TestApp) -> Self {
        let (mug, mug_variant) =
            app.create_priced(json!({ "title": "Mug" }), json!({ "price": "10.00" })).await;
        let (lamp, lamp_variant) =
            app.create_priced(json!({ "title": "Lamp" }), json!({ "price": "40.00" })).await;
        let lamps = app.create_collection(json!({ "title": "Lamps" })).await;
        let document = "mutation($id: ID!, $products: [ID!]!) {
            collectionProductsAdd(collectionId: $id, productIds: $products) { userErrors { message } }
        }";
        let variables = json!({ "id": lamps, "products": [lamp] });
        app.admin().ask_with(document, variables).await.assert_ok();
        Self { mug, mug_variant, lamp_variant, lamps }
    }

    /// Two mugs and a lamp: 60.00.
    fn basket<'a>(&self, codes: &'a [String]) -> Basket<'a> {
        let lines = vec![line(&self.mug_variant, 2), line(&self.lamp_variant, 1)];
        Basket { lines, codes, ..Basket::default() }
    }
}

both!(staff_create_update_and_delete_discounts);
async fn staff_create_update_and_delete_discounts(app: TestApp) {
    let products = Products::seed(&app).await;
    let staff = app.staff(&[ManageSettings]);
    let discount = json!({
        "title": " Summer ", "code": "SUMMER-10", "usageLimit": 5, "customerLimit": 1, "minimumSubtotal": "20.00",
        "value": { "percentage": { "percentage": "12.5", "items": { "productIds": [products.mug], "collectionIds": [products.lamps] } } },
        "combinesWith": { "shippingDiscounts": true }
    });
    let created = staff.ask_with(CREATE, json!({ "discount": discount })).await.ok();
    let created = &created["discountCreate.discount"];
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        [&created["title"], &created["code"], &created["discountClass"], &created["status"]],
        ["Summer", "SUMMER-10", "PRODUCT", "ACTIVE"]
    );
    assert_eq!(created["value"]["percentage"], "12.5");
    assert_eq!(
        created["value"]["items"],
        json!({ "products": [{ "title": "Mug" }], "collections": [{ "title": "Lamps" }] })
    );
    assert_eq!(created["minimumSubtotal"]["amount"], "20.00");
    assert_eq!(created["combinesWith"]["shippingDiscounts"], true);

    let change = json!({ "id": id, "code": null, "minimumSubtotal": null, "value": { "freeShipping": true }, "isActive": false });
    let changed = staff.ask_with(UPDATE, update_variables("discount", change)).await.ok();
    let expected = json!({ "title": "Summer", "code": null, "status": "INACTIVE", "usageLimit": 5,
        "value": { "kind": "FREE_SHIPPING" }, "minimumSubtotal": null });
    assert_eq!(changed["discountUpdate.discount"], expected);

    let page = "{ discounts(first: 10) { nodes { id } pageInfo { hasNextPage } } }";
    assert_eq!(staff.ask(page).await.ok()["discounts.nodes"], json!([{ "id": id }]));
    let node = "query($id: ID!) { node(id: $id) { id } discount(id: $id) { title } }";
    let found = staff.ask_with(node, json!({ "id": id })).await.ok();
    assert_eq!((&found["node.id"], &found["discount.title"]), (&json!(id), &json!("Summer")));
    let hidden =
        app.customer().ask_with("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await.ok();
    assert!(hidden["node"].is_null());

    staff.ask_with(DELETE, json!({ "id": id })).await.assert_ok();
    let deleted = staff.ask_with(DELETE, json!({ "id": id })).await;
    assert_eq!(problems(&deleted, "discountDelete"), ["id NOT_FOUND"]);
    let deleted = staff.ask_with(UPDATE, json!({ "id": id, "discount": {} })).await;
    assert_eq!(problems(&deleted, "discountUpdate"), ["id NOT_FOUND"]);

    let op = app.app.system();
    let mut conn = app.app.db.read(&op.statements).await.unwrap();
    let log = mercato::repositories::events::latest(&mut conn, 3).await.unwrap();
    let kinds: Vec<&str> = log.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["discount.deleted", "discount.updated", "discount.created"]);
    assert_eq!(log[2].payload.0["code"], "SUMMER-10");
}

both!(discounts_are_listed_and_found);
async fn discounts_are_listed_and_found(app: TestApp) {
    for (title, code) in [("Summer sale", Some("SUN_10")), ("Winter", Some("Frost")), ("Always 100%", None)] {
        let value = json!({ "fixedAmount": { "amount": "1" } });
        app.create_discount(json!({ "title": title, "code": code, "value": value })).await;
    }
    let staff = app.staff(&[ManageSettings]);
    let titles = async |arguments: &str| {
        let document =
            format!("{{ discounts({arguments}) {{ nodes {{ title }} pageInfo {{ endCursor }} }} }}");
        let reply = staff.ask(&document).await.ok();
        let nodes = reply["discounts.nodes"].as_array().unwrap().iter();
        let titles: Vec<String> = nodes.map(|node| node["title"].as_str().unwrap().to_owned()).collect();
        (titles, reply["discounts.pageInfo.endCursor"].clone())
    };
    assert_eq!(titles("first: 5").await.0, ["Summer sale", "Winter", "Always 100%"]);
    assert_eq!(titles("last: 2").await.0, ["Winter", "Always 100%"]);
    let (first, cursor) = titles("first: 1").await;
    assert_eq!(first, ["Summer sale"]);
    assert_eq!(titles(&format!("first: 1, after: {cursor}")).await.0, ["Winter"]);
    for (query, found) in [
        ("SUMMER", vec!["Summer sale"]),
        ("frost", vec!["Winter"]),
        ("sun_10", vec!["Summer sale"]),
        ("code:sun_*", vec!["Summer sale"]),
        ("100%", vec!["Always 100%"]),
        ("0%", vec![]),
        ("nothing", vec![]),
        (" ", vec!["Summer sale", "Winter", "Always 100%"]),
    ] {
        assert_eq!(titles(&format!("first: 5, query: \"{query}\"")).await.0, found, "{query}");
    }
}

both!(all_problems_of_a_discount_are_reported_at_once);
async fn all_problems_of_a_discount_are_reported_at_once(app: TestApp) {
    let staff = app.staff(&[ManageSettings]);
    let create = async |discount: Value| {
        let reply = staff.ask_with(CREATE, json!({ "discount": discount })).await;
        assert!(reply["discountCreate.discount"].is_null(), "{:#}", reply.body());
        problems(&reply, "discountCreate")
    };
    let unknown = "gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057";
    let wrong = json!({
        "title": " ", "code": " ", "usageLimit": 0, "customerLimit": -1, "minimumSubtotal": "-1",
        "startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-02-01T00:00:00Z",
        "value": { "percentage": { "percentage": "100.1", "items": { "productIds": [unknown] } } }
    });
    assert_eq!(
        create(wrong).await,
        [
            "discount.title BLANK",
            "discount.code BLANK",
            "discount.value.percentage.items.productIds.0 NOT_FOUND",
            "discount.value.percentage.percentage INVALID",
            "discount.minimumSubtotal INVALID",
            "discount.endsAt INVALID",
            "discount.usageLimit INVALID",
            "discount.customerLimit INVALID",
        ]
    );
    let nothing = json!({ "title": "A", "value": { "fixedAmount": { "amount": "0", "items": {} } } });
    assert_eq!(
        create(nothing).await,
        ["discount.value.fixedAmount.items BLANK", "discount.value.fixedAmount.amount INVALID"]
    );
    let deal = json!({ "title": "A", "value": { "buyXGetY": { "buyQuantity": 0, "getQuantity": 0, "usesPerOrderLimit": 0 } } });
    let field = "discount.value.buyXGetY";
    let expected =
        ["buyQuantity", "getQuantity", "usesPerOrderLimit"].map(|name| format!("{field}.{name} INVALID"));
    assert_eq!(create(deal).await, expected);

    let value = json!({ "freeShipping": true });
    app.create_discount(json!({ "title": "A", "code": "Sale", "value": value })).await;
    assert_eq!(
        create(json!({ "title": "B", "code": " SALE", "value": value })).await,
        ["discount.code TAKEN"]
    );
    // Exactly one value must be given.
    let two = json!({ "freeShipping": true, "fixedAmount": { "amount": "1" } });
    let reply = staff.ask_with(CREATE, json!({ "discount": { "title": "A", "value": two } })).await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");
}

both!(discounts_are_listed_for_each_line);
async fn discounts_are_listed_for_each_line(app: TestApp) {
    let products = Products::seed(&app).await;
    let all = json!({ "orderDiscounts": true, "productDiscounts": true, "shippingDiscounts": true });
    let lamps = json!({ "collectionIds": [products.lamps] });
    app.create_discount(json!({ "title": "Lamps", "combinesWith": all,
        "value": { "percentage": { "percentage": 25, "items": lamps } } }))
        .await;
    let ten = app
        .create_discount(json!({ "title": "Ten", "code": "TEN", "combinesWith": all,
            "value": { "fixedAmount": { "amount": "10" } } }))
        .await;
    app.create_discount(json!({ "title": "Alone", "code": "ALONE",
        "value": { "percentage": { "percentage": 10 } } }))
        .await;

    let typed = codes(&["ten", "Alone", "none"]);
    let priced = app.price(&products.basket(&typed)).await;
    // 10.00 off the lamp, then 10.00 spread over 20.00 and 30.00.
    assert_eq!(discounts_of(&priced), [vec!["Ten 400"], vec!["Lamps 1000", "Ten 600"]]);
    assert_eq!(
        (priced.quote.subtotal, priced.quote.discount_total, priced.quote.total),
        (6_000, 2_000, 4_000)
    );
    assert_eq!(
        refusals(&priced),
        [
            "",
            "This discount can't be combined with the others, and they take more off",
            "There is no discount with this code",
        ]
    );
    assert_eq!(priced.codes[0].code, "ten", "the code as the buyer entered it");
    assert_eq!(priced.quote.lines[0].discounts[0].code.as_deref(), Some("TEN"), "the code as staff wrote it");
    assert_eq!(priced.counted_discounts, [id_of::<DiscountId>(&ten)]);

    // Drafts and unknown variants are left out.
    let hide = json!({ "id": products.mug, "product": { "status": "DRAFT" } });
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) { productUpdate(id: $id, product: $product) { userErrors { message } } }";
    app.admin().ask_with(document, hide).await.assert_ok();
    let mut basket = products.basket(&[]);
    basket.lines.push(line("gid://mercato/ProductVariant/01890a5d-ac96-774b-bcce-b302099a8057", 1));
    let priced = app.price(&basket).await;
    assert_eq!((priced.quote.lines.len(), priced.quote.subtotal, priced.variants.len()), (1, 4_000, 2));
}

both!(a_code_that_does_not_apply_has_a_reason);
async fn a_code_that_does_not_apply_has_a_reason(app: TestApp) {
    let products = Products::seed(&app).await;
    let create = async |code: &str, fields: Value| {
        let mut discount =
            json!({ "title": code, "code": code, "value": { "percentage": { "percentage": 10 } } });
        discount.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        app.create_discount(discount).await
    };
    create("LATER", json!({ "startsAt": "2026-01-02T00:00:00Z" })).await;
    create("PAST", json!({ "startsAt": "2025-01-01T00:00:00Z", "endsAt": "2026-01-01T12:00:00Z" })).await;
    create("OFF", json!({ "isActive": false })).await;
    create("BIG", json!({ "minimumSubtotal": "60.01" })).await;
    let (other, _) = app.create_priced(json!({ "title": "Bowl" }), json!({ "price": "1" })).await;
    let items = json!({ "percentage": { "percentage": 10, "items": { "productIds": [other] } } });
    create("BOWLS", json!({ "value": items })).await;
    let once = create("ONCE", json!({ "usageLimit": 1 })).await;
    let once_per_customer = create("MINE", json!({ "customerLimit": 1 })).await;

    let buyer = "ada@example.com";
    let order = insert_order(&app, &[&once, &once_per_customer], buyer).await;
    assert_eq!(order, None, "no discount is refused");

    let typed = codes(&["LATER", "PAST", "OFF", "BIG", "BOWLS", "ONCE", "MINE", ""]);
    let mut basket = products.basket(&typed);
    basket.buyer = guest(buyer);
    assert_eq!(
        refusals(&app.price(&basket).await),
        [
            "This discount has not begun yet",
            "This discount has expired",
            "This discount is not active",
            "This discount is for orders of 60.01 USD or more",
            "Nothing in the cart is entitled to this discount",
            "This discount has been used up",
            "You have used this discount as often as it can be",
            "There is no discount with this code",
        ]
    );
    basket.buyer = guest("bob@example.com");
    let priced = app.price(&basket).await;
    assert_eq!(refusals(&priced)[6], "");
    assert_eq!(priced.quote.discount_total, 600);
    app.clock.advance(Duration::from_hours(24));
    let later = app.price(&products.basket(&typed[..1])).await;
    assert_eq!(refusals(&later), [""]);
}

both!(free_shipping_and_free_items);
async fn free_shipping_and_free_items(app: TestApp) {
    let products = Products::seed(&app).await;
    app.create_discount(
        json!({ "title": "Free delivery", "code": "POST", "value": { "freeShipping": true } }),
    )
    .await;
    let typed = codes(&["post"]);
    let mut basket = products.basket(&typed);
    let without_delivery = app.price(&basket).await;
    assert_eq!(
        (refusals(&without_delivery), without_delivery.counted_discounts.len()),
        (vec![String::new()], 0)
    );
    basket.delivery_option = Some("express");
    let priced = app.price(&basket).await;
    let delivery = priced.quote.delivery.as_ref().unwrap();
    assert_eq!((delivery.option.price, delivery.discounts[0].amount), (1_500, 1_500));
    assert_eq!((priced.quote.shipping_total, priced.quote.total), (0, 6_000));
    assert_eq!(priced.counted_discounts.len(), 1);

    let gift = json!({ "buyXGetY": { "buy": { "collectionIds": [products.lamps] }, "buyQuantity": 1,
        "get": { "productIds": [products.mug] }, "getQuantity": 1 } });
    app.create_discount(json!({ "title": "A mug for a lamp", "value": gift })).await;
    let priced = app.price(&products.basket(&[])).await;
    assert_eq!(discounts_of(&priced), [vec!["A mug for a lamp 1000".to_owned()], vec![]]);
    assert!(priced.counted_discounts.is_empty(), "automatic discounts without limits are not counted");
}

both!(pricing_takes_seven_statements_for_any_size_of_basket);
async fn pricing_takes_seven_statements_for_any_size_of_basket(app: TestApp) {
    let products = Products::seed(&app).await;
    let bowls = app.create_product(json!({ "title": "Bowl" })).await;
    let size = |number: i32| json!({ "price": "5", "optionValues": [{ "optionName": "Size", "name": number.to_string() }] });
    let variants = app.create_variants(&bowls, (0..60).map(size).collect()).await;
    for number in 0..20 {
        let value =
            json!({ "percentage": { "percentage": 1, "items": { "collectionIds": [products.lamps] } } });
        let code = format!("CODE-{number}");
        app.create_discount(json!({ "title": code, "code": code, "customerLimit": 1, "value": value })).await;
    }
    let typed: Codes = (0..20).map(|number| format!("code-{number}")).collect();
    let mut basket = products.basket(&typed[..1]);
    basket.buyer = guest("ada@example.com");
    basket.delivery_option = Some("standard");
    let (_, small) = app.try_price(&basket).await.unwrap();
    basket.codes = &typed;
    basket.lines.extend(variants.iter().map(|variant| line(variant, 3)));
    let (priced, large) = app.try_price(&basket).await.unwrap();
    assert_eq!(priced.quote.lines.len(), 62);
    assert_eq!((small, large), (7, 7));
    let (_, plain) = app.try_price(&products.basket(&[])).await.unwrap();
    assert_eq!(plain, 5);
}

/// A buyer without an account.
fn guest(email: &str) -> Buyer<'_> {
    Buyer { customer_id: None, email: Some(email) }
}

/// Inserts an empty order that uses discounts. If one of them is refused, returns that and rolls
/// back.
async fn insert_order(app: &TestApp, ids: &[&str], buyer: &str) -> Option<RefusedDiscount> {
    let op = app.app.system();
    let order = blank_order(app.app.system().now());
    let ids: Vec<DiscountId> = ids.iter().map(|id| id_of(id)).collect();
    let placed = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        orders::insert(tx.conn(), &order).await?;
        let refused = discounts::use_up(tx.conn(), &ids, order.id, guest(buyer), op.now()).await?;
        if refused.is_some() {
            tx.discard();
        }
        Ok::<_, DbError>(refused)
    });
    placed.await.unwrap()
}

async fn release_uses(app: &TestApp, order: OrderId) {
    let op = app.app.system();
    let released = app
        .app
        .db
        .transaction(&op.statements, async |tx: &mut Tx| discounts::release_uses(tx.conn(), order).await);
    released.await.unwrap();
}

async fn used(app: &TestApp, id: &str) -> i64 {
    let op = app.app.system();
    let mut conn = app.app.db.read(&op.statements).await.unwrap();
    discounts::by_ids(&mut conn, &[id_of(id)]).await.unwrap()[0].used_count
}

both!(limits_on_uses_hold_for_fifty_concurrent_orders);
async fn limits_on_uses_hold_for_fifty_concurrent_orders(app: TestApp) {
    let create = |code: &str, limits: Value| {
        let value = json!({ "fixedAmount": { "amount": "1" } });
        let mut discount = json!({ "title": code, "code": code, "value": value });
        discount.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        discount
    };
    let once = app.create_discount(create("ONCE", json!({ "usageLimit": 1 }))).await;
    let thrice = app.create_discount(create("THRICE", json!({ "customerLimit": 3 }))).await;
    let buyers: Vec<String> = (0..50).map(|number| format!("buyer-{number}@example.com")).collect();
    let (both, one) = ([thrice.as_str(), once.as_str()], [thrice.as_str()]);
    let attempts = buyers.iter().map(|buyer| insert_order(&app, &both, buyer));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|refused| refused.is_none()).count(), 1);
    let reasons = outcomes.iter().flatten().map(|refused| &refused.reason);
    assert!(reasons.into_iter().all(|reason| *reason == DiscountRefusal::UsedUp));
    assert_eq!(
        (used(&app, &once).await, used(&app, &thrice).await),
        (1, 1),
        "an order uses all of its discounts or none"
    );

    // Fifty concurrent orders of one customer.
    let attempts = (0..50).map(|_| insert_order(&app, &one, "ada@example.com"));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|refused| refused.is_none()).count(), 3);
    let reasons = outcomes.iter().flatten().map(|refused| &refused.reason);
    assert!(reasons.into_iter().all(|reason| *reason == DiscountRefusal::UsedUpByCustomer));
    assert_eq!(used(&app, &thrice).await, 4);
}

both!(released_uses_can_be_used_again);
async fn released_uses_can_be_used_again(app: TestApp) {
    let value = json!({ "fixedAmount": { "amount": "1" } });
    let id = app.create_discount(json!({ "title": "A", "code": "A", "usageLimit": 1, "value": value })).await;
    let op = app.app.system();
    let order = blank_order(app.app.system().now());
    let ids = [id_of(&id)];
    let placed = app.app.db.transaction(&op.statements, async |tx: &mut Tx| {
        orders::insert(tx.conn(), &order).await?;
        let before = op.statements.count();
        let refused = discounts::use_up(tx.conn(), &ids, order.id, guest("ada"), op.now()).await?;
        assert!(op.statements.count() - before <= 4);
        Ok::<_, DbError>(refused)
    });
    assert_eq!(placed.await.unwrap(), None);

    let refused = insert_order(&app, &[&id], "bob").await.unwrap();
    assert_eq!((refused.discount_id, refused.code.as_deref()), (ids[0], Some("A")));
    // Concurrent releases of the same order count once.
    let releases = (0..4).map(|_| release_uses(&app, order.id));
    futures_util::future::join_all(releases).await;
    assert_eq!(used(&app, &id).await, 0);
    assert_eq!(insert_order(&app, &[&id], "bob").await, None);
    assert_eq!(used(&app, &id).await, 1);

    // The limit can't be lowered below the number of uses, and a deleted discount can't be used.
    let staff = app.staff(&[ManageSettings]);
    let value = json!({ "id": id, "discount": { "usageLimit": 2 } });
    staff.ask_with(UPDATE, value).await.assert_ok();
    assert_eq!(insert_order(&app, &[&id], "eve").await, None);
    let lower = staff.ask_with(UPDATE, json!({ "id": id, "discount": { "usageLimit": 1 } })).await;
    assert_eq!(problems(&lower, "discountUpdate"), ["discount.usageLimit NOT_ALLOWED"]);
    staff.ask_with(DELETE, json!({ "id": id })).await.assert_ok();
    assert_eq!(insert_order(&app, &[&id], "zoe").await.unwrap().reason, DiscountRefusal::Unknown);
}

both!(a_guest_with_the_email_address_of_an_account_counts_as_the_same_customer);
async fn a_guest_with_the_email_address_of_an_account_counts_as_the_same_customer(app: TestApp) {
    let mug = app.create_stocked("Mug", "10", 20).await;
    let value = json!({ "fixedAmount": { "amount": "1" } });
    app.create_discount(json!({ "title": "One", "code": "ONE", "customerLimit": 1, "value": value })).await;
    let ada = app.new_customer("ada@example.com").await;
    let order = async |client: &Client, email: &str, total: &str| {
        let cart = app.cart_of(None, &[(&mug, 1)], &["ONE"], None).await;
        let mut input = order_input(&cart, total, "tok_ok");
        input["email"] = json!(email);
        client.place(input).await
    };
    // First as a guest, then signed in.
    order(&app.anonymous(), " Ada@Example.com", "9").await.assert_ok();
    for (client, email) in [(&ada, "ada@example.com"), (&app.anonymous(), "ADA@example.com")] {
        let refused = order(client, email, "9").await;
        assert_eq!(problems(&refused, "orderPlace"), ["input.expectedTotal STALE"], "{email}");
        order(client, email, "10").await.assert_ok();
    }
    // First signed in, with a different e-mail address, then as a guest with either address.
    let bob = app.new_customer("bob@example.com").await;
    order(&bob, "bob.at.work@example.com", "9").await.assert_ok();
    for (client, email) in [
        (&app.anonymous(), "bob@example.com"),
        (&app.anonymous(), "bob.at.work@example.com"),
        (&bob, "bob@example.com"),
    ] {
        let refused = order(client, email, "9").await;
        assert_eq!(problems(&refused, "orderPlace"), ["input.expectedTotal STALE"], "{email}");
    }
    order(&app.anonymous(), "eve@example.com", "9").await.assert_ok();
}
