//! Content besides the catalog, edited by staff and read by buyers: the shop itself, its policies,
//! pages, menus, redirects and sitemaps.

mod menus;
mod shop;

use std::time::Duration;

use mercato::domain::access::permissions::Permission::ManageSettings;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, both, update_variables};

/// The fields and codes of the user errors, as `page.title BLANK`.
fn problems(reply: &Reply, mutation: &str) -> Vec<String> {
    let errors = reply.user_errors(mutation).into_iter();
    errors.map(|error| format!("{} {}", error.field, error.code)).collect()
}

/// Creates a page from a `PageCreateInput`; returns its id.
async fn create_page(app: &TestApp, page: Value) -> String {
    let document = "mutation($page: PageCreateInput!) {
        pageCreate(page: $page) { page { id } userErrors { field message code } }
    }";
    let reply = app.staff(&[ManageSettings]).ask_with(document, json!({ "page": page })).await.ok();
    reply["pageCreate.page.id"].as_str().unwrap().to_owned()
}

/// The values of a field in a list of nodes.
fn values(reply: &Reply, path: &str, field: &str) -> Vec<String> {
    let nodes = reply[path].as_array().unwrap().iter();
    nodes.map(|node| node[field].as_str().unwrap().to_owned()).collect()
}

const UPDATE_PAGE: &str = "mutation($id: ID!, $page: PageUpdateInput!) {
    pageUpdate(id: $id, page: $page) { page { title handle body seo { title } } userErrors { field message code } }
}";

both!(staff_create_update_and_delete_pages);
async fn staff_create_update_and_delete_pages(app: TestApp) {
    let body = format!("<p>We bake <b>bread</b>.</p><p>{}</p>", "Every morning. ".repeat(30));
    let page = json!({ "title": " About the bakery ", "body": body, "seo": { "description": "Bakers" } });
    let id = create_page(&app, page).await;
    let document = "query($id: ID!, $handle: String!) {
        byId: page(id: $id) { ...All }
        byHandle: page(handle: $handle) { ...All }
        pageByHandle(handle: $handle) { ...All }
        node(id: $id) { ...All }
    }
    fragment All on Page {
        id title handle body bodySummary createdAt updatedAt onlineStoreUrl trackingParameters seo { title description }
    }";
    let variables = json!({ "id": id, "handle": "about-the-bakery" });
    let reply = app.anonymous().ask_with(document, variables).await.ok();
    let found = &reply["byId"];
    assert_eq!((&found["title"], &found["body"]), (&json!("About the bakery"), &json!(body)));
    assert_eq!(found["seo"], json!({ "title": null, "description": "Bakers" }));
    let summary = found["bodySummary"].as_str().unwrap();
    assert!(summary.starts_with("We bake bread. Every morning.") && summary.ends_with('…'), "{summary}");
    assert!(summary.chars().count() <= 150, "{summary}");
    for path in ["byHandle", "pageByHandle", "node"] {
        assert_eq!(reply[path], *found, "{path}");
    }

    let staff = app.staff(&[ManageSettings]);
    let change = json!({ "id": id, "handle": "about", "body": "<p>Bread</p>", "seo": { "title": "Us" } });
    let updated = staff.ask_with(UPDATE_PAGE, update_variables("page", change)).await.ok();
    let expected = json!({ "title": "About the bakery", "handle": "about", "body": "<p>Bread</p>", "seo": { "title": "Us" } });
    assert_eq!(updated["pageUpdate.page"], expected);

    let delete = "mutation($id: ID!) { pageDelete(id: $id) { deletedPageId userErrors { field code } } }";
    let deleted = staff.ask_with(delete, json!({ "id": id })).await.ok();
    assert_eq!(deleted["pageDelete.deletedPageId"], json!(id));
    assert_eq!(problems(&staff.ask_with(delete, json!({ "id": id })).await, "pageDelete"), ["id NOT_FOUND"]);
    assert!(app.anonymous().ask("{ page(handle: \"about\") { id } }").await.ok()["page"].is_null());
}

both!(all_problems_of_a_page_are_reported_at_once);
async fn all_problems_of_a_page_are_reported_at_once(app: TestApp) {
    let create =
        "mutation($page: PageCreateInput!) { pageCreate(page: $page) { userErrors { field message code } } }";
    let staff = app.staff(&[ManageSettings]);
    let body = "x".repeat(512 * 1024 + 1);
    let page =
        json!({ "title": " ", "handle": "Not This", "body": body, "seo": { "title": "x".repeat(300) } });
    let reply = staff.ask_with(create, json!({ "page": page })).await;
    let expected =
        ["page.title BLANK", "page.handle INVALID", "page.body TOO_LONG", "page.seo.title TOO_LONG"];
    assert_eq!(problems(&reply, "pageCreate"), expected);

    let first = create_page(&app, json!({ "title": "FAQ" })).await;
    let again = staff.ask_with(create, json!({ "page": { "title": "FAQ", "handle": "faq" } })).await;
    assert_eq!(problems(&again, "pageCreate"), ["page.handle TAKEN"]);
    // Without a given handle, the page gets the next free one.
    let second = create_page(&app, json!({ "title": "FAQ" })).await;
    let taken = staff.ask_with(UPDATE_PAGE, json!({ "id": second, "page": { "handle": "faq" } })).await;
    assert_eq!(problems(&taken, "pageUpdate"), ["page.handle TAKEN"]);
    let unchanged = json!({ "id": first, "page": { "handle": "faq" } });
    staff.ask_with(UPDATE_PAGE, unchanged).await.assert_ok();
    let unknown =
        json!({ "id": "gid://mercato/Page/00000000-0000-7000-8000-000000000000", "page": { "title": "No" } });
    assert_eq!(problems(&staff.ask_with(UPDATE_PAGE, unknown).await, "pageUpdate"), ["id NOT_FOUND"]);
    let neither = app.anonymous().ask("{ page { id } }").await;
    assert!(neither.message().contains("`id` or `handle`"), "{}", neither.message());
}

both!(unpublished_pages_are_visible_only_to_staff);
async fn unpublished_pages_are_visible_only_to_staff(app: TestApp) {
    let hidden = create_page(&app, json!({ "title": "Plans", "isPublished": false })).await;
    let shown = create_page(&app, json!({ "title": "Story" })).await;
    let document = "query($id: ID!) {
        page(id: $id) { id } pageByHandle(handle: \"plans\") { id } node(id: $id) { id }
        pages(first: 9) { nodes { id } }
        sitemap(type: PAGE) { pagesCount { count } resources(page: 1) { items { handle } } }
    }";
    for client in [app.anonymous(), app.customer(), app.staff(&[])] {
        let reply = client.ask_with(document, json!({ "id": hidden })).await.ok();
        for path in ["page", "pageByHandle", "node"] {
            assert!(reply[path].is_null(), "{path} for {client:?}");
        }
        assert_eq!(reply["pages.nodes"], json!([{ "id": shown }]), "{client:?}");
    }
    let reply = app.staff(&[ManageSettings]).ask_with(document, json!({ "id": hidden })).await.ok();
    assert_eq!(reply["page.id"], json!(hidden));
    assert_eq!(reply["pages.nodes"], json!([{ "id": hidden }, { "id": shown }]));
    // Sitemaps are for search engines, so they never list unpublished pages.
    assert_eq!(reply["sitemap.resources.items"], json!([{ "handle": "story" }]));

    let publish = json!({ "id": hidden, "page": { "isPublished": true } });
    app.staff(&[ManageSettings]).ask_with(UPDATE_PAGE, publish).await.assert_ok();
    let reply = app.anonymous().ask_with(document, json!({ "id": hidden })).await.ok();
    assert_eq!(reply["page.id"], json!(hidden));
}

both!(pages_can_be_sorted_and_searched);
async fn pages_can_be_sorted_and_searched(app: TestApp) {
    for title in ["Contact", "about us", "Shipping", "About the shop"] {
        create_page(&app, json!({ "title": title })).await;
        app.clock.advance(Duration::from_secs(1));
    }
    let list = async |arguments: &str| {
        let document =
            format!("{{ pages({arguments}) {{ nodes {{ title }} pageInfo {{ hasNextPage endCursor }} }} }}");
        app.anonymous().ask(&document).await.ok()
    };
    let titles = |reply: &Reply| values(reply, "pages.nodes", "title");
    let by_title = list("first: 9, sortKey: TITLE").await;
    assert_eq!(titles(&by_title), ["About the shop", "about us", "Contact", "Shipping"]);
    let newest = list("first: 1, sortKey: UPDATED_AT, reverse: true").await;
    assert_eq!(titles(&newest), ["About the shop"]);
    let cursor = newest["pages.pageInfo.endCursor"].as_str().unwrap();
    let next = list(&format!("first: 9, sortKey: UPDATED_AT, reverse: true, after: \"{cursor}\"")).await;
    assert_eq!(titles(&next), ["Shipping", "about us", "Contact"]);
    assert_eq!(titles(&list("first: 9, query: \"title:about\"").await), ["about us", "About the shop"]);
    assert_eq!(titles(&list("last: 1, query: \"ABOUT\"").await), ["About the shop"]);
    assert_eq!(titles(&list("first: 9, query: \"50%_\"").await), Vec::<String>::new());
}

both!(old_paths_are_redirected);
async fn old_paths_are_redirected(app: TestApp) {
    let create = "mutation($path: String!, $target: String!) {
        urlRedirectCreate(urlRedirect: { path: $path, target: $target }) {
            urlRedirect { id path target } userErrors { field message code }
        }
    }";
    let staff = app.staff(&[ManageSettings]);
    let redirect = async |path: &str, target: &str| {
        staff.ask_with(create, json!({ "path": path, "target": target })).await
    };
    let first = redirect("/old/", "/new").await.ok();
    assert_eq!(first["urlRedirectCreate.urlRedirect.path"], "/old");
    let first = first["urlRedirectCreate.urlRedirect.id"].as_str().unwrap().to_owned();
    redirect("/caf%C3%A9", "https://elsewhere.example/menu").await.assert_ok();
    redirect("/old/mugs (blue), large:2", "/new").await.assert_ok();

    let targets = async |query: &str| {
        let document =
            "query($query: String) { urlRedirects(first: 9, query: $query) { edges { node { path } } } }";
        let reply = app.anonymous().ask_with(document, json!({ "query": query })).await.ok();
        let edges = reply["urlRedirects.edges"].as_array().unwrap().clone();
        edges.iter().map(|edge| edge["node"]["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(targets("path:/old").await, ["/old"]);
    // Storefronts send the path of a request, which may contain any characters.
    assert_eq!(targets("path:/caf%C3%A9").await, ["/café"]);
    assert_eq!(targets("path:/old/mugs (blue), large:2").await, ["/old/mugs (blue), large:2"]);
    assert_eq!(targets("path:/old*").await.len(), 2);
    assert_eq!(targets("target:/new").await.len(), 2);
    assert_eq!(targets("").await.len(), 3);
    for missing in ["path:/OLD", "path:", "path:/", "path:/a%00", "target:/gone"] {
        assert_eq!(targets(missing).await, Vec::<String>::new(), "{missing:?}");
    }
    let all = "{ urlRedirects(last: 1, reverse: true) { nodes { path } } }";
    let reply = app.anonymous().ask(all).await.ok();
    assert_eq!(values(&reply, "urlRedirects.nodes", "path"), ["/old"]);

    let taken = redirect("/old", "/other").await;
    assert_eq!(problems(&taken, "urlRedirectCreate"), ["urlRedirect.path TAKEN"]);
    let itself = redirect("/loop", "/loop/").await;
    assert_eq!(problems(&itself, "urlRedirectCreate"), ["urlRedirect.target INVALID"]);
    let wrong = redirect("https://shop.example/x", "javascript:alert(1)").await;
    let expected = ["urlRedirect.path INVALID", "urlRedirect.target INVALID"];
    assert_eq!(problems(&wrong, "urlRedirectCreate"), expected);

    let delete = "mutation($id: ID!) { urlRedirectDelete(id: $id) { deletedUrlRedirectId userErrors { field code } } }";
    staff.ask_with(delete, json!({ "id": first })).await.assert_ok();
    assert_eq!(targets("path:/old").await, Vec::<String>::new());
    let deleted = staff.ask_with(delete, json!({ "id": first })).await;
    assert_eq!(problems(&deleted, "urlRedirectDelete"), ["id NOT_FOUND"]);
}

both!(sitemaps_list_published_objects);
async fn sitemaps_list_published_objects(app: TestApp) {
    let image = json!([{ "url": "https://images.example/mug.jpg", "altText": "A mug" }]);
    app.create_product(json!({ "title": "Mug", "status": "ACTIVE", "images": image })).await;
    app.create_product(json!({ "title": "Draft", "status": "DRAFT" })).await;
    app.create_collection(json!({ "title": "Mugs", "image": { "url": "/demo/mugs.svg" } })).await;
    let document = "query($type: SitemapType!, $page: Int!) {
        sitemap(type: $type) {
            pagesCount { count precision }
            resources(page: $page) {
                hasNextPage
                items {
                    __typename handle updatedAt
                    ... on SitemapResource { title image { alt filepath } }
                    ... on SitemapResourceMetaobject { type onlineStoreUrlHandle }
                }
            }
        }
    }";
    let ask = async |of: &str, page: i32| {
        app.anonymous().ask_with(document, json!({ "type": of, "page": page })).await
    };
    let products = ask("PRODUCT", 1).await.ok();
    assert_eq!(products["sitemap.pagesCount"], json!({ "count": 1, "precision": "EXACT" }));
    assert_eq!(products["sitemap.resources.hasNextPage"], false);
    assert_eq!(products["sitemap.resources.items"].as_array().unwrap().len(), 1);
    let item = &products["sitemap.resources.items.0"];
    assert_eq!((&item["__typename"], &item["handle"]), (&json!("SitemapResource"), &json!("mug")));
    let image = json!({ "alt": "A mug", "filepath": "https://images.example/mug.jpg" });
    assert_eq!((&item["title"], &item["image"]), (&json!("Mug"), &image));
    assert!(products.statements() <= 4, "{} statements", products.statements());

    let collections = ask("COLLECTION", 1).await.ok();
    assert_eq!(collections["sitemap.resources.items.0.image.filepath"], "/demo/mugs.svg");
    assert!(ask("PRODUCT", 2).await.ok()["sitemap.resources"].is_null());
    assert!(ask("PRODUCT", 2_000_000).await.ok()["sitemap.resources"].is_null());
    let wrong = ask("PRODUCT", 0).await;
    assert!(wrong.message().contains("`page` must be 1 or more"), "{}", wrong.message());
    for empty in ["ARTICLE", "BLOG", "METAOBJECT", "PAGE"] {
        let reply = ask(empty, 1).await.ok();
        assert_eq!(reply["sitemap.pagesCount.count"], 0, "{empty}");
        assert!(reply["sitemap.resources"].is_null(), "{empty}");
    }
}

both!(sitemaps_are_paginated);
async fn sitemaps_are_paginated(app: TestApp) {
    let rows: String = (0..251).map(|n| format!("thing-{n:03},Thing {n},active,5\n")).collect();
    app.import(&format!("Handle,Title,Status,Variant Price\n{rows}")).await;
    let page = async |page: i32| {
        let document = "query($page: Int!) {
            sitemap(type: PRODUCT) { pagesCount { count } resources(page: $page) { hasNextPage items { handle } } }
        }";
        app.anonymous().ask_with(document, json!({ "page": page })).await.ok()
    };
    let (first, second) = (page(1).await, page(2).await);
    assert_eq!(first["sitemap.pagesCount.count"], 2);
    assert_eq!(first["sitemap.resources.hasNextPage"], true);
    assert_eq!(second["sitemap.resources.hasNextPage"], false);
    let handles = |reply: &Reply| values(reply, "sitemap.resources.items", "handle");
    let mut all = [handles(&first), handles(&second)].concat();
    assert_eq!((handles(&first).len(), handles(&second).len()), (250, 1));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 251);
}
