//! Apollo's gateway over this server and a second subgraph, `tests/clients/federation`: one query
//! joins what both of them know.

use std::process::Command;

use mercato::domain::access::permissions::Permission::{ReadCustomers, ReadOrders};
use mercato::domain::ids::Id;
use serde_json::{Value, json};

use super::FEDERATION;
use crate::support::programs::{clients, program};
use crate::support::{Client, Database, TestApp, both, log, order_input, scratch, skip};

const MINE: &str = "{ customer { email loyaltyPoints orders(first: 5) { nodes { name } } } }";
const MEMBERS: &str = "{ loyaltyMembers {
    nodes { loyaltyPoints email orders(first: 5) { nodes { name totalPrice { amount } } } }
    pageInfo { hasNextPage }
} }";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A request to the gateway by a client, which has its token.
async fn request(client: &Client, document: &str) -> Value {
    // Creates the API key of staff.
    client.ask("{ shop { name } }").await.assert_ok();
    let authorization = client.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut request = json!({ "document": document, "headers": {} });
    if let Some(authorization) = authorization {
        request["headers"]["authorization"] = json!(authorization);
    }
    request
}

/// Sends requests to a gateway in front of a shop and of a service that knows the loyalty points of
/// customers. Returns the responses, or `None` if gateways are not tested here.
async fn through_gateway(app: &TestApp, points: Value, requests: &[Value]) -> Option<Vec<Value>> {
    let Some(node) = program("node") else {
        skip("the shop is not tested behind a gateway: that requires node");
        return None;
    };
    if !clients().join("node_modules/@apollo/gateway").is_dir() {
        skip("the shop is not tested behind a gateway: run `npm install` in tests/clients");
        return None;
    }
    let staff = app.staff(&[]);
    staff.ask("{ shop { name } }").await.assert_ok();
    let details = json!({ "staff": staff.token, "points": points, "requests": requests });
    let mut command = Command::new(node);
    command.arg(clients().join("federation/run.mjs"));
    command.arg(format!("http://{}/graphql", app.address)).arg(details.to_string());
    // Nothing leaves this machine.
    command.env("APOLLO_TELEMETRY_DISABLED", "1").env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The members that a response shows: their email address, points and number of orders.
fn members(response: &Value) -> Vec<(&str, i64, usize)> {
    let nodes =
        response["data"]["loyaltyMembers"]["nodes"].as_array().unwrap_or_else(|| panic!("{response:#}"));
    let shown = nodes.iter().filter(|node| !node.is_null());
    let mut members: Vec<_> = shown
        .map(|node| {
            let orders = node["orders"]["nodes"].as_array().unwrap();
            (node["email"].as_str().unwrap(), node["loyaltyPoints"].as_i64().unwrap(), orders.len())
        })
        .collect();
    members.sort_unstable_by_key(|(email, ..)| *email);
    members
}

both!(one_query_joins_customers_orders_and_loyalty_points_of_two_services);
async fn one_query_joins_customers_orders_and_loyalty_points_of_two_services(database: Database) {
    let app = TestApp::with(database, &[FEDERATION, ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let mug = app.create_stocked("Mug", "5", 10).await;
    let cart = app.cart_of(Some(app.customer_id), &[(&mug, 1)], &[], None).await;
    app.customer().place(order_input(&cart, "5", "tok_ok")).await.assert_ok();
    let other = app.new_customer("other@example.com").await;
    let other_id = other.ask("{ customer { id } }").await.ok()["customer.id"].as_str().unwrap().to_owned();
    let points = json!({ (app.customer_id.gid()): 120, (other_id): 7 });

    let request_id = format!("gateway-{}", scratch::unique());
    let mut mine = request(&app.customer(), MINE).await;
    mine["headers"]["x-request-id"] = json!(request_id);
    mine["headers"]["traceparent"] = json!(format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let cart = "mutation { cartCreate(input: {}) { cart { id totalQuantity } userErrors { code } } }";
    let requests = [
        mine,
        request(&app.customer(), MEMBERS).await,
        request(&app.anonymous(), MEMBERS).await,
        request(&app.staff(&[ReadCustomers]), MEMBERS).await,
        request(&app.staff(&[ReadCustomers, ReadOrders]), MEMBERS).await,
        request(&app.anonymous(), cart).await,
    ];
    let Some(responses) = through_gateway(&app, points, &requests).await else { return };

    let expected = json!({ "data": { "customer": {
        "email": "customer@example.com", "loyaltyPoints": 120, "orders": { "nodes": [{ "name": "#1001" }] },
    } } });
    assert_eq!(responses[0], expected);
    let line = log::line(&request_id);
    assert_eq!((line["trace_id"].as_str(), line["outcome"].as_str()), (TRACE, "ok"));

    let (first, second) = ("customer@example.com", "other@example.com");
    assert_eq!(members(&responses[1]), [(first, 120, 1)], "customers see themselves");
    assert!(members(&responses[2]).is_empty(), "guests see nobody");
    assert_eq!(responses[2]["data"]["loyaltyMembers"]["pageInfo"]["hasNextPage"], false);
    assert_eq!(members(&responses[3]), [(first, 120, 0), (second, 7, 0)], "staff see no orders");
    assert_eq!(members(&responses[4]), [(first, 120, 1), (second, 7, 0)], "unless they may");
    assert_eq!(responses[5]["data"]["cartCreate"]["cart"]["totalQuantity"], 0, "{:#}", responses[5]);
}
