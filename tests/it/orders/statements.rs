//! How many statements it takes to change an order: as many for a hundred lines as for two. And
//! that PostgreSQL does not plan those of an order anew each time.

use diesel::QueryableByName;
use diesel_async::RunQueryDsl;
use mercato::db::{Conn, ConnMut, DbError, StatementCounter};
use mercato::domain::ids::{OrderId, OrderLineId};
use serde_json::{Value, json};

use super::{ORDER, gid, uuid_of};
use crate::support::{Database, Reply, TestApp, both, order_argument, order_id, order_input, with_key};

/// The number of statements of each change, on both databases.
const STATEMENTS: [(&str, u32); 8] = [
    ("cancel, reserved", 39),
    ("cancel, picked", 39),
    ("refund, reserved", 44),
    ("fulfill", 14),
    ("cancel the fulfillment", 19),
    ("return", 14),
    ("receive", 16),
    ("refund, returned", 42),
];

/// A shop that sells a product in a hundred sizes at 1 each.
struct Shop {
    app: TestApp,
    variants: Vec<String>,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let product = app.create_product(json!({ "title": "Ring" })).await;
        let size = |size: usize| {
            json!({
                "price": "1", "requiresShipping": false,
                "optionValues": [{ "optionName": "Size", "name": size.to_string() }],
            })
        };
        let sizes: Vec<Value> = (0..100).map(size).collect();
        let variants = app.create_variants(&product, json!(sizes)).await;
        let location = app.create_location("Shelf").await;
        let change = |variant| json!({ "variantId": variant, "locationId": location, "delta": 20 });
        let changes: Vec<Value> = variants.iter().map(change).collect();
        let document = "mutation($input: InventoryQuantitiesAdjustInput!) {
            inventoryQuantitiesAdjust(input: $input) { userErrors { message } }
        }";
        let input = json!({ "reason": "received", "changes": changes });
        app.admin().ask_with(document, json!({ "input": input })).await.assert_ok();
        Self { app, variants }
    }

    /// Places and pays for an order of the first sizes, a unit of each.
    async fn order(&self, sizes: usize) -> OrderId {
        let lines: Vec<(&str, i64)> = self.variants[..sizes].iter().map(|id| (id.as_str(), 1)).collect();
        let cart = self.app.cart(&lines).await;
        order_id(&self.app.anonymous().place(order_input(&cart, &sizes.to_string(), "tok_ok")).await.ok())
    }

    /// All lines of an order, as inputs have them.
    async fn lines(&self, order: OrderId) -> Vec<Value> {
        let lines = self.app.order_lines(order).await;
        let gid = |id: OrderLineId| format!("gid://mercato/OrderLine/{}", uuid_of(id));
        lines.iter().map(|line| json!({ "lineItemId": gid(line.id), "quantity": 1 })).collect()
    }

    async fn change(&self, order: OrderId, mutation: &str, more: &str, mut input: Value) -> Reply {
        if input.get("id").is_none() {
            input[order_argument(mutation)] = json!(gid(order));
        }
        self.app.admin().change_order(mutation, &format!("{more} {ORDER}"), input).await.ok()
    }

    /// Changes orders of this many lines in all ways, and counts the statements of each.
    async fn count_statements(&self, sizes: usize) -> Vec<(&'static str, u32)> {
        let mut counts = Vec::new();
        let cancel = json!({ "reason": "CUSTOMER" });
        let order = self.order(sizes).await;
        let reply = self.change(order, "orderCancel", "", cancel.clone()).await;
        counts.push(("cancel, reserved", reply.statements()));

        let order = self.order(sizes).await;
        self.app.work().await;
        let reply = self.change(order, "orderCancel", "", cancel).await;
        counts.push(("cancel, picked", reply.statements()));

        let order = self.order(sizes).await;
        let lines = self.lines(order).await;
        let reply = self.change(order, "refundCreate", "", json!({ "lineItems": lines })).await;
        counts.push(("refund, reserved", reply.statements()));

        let order = self.order(sizes).await;
        let lines = self.lines(order).await;
        let reply = self.change(order, "fulfillmentCreate", "fulfillment { id }", json!({})).await;
        counts.push(("fulfill", reply.statements()));
        let back = json!({ "id": reply["fulfillmentCreate.fulfillment.id"] });
        counts.push((
            "cancel the fulfillment",
            self.change(order, "fulfillmentCancel", "", back).await.statements(),
        ));
        self.change(order, "fulfillmentCreate", "", json!({})).await;
        let input = json!({ "lineItems": lines, "reason": "Too small" });
        let reply = self.change(order, "returnCreate", "return { id }", input).await;
        counts.push(("return", reply.statements()));
        let input = json!({ "id": reply["returnCreate.return.id"] });
        counts.push(("receive", self.change(order, "returnReceive", "", input).await.statements()));
        let reply = self.change(order, "refundCreate", "", json!({ "lineItems": lines })).await;
        counts.push(("refund, returned", reply.statements()));
        counts
    }
}

both!(changes_of_an_order_take_the_same_statements_for_two_lines_and_for_a_hundred);
async fn changes_of_an_order_take_the_same_statements_for_two_lines_and_for_a_hundred(app: TestApp) {
    let shop = Shop::open(app).await;
    // The first requests also read the caller's permissions.
    shop.count_statements(1).await;
    assert_eq!(shop.count_statements(2).await, STATEMENTS);
    assert_eq!(shop.count_statements(100).await, STATEMENTS);
    // All units that were sold are back in stock.
    for variant in [&shop.variants[0], &shop.variants[99]] {
        assert_eq!(shop.app.stock(variant).await, (20, 0));
    }
}

/// What is written for each order, until its mails are sent.
const KEPT_PREPARED: [&str; 13] = [
    r#"INSERT INTO "carts""#,
    r#"INSERT INTO "orders""#,
    r#"INSERT INTO "order_lines""#,
    r#"INSERT INTO "payments""#,
    r#"INSERT INTO "idempotency_keys""#,
    r#"INSERT INTO "events""#,
    r#"INSERT INTO "jobs""#,
    r#"UPDATE "inventory_levels""#,
    r#"UPDATE "orders""#,
    r#"UPDATE "event_head""#,
    "UPDATE events SET position",
    "UPDATE jobs SET status = 'running'",
    "UPDATE jobs SET status = 'completed'",
];

/// The statements that are prepared on a connection.
async fn prepared_statements(conn: &mut Conn) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Prepared {
        #[diesel(sql_type = diesel::sql_types::Text)]
        statement: String,
    }
    let ConnMut::Postgres(c) = conn.start(|| "it::orders::prepared_statements") else {
        panic!("not PostgreSQL")
    };
    let rows: Result<Vec<Prepared>, _> =
        diesel::sql_query("SELECT statement FROM pg_prepared_statements").load(c).await;
    let rows = conn.finish(rows.map_err(DbError::from)).unwrap();
    rows.into_iter().map(|row| row.statement).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_orders_stay_prepared_on_postgres() {
    let Some(database) = Database::postgres().await else { return };
    let url = database.url();
    // Not through a pooler, behind which nothing stays prepared.
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_POOLER", "none"), ("DB_POOL_SIZE", "2")];
    let shop = Shop::open(TestApp::with(database, &settings).await).await;
    for key in ["first", "second"] {
        let cart = shop.app.cart(&[(&shop.variants[0], 1), (&shop.variants[1], 1)]).await;
        let input = with_key(order_input(&cart, "2", "tok_ok"), key);
        shop.app.anonymous().place(input).await.assert_ok();
        shop.app.work().await;
    }
    let (db, statements) = (&shop.app.app.db, StatementCounter::default());
    let (one, other) = tokio::join!(db.read(&statements), db.read(&statements));
    let mut prepared = prepared_statements(&mut one.unwrap()).await;
    prepared.extend(prepared_statements(&mut other.unwrap()).await);
    for start in KEPT_PREPARED {
        assert!(prepared.iter().any(|text| text.trim_start().starts_with(start)), "{start} in {prepared:#?}");
    }
}
