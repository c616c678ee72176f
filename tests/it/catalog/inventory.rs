//! Inventory: atomic and idempotent changes of stock, concurrent changes, and active and inactive
//! locations.

mod delete_location;
mod stock_events;

use mercato::db::{DbError, Tx};
use mercato::domain::access::permissions::Permission::{ManageSettings, ReadInventory, WriteInventory};
use mercato::domain::ids::{Id, LocationId, VariantId};
use mercato::repositories::catalog::inventory::{self, InventoryLevel};
use mercato::repositories::events::{self, EventRow};
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, both};

const ADJUST: &str = "mutation($input: InventoryQuantitiesAdjustInput!, $key: String) {
    inventoryQuantitiesAdjust(input: $input, idempotencyKey: $key) {
        changes { delta quantityAfterChange location { name } } userErrors { field message code }
    }
}";
const SET: &str = "mutation($input: InventoryQuantitiesSetInput!, $key: String) {
    inventoryQuantitiesSet(input: $input, idempotencyKey: $key) { changes { delta quantityAfterChange } userErrors { field message code } }
}";
const UNKNOWN_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A mug in two sizes, and two locations.
struct Stock {
    s: String,
    m: String,
    shelf: String,
    cellar: String,
}

impl Stock {
    async fn seed(app: &TestApp) -> Self {
        let product = app.create_product(json!({ "title": "Mug" })).await;
        let size =
            |name: &str| json!({ "price": "5", "optionValues": [{ "optionName": "Size", "name": name }] });
        let variants = app.create_variants(&product, json!([size("S"), size("M")])).await;
        let [s, m] = <[String; 2]>::try_from(variants).unwrap();
        Self { s, m, shelf: app.create_location("Shelf").await, cellar: app.create_location("Cellar").await }
    }

    /// An input that changes the stock of size S on the shelf.
    fn one(&self, delta: i64) -> Value {
        adjustment(&[(&self.s, &self.shelf, delta)])
    }
}

fn adjustment(changes: &[(&str, &str, i64)]) -> Value {
    let change = |(variant, place, delta): &(&str, &str, i64)| json!({ "variantId": variant, "locationId": place, "delta": delta });
    json!({ "reason": "received", "changes": changes.iter().map(change).collect::<Vec<_>>() })
}

/// An input that sets quantities. Each has a variant, a location, the quantity, and the expected
/// old quantity.
fn counts(quantities: &[(&str, &str, i64, Option<i64>)]) -> Value {
    let count = |(variant, place, quantity, expected): &(&str, &str, i64, Option<i64>)| json!({ "variantId": variant, "locationId": place, "quantity": quantity, "compareQuantity": expected });
    json!({ "reason": "cycle_count_available", "quantities": quantities.iter().map(count).collect::<Vec<_>>() })
}

#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
fn with_key(input: Value, key: &str) -> Value {
    json!({ "input": input, "key": key })
}

/// The variables for an input, which may already include an idempotency key.
fn variables(input: Value) -> Value {
    if input.get("key").is_some() { input } else { json!({ "input": input }) }
}

fn clerk(app: &TestApp) -> Client {
    app.staff(&[ReadInventory, WriteInventory])
}

async fn adjust(app: &TestApp, input: Value) -> Reply {
    clerk(app).ask_with(ADJUST, variables(input)).await
}

async fn set(app: &TestApp, input: Value) -> Reply {
    clerk(app).ask_with(SET, variables(input)).await
}

/// The mug's inventory levels, as `S Shelf 3`.
async fn levels(app: &TestApp) -> Vec<String> {
    let document = "{ product(handle: \"mug\") { variants(first: 9) { nodes {
        title inventoryLevels { onHand reserved available location { name } }
    } } } }";
    let reply = app.staff(&[ReadInventory]).ask(document).await.ok();
    let mut found = Vec::new();
    for variant in reply["product.variants.nodes"].as_array().unwrap() {
        for level in variant["inventoryLevels"].as_array().unwrap() {
            let (title, place) =
                (variant["title"].as_str().unwrap(), level["location"]["name"].as_str().unwrap());
            found.push(format!("{title} {place} {}", level["onHand"]));
        }
    }
    found.sort();
    found
}

async fn log(app: &TestApp) -> Vec<EventRow> {
    let mut conn = app.app.db.read(&app.app.system().statements).await.unwrap();
    events::latest(&mut conn, 1_000).await.unwrap()
}

/// The fields and codes of the user errors, as `field CODE`.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    assert!(reply[&format!("{mutation}.changes")].is_null(), "a rejected input changes nothing");
    let errors = reply.user_errors(mutation);
    assert!(errors.iter().all(|error| !error.message.is_empty()), "{errors:?}");
    errors.into_iter().map(|error| format!("{} {}", error.field, error.code)).collect()
}

both!(stock_is_adjusted_by_deltas);
async fn stock_is_adjusted_by_deltas(app: TestApp) {
    let stock = Stock::seed(&app).await;
    let before = log(&app).await.len();
    let changes =
        [(&*stock.s, &*stock.shelf, 3), (&*stock.m, &*stock.cellar, 5), (&*stock.s, &*stock.cellar, 0)];
    let reply = adjust(&app, adjustment(&changes)).await.ok();
    let change = |delta: i64, place: &str| json!({ "delta": delta, "quantityAfterChange": delta, "location": { "name": place } });
    let expected = json!([change(3, "Shelf"), change(5, "Cellar"), change(0, "Cellar")]);
    assert_eq!(reply["inventoryQuantitiesAdjust.changes"], expected, "in the order of the input");
    assert_eq!(levels(&app).await, ["M Cellar 5", "S Cellar 0", "S Shelf 3"]);

    let rows = log(&app).await;
    for row in &rows[..rows.len() - before] {
        assert_eq!(row.kind, "inventory.level_changed");
        assert_eq!(
            (row.aggregate_type.as_str(), row.request_id.as_str()),
            ("ProductVariant", reply.header("x-request-id"))
        );
        assert_eq!(row.payload.0["reason"], "received");
        assert_eq!(row.actor, "staff:READ_INVENTORY+WRITE_INVENTORY");
    }
    assert!(rows.len() - before >= 2);

    adjust(&app, adjustment(&[(&stock.s, &stock.shelf, -3), (&stock.m, &stock.cellar, -1)]))
        .await
        .assert_ok();
    assert_eq!(levels(&app).await, ["M Cellar 4", "S Cellar 0", "S Shelf 0"]);
}

both!(adjustments_below_zero_are_rejected_as_a_whole);
async fn adjustments_below_zero_are_rejected_as_a_whole(app: TestApp) {
    let stock = Stock::seed(&app).await;
    adjust(&app, adjustment(&[(&stock.s, &stock.shelf, 3), (&stock.m, &stock.shelf, 5)])).await.assert_ok();
    let (before, events_before) = (levels(&app).await, log(&app).await);
    for (changes, expected) in [
        (vec![(&*stock.s, &*stock.shelf, -4)], vec!["input.changes.0.delta INSUFFICIENT_STOCK"]),
        (vec![(&*stock.s, &*stock.cellar, -1)], vec!["input.changes.0.delta INSUFFICIENT_STOCK"]),
        (
            vec![
                (&*stock.m, &*stock.shelf, -5),
                (&*stock.s, &*stock.shelf, -4),
                (&*stock.m, &*stock.cellar, 9),
            ],
            vec!["input.changes.1.delta INSUFFICIENT_STOCK"],
        ),
        (
            vec![
                (&*stock.m, &*stock.shelf, -6),
                (&*stock.s, &*stock.shelf, 1),
                (&*stock.s, &*stock.cellar, -1),
            ],
            vec!["input.changes.0.delta INSUFFICIENT_STOCK", "input.changes.2.delta INSUFFICIENT_STOCK"],
        ),
    ] {
        let mut found = problems(&adjust(&app, adjustment(&changes)).await, "inventoryQuantitiesAdjust");
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(levels(&app).await, before);
    }
    assert_eq!(log(&app).await, events_before);
}

both!(stock_is_set_if_it_has_the_expected_quantity);
async fn stock_is_set_if_it_has_the_expected_quantity(app: TestApp) {
    let stock = Stock::seed(&app).await;
    let (s, m, shelf) = (stock.s.as_str(), stock.m.as_str(), stock.shelf.as_str());
    let first = set(&app, counts(&[(s, shelf, 4, Some(0)), (m, shelf, 6, Some(0))])).await.ok();
    let change = |delta: i64, after: i64| json!({ "delta": delta, "quantityAfterChange": after });
    assert_eq!(first["inventoryQuantitiesSet.changes"], json!([change(4, 4), change(6, 6)]));

    let events_before = log(&app).await;
    let stale = set(&app, counts(&[(s, shelf, 9, Some(4)), (m, shelf, 9, Some(5))])).await;
    assert_eq!(problems(&stale, "inventoryQuantitiesSet"), ["input.quantities.1.compareQuantity STALE"]);
    assert!(
        stale.user_errors("inventoryQuantitiesSet")[0].message.contains('6'),
        "the message has the actual quantity"
    );
    assert_eq!(levels(&app).await, ["M Shelf 6", "S Shelf 4"]);
    assert_eq!(log(&app).await, events_before);

    // With `ignoreCompareQuantity`, the old quantity is not compared. Setting an equal quantity
    // logs no event.
    let mut unconditional = counts(&[(s, shelf, 1, Some(77)), (m, shelf, 6, None)]);
    unconditional["ignoreCompareQuantity"] = json!(true);
    let reply = set(&app, unconditional).await.ok();
    assert_eq!(reply["inventoryQuantitiesSet.changes"], json!([change(-3, 1), change(0, 6)]));
    assert_eq!(log(&app).await.len(), events_before.len() + 1);
    assert_eq!(set(&app, counts(&[(s, shelf, 1, None)])).await.code(), "BAD_USER_INPUT");
    assert_eq!(levels(&app).await, ["M Shelf 6", "S Shelf 1"]);
}

both!(reserved_stock_cannot_be_removed);
async fn reserved_stock_cannot_be_removed(app: TestApp) {
    let stock = Stock::seed(&app).await;
    adjust(&app, stock.one(5)).await.assert_ok();
    app.database().run("UPDATE inventory_levels SET reserved = 3").await;
    let refused = problems(&adjust(&app, stock.one(-3)).await, "inventoryQuantitiesAdjust");
    assert_eq!(refused, ["input.changes.0.delta INSUFFICIENT_STOCK"]);
    let refused =
        problems(&set(&app, counts(&[(&stock.s, &stock.shelf, 2, Some(5))])).await, "inventoryQuantitiesSet");
    assert_eq!(refused, ["input.quantities.0.quantity INSUFFICIENT_STOCK"]);
    let document = "{ product(handle: \"mug\") { totalInventory variants(first: 1) { nodes {
        quantityAvailable availableForSale inventoryLevels { onHand reserved available }
    } } } }";
    let shown = app.staff(&[ReadInventory]).ask(document).await.ok();
    let levels = json!([{ "onHand": 5, "reserved": 3, "available": 2 }]);
    let variant = json!({ "quantityAvailable": 2, "availableForSale": true, "inventoryLevels": levels });
    assert_eq!(shown["product.variants.nodes.0"], variant);
    assert_eq!(shown["product.totalInventory"], 2);

    adjust(&app, stock.one(-2)).await.assert_ok();
    let shown = app.staff(&[ReadInventory]).ask(document).await.ok();
    assert_eq!(shown["product.variants.nodes.0.availableForSale"], false);
    let search = "{ products(first: 9, query: \"available_for_sale:true\") { nodes { handle } } }";
    assert_eq!(app.anonymous().ask(search).await.ok()["products.nodes"], json!([]));
}

both!(the_database_rejects_reservations_beyond_the_stock);
async fn the_database_rejects_reservations_beyond_the_stock(app: TestApp) {
    let stock = Stock::seed(&app).await;
    let uuid = |gid: &str| uuid::Uuid::parse_str(gid.rsplit('/').next().unwrap()).unwrap();
    for (on_hand, reserved) in [(3, 4), (0, 1), (3, -1), (-1, -1), (-1, 0)] {
        let level = InventoryLevel {
            variant_id: VariantId::from_uuid(uuid(&stock.s)),
            location_id: LocationId::from_uuid(uuid(&stock.shelf)),
            on_hand,
            reserved,
            updated_at: app.app.clock.now(),
        };
        let op = app.app.system();
        let refused = app
            .app
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                inventory::insert(tx.conn(), vec![level.clone()]).await
            })
            .await;
        let Err(DbError::Check(constraint, _)) = refused else {
            panic!("{on_hand} on hand, {reserved} reserved: {refused:?}")
        };
        assert_eq!(constraint.name, "inventory_levels_reserved_check");
    }
    assert!(levels(&app).await.is_empty());
}

both!(invalid_input_is_rejected_with_an_error_for_each_field);
async fn invalid_input_is_rejected_with_an_error_for_each_field(app: TestApp) {
    let stock = Stock::seed(&app).await;
    let (s, shelf) = (stock.s.as_str(), stock.shelf.as_str());
    let (no_variant, no_location) = (
        format!("gid://mercato/ProductVariant/{UNKNOWN_ID}"),
        format!("gid://mercato/Location/{UNKNOWN_ID}"),
    );
    let too_many = 1_000_000_001;
    for (input, expected) in [
        (adjustment(&[]), vec!["input.changes BLANK"]),
        (json!({ "reason": " ", "changes": [] }), vec!["input.reason BLANK", "input.changes BLANK"]),
        (adjustment(&[(s, shelf, 1), (s, shelf, 2)]), vec!["input.changes.1 TAKEN"]),
        (adjustment(&[(s, shelf, too_many)]), vec!["input.changes.0.delta INVALID"]),
        (adjustment(&[(s, shelf, i64::MIN)]), vec!["input.changes.0.delta INVALID"]),
        (
            adjustment(&[(s, shelf, 1), (&no_variant, shelf, 1), (s, &no_location, 1)]),
            vec!["input.changes.1.variantId NOT_FOUND", "input.changes.2.locationId NOT_FOUND"],
        ),
        (with_key(stock.one(1), ""), vec!["idempotencyKey INVALID"]),
        (with_key(stock.one(1), &"k".repeat(256)), vec!["idempotencyKey INVALID"]),
    ] {
        assert_eq!(problems(&adjust(&app, input).await, "inventoryQuantitiesAdjust"), expected);
    }
    for (input, expected) in [
        (counts(&[]), vec!["input.quantities BLANK"]),
        (counts(&[(s, shelf, -1, Some(0))]), vec!["input.quantities.0.quantity INVALID"]),
        (counts(&[(s, shelf, too_many, Some(0))]), vec!["input.quantities.0.quantity INVALID"]),
        (counts(&[(s, shelf, 1, Some(0)), (s, shelf, 1, Some(0))]), vec!["input.quantities.1 TAKEN"]),
        (
            counts(&[(&no_variant, &no_location, 1, Some(0))]),
            vec!["input.quantities.0.variantId NOT_FOUND", "input.quantities.0.locationId NOT_FOUND"],
        ),
    ] {
        assert_eq!(problems(&set(&app, input).await, "inventoryQuantitiesSet"), expected);
    }
    let swapped = adjust(&app, adjustment(&[(shelf, s, 1)])).await;
    assert_eq!(swapped.code(), "BAD_USER_INPUT", "the id of a location is not accepted as a variant's");
    let location = app
        .admin()
        .ask("{ locations(first: 9) { nodes { id } } product(handle: \"mug\") { totalInventory } }")
        .await
        .ok();
    assert_eq!(location["product.totalInventory"], 0);
}

both!(a_request_repeated_with_the_same_key_is_executed_once);
async fn a_request_repeated_with_the_same_key_is_executed_once(app: TestApp) {
    let stock = Stock::seed(&app).await;
    let first = adjust(&app, with_key(stock.one(3), "delivery 1")).await.ok();
    let events_before = log(&app).await;
    adjust(&app, stock.one(10)).await.assert_ok();
    let again = adjust(&app, with_key(stock.one(3), "delivery 1")).await.ok();
    assert_eq!(again.data(), first.data(), "the first reply is repeated");
    assert_eq!(levels(&app).await, ["S Shelf 13"]);
    assert_eq!(log(&app).await.len(), events_before.len() + 1);

    // The same key with a different quantity, reason, set of changes or mutation is a conflict.
    let mut other_reason = stock.one(3);
    other_reason["reason"] = json!("damaged");
    for input in
        [stock.one(4), other_reason, adjustment(&[(&stock.s, &stock.shelf, 3), (&stock.m, &stock.shelf, 1)])]
    {
        let reply = adjust(&app, with_key(input, "delivery 1")).await;
        assert_eq!(reply.code(), "CONFLICT");
        assert!(reply.message().contains("delivery 1"), "{}", reply.message());
    }
    let reply = set(&app, with_key(counts(&[(&stock.s, &stock.shelf, 1, Some(13))]), "delivery 1")).await;
    assert_eq!(reply.code(), "CONFLICT");

    // Each caller has their own keys, and a rejected request does not use up its key.
    let other = app.admin().ask_with(ADJUST, with_key(stock.one(4), "delivery 1")).await;
    other.assert_ok();
    assert_eq!(levels(&app).await, ["S Shelf 17"]);
    let refused = adjust(&app, with_key(stock.one(-20), "delivery 2")).await;
    assert_eq!(problems(&refused, "inventoryQuantitiesAdjust"), ["input.changes.0.delta INSUFFICIENT_STOCK"]);
    adjust(&app, with_key(stock.one(-2), "delivery 2")).await.assert_ok();

    let count = with_key(counts(&[(&stock.s, &stock.shelf, 2, Some(15))]), "count");
    let first = set(&app, count.clone()).await.ok();
    assert_eq!(
        set(&app, count).await.ok().data(),
        first.data(),
        "the reply is repeated although the quantity is no longer 15"
    );
    assert_eq!(levels(&app).await, ["S Shelf 2"]);
}

/// Locations without stock.
async fn empty_locations(app: &TestApp, stock: &Stock) -> Vec<String> {
    let mut locations = vec![stock.shelf.clone(), stock.cellar.clone()];
    for name in ["Attic", "Barn", "Shed", "Van"] {
        locations.push(app.create_location(name).await);
    }
    locations
}

/// Sends the same input the given number of times concurrently.
async fn send_concurrently(app: &TestApp, times: usize, document: &'static str, input: &Value) -> Vec<Reply> {
    let (clerk, input) = (clerk(app), variables(input.clone()));
    let sending = (0..times).map(|_| {
        let (clerk, input) = (clerk.clone(), input.clone());
        tokio::spawn(async move { clerk.ask_with(document, input).await })
    });
    let mut replies = Vec::new();
    for task in sending.collect::<Vec<_>>() {
        replies.push(task.await.unwrap());
    }
    replies
}

both!(ten_concurrent_requests_with_the_same_key_are_executed_once);
async fn ten_concurrent_requests_with_the_same_key_are_executed_once(app: TestApp) {
    let stock = Stock::seed(&app).await;
    // At each location, first without an inventory level, and then with one.
    for (at, place) in empty_locations(&app, &stock).await.iter().enumerate() {
        for (key, expected) in [("first", 3), ("second", 6)] {
            let before = log(&app).await.len();
            let input = with_key(adjustment(&[(&stock.s, place, 3)]), &format!("{key} {at}"));
            for reply in send_concurrently(&app, 10, ADJUST, &input).await {
                let reply = reply.ok();
                assert_eq!(reply["inventoryQuantitiesAdjust.changes.0.quantityAfterChange"], expected);
            }
            assert_eq!(log(&app).await.len(), before + 1);
        }
    }
    assert!(levels(&app).await.iter().all(|level| level.ends_with(" 6")), "{:?}", levels(&app).await);
}

both!(one_of_several_concurrent_counts_succeeds);
async fn one_of_several_concurrent_counts_succeeds(app: TestApp) {
    let stock = Stock::seed(&app).await;
    for place in empty_locations(&app, &stock).await {
        for (expected, quantity) in [(0, 4), (4, 9)] {
            let input = counts(&[(&stock.s, &place, quantity, Some(expected))]);
            let mut succeeded = 0;
            for reply in send_concurrently(&app, 10, SET, &input).await {
                assert!(reply.errors().is_empty(), "{:#}", reply.body());
                match reply.user_errors("inventoryQuantitiesSet").as_slice() {
                    [] => succeeded += 1,
                    [error] => assert_eq!(error.code, "STALE"),
                    errors => panic!("{errors:?}"),
                }
            }
            assert_eq!(succeeded, 1, "the others expected an outdated quantity");
            let last = levels(&app).await;
            assert!(last.iter().any(|level| level.ends_with(&format!(" {quantity}"))), "{last:?}");
        }
    }
    assert!(levels(&app).await.iter().all(|level| level.ends_with(" 9")), "{:?}", levels(&app).await);
}

both!(concurrent_adjustments_add_up);
async fn concurrent_adjustments_add_up(app: TestApp) {
    let stock = Stock::seed(&app).await;
    for place in empty_locations(&app, &stock).await {
        let mut seen: Vec<i64> = Vec::new();
        for reply in send_concurrently(&app, 20, ADJUST, &adjustment(&[(&stock.s, &place, 1)])).await {
            seen.push(
                reply.ok()["inventoryQuantitiesAdjust.changes.0.quantityAfterChange"].as_i64().unwrap(),
            );
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "each adjustment has a different result");
    }

    // The same levels in opposite order don't deadlock.
    let there = adjustment(&[(&stock.s, &stock.shelf, 1), (&stock.m, &stock.shelf, 1)]);
    let back = adjustment(&[(&stock.m, &stock.shelf, 1), (&stock.s, &stock.shelf, 1)]);
    let (one, other) =
        tokio::join!(send_concurrently(&app, 8, ADJUST, &there), send_concurrently(&app, 8, ADJUST, &back));
    one.iter().chain(&other).for_each(Reply::assert_ok);
    let levels = levels(&app).await;
    assert!(
        ["M Shelf 16", "S Shelf 36"].iter().all(|level| levels.contains(&(*level).to_owned())),
        "{levels:?}"
    );
}

both!(staff_create_and_update_locations);
async fn staff_create_and_update_locations(app: TestApp) {
    let fields = "location {
        id name isActive createdAt updatedAt address { address1 address2 city province zip countryCode phone }
    } userErrors { field message code }";
    let create = format!(
        "mutation($input: LocationCreateInput!) {{ locationCreate(location: $input) {{ {fields} }} }}"
    );
    let update = format!(
        "mutation($id: ID!, $input: LocationUpdateInput!) {{ locationUpdate(id: $id, location: $input) {{ {fields} }} }}"
    );
    let manager = app.staff(&[ManageSettings, ReadInventory]);
    let address = json!({ "address1": "Quay 1", "city": "Lübeck", "zip": "23552", "countryCode": "DE", "phone": "+49 1" });
    let reply =
        manager.ask_with(&create, json!({ "input": { "name": " Harbour ", "address": address } })).await.ok();
    let mut expected = reply["locationCreate.location"].clone();
    let id = expected["id"].clone();
    assert_eq!((&expected["name"], &expected["isActive"]), (&json!("Harbour"), &json!(true)));
    let shown = json!({
        "address1": "Quay 1", "address2": null, "city": "Lübeck", "province": null, "zip": "23552", "countryCode": "DE", "phone": "+49 1"
    });
    assert_eq!(expected["address"], shown);
    let created = &log(&app).await[0];
    assert_eq!(
        (created.kind.as_str(), created.request_id.as_str()),
        ("location.created", reply.header("x-request-id"))
    );

    app.clock.advance(std::time::Duration::from_secs(1));
    let change = json!({ "isActive": false, "address": { "city": null, "countryCode": "SE" } });
    let reply = manager.ask_with(&update, json!({ "id": id, "input": change })).await.ok();
    expected["isActive"] = json!(false);
    expected["address"]["city"] = Value::Null;
    expected["address"]["countryCode"] = json!("SE");
    expected["updatedAt"] = json!("2026-01-01T12:00:01Z");
    assert_eq!(reply["locationUpdate.location"], expected);
    assert_eq!(log(&app).await[0].kind, "location.updated");

    app.create_location("Shelf").await;
    let events_before = log(&app).await;
    let long = "x".repeat(256);
    for (mutation, document, variables, expected) in [
        ("locationCreate", &create, json!({ "input": { "name": "" } }), "location.name BLANK"),
        ("locationCreate", &create, json!({ "input": { "name": "Harbour" } }), "location.name TAKEN"),
        ("locationCreate", &create, json!({ "input": { "name": long } }), "location.name TOO_LONG"),
        (
            "locationCreate",
            &create,
            json!({ "input": { "name": "A", "address": { "zip": long } } }),
            "location.address.zip TOO_LONG",
        ),
        ("locationUpdate", &update, json!({ "id": id, "input": { "name": "Shelf" } }), "location.name TAKEN"),
        ("locationUpdate", &update, json!({ "id": id, "input": { "name": " " } }), "location.name BLANK"),
        (
            "locationUpdate",
            &update,
            json!({ "id": format!("gid://mercato/Location/{UNKNOWN_ID}"), "input": {} }),
            "id NOT_FOUND",
        ),
    ] {
        let reply = manager.ask_with(document, variables).await;
        let errors =
            reply.user_errors(mutation).into_iter().map(|error| format!("{} {}", error.field, error.code));
        assert_eq!(errors.collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(log(&app).await, events_before);
    let document = "query($id: ID!) { location(id: $id) { name } locations(first: 9) { nodes { name } } }";
    let reply = manager.ask_with(document, json!({ "id": id })).await.ok();
    assert_eq!(reply["location.name"], "Harbour");
    assert_eq!(
        reply["locations.nodes"],
        json!([{ "name": "Harbour" }, { "name": "Shelf" }]),
        "in order of creation"
    );
}

both!(stock_at_an_inactive_location_is_not_for_sale);
async fn stock_at_an_inactive_location_is_not_for_sale(app: TestApp) {
    let stock = Stock::seed(&app).await;
    adjust(&app, adjustment(&[(&stock.s, &stock.shelf, 3), (&stock.s, &stock.cellar, 4)])).await.assert_ok();
    let available = async || {
        let document = "{ product(handle: \"mug\") {
                availableForSale totalInventory variants(first: 1) { nodes { availableForSale quantityAvailable } }
            } products(first: 9, query: \"available_for_sale:true\") { nodes { handle } } }";
        let reply = app.anonymous().ask(document).await.ok();
        let number = reply["product.variants.nodes.0.quantityAvailable"].as_i64().unwrap();
        assert_eq!(reply["product.totalInventory"], number);
        for flag in ["product.availableForSale", "product.variants.nodes.0.availableForSale"] {
            assert_eq!(reply[flag], number > 0, "{flag}");
        }
        assert_eq!(
            reply["products.nodes"].as_array().unwrap().len(),
            usize::from(number > 0),
            "the search agrees"
        );
        number
    };
    assert_eq!(available().await, 7);
    let switch = "mutation($id: ID!, $on: Boolean!) { locationUpdate(id: $id, location: { isActive: $on }) { userErrors { code } } }";
    for (place, on, expected) in
        [(&stock.shelf, false, 4), (&stock.cellar, false, 0), (&stock.shelf, true, 3)]
    {
        app.admin().ask_with(switch, json!({ "id": place, "on": on })).await.assert_ok();
        assert_eq!(available().await, expected);
    }
    assert_eq!(levels(&app).await, ["S Cellar 4", "S Shelf 3"], "the stock itself is unchanged");
}
