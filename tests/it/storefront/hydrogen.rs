//! Hydrogen's skeleton: the documents of its pages and its cart, except search, blogs and accounts.

use serde_json::{Value, json};

use super::{CREATE_CART, GET_PRODUCT, MAX_CART_STATEMENTS, each, visit, visit_within};
use crate::support::{TestApp, both};

const HEADER: &str = include_str!("hydrogen_header.graphql");
const FOOTER: &str = include_str!("hydrogen_footer.graphql");
const HOME: &str = include_str!("hydrogen_home.graphql");
const COLLECTION: &str = include_str!("hydrogen_collection.graphql");
const COLLECTIONS: &str = include_str!("hydrogen_collections.graphql");
const CATALOG: &str = include_str!("hydrogen_catalog.graphql");
const PAGE: &str = include_str!("hydrogen_page.graphql");
const POLICY: &str = include_str!("hydrogen_policy.graphql");
const POLICIES: &str = include_str!("hydrogen_policies.graphql");
const REDIRECTS: &str = include_str!("hydrogen_redirects.graphql");
const SITEMAP: &str = include_str!("hydrogen_sitemap.graphql");
const SITEMAP_INDEX: &str = include_str!("hydrogen_sitemap_index.graphql");
const ANALYTICS: &str = include_str!("hydrogen_analytics.graphql");
const HYDROGEN_PRODUCT: &str = include_str!("hydrogen_product.graphql");
const HYDROGEN_CART: &str = include_str!("hydrogen_cart.graphql");
const CART_GET: &str = include_str!("hydrogen_cart_get.graphql");
const CART_CREATE: &str = include_str!("hydrogen_cart_create.graphql");
const CART_LINES_UPDATE: &str = include_str!("hydrogen_cart_lines_update.graphql");
const CART_LINES_REMOVE: &str = include_str!("hydrogen_cart_lines_remove.graphql");
const CART_BUYER_IDENTITY_UPDATE: &str = include_str!("hydrogen_cart_buyer_identity_update.graphql");
const CART_NOTE_UPDATE: &str = include_str!("hydrogen_cart_note_update.graphql");
const CART_DISCOUNT_CODES_UPDATE: &str = include_str!("hydrogen_cart_discount_codes_update.graphql");
const CART_GIFT_CARD_CODES_ADD: &str = include_str!("hydrogen_cart_gift_card_codes_add.graphql");
const CART_GIFT_CARD_CODES_REMOVE: &str = include_str!("hydrogen_cart_gift_card_codes_remove.graphql");
const CART_GIFT_CARD_CODES_UPDATE: &str = include_str!("hydrogen_cart_gift_card_codes_update.graphql");

/// Adds the country and language that the skeleton sends.
fn in_context(mut variables: Value) -> Value {
    variables["country"] = json!("US");
    variables["language"] = json!("EN");
    variables
}

both!(hydrogen_shows_its_header_and_footer);
async fn hydrogen_shows_its_header_and_footer(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let base = format!("http://{}/", app.address);
    let header = visit(&buyer, HEADER, in_context(json!({ "headerMenuHandle": "main-menu" }))).await;
    assert_eq!(header["shop.primaryDomain.url"], base);
    assert_eq!(header["shop.brand.logo.image.url"], format!("{base}demo/shop-logo.svg"));
    let items = header["menu.items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(items[1]["items"].as_array().unwrap().len(), 4);
    let footer = visit(&buyer, FOOTER, in_context(json!({ "footerMenuHandle": "footer" }))).await;
    let policies = footer["menu.items"].as_array().unwrap().iter();
    let policies: Vec<&Value> = policies.filter(|item| item["type"] == "SHOP_POLICY").collect();
    assert_eq!(policies.len(), 4);
    // The skeleton links to URLs on its own domain by their paths.
    for item in items.iter().chain(items[1]["items"].as_array().unwrap()).chain(policies) {
        assert!(item["url"].as_str().unwrap().starts_with(&base), "{item:#}");
    }
}

both!(hydrogen_shows_its_home_page_and_paginates_lists);
async fn hydrogen_shows_its_home_page_and_paginates_lists(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let home = visit(&buyer, HOME, in_context(json!({}))).await;
    assert_eq!(home["collections.nodes"].as_array().unwrap().len(), 1);
    assert_eq!(home["products.nodes"].as_array().unwrap().len(), 4);

    // Forward and backward.
    for (document, list, mut variables) in [
        (CATALOG, "products", json!({})),
        (COLLECTIONS, "collections", json!({})),
        (COLLECTION, "collection.products", json!({ "handle": "stationery" })),
    ] {
        variables["first"] = json!(4);
        let first = visit(&buyer, document, in_context(variables.clone())).await;
        let info = &first[&format!("{list}.pageInfo")];
        assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)), "{list}");
        variables["endCursor"] = info["endCursor"].clone();
        let second = visit(&buyer, document, in_context(variables.clone())).await;
        assert_ne!(second[&format!("{list}.nodes")], first[&format!("{list}.nodes")], "{list}");
        variables["first"] = Value::Null;
        variables["endCursor"] = Value::Null;
        variables["last"] = json!(4);
        variables["startCursor"] = second[&format!("{list}.pageInfo.startCursor")].clone();
        let back = visit(&buyer, document, in_context(variables)).await;
        assert_eq!(back[&format!("{list}.nodes")], first[&format!("{list}.nodes")], "{list}");
    }
}

both!(hydrogen_shows_pages_and_policies);
async fn hydrogen_shows_pages_and_policies(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let page = visit(&buyer, PAGE, in_context(json!({ "handle": "care" }))).await;
    assert_eq!(page["page.title"], "Care and repair");
    assert!(page["page.body"].as_str().unwrap().contains("<h2>Wool</h2>"));

    let all = visit(&buyer, POLICIES, in_context(json!({}))).await;
    let written = ["privacyPolicy", "shippingPolicy", "termsOfService", "refundPolicy"];
    for policy in written {
        // The skeleton derives the variable's name from the handle.
        let handle = all[&format!("shop.{policy}.handle")].as_str().unwrap();
        let mut parts = handle.split('-');
        let first = parts.next().unwrap().to_owned();
        let name = parts.fold(first, |name, part| name + &part[..1].to_uppercase() + &part[1..]);
        assert_eq!(name, policy);
        let mut variables = json!({});
        for other in written {
            variables[other] = json!(other == policy);
        }
        let one = visit(&buyer, POLICY, in_context(variables)).await;
        assert_eq!(one["shop"].as_object().unwrap().len(), 1, "{:#}", one.data());
        assert!(one[&format!("shop.{policy}.body")].as_str().unwrap().starts_with("<p>"));
    }
    assert!(all["shop.subscriptionPolicy"].is_null());
}

both!(hydrogen_gets_redirects_and_sitemaps);
async fn hydrogen_gets_redirects_and_sitemaps(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let old = visit(&buyer, REDIRECTS, json!({ "query": "path:/pages/our-story" })).await;
    assert_eq!(old["urlRedirects.edges.0.node.target"], "/pages/about");
    let none = visit(&buyer, REDIRECTS, json!({ "query": "path:/favicon.ico" })).await;
    assert_eq!(none["urlRedirects.edges"], json!([]));

    let index = visit(&buyer, SITEMAP_INDEX, json!({})).await;
    for (name, of, count) in [
        ("products", "PRODUCT", 25),
        ("collections", "COLLECTION", 9),
        ("pages", "PAGE", 3),
        ("articles", "ARTICLE", 0),
        ("blogs", "BLOG", 0),
        ("metaObjects", "METAOBJECT", 0),
    ] {
        assert_eq!(index[&format!("{name}.pagesCount.count")], json!(usize::from(count > 0)), "{name}");
        let page = visit(&buyer, SITEMAP, json!({ "type": of, "page": 1 })).await;
        let items = page["sitemap"]["resources"]["items"].as_array().map_or(0, Vec::len);
        assert_eq!(items, count, "{name}");
    }
}

both!(hydrogen_gets_the_shop_data_for_analytics);
async fn hydrogen_gets_the_shop_data_for_analytics(app: TestApp) {
    app.seed_demo().await;
    let reply = visit(&app.anonymous(), ANALYTICS, in_context(json!({}))).await;
    assert_eq!(reply["localization.country.currency.isoCode"], "USD");
    assert_eq!(reply["localization.language.isoCode"], "EN");
}

both!(hydrogen_creates_and_updates_a_cart);
async fn hydrogen_creates_and_updates_a_cart(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let ask = async |document, variables| {
        visit_within(MAX_CART_STATEMENTS, &buyer, document, in_context(variables)).await
    };
    let product = visit(&buyer, GET_PRODUCT, json!({ "handle": "linen-notebook" })).await;
    let line = json!({ "merchandiseId": each(&product, "product.variants", "id")[0], "quantity": 1 });
    let input = json!({ "lines": [line], "discountCodes": [] });
    let created = ask(CART_CREATE, json!({ "input": input })).await;
    let id = created["cartCreate.cart.id"].clone();
    let line = &created["cartCreate.cart.lines.nodes.0.id"];

    let consent = json!({ "cartId": id, "visitorConsent": { "analytics": true, "marketing": false } });
    let got = ask(CART_GET, consent).await;
    assert_eq!(got["cart.totalQuantity"], 1);

    let lines = json!([{ "id": line, "quantity": 2, "attributes": [] }]);
    let updated = ask(CART_LINES_UPDATE, json!({ "cartId": id, "lines": lines })).await;
    assert_eq!(updated["cartLinesUpdate.cart.totalQuantity"], 2);
    let discounted =
        ask(CART_DISCOUNT_CODES_UPDATE, json!({ "cartId": id, "discountCodes": ["WELCOME10"] })).await;
    let codes = json!([{ "code": "WELCOME10", "applicable": true }]);
    assert_eq!(discounted["cartDiscountCodesUpdate.cart.discountCodes"], codes);
    let money = json!({ "amount": "28.80", "currencyCode": "USD" });
    assert_eq!(discounted["cartDiscountCodesUpdate.cart.cost.totalAmount"], money);
    let buyer_identity = json!({ "email": "ada@example.com", "countryCode": "US" });
    let identified =
        ask(CART_BUYER_IDENTITY_UPDATE, json!({ "cartId": id, "buyerIdentity": buyer_identity })).await;
    assert_eq!(identified["cartBuyerIdentityUpdate.cart.buyerIdentity.email"], "ada@example.com");
    let noted = ask(CART_NOTE_UPDATE, json!({ "cartId": id, "note": "Ring twice" })).await;
    assert_eq!(noted["cartNoteUpdate.cart.note"], "Ring twice");
    let removed = ask(CART_LINES_REMOVE, json!({ "cartId": id, "lineIds": [line] })).await;
    assert_eq!(removed["cartLinesRemove.cart.lines.nodes"], json!([]));
}

both!(hydrogen_gets_errors_for_gift_card_codes);
async fn hydrogen_gets_errors_for_gift_card_codes(app: TestApp) {
    let buyer = app.anonymous();
    let created = buyer.ask("mutation { cartCreate { cart { id } } }").await.ok();
    let id = &created["cartCreate.cart.id"];
    let fragment = include_str!("hydrogen_cart.fragment.graphql");
    for (mutation, document, argument) in [
        ("cartGiftCardCodesAdd", CART_GIFT_CARD_CODES_ADD, "giftCardCodes"),
        ("cartGiftCardCodesUpdate", CART_GIFT_CARD_CODES_UPDATE, "giftCardCodes"),
        ("cartGiftCardCodesRemove", CART_GIFT_CARD_CODES_REMOVE, "appliedGiftCardIds"),
    ] {
        let document = format!("{document}{fragment}");
        let rejected = buyer.ask_with(&document, json!({ "cartId": id, argument: ["gift", "card"] })).await;
        let errors = rejected.user_errors(mutation);
        let codes: Vec<&str> = errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["NOT_FOUND", "NOT_FOUND"], "{mutation}");
        assert_eq!(errors[1].field, format!("{argument}.1"));
        let unchanged = buyer.ask_with(&document, json!({ "cartId": id, argument: [] })).await.ok();
        assert_eq!(unchanged[&format!("{mutation}.cart.id")], *id);
    }
}

both!(hydrogen_adds_to_a_cart);
async fn hydrogen_adds_to_a_cart(app: TestApp) {
    app.seed_demo().await;
    let buyer = app.anonymous();
    let product = visit(&buyer, GET_PRODUCT, json!({ "handle": "linen-notebook" })).await;
    let created = visit_within(MAX_CART_STATEMENTS, &buyer, CREATE_CART, json!({})).await;
    let lines = json!([{ "merchandiseId": each(&product, "product.variants", "id")[0], "quantity": 1 }]);
    let variables =
        json!({ "cartId": created["cartCreate.cart.id"], "lines": lines, "country": "US", "language": "EN" });
    let reply = visit_within(MAX_CART_STATEMENTS, &buyer, HYDROGEN_CART, variables).await;
    let cart = &reply["cartLinesAdd.cart"];
    assert_eq!((&cart["totalQuantity"], &cart["appliedGiftCards"]), (&json!(1), &json!([])));
    let line = &cart["lines"]["nodes"][0];
    assert_eq!(line["merchandise"]["product"]["handle"], "linen-notebook");
    assert_eq!((&line["quantity"], &line["parentRelationship"]), (&json!(1), &Value::Null));
}

both!(hydrogen_shows_the_selected_variant_and_adjacent_ones);
async fn hydrogen_shows_the_selected_variant_and_adjacent_ones(app: TestApp) {
    app.seed_demo().await;
    let selected = json!([{ "name": "Size", "value": "A6" }, { "name": "Color", "value": "Forest" }]);
    let variables =
        json!({ "handle": "linen-notebook", "selectedOptions": selected, "country": "US", "language": "EN" });
    let reply = visit(&app.anonymous(), HYDROGEN_PRODUCT, variables).await;
    assert_eq!(reply["product.selectedOrFirstAvailableVariant.sku"], "QHP-LNB-A6-FOR");
    assert_eq!(reply["product.selectedOrFirstAvailableVariant.product.handle"], "linen-notebook");

    let adjacent = reply["product.adjacentVariants"].as_array().unwrap();
    let differs = |variant: &Value| {
        let options = variant["selectedOptions"].as_array().unwrap().iter();
        options
            .zip(selected.as_array().unwrap())
            .filter(|(option, selected)| option["value"] != selected["value"])
            .count()
    };
    assert!(!adjacent.is_empty() && adjacent.iter().all(|variant| differs(variant) == 1), "{adjacent:#?}");

    let values = reply["product.options.1.optionValues"].as_array().unwrap();
    assert!(values.iter().all(|value| value["firstSelectableVariant"]["availableForSale"].is_boolean()));
    let encoded = |which: &str| reply[&format!("product.encodedVariant{which}")].as_str().unwrap().to_owned();
    assert!(encoded("Existence").starts_with("v1_") && encoded("Availability").starts_with("v1_"));
}

both!(hydrogen_shows_the_first_available_variant_if_none_is_selected);
async fn hydrogen_shows_the_first_available_variant_if_none_is_selected(app: TestApp) {
    app.seed_demo().await;
    let variables = json!({ "handle": "linen-notebook", "selectedOptions": [] });
    let reply = visit(&app.anonymous(), HYDROGEN_PRODUCT, variables).await;
    assert_eq!(reply["product.selectedOrFirstAvailableVariant.availableForSale"], true);
}
