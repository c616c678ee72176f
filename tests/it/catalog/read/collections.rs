//! The products of several collections in one query.

use serde_json::{Value, json};

use crate::support::{TestApp, both};

both!(collections_in_one_query_have_separate_pages);
async fn collections_in_one_query_have_separate_pages(app: TestApp) {
    let mut products = Vec::new();
    for title in ["Bowl", "Cup", "Dish"] {
        products.push(app.create_product(json!({ "title": title })).await);
    }
    let (bowl, cup, dish) = (&products[0], &products[1], &products[2]);
    for (title, members) in
        [("All", vec![dish, bowl, cup]), ("Few", vec![cup]), ("None", vec![]), ("Two", vec![dish, bowl])]
    {
        let id = app.create_collection(json!({ "title": title })).await;
        let add = "mutation($id: ID!, $ids: [ID!]!) { collectionProductsAdd(collectionId: $id, productIds: $ids) { userErrors { code } } }";
        if !members.is_empty() {
            app.admin().ask_with(add, json!({ "id": id, "ids": members })).await.assert_ok();
        }
    }
    let (bowl, cup, dish) =
        (json!({ "title": "Bowl" }), json!({ "title": "Cup" }), json!({ "title": "Dish" }));
    for (page, all, two) in [
        ("first: 2, sortKey: TITLE", json!([bowl, cup]), json!([bowl, dish])),
        ("first: 2, sortKey: TITLE, reverse: true", json!([dish, cup]), json!([dish, bowl])),
        ("last: 2, sortKey: TITLE", json!([cup, dish]), json!([bowl, dish])),
        ("first: 2, sortKey: ID", json!([bowl, cup]), json!([bowl, dish])),
        ("first: 2, sortKey: MANUAL", json!([dish, bowl]), json!([dish, bowl])),
    ] {
        let document = format!(
            "{{ collections(first: 9, sortKey: TITLE) {{ nodes {{ title products({page}) {{ nodes {{ title }} }} }} }} }}"
        );
        let reply = app.anonymous().ask(&document).await.ok();
        let shown =
            |title: &str, products: &Value| json!({ "title": title, "products": { "nodes": products } });
        let expected =
            [shown("All", &all), shown("Few", &json!([cup])), shown("None", &json!([])), shown("Two", &two)];
        assert_eq!(reply["collections.nodes"], json!(expected), "{page}");
    }
}
