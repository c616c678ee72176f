//! Creating, updating and deleting menus, and how buyers see them.

use mercato::domain::access::permissions::Permission::ManageSettings;
use serde_json::{Value, json};

use super::{create_page, problems};
use crate::support::{Reply, TestApp, both, update_variables};

const CREATE: &str = "mutation($menu: MenuCreateInput!) {
    menuCreate(menu: $menu) { menu { id handle } userErrors { field message code } }
}";
const UPDATE: &str = "mutation($id: ID!, $menu: MenuUpdateInput!) {
    menuUpdate(id: $id, menu: $menu) { menu { id title handle } userErrors { field message code } }
}";
const READ: &str = "query($handle: String!) {
    menu(handle: $handle) { id title handle itemsCount items { ...Item items { ...Item items { ...Item } } } }
}
fragment Item on MenuItem {
    id title type url tags resourceId
    resource {
        __typename
        ... on Product { title } ... on Collection { title } ... on Page { title } ... on ShopPolicy { title }
    }
}";

async fn create(app: &TestApp, menu: Value) -> Reply {
    app.staff(&[ManageSettings]).ask_with(CREATE, json!({ "menu": menu })).await
}

async fn read(app: &TestApp, handle: &str) -> Reply {
    app.anonymous().ask_with(READ, json!({ "handle": handle })).await.ok()
}

/// The paths of the items' URLs.
fn paths(app: &TestApp, items: &Value) -> Vec<String> {
    let base = format!("http://{}", app.address);
    let items = items.as_array().unwrap().iter();
    items.map(|item| item["url"].as_str().unwrap().replacen(&base, "", 1)).collect()
}

both!(staff_create_menus);
async fn staff_create_menus(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug", "status": "ACTIVE" })).await;
    let collection = app.create_collection(json!({ "title": "Kitchen" })).await;
    let page = create_page(&app, json!({ "title": "About" })).await;
    let item = |title: &str, of: &str| json!({ "title": title, "type": of });
    let linking_to =
        |title: &str, of: &str, id: &str| json!({ "title": title, "type": of, "resourceId": id });
    let mut kitchen = linking_to("Kitchen", "COLLECTION", &collection);
    kitchen["tags"] = json!(["blue", " large "]);
    kitchen["items"] = json!([{
        "title": "Mugs", "type": "HTTP", "url": "/search?q=mugs",
        "items": [linking_to("Mug", "PRODUCT", &product)],
    }]);
    let items = json!([
        item("Home", "FRONTPAGE"),
        item("All", "CATALOG"),
        item("Collections", "COLLECTIONS"),
        item("Search", "SEARCH"),
        item("Account", "CUSTOMER_ACCOUNT_PAGE"),
        kitchen,
        linking_to("About", "PAGE", &page),
        json!({ "title": "Blog", "type": "HTTP", "url": "https://blog.example/" }),
    ]);
    let created = create(&app, json!({ "title": "Main menu", "items": items })).await.ok();
    assert_eq!(created["menuCreate.menu.handle"], "main-menu");

    let reply = read(&app, "main-menu").await;
    assert_eq!((&reply["menu.title"], &reply["menu.itemsCount"]), (&json!("Main menu"), &json!(8)));
    let expected = [
        "/",
        "/collections/all",
        "/collections",
        "/search",
        "/account",
        "/collections/kitchen",
        "/pages/about",
        "https://blog.example/",
    ];
    assert_eq!(paths(&app, &reply["menu.items"]), expected);
    let kitchen = &reply["menu.items.5"];
    assert_eq!((&kitchen["tags"], &kitchen["resourceId"]), (&json!(["blue", "large"]), &json!(collection)));
    assert_eq!(kitchen["resource"], json!({ "__typename": "Collection", "title": "Kitchen" }));
    assert_eq!(paths(&app, &kitchen["items"]), ["/search?q=mugs"]);
    assert_eq!(paths(&app, &kitchen["items"][0]["items"]), ["/products/mug"]);
    assert!(reply["menu.items.0.resource"].is_null() && reply["menu.items.0.resourceId"].is_null());
    // Regardless of the number of levels and items.
    assert!(reply.statements() <= 5, "{} statements", reply.statements());

    let node =
        "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Menu { title } ... on MenuItem { title } } }";
    let ids = json!({ "ids": [reply["menu.id"], kitchen["items"][0]["id"]] });
    let nodes = app.anonymous().ask_with(node, ids).await.ok();
    assert_eq!((&nodes["nodes.0.title"], &nodes["nodes.1.title"]), (&json!("Main menu"), &json!("Mugs")));
    assert!(read(&app, "no-such-menu").await["menu"].is_null());
}

both!(items_of_an_updated_menu_keep_their_ids);
async fn items_of_an_updated_menu_keep_their_ids(app: TestApp) {
    let items = json!([{ "title": "Home", "type": "FRONTPAGE" }, { "title": "Search", "type": "SEARCH" }]);
    let created = create(&app, json!({ "title": "Footer", "items": items })).await.ok();
    let id = created["menuCreate.menu.id"].clone();
    let before = read(&app, "footer").await;
    let search = &before["menu.items.1.id"];

    let staff = app.staff(&[ManageSettings]);
    let items = json!([
        { "id": search, "title": "Find", "type": "SEARCH", "items": [{ "title": "Home", "type": "FRONTPAGE" }] },
    ]);
    let change = json!({ "id": id, "title": "Bottom", "items": items });
    staff.ask_with(UPDATE, update_variables("menu", change)).await.assert_ok();
    let after = read(&app, "footer").await;
    assert_eq!((&after["menu.title"], &after["menu.itemsCount"]), (&json!("Bottom"), &json!(1)));
    assert_eq!((&after["menu.items.0.id"], &after["menu.items.0.title"]), (search, &json!("Find")));
    assert_ne!(after["menu.items.0.items.0.id"], before["menu.items.0.id"], "an item without an id is new");

    // Fields that are not given are unchanged.
    staff.ask_with(UPDATE, json!({ "id": id, "menu": { "handle": "bottom" } })).await.assert_ok();
    assert_eq!(read(&app, "bottom").await["menu.items"], after["menu.items"]);

    let foreign = json!([{ "id": before["menu.items.0.id"], "title": "Home", "type": "FRONTPAGE" }]);
    let refused = staff.ask_with(UPDATE, json!({ "id": id, "menu": { "items": foreign } })).await;
    assert_eq!(problems(&refused, "menuUpdate"), ["menu.items.0.id NOT_FOUND"]);
    assert_eq!(read(&app, "bottom").await["menu.items"], after["menu.items"]);

    let list = staff.ask("{ menus(first: 9) { nodes { handle } } }").await.ok();
    assert_eq!(list["menus.nodes"], json!([{ "handle": "bottom" }]));
    let delete = "mutation($id: ID!) { menuDelete(id: $id) { deletedMenuId userErrors { field code } } }";
    staff.ask_with(delete, json!({ "id": id })).await.assert_ok();
    assert_eq!(problems(&staff.ask_with(delete, json!({ "id": id })).await, "menuDelete"), ["id NOT_FOUND"]);
    assert!(read(&app, "bottom").await["menu"].is_null());
}

both!(menus_omit_items_for_unpublished_objects);
async fn menus_omit_items_for_unpublished_objects(app: TestApp) {
    let draft = app.create_product(json!({ "title": "Secret mug", "status": "DRAFT" })).await;
    let page = create_page(&app, json!({ "title": "Plans", "isPublished": false })).await;
    let items = json!([
        { "title": "Soon", "type": "PRODUCT", "resourceId": draft, "items": [{ "title": "Home", "type": "FRONTPAGE" }] },
        { "title": "Plans", "type": "PAGE", "resourceId": page },
        { "title": "Home", "type": "FRONTPAGE" },
    ]);
    create(&app, json!({ "title": "Main", "items": items })).await.assert_ok();
    let titles = |reply: &Reply| {
        let items = reply["menu.items"].as_array().unwrap().iter();
        items.map(|item| item["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let seen = read(&app, "main").await;
    assert_eq!((titles(&seen), &seen["menu.itemsCount"]), (vec!["Home".to_owned()], &json!(1)));
    // Staff who may edit the menu see all of its items, but not objects for which they lack
    // permission.
    let staff = app.staff(&[ManageSettings]).ask_with(READ, json!({ "handle": "main" })).await.ok();
    assert_eq!(titles(&staff), ["Soon", "Plans", "Home"]);
    assert!(staff["menu.items.0.url"].is_null() && staff["menu.items.0.resource"].is_null());
    assert_eq!(staff["menu.items.1.resource.title"], "Plans");

    let publish =
        "mutation($id: ID!) { productUpdate(id: $id, product: { status: ACTIVE }) { userErrors { code } } }";
    app.admin().ask_with(publish, json!({ "id": draft })).await.assert_ok();
    assert_eq!(titles(&read(&app, "main").await), ["Soon", "Home"]);
    let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { code } } }";
    app.admin().ask_with(delete, json!({ "id": draft })).await.assert_ok();
    assert_eq!(titles(&read(&app, "main").await), ["Home"]);
}

both!(all_problems_of_a_menu_are_reported_at_once);
async fn all_problems_of_a_menu_are_reported_at_once(app: TestApp) {
    let none = "gid://mercato/Collection/00000000-0000-7000-8000-000000000000";
    let items = json!([
        { "title": "", "type": "FRONTPAGE", "url": "/x" },
        { "title": "Nowhere", "type": "HTTP" },
        { "title": "Script", "type": "HTTP", "url": "javascript:alert(1)" },
        { "title": "Blog", "type": "BLOG" },
        { "title": "Which?", "type": "PAGE", "tags": ["a"] },
        { "title": "1", "type": "SEARCH", "items": [
            { "title": "2", "type": "SEARCH", "items": [
                { "title": "3", "type": "SEARCH", "items": [{ "title": "4", "type": "SEARCH" }] },
            ] },
        ] },
    ]);
    let refused = create(&app, json!({ "title": " ", "handle": "Main Menu", "items": items })).await;
    let expected = [
        "menu.title BLANK",
        "menu.handle INVALID",
        "menu.items.0.title BLANK",
        "menu.items.0.url INVALID",
        "menu.items.1.url BLANK",
        "menu.items.2.url INVALID",
        "menu.items.3.type INVALID",
        "menu.items.4.resourceId BLANK",
        "menu.items.4.tags INVALID",
        "menu.items.5.items.0.items.0.items TOO_MANY",
    ];
    assert_eq!(problems(&refused, "menuCreate"), expected);

    let unknown = json!([{ "title": "Gone", "type": "COLLECTION", "resourceId": none }]);
    let refused = create(&app, json!({ "title": "Main", "items": unknown })).await;
    assert_eq!(problems(&refused, "menuCreate"), ["menu.items.0.resourceId NOT_FOUND"]);
    let too_many: Vec<Value> = (0..251).map(|_| json!({ "title": "Home", "type": "FRONTPAGE" })).collect();
    let refused = create(&app, json!({ "title": "Main", "items": too_many })).await;
    assert_eq!(problems(&refused, "menuCreate"), ["menu.items TOO_MANY"]);
    assert!(read(&app, "main").await["menu"].is_null(), "no menu was created");

    create(&app, json!({ "title": "Main" })).await.assert_ok();
    let again = create(&app, json!({ "title": "Main", "handle": "main" })).await;
    assert_eq!(problems(&again, "menuCreate"), ["menu.handle TAKEN"]);
}
