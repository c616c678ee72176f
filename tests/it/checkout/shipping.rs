//! Shipping: editing zones and rates, and the delivery options and prices for buyers.

use mercato::domain::access::permissions::Permission::ManageSettings;
use mercato::domain::customers::addresses::Address;
use mercato::services::catalog::inventory::LocationPatch;
use mercato::services::checkout::pricing::{Basket, PricedBasket};
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both, id_of, line, order_id, order_input};

const ZONES: &str = "{ shippingZones(first: 9) { nodes {
    id name countries defaultDistanceMeters
    shippingRates { id strategy name pricePerKilogram pricePerKilometer isActive position shippingZone { name } }
} } }";
const ZONE_CREATE: &str = "mutation($zone: ShippingZoneCreateInput!) {
    shippingZoneCreate(shippingZone: $zone) { shippingZone { id } userErrors { field message code } }
}";
const ZONE_UPDATE: &str = "mutation($id: ID!, $zone: ShippingZoneUpdateInput!) {
    shippingZoneUpdate(id: $id, shippingZone: $zone) { shippingZone { name countries } userErrors { field message code } }
}";
const ZONE_DELETE: &str = "mutation($id: ID!) {
    shippingZoneDelete(id: $id) { deletedShippingZoneId userErrors { field code } }
}";
const RATE_CREATE: &str = "mutation($rate: ShippingRateCreateInput!) {
    shippingRateCreate(shippingRate: $rate) {
        shippingRate {
            id name strategy pricePerKilogram pricePerKilometer minimumWeightKilograms maximumWeightKilograms position
            minimumSubtotal { amount } maximumSubtotal { amount } freeFromSubtotal { amount }
        }
        userErrors { field message code }
    }
}";
const RATE_UPDATE: &str = "mutation($id: ID!, $rate: ShippingRateUpdateInput!) {
    shippingRateUpdate(id: $id, shippingRate: $rate) {
        shippingRate { name pricePerKilogram maximumWeightKilograms freeFromSubtotal { amount } }
        userErrors { field message code }
    }
}";
const RATE_DELETE: &str = "mutation($id: ID!) {
    shippingRateDelete(id: $id) { deletedShippingRateId userErrors { field code } }
}";

async fn zone(app: &TestApp, name: &str, countries: &[&str], metres: i64) -> String {
    let zone = json!({ "name": name, "countries": countries, "defaultDistanceMeters": metres });
    let reply = app.admin().ask_with(ZONE_CREATE, json!({ "zone": zone })).await.ok();
    reply["shippingZoneCreate.shippingZone.id"].as_str().unwrap().to_owned()
}

async fn rate(app: &TestApp, rate: Value) -> String {
    let reply = app.admin().ask_with(RATE_CREATE, json!({ "rate": rate })).await.ok();
    reply["shippingRateCreate.shippingRate.id"].as_str().unwrap().to_owned()
}

/// The delivery options of a basket, as `standard Standard 600`.
fn options(priced: &PricedBasket) -> Vec<String> {
    let options = priced.delivery_options.iter();
    options.map(|option| format!("{} {} {}", option.handle, option.title, option.price)).collect()
}

fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

fn address(country: &str) -> Address {
    Address { country: Some(country.to_owned()), ..Address::default() }
}

/// Creates a product of 1 kg at 20.00; returns the id of its variant.
async fn brick(app: &TestApp) -> String {
    let variant = json!({ "price": "20", "weight": { "value": 1.0, "unit": "KILOGRAMS" } });
    app.create_priced(json!({ "title": "Brick" }), variant).await.1
}

fn basket(variant: &str, quantity: i64) -> Basket<'static> {
    Basket { lines: vec![line(variant, quantity)], ..Basket::default() }
}

both!(a_new_shop_ships_everywhere);
async fn a_new_shop_ships_everywhere(app: TestApp) {
    let zones = app.staff(&[ManageSettings]).ask(ZONES).await.ok();
    let zones = zones["shippingZones.nodes"].as_array().unwrap();
    assert_eq!(zones.len(), 1);
    assert_eq!((&zones[0]["name"], &zones[0]["countries"]), (&json!("Everywhere"), &json!([])));
    assert_eq!(zones[0]["defaultDistanceMeters"], 50_000);
    let rates = zones[0]["shippingRates"].as_array().unwrap().iter();
    let rates: Vec<String> = rates
        .map(|rate| {
            format!("{} {} {}", rate["strategy"], rate["pricePerKilogram"], rate["pricePerKilometer"])
        })
        .collect();
    let expected = [r#""standard" "0.5" "0.1""#, r#""express" "1" "0.3""#, r#""overnight" "2" "0.5""#];
    assert_eq!(rates, expected);

    let brick = brick(&app).await;
    let mut two = basket(&brick, 2);
    let anywhere = address("NZ");
    two.destination = Some(&anywhere);
    let priced = app.price(&two).await;
    // Prices for 2 kg and 50 km.
    let expected = ["standard Standard 600", "express Express 1700", "overnight Overnight 2900"];
    assert_eq!(options(&priced), expected);
    assert_eq!((priced.quote.delivery, priced.quote.total), (None, 4_000), "no option is selected yet");
    two.delivery_option = Some("express");
    let priced = app.price(&two).await;
    assert_eq!((priced.quote.shipping_total, priced.quote.total), (1_700, 5_700));
    two.delivery_option = Some("pigeon");
    assert_eq!(app.price(&two).await.quote.delivery, None);

    // Products without shipping have no delivery options.
    let file = json!({ "price": "5", "requiresShipping": false });
    let (_, file) = app.create_priced(json!({ "title": "File" }), file).await;
    let mut only_files = basket(&file, 1);
    only_files.delivery_option = Some("express");
    let priced = app.price(&only_files).await;
    assert_eq!((options(&priced).len(), priced.quote.delivery, priced.quote.total), (0, None, 500));
    only_files.lines.push(line(&brick, 1));
    assert_eq!(app.price(&only_files).await.quote.shipping_total, 1_600);
}

both!(delivery_options_depend_on_zones_and_limits);
async fn delivery_options_depend_on_zones_and_limits(app: TestApp) {
    let brick = brick(&app).await;
    let europe = zone(&app, "Europe", &["FR", "DE"], 1_000_000).await;
    let (france, america) = (address("FR"), address("US"));
    let to = |quantity, destination| Basket { destination, ..basket(&brick, quantity) };
    assert_eq!(options(&app.price(&to(1, Some(&france))).await), [""; 0], "a zone without rates");
    assert_eq!(app.price(&to(1, Some(&america))).await.delivery_options.len(), 3);

    rate(&app, json!({ "shippingZoneId": europe, "strategy": "standard", "name": "Parcel", "maximumWeightKilograms": "2" }))
        .await;
    let pallet = json!({ "shippingZoneId": europe, "strategy": "standard", "name": "Pallet", "minimumWeightKilograms": "2",
        "pricePerKilogram": "0.1", "pricePerKilometer": "0" });
    let pallet = rate(&app, pallet).await;
    let express = json!({ "shippingZoneId": europe, "strategy": "EXPRESS", "minimumSubtotal": "40", "maximumSubtotal": "60",
        "freeFromSubtotal": "60" });
    rate(&app, express).await;
    let handle = format!("standard-{}", pallet.rsplit('/').next().unwrap().replace('-', ""));
    let parcel = |price: i64| format!("standard Parcel {price}");
    let on_pallet = |price: i64| format!("{handle} Pallet {price}");
    assert_eq!(options(&app.price(&to(1, Some(&france))).await), [parcel(10_050)]);
    // At both limits, both options are available, the cheaper one first.
    let two = app.price(&to(2, Some(&france))).await;
    assert_eq!(options(&two), [on_pallet(20), parcel(10_100), "express Express 30200".to_owned()]);
    let three = app.price(&to(3, Some(&france))).await;
    assert_eq!(options(&three), ["express Express 0".to_owned(), on_pallet(30)], "free from 60.00 on");
    assert_eq!(options(&app.price(&to(4, Some(&france))).await), [on_pallet(40)]);

    // Discounts don't change the delivery options.
    app.create_discount(json!({ "title": "Sale", "value": { "percentage": { "percentage": 90 } } })).await;
    assert_eq!(options(&app.price(&to(3, Some(&france))).await).len(), 2);

    let inactive = json!({ "id": pallet, "rate": { "isActive": false } });
    app.admin().ask_with(RATE_UPDATE, inactive).await.assert_ok();
    assert_eq!(options(&app.price(&to(4, Some(&france))).await), [""; 0]);

    zone(&app, "Closed", &["NZ"], 0).await;
    let shop = app.anonymous().ask("{ shop { shipsToCountries } }").await.ok();
    let countries = shop["shop.shipsToCountries"].as_array().unwrap();
    assert!(countries.contains(&json!("FR")) && countries.contains(&json!("US")));
    assert!(!countries.contains(&json!("NZ")));
}

both!(distances_are_measured_from_the_location_with_stock);
async fn distances_are_measured_from_the_location_with_stock(app: TestApp) {
    let brick = brick(&app).await;
    let create = "mutation($input: LocationCreateInput!) {
        locationCreate(location: $input) { location { id address { latitude longitude } } userErrors { field code } }
    }";
    let create_location = async |name: &str, latitude: f64, longitude: f64| {
        let address = json!({ "latitude": latitude, "longitude": longitude });
        let input = json!({ "input": { "name": name, "address": address } });
        let reply = app.admin().ask_with(create, input).await.ok();
        assert_eq!(reply["locationCreate.location.address"], address);
        reply["locationCreate.location.id"].as_str().unwrap().to_owned()
    };
    let paris = create_location("Paris", 48.8566, 2.3522).await;
    let london = create_location("London", 51.5074, -0.1278).await;
    let calais = Address { latitude: Some(50.9513), longitude: Some(1.8587), ..address("FR") };
    let mut one = basket(&brick, 1);
    one.destination = Some(&calais);
    one.delivery_option = Some("standard");
    // About 152 km from London, which is nearer.
    let near = app.price(&one).await.quote.shipping_total;
    assert!((1_500..1_700).contains(&near), "{near}");

    let stock = json!({ "input": { "reason": "received", "changes": [
        { "variantId": brick, "locationId": london, "delta": 0 }, { "variantId": brick, "locationId": paris, "delta": 9 },
    ] } });
    let adjust = "mutation($input: InventoryQuantitiesAdjustInput!) {
        inventoryQuantitiesAdjust(input: $input) { userErrors { message } }
    }";
    app.admin().ask_with(adjust, stock).await.assert_ok();
    // About 236 km from Paris, the only location with stock.
    let priced = app.price(&one).await;
    let far = priced.quote.shipping_total;
    assert!((2_300..2_500).contains(&far), "{far}");
    let held = priced.levels.values().next().unwrap();
    let held: Vec<String> = held.iter().map(|level| level.on_hand.to_string()).collect();
    assert_eq!(held, ["0", "9"], "the nearest location comes first");
    one.destination = None;
    assert_eq!(app.price(&one).await.quote.shipping_total, 550, "the default distance of the zone: 50 km");

    let wrong = json!({ "input": { "name": "Moon", "address": { "latitude": 91.0 } } });
    let wrong = app.admin().ask_with(create, wrong).await;
    let expected = ["location.address.latitude INVALID", "location.address.longitude BLANK"];
    assert_eq!(problems(&wrong, "locationCreate"), expected);
}

both!(staff_create_update_and_delete_zones);
async fn staff_create_update_and_delete_zones(app: TestApp) {
    let staff = app.staff(&[ManageSettings]);
    let europe = zone(&app, "Europe", &["FR", "DE", "FR"], 1_000_000).await;
    for (wrong, expected) in [
        (json!({ "name": "Europe", "countries": ["ES"] }), "shippingZone.name TAKEN"),
        (json!({ "name": "Iberia", "countries": ["ES", "FR"] }), "shippingZone.countries TAKEN"),
        (json!({ "name": "Rest", "countries": [] }), "shippingZone.countries TAKEN"),
        (json!({ "name": " ", "countries": ["ES"] }), "shippingZone.name BLANK"),
        (
            json!({ "name": "Far", "countries": ["ES"], "defaultDistanceMeters": -1 }),
            "shippingZone.defaultDistanceMeters INVALID",
        ),
    ] {
        let reply = staff.ask_with(ZONE_CREATE, json!({ "zone": wrong })).await;
        assert_eq!(problems(&reply, "shippingZoneCreate"), [expected]);
    }
    let change = json!({ "id": europe, "zone": { "name": "France", "countries": ["FR"] } });
    let changed = staff.ask_with(ZONE_UPDATE, change).await.ok();
    let expected = json!({ "name": "France", "countries": ["FR"] });
    assert_eq!(changed["shippingZoneUpdate.shippingZone"], expected);
    zone(&app, "Germany", &["DE"], 0).await;
    staff.ask_with(ZONE_DELETE, json!({ "id": europe })).await.assert_ok();
    let deleted = staff.ask_with(ZONE_DELETE, json!({ "id": europe })).await;
    assert_eq!(problems(&deleted, "shippingZoneDelete"), ["id NOT_FOUND"]);
    let names = staff.ask(ZONES).await.ok();
    let names: Vec<&Value> =
        names["shippingZones.nodes"].as_array().unwrap().iter().map(|zone| &zone["name"]).collect();
    assert_eq!(names, ["Everywhere", "Germany"]);
    assert!(staff.ask(ZONES).await.statements() <= 4, "rates are read for all zones at once");
}

both!(staff_create_update_and_delete_rates);
async fn staff_create_update_and_delete_rates(app: TestApp) {
    let staff = app.staff(&[ManageSettings]);
    let europe = zone(&app, "Europe", &["FR"], 1_000_000).await;
    let full = json!({ "shippingZoneId": europe, "strategy": "overnight", "name": "Tomorrow", "pricePerKilogram": "2.25",
        "pricePerKilometer": "0.001", "minimumWeightKilograms": "0.5", "maximumWeightKilograms": "30", "minimumSubtotal": "10",
        "maximumSubtotal": "100", "freeFromSubtotal": "90" });
    let created = staff.ask_with(RATE_CREATE, json!({ "rate": full })).await.ok();
    let created = &created["shippingRateCreate.shippingRate"];
    let id = &created["id"];
    let expected = json!({ "id": id, "name": "Tomorrow", "strategy": "overnight", "pricePerKilogram": "2.25",
        "pricePerKilometer": "0.001", "minimumWeightKilograms": "0.5", "maximumWeightKilograms": "30", "position": 1,
        "minimumSubtotal": { "amount": "10.00" }, "maximumSubtotal": { "amount": "100.00" },
        "freeFromSubtotal": { "amount": "90.00" } });
    assert_eq!(created, &expected);
    let change = json!({ "id": id, "rate": { "pricePerKilogram": 3, "maximumWeightKilograms": null, "freeFromSubtotal": null } });
    let changed = staff.ask_with(RATE_UPDATE, change).await.ok();
    let expected = json!({ "name": "Tomorrow", "pricePerKilogram": "3", "maximumWeightKilograms": null, "freeFromSubtotal": null });
    assert_eq!(changed["shippingRateUpdate.shippingRate"], expected);

    let unknown = "gid://mercato/ShippingZone/01890a5d-ac96-774b-bcce-b302099a8057";
    for (wrong, expected) in [
        (
            json!({ "shippingZoneId": europe, "strategy": "overnight", "name": "Tomorrow" }),
            vec!["shippingRate.name TAKEN"],
        ),
        (
            json!({ "shippingZoneId": unknown, "strategy": "pigeon" }),
            vec!["shippingRate.strategy INVALID", "shippingRate.shippingZoneId NOT_FOUND"],
        ),
        (
            json!({ "shippingZoneId": europe, "strategy": "express", "name": "", "pricePerKilogram": "-1",
                "pricePerKilometer": "9999999", "minimumWeightKilograms": "2", "maximumWeightKilograms": "1", "minimumSubtotal": "x" }),
            vec![
                "shippingRate.name BLANK",
                "shippingRate.pricePerKilogram INVALID",
                "shippingRate.pricePerKilometer INVALID",
                "shippingRate.minimumSubtotal INVALID",
                "shippingRate.maximumWeightKilograms INVALID",
            ],
        ),
    ] {
        let reply = staff.ask_with(RATE_CREATE, json!({ "rate": wrong })).await;
        assert_eq!(problems(&reply, "shippingRateCreate"), expected);
    }
    let node = "query($id: ID!) { node(id: $id) { ...on ShippingRate { shippingZone { name } } } }";
    assert_eq!(staff.ask_with(node, json!({ "id": id })).await.ok()["node.shippingZone.name"], "Europe");
    staff.ask_with(RATE_DELETE, json!({ "id": id })).await.assert_ok();
    let deleted = staff.ask_with(RATE_DELETE, json!({ "id": id })).await;
    assert_eq!(problems(&deleted, "shippingRateDelete"), ["id NOT_FOUND"]);
}

/// The id of a new shop's default zone.
async fn default_zone(app: &TestApp) -> String {
    let zones = app.admin().ask(ZONES).await.ok();
    zones["shippingZones.nodes.0.id"].as_str().unwrap().to_owned()
}

both!(delivery_has_a_flat_price_or_one_from_a_table);
async fn delivery_has_a_flat_price_or_one_from_a_table(app: TestApp) {
    let brick = brick(&app).await;
    let zone = zone(&app, "Europe", &["FR"], 1_000_000).await;
    rate(&app, json!({ "shippingZoneId": zone, "strategy": "flat", "name": "Letter", "price": "4.90" }))
        .await;
    let steps = json!([{ "from": "0", "price": "3" }, { "from": "2", "price": "5.50" }, { "from": "10.5", "price": "20" }]);
    let by_weight = json!({ "by": "WEIGHT", "steps": steps });
    rate(
        &app,
        json!({ "shippingZoneId": zone, "strategy": "flat", "name": "Parcel", "priceTable": by_weight }),
    )
    .await;
    let steps = json!([{ "from": "40", "price": "6" }, { "from": "100", "price": "0" }]);
    let by_subtotal = json!({ "by": "SUBTOTAL", "steps": steps });
    rate(
        &app,
        json!({ "shippingZoneId": zone, "strategy": "standard", "name": "Courier", "price": "1",
        "pricePerKilogram": "0", "pricePerKilometer": "0", "priceTable": by_subtotal }),
    )
    .await;
    let paris = address("FR");
    for (bricks, expected) in [
        (1, vec!["Parcel 300", "Letter 490"]),
        (2, vec!["Letter 490", "Parcel 550", "Courier 700"]),
        (5, vec!["Courier 100", "Letter 490", "Parcel 550"]),
        (11, vec!["Courier 100", "Letter 490", "Parcel 2000"]),
    ] {
        let mut basket = basket(&brick, bricks);
        basket.destination = Some(&paris);
        let priced = app.price(&basket).await;
        let options: Vec<String> = priced
            .delivery_options
            .iter()
            .map(|option| format!("{} {}", option.title, option.price))
            .collect();
        assert_eq!(options, expected, "{bricks} bricks of 1 kg at 20.00");
    }
    let document = "{ shippingZones(first: 9) { nodes { name shippingRates {
        name price { amount } priceTable { by steps { from price { amount } } } location { name }
    } } } }";
    let zones = app.admin().ask(document).await.ok();
    let courier = &zones["shippingZones.nodes.1.shippingRates.2"];
    let steps = json!([{ "from": "40.00", "price": { "amount": "6.00" } }, { "from": "100.00", "price": { "amount": "0.00" } }]);
    let expected = json!({ "name": "Courier", "price": { "amount": "1.00" },
        "priceTable": { "by": "SUBTOTAL", "steps": steps }, "location": null });
    assert_eq!(courier, &expected);
}

both!(prices_of_rates_are_validated);
async fn prices_of_rates_are_validated(app: TestApp) {
    let zone = default_zone(&app).await;
    let shop = app.create_location("Corner Shop").await;
    let unknown = "gid://mercato/Location/01890a5d-ac96-774b-bcce-b302099a8057";
    let table = |steps: Value| json!({ "by": "WEIGHT", "steps": steps });
    for (wrong, expected) in [
        (json!({ "strategy": "flat" }), vec!["shippingRate.price BLANK"]),
        (json!({ "strategy": "flat", "price": "-1" }), vec!["shippingRate.price INVALID"]),
        (
            json!({ "strategy": "flat", "priceTable": table(json!([])) }),
            vec!["shippingRate.priceTable INVALID"],
        ),
        (
            json!({ "strategy": "flat", "priceTable": table(json!([{ "from": "2", "price": "1" }, { "from": "2", "price": "x" }])) }),
            vec![
                "shippingRate.priceTable.steps.1.from INVALID",
                "shippingRate.priceTable.steps.1.price INVALID",
            ],
        ),
        (json!({ "strategy": "pickup" }), vec!["shippingRate.locationId BLANK"]),
        (json!({ "strategy": "pickup", "locationId": unknown }), vec!["shippingRate.locationId NOT_FOUND"]),
        (
            json!({ "strategy": "flat", "price": "1", "locationId": shop }),
            vec!["shippingRate.locationId NOT_ALLOWED"],
        ),
    ] {
        let mut wrong = wrong;
        (wrong["shippingZoneId"], wrong["name"]) = (json!(zone), json!("Mine"));
        let reply = app.admin().ask_with(RATE_CREATE, json!({ "rate": wrong })).await;
        assert_eq!(problems(&reply, "shippingRateCreate"), expected, "{wrong}");
    }
}

both!(an_order_can_be_picked_up);
async fn an_order_can_be_picked_up(app: TestApp) {
    let zone = default_zone(&app).await;
    let create = "mutation { locationCreate(location: { name: \"Corner Shop\",
        address: { address1: \"1 Main St\", city: \"Berlin\", zip: \"10115\", countryCode: DE }
    }) { location { id } userErrors { field message } } }";
    let created = app.admin().ask(create).await.ok();
    let location = created["locationCreate.location.id"].clone();
    rate(
        &app,
        json!({ "shippingZoneId": zone, "strategy": "pickup", "name": "Pick up", "locationId": location }),
    )
    .await;
    let variant = json!({ "price": "20", "isInventoryTracked": false });
    let (_, vase) = app.create_priced(json!({ "title": "Vase", "status": "ACTIVE" }), variant).await;
    let cart = app.cart(&[(&vase, 1)]).await;
    let document = "query($id: ID!) { cart(id: $id) { deliveryGroups(first: 1) { nodes { deliveryOptions {
        handle title description deliveryMethodType estimatedCost { amount }
    } } } } }";
    let shown = app.anonymous().ask_with(document, json!({ "id": cart })).await.ok();
    let expected = json!({ "handle": "pickup", "title": "Pick up", "deliveryMethodType": "PICK_UP",
        "description": "Corner Shop, 1 Main St, 10115 Berlin, Germany", "estimatedCost": { "amount": "0.00" } });
    assert_eq!(shown["cart.deliveryGroups.nodes.0.deliveryOptions.0"], expected);

    // A pickup needs no shipping address.
    let mut input = order_input(&cart, "20", "tok_ok");
    input["deliveryOptionHandle"] = json!("pickup");
    let placed = app.anonymous().place(input.clone()).await.ok();
    let order = app.order(order_id(&placed)).await;
    let pickup = order.delivery.0.unwrap().option.pickup.unwrap();
    assert_eq!((pickup.name.as_str(), pickup.city.as_deref()), ("Corner Shop", Some("Berlin")));
    assert_eq!(order.shipping_address, None);

    // An inactive location offers no pickup.
    let inactive = LocationPatch { is_active: Some(false), ..LocationPatch::default() };
    let id = id_of(location.as_str().unwrap());
    app.app.services.inventory.update_location(&app.app.system(), id, &inactive).await.unwrap();
    let cart = app.cart(&[(&vase, 1)]).await;
    input["cartId"] = json!(cart);
    let refused = app.anonymous().place(input).await;
    assert!(problems(&refused, "orderPlace").contains(&"input.shippingAddress BLANK".to_owned()));
}

both!(distances_are_measured_to_the_coordinates_of_an_address);
async fn distances_are_measured_to_the_coordinates_of_an_address(app: TestApp) {
    let create = "mutation { locationCreate(location: { name: \"Paris\",
        address: { latitude: 48.8566, longitude: 2.3522 }
    }) { userErrors { message } } }";
    app.admin().ask(create).await.assert_ok();
    let variant = json!({ "price": "20", "isInventoryTracked": false, "weight": { "value": 0.0, "unit": "KILOGRAMS" } });
    let (_, vase) = app.create_priced(json!({ "title": "Vase", "status": "ACTIVE" }), variant).await;
    let document = "mutation($input: CartInput!) { cartCreate(input: $input) {
        cart { deliveryGroups(first: 1) { nodes { deliveryOptions { handle estimatedCost { amount } } } } }
        userErrors { field code }
    } }";
    let ask = async |delivery: Value| {
        let lines = json!([{ "merchandiseId": vase }]);
        let addresses = json!([{ "address": { "deliveryAddress": delivery } }]);
        let input = json!({ "lines": lines, "delivery": { "addresses": addresses } });
        app.anonymous().ask_with(document, json!({ "input": input })).await
    };
    let london = json!({ "city": "London", "countryCode": "GB", "latitude": 51.5074, "longitude": -0.1278 });
    let reply = ask(london).await.ok();
    let option = &reply["cartCreate.cart.deliveryGroups.nodes.0.deliveryOptions.0"];
    let cost: f64 = option["estimatedCost"]["amount"].as_str().unwrap().parse().unwrap();
    assert!((34.3..34.5).contains(&cost), "344 km at 0.10: {cost}");
    let incomplete = ask(json!({ "city": "London", "countryCode": "GB", "latitude": 51.5 })).await;
    let expected = ["input.delivery.addresses.0.address.deliveryAddress.longitude BLANK"];
    assert_eq!(problems(&incomplete, "cartCreate"), expected);
}
