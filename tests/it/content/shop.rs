//! The shop itself: name, brand, policies, countries and languages.

use mercato::domain::access::permissions::Permission::{ManageSettings, ReadOrders};
use serde_json::{Value, json};

use super::problems;
use crate::support::{Client, Database, Reply, TestApp, both};

const UPDATE: &str = "mutation($shop: ShopUpdateInput!) {
    shopUpdate(shop: $shop) { shop { name description } userErrors { field message code } }
}";
const BRAND: &str = "{ shop { brand {
    slogan shortDescription
    logo { ...BrandImage } squareLogo { ...BrandImage } coverImage { ...BrandImage }
    colors { primary { background foreground } secondary { background foreground } }
} } }
fragment BrandImage on MediaImage { id alt image { id url altText } previewImage { url } mediaContentType }";

async fn update(app: &TestApp, shop: Value) -> Reply {
    app.staff(&[ManageSettings]).ask_with(UPDATE, json!({ "shop": shop })).await
}

both!(staff_rename_the_shop);
async fn staff_rename_the_shop(app: TestApp) {
    let read = "{ shop { name description brand { slogan } } }";
    let before = app.anonymous().ask(read).await.ok();
    assert_eq!(before["shop"], json!({ "name": "Mercato", "description": null, "brand": null }));
    let shop = json!({ "name": " Corner shop ", "description": "Bread and milk" });
    let expected = json!({ "name": "Corner shop", "description": "Bread and milk" });
    assert_eq!(update(&app, shop).await.ok()["shopUpdate.shop"], expected);
    let after = app.anonymous().ask(read).await.ok();
    assert_eq!(after["shop.name"], "Corner shop");
    assert_eq!(after.statements(), 0, "the shop is cached, so no statement is needed");

    // New products have the new name as their vendor.
    let product = app.create_product(json!({ "title": "Milk", "status": "ACTIVE" })).await;
    let vendor = "query($id: ID!) { product(id: $id) { vendor } }";
    let vendor = app.anonymous().ask_with(vendor, json!({ "id": product })).await.ok();
    assert_eq!(vendor["product.vendor"], "Corner shop");

    update(&app, json!({ "description": null })).await.assert_ok();
    let emptied = app.anonymous().ask(read).await.ok();
    assert_eq!(emptied["shop"], json!({ "name": "Corner shop", "description": null, "brand": null }));
    let refused = update(&app, json!({ "name": " " })).await;
    assert_eq!(problems(&refused, "shopUpdate"), ["shop.name BLANK"]);
    let refused = app.staff(&[ReadOrders]).ask_with(UPDATE, json!({ "shop": { "name": "Mine" } })).await;
    assert_eq!(refused.code(), "FORBIDDEN");
}

both!(changes_of_the_shop_by_other_processes_are_visible);
async fn changes_of_the_shop_by_other_processes_are_visible(app: TestApp) {
    // Updates the row as another process would.
    let op = app.app.system();
    let mut conn = app.app.db.write(&op.statements).await.unwrap();
    let mut row = mercato::repositories::shop::shops::lock(&mut conn).await.unwrap().unwrap();
    "Renamed elsewhere".clone_into(&mut row.name);
    mercato::repositories::shop::shops::update(&mut conn, &row).await.unwrap();
    conn.commit().await.unwrap();
    app.app.shop.refresh(&app.app.db).await.unwrap();
    let reply = app.anonymous().ask("{ shop { name } }").await.ok();
    assert_eq!(reply["shop.name"], "Renamed elsewhere");
}

both!(staff_edit_the_brand);
async fn staff_edit_the_brand(app: TestApp) {
    let colors = json!({ "primary": [{ "background": "#1A2B3C", "foreground": "#fff" }] });
    let brand = json!({
        "slogan": "Bread for everybody", "shortDescription": "A bakery",
        "logo": { "url": "/demo/shop-logo.svg", "altText": "A loaf" },
        "coverImage": { "url": "https://images.example/oven.jpg" }, "colors": colors,
    });
    update(&app, json!({ "brand": brand })).await.assert_ok();
    let reply = app.anonymous().ask(BRAND).await.ok();
    let brand = &reply["shop.brand"];
    assert_eq!((&brand["slogan"], &brand["squareLogo"]), (&json!("Bread for everybody"), &Value::Null));
    let logo = &brand["logo"];
    assert_eq!(logo["image"]["url"], format!("http://{}/demo/shop-logo.svg", app.address));
    assert_eq!((&logo["alt"], &logo["mediaContentType"]), (&json!("A loaf"), &json!("IMAGE")));
    assert_eq!(brand["coverImage"]["image"]["url"], "https://images.example/oven.jpg");
    let expected = json!({ "primary": [{ "background": "#1A2B3C", "foreground": "#fff" }], "secondary": [] });
    assert_eq!(brand["colors"], expected);
    let node = "query($id: ID!) { node(id: $id) { ... on MediaImage { alt } } }";
    let node = app.anonymous().ask_with(node, json!({ "id": logo["id"] })).await.ok();
    assert_eq!(node["node.alt"], "A loaf");

    // Fields that are not given are unchanged, and null removes a value.
    update(&app, json!({ "brand": { "slogan": null, "squareLogo": { "url": "/demo/square.svg" } } }))
        .await
        .assert_ok();
    let reply = app.anonymous().ask(BRAND).await.ok();
    assert!(reply["shop.brand.slogan"].is_null());
    assert_eq!((&reply["shop.brand.logo"], &reply["shop.brand.colors"]), (logo, &expected));

    let wrong = json!({ "brand": {
        "logo": { "url": "ftp://x" }, "slogan": "x".repeat(300),
        "colors": { "primary": [{ "background": "red" }] },
    } });
    let expected = [
        "shop.brand.slogan TOO_LONG",
        "shop.brand.logo.url INVALID",
        "shop.brand.colors.primary.0.background INVALID",
    ];
    assert_eq!(problems(&update(&app, wrong).await, "shopUpdate"), expected);
}

both!(staff_edit_policies);
async fn staff_edit_policies(app: TestApp) {
    let read = "{ shop {
        privacyPolicy { ...Policy } refundPolicy { ...Policy } shippingPolicy { ...Policy } termsOfService { ...Policy }
        contactInformation { ...Policy } legalNotice { ...Policy } termsOfSale { ...Policy }
        subscriptionPolicy { id title handle body url }
    } }
    fragment Policy on ShopPolicy { id title handle body url }";
    let before = app.anonymous().ask(read).await.ok();
    assert!(before["shop"].as_object().unwrap().values().all(Value::is_null), "{:#}", before.data());

    let policies = json!([
        { "type": "PRIVACY_POLICY", "body": "<p>We forget.</p>" },
        { "type": "REFUND_POLICY", "title": "Rückgabe", "body": "<p>30 Tage</p>" },
        { "type": "SUBSCRIPTION_POLICY", "body": "<p>None</p>" },
    ]);
    update(&app, json!({ "policies": policies })).await.assert_ok();
    let reply = app.anonymous().ask(read).await.ok();
    let privacy = &reply["shop.privacyPolicy"];
    assert_eq!((&privacy["title"], &privacy["handle"]), (&json!("Privacy policy"), &json!("privacy-policy")));
    assert_eq!(privacy["url"], format!("http://{}/policies/privacy-policy", app.address));
    assert_eq!(reply["shop.refundPolicy.title"], "Rückgabe");
    assert_eq!(reply["shop.subscriptionPolicy.handle"], "subscription-policy");
    assert!(reply["shop.termsOfService"].is_null());
    assert!(reply.statements() <= 1, "{} statements", reply.statements());
    let node = "query($id: ID!) { node(id: $id) { ... on ShopPolicy { body } } }";
    let node = app.anonymous().ask_with(node, json!({ "id": privacy["id"] })).await.ok();
    assert_eq!(node["node.body"], "<p>We forget.</p>");

    let change = json!([
        { "type": "REFUND_POLICY", "body": "<p>60 Tage</p>" },
        { "type": "PRIVACY_POLICY", "body": " " },
    ]);
    update(&app, json!({ "policies": change })).await.assert_ok();
    let reply = app.anonymous().ask(read).await.ok();
    assert!(reply["shop.privacyPolicy"].is_null());
    let refund = &reply["shop.refundPolicy"];
    assert_eq!((&refund["title"], &refund["body"]), (&json!("Rückgabe"), &json!("<p>60 Tage</p>")));

    let twice = json!([{ "type": "LEGAL_NOTICE", "body": "a" }, { "type": "LEGAL_NOTICE", "body": "b" }]);
    let refused = update(&app, json!({ "policies": twice })).await;
    assert_eq!(problems(&refused, "shopUpdate"), ["shop.policies.1.type INVALID"]);
}

const LOCALIZATION: &str = "localization {
    country {
        isoCode name unitSystem currency { isoCode name symbol } defaultLanguage { isoCode }
        availableLanguages { isoCode } market { id handle }
    }
    language { isoCode name endonymName }
    market { id handle }
    availableLanguages { isoCode }
    availableCountries { isoCode }
}";

async fn localized(client: &Client, arguments: &str) -> Reply {
    client.ask(&format!("query {arguments} {{ {LOCALIZATION} }}")).await.ok()
}

both!(localization_lists_countries_and_languages);
async fn localization_lists_countries_and_languages(database: Database) {
    let app = TestApp::with(database, &[("SHOP_COUNTRY", "DE"), ("SHOP_CURRENCY", "EUR")]).await;
    let buyer = app.anonymous();
    let default = localized(&buyer, "").await;
    let country = &default["localization.country"];
    assert_eq!((&country["isoCode"], &country["name"]), (&json!("DE"), &json!("Germany")));
    assert_eq!(country["unitSystem"], "METRIC_SYSTEM");
    assert_eq!(
        (&country["currency"]["isoCode"], &country["currency"]["symbol"]),
        (&json!("EUR"), &json!("€"))
    );
    assert_eq!(
        default["localization.language"],
        json!({ "isoCode": "EN", "name": "English", "endonymName": "English" })
    );
    assert_eq!(default["localization.availableLanguages"], json!([{ "isoCode": "EN" }]));
    assert!(
        default["localization.availableCountries"].as_array().unwrap().len() > 200,
        "the shop ships everywhere"
    );
    assert_eq!(default["localization.market"], country["market"]);
    let node = "query($id: ID!) { node(id: $id) { ... on Market { handle } } }";
    let market = buyer.ask_with(node, json!({ "id": default["localization.market.id"] })).await.ok();
    assert_eq!(market["node.handle"], "primary");

    // Another country that the shop sells to, and a language that is not available.
    let in_context = localized(&buyer, "@inContext(country: US, language: FR)").await;
    assert_eq!(in_context["localization.country.isoCode"], "US");
    assert_eq!(in_context["localization.country.unitSystem"], "IMPERIAL_SYSTEM");
    assert_eq!(in_context["localization.country.currency.isoCode"], "EUR");
    assert_eq!(in_context["localization.language.isoCode"], "EN");

    update(&app, json!({ "language": "PT_BR" })).await.assert_ok();
    let language = localized(&buyer, "@inContext(language: PT)").await;
    assert_eq!(language["localization.language.isoCode"], "PT");
    assert_eq!(language["localization.country.defaultLanguage.isoCode"], "PT_BR");
}

both!(in_context_accepts_all_arguments_of_the_storefront_api);
async fn in_context_accepts_all_arguments_of_the_storefront_api(app: TestApp) {
    let document = "query($consent: VisitorConsent, $buyer: BuyerInput, $location: ID, $country: CountryCode)
        @inContext(country: $country, visitorConsent: $consent, buyer: $buyer, preferredLocationId: $location) {
        localization { country { isoCode } }
    }";
    let variables = json!({
        "country": "GB", "location": "gid://mercato/Location/1",
        "consent": { "analytics": true, "marketing": false, "preferences": null },
        "buyer": { "customerAccessToken": "x", "companyLocationId": null },
    });
    let reply = app.anonymous().ask_with(document, variables).await.ok();
    assert_eq!(reply["localization.country.isoCode"], "GB");
    app.anonymous().ask_with(document, json!({})).await.assert_ok();
    for wrong in [
        json!({ "consent": { "cookies": true } }),
        json!({ "buyer": {} }),
        json!({ "consent": { "analytics": "yes" } }),
    ] {
        let refused = app.anonymous().ask_with(document, wrong.clone()).await;
        assert_eq!(refused.code(), "BAD_USER_INPUT", "{wrong}");
    }
    let unknown = "query @inContext(visitorConsent: { cookies: true }) { shop { name } }";
    assert_eq!(app.anonymous().ask(unknown).await.code(), "BAD_USER_INPUT");
}
