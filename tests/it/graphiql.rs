//! GraphiQL as a developer meets it: it works in a browser, and each of its examples has an answer in the demo shop.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{TestApp, both, request, scratch, setting, skip};

/// Names that a Chromium goes by.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A program on the path.
fn program(name: &str) -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join(name)).find(|program| program.is_file())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_developer_explores_the_schema_in_a_browser() {
    let browser =
        setting("CHROMIUM").map(PathBuf::from).or_else(|| BROWSERS.iter().find_map(|name| program(name)));
    let (Some(node), Some(browser)) = (program("node"), browser) else {
        skip("GraphiQL is not tried in a browser: that takes node and chromium");
        return;
    };
    let app = TestApp::sqlite().await;
    app.seed_demo().await;
    let page = app.send(request("GET", "/graphiql").body(String::new()).unwrap()).await;
    if String::from_utf8_lossy(&page.body).contains("https://cdn.") {
        skip("GraphiQL is not tried in a browser: this build has no bundle of it, for want of npm");
        return;
    }
    let mut visit = Command::new(node);
    visit.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/graphiql/run.mjs"));
    visit
        .arg(format!("http://{}", app.address))
        .arg("Linen Notebook")
        .arg(scratch::dir().join("graphiql.png"));
    visit.env("CHROMIUM", browser);
    let visited = tokio::task::spawn_blocking(move || visit.output().unwrap()).await.unwrap();
    assert!(visited.status.success(), "{}", String::from_utf8_lossy(&visited.stderr));
}

/// An example: its name, its document, its variables, and whether it is for staff.
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

both!(every_example_has_an_answer_in_the_demo_shop);
async fn every_example_has_an_answer_in_the_demo_shop(app: TestApp) {
    app.seed_demo().await;
    // What the reader of an example is told to put in.
    let ids = "{
        locations(first: 1) { nodes { id } }
        product(handle: \"linen-notebook\") { variants(first: 1) { nodes { id } } }
    }";
    let ids = app.admin().ask(ids).await.ok();
    let id = |path: &str| ids[path].as_str().unwrap().to_owned();
    let (variant, location) = (id("product.variants.nodes.0.id"), id("locations.nodes.0.id"));

    let examples = examples();
    assert!(examples.len() > 5);
    for example in examples {
        let variables =
            example.variables.replace("<variant id>", &variant).replace("<location id>", &location);
        let variables: Value = serde_json::from_str(&variables).unwrap();
        let client = if example.is_for_staff { app.admin() } else { app.anonymous() };
        let reply = client.ask_with(&example.document, variables).await;
        assert!(reply.errors().is_empty(), "{}: {:#}", example.name, reply.body());
        let reply = reply.ok();
        for (field, value) in reply.data().as_object().unwrap() {
            let is_empty = value.is_null() || value.get("nodes") == Some(&json!([]));
            assert!(!is_empty, "{}: the demo shop has nothing for `{field}`", example.name);
        }
    }
}
