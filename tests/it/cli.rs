//! The command line: runs the real binary in a temporary folder with an empty environment.

mod backup;
mod doctor;
mod health;
mod log;
mod packages;
mod payments;
mod reference;
mod startup;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

const SAMPLE: &str = include_str!("../data/online-retail-sample.csv");
const ORDERS: &str = include_str!("../data/online-retail-orders-sample.csv");

/// A temporary folder, which is removed at the end of the test.
struct TempFolder(PathBuf);

impl TempFolder {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("mercato-cli-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(name: &str, content: &str) -> Self {
        let folder = Self::new();
        fs::write(folder.0.join(name), content).unwrap();
        folder
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mercato"));
        command.args(arguments).env_clear().current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(arguments).output().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The exit code and output of a command.
#[derive(Debug)]
struct CommandOutput {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl CommandOutput {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts the exit code, and that the standard error contains these texts.
    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not on standard error: {self:?}");
        }
        self
    }
}

#[test]
fn every_command_has_help() {
    let folder = TempFolder::new();
    for (command, words) in [
        (
            &[][..],
            &["serve", "migrate", "schema", "import", "export", "mail", "user", "apikey", "--database-url"][..],
        ),
        (&["serve"], &["--demo", "--host", "--port"]),
        (&["migrate"], &["--database-url"]),
        (&["schema"], &["GraphQL schema", "--federation"]),
        (&["import"], &["products", "orders"]),
        (&["import", "products"], &["--dry-run", "<FILE>", "exit code"]),
        (&["import", "orders"], &["--dry-run", "<FILE>", "exit code"]),
        (&["export"], &["products"]),
        (&["export", "products"], &["[FILE]"]),
        (&["mail", "preview"], &["<KIND>", "--language", "--html", "--text"]),
        (&["reports", "rebuild"], &["event log", "run it again"]),
        (&["payments", "check"], &["PAYMENT_PROVIDERS", "exit code"]),
        (&["backup"], &["<FILE>", "--force", "pg_dump"]),
        (&["restore"], &["<FILE>", "--force", "--check"]),
        (&["doctor"], &["--json", "exit code"]),
        (&["health"], &["/livez", "--worker", "exit code"]),
        (&["user", "create"], &["--email", "--role", "--name", "standard input"]),
        (&["apikey", "create"], &["--name", "--permissions", "all"]),
    ] {
        let output = folder.run(&[command, &["--help"]].concat());
        output.expect(0, &[]);
        for word in words {
            assert!(
                output.stdout.contains(word),
                "{word} is missing in the help of {command:?}: {}",
                output.stdout
            );
        }
    }
    let version = folder.run(&["--version"]);
    version.expect(0, &[]);
    assert!(version.stdout.starts_with("mercato 0."), "{version:?}");
    assert!(fs::read_dir(&folder.0).unwrap().next().is_none(), "help creates no files");
}

#[test]
fn the_printed_schema_is_the_one_in_the_repository() {
    let folder = TempFolder::new();
    let output = folder.run(&["schema"]);
    output.expect(0, &[]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    assert!(
        output.stdout == fs::read_to_string(path).unwrap(),
        "schema.graphql is not what `mercato schema` prints"
    );
    assert_eq!(output.stderr, "");
}

#[test]
fn the_schema_of_a_subgraph_is_printed_without_a_server() {
    let folder = TempFolder::new();
    let output = folder.run(&["schema", "--federation"]);
    output.expect(0, &[]);
    assert!(output.stdout.contains("type Customer implements Node @key(fields: \"id\") {"));
    assert!(output.stdout == mercato::graphql::subgraph_sdl(), "it is what `_service` returns");
    assert!(fs::read_dir(&folder.0).unwrap().next().is_none(), "no database is created");
}

#[test]
fn invalid_commands_are_explained() {
    let folder = TempFolder::new();
    folder.run(&["sell"]).expect(2, &["sell", "Usage"]);
    folder.run(&[]).expect(2, &["Usage"]);
    folder.run(&["serve", "--porrt", "1"]).expect(2, &["--porrt", "--port"]);
    folder.run(&["import", "products"]).expect(2, &["<FILE>"]);
    folder.run(&["import", "customers", "x.csv"]).expect(2, &["customers"]);
}

#[test]
fn all_invalid_settings_are_reported_at_once() {
    let folder = TempFolder::with("sample.csv", SAMPLE);
    let wrong = [
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("DB_POOL_SIZE", "none"),
        ("HOST", "everywhere"),
        ("PORT", "http"),
        ("MERCATO_ENV", "staging"),
        ("CORS_ORIGINS", "shop"),
        ("PUBLIC_URL", "shop"),
        ("GRAPHIQL", "perhaps"),
        ("INTROSPECTION", "friends"),
        ("ID_NAMESPACE", "saleor"),
        ("REQUIRE_STOREFRONT_KEY", "maybe"),
        ("METRICS_PORT", "none"),
        ("PAYMENT_PROVIDERS", "gold"),
        ("PAYMENT_HOLD_HOURS", "gold:1"),
        ("GUEST_STOCK_SHARE", "all"),
        ("GUEST_CART_BYTES", "few"),
        ("BODY_LIMIT", "1"),
        ("SHOP_CURRENCY", "GOLD"),
        ("SHOP_COUNTRY", "Utopia"),
        ("SMTP_URL", "imap://localhost"),
        ("MAIL_FROM", "nobody"),
        ("STOREFRONT_URL", "shop"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "mercato=loudly"),
    ];
    let names: Vec<&str> = wrong.iter().map(|(name, _)| *name).collect();
    for arguments in
        [&["serve"][..], &["migrate"], &["import", "products", "sample.csv"], &["export", "products"]]
    {
        let output = CommandOutput::of(folder.command(arguments).envs(wrong).output().unwrap());
        output.expect(2, &names);
    }
    let production =
        CommandOutput::of(folder.command(&["serve"]).env("MERCATO_ENV", "production").output().unwrap());
    production.expect(2, &["JWT_SECRET", "PUBLIC_URL"]);
    folder.run(&["migrate", "--database-url", "nowhere"]).expect(2, &["DATABASE_URL"]);
    folder.run(&["serve", "--port", "70000", "--host", "here"]).expect(2, &["PORT", "HOST"]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no database was created");
}

#[test]
fn migrating_again_changes_nothing() {
    let folder = TempFolder::new();
    folder.run(&["migrate", "--database-url", "sqlite://shop.db"]).expect(0, &["migrated to 2026"]);
    assert!(folder.file("shop.db").is_file());
    folder.run(&["migrate", "--database-url", "sqlite://shop.db"]).expect(0, &["the database is up to date"]);
    folder.run(&["--database-url", "sqlite://shop.db", "migrate"]).expect(0, &["the database is up to date"]);
    folder
        .run(&["migrate", "--database-url", "sqlite://no/such/folder/shop.db"])
        .expect(2, &["no/such/folder"]);
    let unreachable = "postgres://nobody@127.0.0.1:1/none";
    folder.run(&["migrate", "--database-url", unreachable]).expect(1, &["database"]);
}

#[test]
fn products_are_imported_and_exported() {
    let folder = TempFolder::with("sample.csv", SAMPLE);
    let output = folder.run(&["import", "products", "sample.csv"]);
    output.expect(0, &["products: 30 created, 0 updated, 0 unchanged, 0 failed"]);
    assert_eq!(output.stdout, "");
    folder
        .run(&["import", "products", "sample.csv"])
        .expect(0, &["0 created, 0 updated, 30 unchanged, 0 failed"]);

    let exported = folder.run(&["export", "products", "-"]);
    exported.expect(0, &["products: 30 exported"]);
    assert!(exported.stdout.starts_with("Handle,Title,Body (HTML),Vendor,"));
    assert_eq!(exported.stdout.lines().count(), 1 + 44);
    assert_eq!(folder.run(&["export", "products"]).stdout, exported.stdout, "the default is standard output");
    folder.run(&["export", "products", "out.csv"]).expect(0, &["products: 30 exported"]);
    assert_eq!(fs::read_to_string(folder.file("out.csv")).unwrap(), exported.stdout);
    folder.run(&["export", "products", "no/such/folder/out.csv"]).expect(1, &["no/such/folder/out.csv"]);

    // Another shop imports the exported file from standard input.
    let mut importing = folder.command(&["import", "products", "-", "--database-url", "sqlite://other.db"]);
    let mut importing =
        importing.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    importing.stdin.take().unwrap().write_all(exported.stdout.as_bytes()).unwrap();
    CommandOutput::of(importing.wait_with_output().unwrap()).expect(0, &["products: 30 created"]);
    let other = folder.run(&["export", "products", "--database-url", "sqlite://other.db"]);
    assert_eq!(other.stdout, exported.stdout);
}

#[test]
fn errors_of_imports_name_the_file_and_line() {
    let folder = TempFolder::with("text.csv", "just some text\n");
    folder.run(&["import", "products", "missing.csv"]).expect(1, &["missing.csv", "No such file"]);
    folder.run(&["import", "products", "."]).expect(1, &[".: is a folder"]);
    folder
        .run(&["import", "products", "text.csv"])
        .expect(1, &["text.csv: the first line is not the header"]);

    let rows = "Handle,Title,Variant Price,Colour\nmug,Mug,abc,red\nbowl,Bowl,5,red\n";
    fs::write(folder.file("rows.csv"), rows).unwrap();
    let summary = "products: 1 created, 0 updated, 0 unchanged, 1 failed";
    folder
        .run(&["import", "products", "rows.csv"])
        .expect(1, &["line 2: ", "abc", "ignored columns: Colour", summary]);
    let exported = folder.run(&["export", "products"]);
    assert!(exported.stdout.contains("\nbowl,Bowl,") && !exported.stdout.contains("mug"), "{exported:?}");
}

#[test]
fn a_dry_run_prints_a_summary_and_writes_nothing() {
    let folder = TempFolder::with("sample.csv", SAMPLE);
    let summary = "products: 30 would be created, 0 would be updated, 0 unchanged, 0 failed";
    folder.run(&["import", "products", "--dry-run", "sample.csv"]).expect(0, &[summary]);
    let exported = folder.run(&["export", "products"]);
    exported.expect(0, &["products: 0 exported"]);
    assert_eq!(exported.stdout.lines().count(), 1, "only the header");
}

#[test]
fn past_orders_are_imported_once() {
    let folder = TempFolder::with("orders.csv", ORDERS);
    fs::write(folder.file("products.csv"), SAMPLE).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = folder.command(arguments);
        CommandOutput::of(command.env("SHOP_CURRENCY", "GBP").output().unwrap())
    };
    run(&["import", "products", "products.csv"]).expect(0, &[]);
    let summary = "orders: 10 would be created with 43 lines, 0 unchanged, 0 failed";
    run(&["import", "orders", "--dry-run", "orders.csv"]).expect(0, &[summary]);
    let output = run(&["import", "orders", "orders.csv"]);
    output.expect(
        0,
        &["lines without a matching variant: 36", "orders: 10 created with 43 lines, 0 unchanged, 0 failed"],
    );
    assert_eq!(output.stdout, "");
    run(&["import", "orders", "orders.csv"])
        .expect(0, &["orders: 0 created with 0 lines, 10 unchanged, 0 failed"]);

    let rows = "Name,Financial Status,Currency,Total,Created at,Lineitem quantity,Lineitem name,Lineitem price,Source\n\
        #1,paid,GBP,5,2020-01-01,1,Mug,abc,web\n#2,paid,GBP,5,2020-01-01,1,Mug,5,web\n";
    fs::write(folder.file("rows.csv"), rows).unwrap();
    let summary = "orders: 1 created with 1 lines, 0 unchanged, 1 failed";
    run(&["import", "orders", "rows.csv"])
        .expect(1, &["line 2: ", "abc", "ignored columns: Source", summary]);
    for _ in 0..2 {
        run(&["reports", "rebuild"]).expect(0, &["reports: rebuilt from 11 events"]);
    }
    let wrong = "products.csv: the first line is not the header of a Shopify order export";
    run(&["import", "orders", "products.csv"]).expect(1, &[wrong]);
    run(&["import", "orders", "missing.csv"]).expect(1, &["missing.csv", "No such file"]);
}

#[test]
fn mails_can_be_previewed() {
    let folder = TempFolder::new();
    let preview = |arguments: &[&str]| folder.run(&[&["mail", "preview"], arguments].concat());
    let english = preview(&["order_confirmation"]);
    english.expect(0, &[]);
    assert!(english.stdout.starts_with("Subject: Order #1042 confirmed\n\nHello Ada,\n"), "{english:?}");
    let german = preview(&["shipping-notice", "--language", "de", "--text"]);
    german.expect(0, &[]);
    assert!(
        german.stdout.starts_with("Guten Tag Ada,") && german.stdout.contains("Sendungsnummer"),
        "{german:?}"
    );
    let html = preview(&["daily_report", "--html", "--language", "FR"]);
    html.expect(0, &[]);
    assert!(
        html.stdout.starts_with("<!doctype html>") && html.stdout.contains("Rapport du 24 novembre 2026"),
        "{html:?}"
    );

    preview(&["advert"]).expect(2, &["order_confirmation", "webhook_paused", "password_recovery"]);
    preview(&["welcome", "--language", "tlh"]).expect(2, &["en, de, fr, es"]);
    preview(&["welcome", "--html", "--text"]).expect(2, &["--html", "--text"]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "no database was created");
}

#[test]
fn mails_use_the_shops_own_templates_and_texts() {
    let folder = TempFolder::new();
    let templates = folder.0.join("own");
    fs::create_dir(&templates).unwrap();
    let write = |name: &str, text: &str| fs::write(templates.join(name), text).unwrap();
    let preview =
        |arguments: &[&str]| folder.run(&[&["mail", "preview", "--templates", "own"], arguments].concat());
    write("en.json", r#"{ "order_confirmation.intro": "Hooray!", "shared.hello": "Dear {name}," }"#);
    write("layout.txt", "{% block body %}{% endblock %}\n-- \nThe team of {{ shop }}\n");
    let shown = preview(&["order_confirmation"]);
    shown.expect(0, &[]);
    for part in ["Dear Ada,", "Hooray!", "The team of Mercato Paper & Home", "Subject: Order #1042 confirmed"]
    {
        assert!(shown.stdout.contains(part), "{part} is not in {shown:?}");
    }
    // Other languages are unchanged.
    assert!(preview(&["order_confirmation", "--language", "de"]).stdout.contains("Guten Tag Ada,"));

    for (name, text, problem) in [
        ("en.json", r#"{ "order_confirmation.intor": "Hi" }"#, "there is no text order_confirmation.intor"),
        (
            "en.json",
            r#"{ "shared.hello": "Dear {nickname}," }"#,
            "shared.hello can only use the placeholders",
        ),
        ("en.json", "{", "en.json"),
        ("welcome.html", "{% if %}", "welcome.html"),
        ("welcome.txt", "{% block subject %}{{ nickname }}{% endblock %}", "welcome.txt"),
        ("wellcome.txt", "Hi", "wellcome.txt"),
    ] {
        let before = fs::read_to_string(templates.join(name)).ok();
        write(name, text);
        preview(&["order_confirmation"]).expect(1, &[problem]);
        match before {
            Some(before) => write(name, &before),
            None => fs::remove_file(templates.join(name)).unwrap(),
        }
    }
    preview(&["order_confirmation"]).expect(0, &[]);
    folder.run(&["mail", "preview", "welcome", "--templates", "missing"]).expect(1, &["missing"]);
}

/// A server process, which is killed at the end of the test.
struct Server {
    child: Child,
    /// What it printed until it was ready.
    startup_output: String,
    rest: BufReader<std::process::ChildStderr>,
}

impl Server {
    fn start(folder: &TempFolder, arguments: &[&str]) -> Self {
        let mut command = folder.command(&[&["serve", "--port", "0"], arguments].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut rest = BufReader::new(child.stderr.take().unwrap());
        let mut startup_output = String::new();
        // The last line that it prints is the file of the token, or how to create one.
        while !startup_output.contains("(kept in ") && !startup_output.contains("mercato apikey create") {
            assert!(rest.read_line(&mut startup_output).unwrap() > 0, "the server ended: {startup_output}");
        }
        Self { child, startup_output, rest }
    }

    /// The word after some text in the output.
    fn after(&self, words: &str) -> &str {
        let (_, rest) = self
            .startup_output
            .split_once(words)
            .unwrap_or_else(|| panic!("no {words:?} in {}", self.startup_output));
        rest.split_whitespace().next().unwrap()
    }

    /// Posts a GraphQL document; returns the status line and the body.
    fn post(&self, token: Option<&str>, document: &str) -> (String, Value) {
        let address = self.after("GraphQL    http://").strip_suffix("/graphql").unwrap();
        let body = serde_json::json!({ "query": document }).to_string();
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "POST /graphql HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             {authorization}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
    }

    /// Stops the server with SIGTERM, as a service manager does; returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_demo_shop_is_served_and_kept_across_restarts() {
    let folder = TempFolder::new();
    let server = Server::start(&folder, &["--demo"]);
    assert!(server.after("GraphiQL   http://127.0.0.1:").ends_with("/graphiql"), "{}", server.startup_output);
    let token = server.after("Authorization: Bearer ").to_owned();
    assert_eq!(server.after("(kept in "), "mercato.admin-token)");
    let file = folder.file("mercato.admin-token");
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), token);
    for file in [&file, &folder.file("mercato.jwt-secret")] {
        assert_eq!(mode(file), 0o600, "only the owner can read the secret");
    }
    assert!(token.starts_with("mk_"), "the token is an API key");

    let (status, body) = server.post(None, "{ shop { name } products(first: 1) { nodes { handle } } }");
    assert!(status.contains("200"), "{status}");
    assert_eq!(body["data"]["shop"]["name"], "Mercato Paper & Home");
    assert_eq!(body["data"]["products"]["nodes"][0]["handle"], "linen-notebook");
    let create = "mutation { productCreate(product: { title: \"Spoon\" }) { product { handle } userErrors { code } } }";
    let (_, body) = server.post(None, create);
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let (_, body) = server.post(Some(&token), create);
    assert_eq!(body["data"]["productCreate"]["product"]["handle"], "spoon", "{body}");
    assert_eq!(server.stop(), Some(0));

    // After a restart, the shop and its token are the same, and the demo is not imported again.
    let server = Server::start(&folder, &["--demo"]);
    assert_eq!(server.after("Authorization: Bearer "), token);
    let products = "{ product(handle: \"spoon\") { title } products(first: 250) { nodes { id } } }";
    let (_, body) = server.post(Some(&token), products);
    assert_eq!(body["data"]["product"]["title"], "Spoon");
    assert_eq!(body["data"]["products"]["nodes"].as_array().unwrap().len(), 27);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn staff_and_api_keys_are_created_on_the_command_line() {
    let folder = TempFolder::new();
    let create = |arguments: &[&str], password: &str| {
        let mut command = folder.command(&[&["user", "create"], arguments].concat());
        let mut running =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(running.stdin.take().unwrap(), "{password}").unwrap();
        CommandOutput::of(running.wait_with_output().unwrap())
    };
    create(&["--email", "Ada@Example.com", "--role", "clerk"], "long enough").expect(1, &["clerk", "admin"]);
    create(&["--email", "ada", "--role", "admin"], "short").expect(1, &["Email is invalid", "too short"]);
    create(&["--email", "Ada@Example.com", "--role", "admin"], "long enough").expect(0, &["ada@example.com"]);
    create(&["--email", "ada@example.com", "--role", "admin"], "long enough").expect(1, &["already"]);

    folder
        .run(&["apikey", "create", "--name", "till", "--permissions", "SELL"])
        .expect(1, &["SELL", "READ_PRODUCTS"]);
    let created =
        folder.run(&["apikey", "create", "--name", "till", "--permissions", "READ_PRODUCTS,write_products"]);
    created.expect(0, &[]);
    let key = created.stdout.trim();
    assert!(key.starts_with("mk_"), "{created:?}");

    folder
        .run(&["apikey", "create", "--name", "web", "--storefront", "--permissions", "READ_PRODUCTS"])
        .expect(2, &["--storefront", "--permissions"]);
    folder.run(&["apikey", "create", "--name", "web"]).expect(2, &["--permissions"]);
    let public = folder.run(&["apikey", "create", "--name", "web", "--storefront"]);
    public.expect(0, &[]);
    assert!(public.stdout.starts_with("mp_"), "{public:?}");

    // No admin key is created if staff already exist.
    let server = Server::start(&folder, &[]);
    assert!(
        !server.startup_output.contains("Bearer") && !folder.file("mercato.admin-token").exists(),
        "{}",
        server.startup_output
    );
    let (_, body) = server.post(Some(key), "{ viewer { name permissions } }");
    assert_eq!(body["data"]["viewer"]["name"], "till");
    let login = "mutation { staffLogin(email: \"ada@example.com\", password: \"long enough\") { staffAccessToken { accessToken } } }";
    let (_, body) = server.post(None, login);
    let token = body["data"]["staffLogin"]["staffAccessToken"]["accessToken"].as_str().unwrap().to_owned();
    let (_, body) = server.post(Some(&token), "{ viewer { staffMember { name } } }");
    assert_eq!(body["data"]["viewer"]["staffMember"]["name"], "Ada");
    drop(server);

    // The signing secret is kept, so the session is still valid after a restart.
    let server = Server::start(&folder, &[]);
    let (_, body) = server.post(Some(&token), "{ viewer { name } }");
    assert_eq!(body["data"]["viewer"]["name"], "ada@example.com");
}

#[test]
fn a_port_in_use_is_named_in_the_error() {
    let folder = TempFolder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    folder.run(&["serve", "--port", &port]).expect(1, &["can't listen on 127.0.0.1:", &port]);
}
