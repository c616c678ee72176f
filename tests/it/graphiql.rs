//! GraphiQL: it works in a browser, and its tabs lead a developer through the demo shop to a paid
//! order.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::programs::{chromium, clients, program};
use crate::support::{TestApp, both, request, scratch, skip};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tabs_work_in_a_browser() {
    let (Some(node), Some(browser)) = (program("node"), chromium()) else {
        skip("GraphiQL is not tested in a browser: that requires node and chromium");
        return;
    };
    let app = TestApp::sqlite().await;
    app.seed_demo().await;
    let staff = app.admin();
    staff.ask("{ shop { name } }").await.assert_ok();
    let shop = Arc::clone(&app.app);
    tokio::spawn(async move { Box::pin(shop.run_workers(true, std::future::pending())).await });
    let page = app.send(request("GET", "/graphiql").body(String::new()).unwrap()).await;
    if String::from_utf8_lossy(&page.body).contains("https://cdn.") {
        skip("GraphiQL is not tested in a browser: it was not bundled, because npm is missing");
        return;
    }
    let mut visit = Command::new(node);
    visit.arg(clients().join("graphiql/run.mjs"));
    visit
        .arg(format!("http://{}", app.address))
        .arg(staff.token.unwrap())
        .arg(scratch::dir().join("graphiql"));
    visit.env("CHROMIUM", browser);
    let visited = tokio::task::spawn_blocking(move || visit.output().unwrap()).await.unwrap();
    assert!(visited.status.success(), "{}", String::from_utf8_lossy(&visited.stderr));
}

#[test]
fn the_fetcher_handles_headers_in_any_case_and_responses_without_json() {
    let Some(node) = program("node") else {
        skip("GraphiQL's fetcher is not tested: that requires node");
        return;
    };
    let output = Command::new(node).arg(clients().join("graphiql/fetcher.mjs")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An example, which GraphiQL shows in a tab.
struct Example {
    name: String,
    document: String,
    variables: String,
    is_for_staff: bool,
}

fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/graphiql/examples");
    let mut examples: Vec<Example> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".graphql")?.to_owned()))
        .map(|name| Example {
            document: std::fs::read_to_string(folder.join(format!("{name}.graphql"))).unwrap(),
            variables: std::fs::read_to_string(folder.join(format!("{name}.variables.json")))
                .unwrap_or("{}".to_owned()),
            is_for_staff: folder.join(format!("{name}.headers.json")).exists(),
            name,
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

/// Fills in a tab's variables: `"<cartCreate.cart.id>"` is replaced by that field of an earlier
/// response.
fn fill(variables: &Value, answers: &Value) -> Value {
    match variables {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, answers))).collect()
        }
        Value::Array(items) => items.iter().map(|item| fill(item, answers)).collect(),
        Value::String(text) if text.starts_with('<') => {
            let path = format!("/{}", text.trim_matches(['<', '>']).replace('.', "/"));
            answers.pointer(&path).unwrap_or_else(|| panic!("no earlier tab returns {text}")).clone()
        }
        other => other.clone(),
    }
}

both!(the_tabs_lead_from_a_search_to_a_paid_order_with_live_updates);
async fn the_tabs_lead_from_a_search_to_a_paid_order_with_live_updates(app: TestApp) {
    app.seed_demo().await;
    app.start_workers();
    let mut answers = json!({});
    let mut live = None;
    for example in examples() {
        let variables = fill(&serde_json::from_str(&example.variables).unwrap(), &answers);
        let client = if example.is_for_staff { app.admin() } else { app.anonymous() };
        if example.document.contains("\nsubscription ") {
            live = Some(app.subscribe(&client, &example.document, variables).await);
            continue;
        }
        let reply = client.ask_with(&example.document, variables).await;
        assert!(reply.errors().is_empty(), "{}: {:#}", example.name, reply.body());
        for (field, value) in reply.ok().data().as_object().unwrap() {
            let is_empty = value.is_null() || value.get("nodes") == Some(&json!([]));
            assert!(!is_empty, "{}: the demo shop has nothing for `{field}`", example.name);
            answers[field] = value.clone();
        }
        app.work().await;
    }
    let order = &answers["orderPlace"]["order"];
    assert_eq!((&order["status"], &order["totalDiscounts"]["amount"]), (&json!("PAID"), &json!("4.80")));
    assert_eq!(
        answers["fulfillmentCreate"]["order"]["name"], order["name"],
        "staff fulfill the buyer's order"
    );
    let mut live = live.expect("a tab subscribes");
    while live.event().await["orderUpdated"]["order"]["status"] != "FULFILLED" {}
}
