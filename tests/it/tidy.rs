//! Rules for the source that the compiler does not check: dependencies between layers, the size of
//! files and functions, and what they must not contain.

mod cycles;
mod source;

use source::{Function, Source};

/// What a layer may use.
struct Layer {
    name: &'static str,
    /// Other modules of this crate.
    modules: &'static [&'static str],
    /// Items that the layer must not use although their module is allowed.
    except: &'static [&'static str],
    /// Other crates.
    crates: Crates,
}

enum Crates {
    Only(&'static [&'static str]),
    Except(&'static [&'static str]),
}

/// All crates except those for GraphQL and HTTP.
const NO_PROTOCOLS: Crates =
    Crates::Except(&["async_graphql", "async_graphql_poem", "poem", "poem_lambda", "lambda_http"]);
/// All crates except those for databases.
const NO_DATABASE: Crates = Crates::Except(&[
    "diesel",
    "diesel_async",
    "diesel_migrations",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "libsqlite3_sys",
]);
const ANY: Crates = Crates::Except(&[]);

/// What each layer may use, beside itself and the standard library.
#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer {
        name: "domain",
        modules: &[], except: &[],
        crates: Crates::Only(&[
            "serde", "chrono", "uuid", "ipnet", "thiserror", "unicode_normalization", "base16ct", "percent_encoding", "strsim",
        ]),
    },
    Layer { name: "db", modules: &["concurrency", "domain", "files"], except: &[], crates: NO_PROTOCOLS },
// A repository gets a connection; it neither takes one from a pool nor begins a transaction.
    Layer { name: "repositories", modules: &["db", "domain"], except: &["db::Db", "db::Tx", "db::TxWork"], crates: NO_PROTOCOLS },
// Loaders belong to a request: what they return depends on the actor, and on the keys of carts it
// has.
    Layer { name: "loaders", modules: &["repositories", "db", "domain", "context", "auth", "concurrency"], except: &[], crates: NO_PROTOCOLS },
// The relay enqueues the jobs of listeners.
    Layer {
        name: "events",
        modules: &[
            "repositories",
            "db",
            "domain",
            "context",
            "error",
            "jobs",
            "files",
            "concurrency",
            "trace",
        ],
        except: &[],
        crates: NO_PROTOCOLS,
    },
    Layer {
        name: "concurrency",
        modules: &[],
        except: &[],
        crates: Crates::Only(&[
            "futures_util", "parking_lot", "prometheus_client", "rustix", "serde", "thiserror", "tokio", "tracing",
        ]),
    },
    Layer {
        name: "jobs",
        modules: &["repositories", "db", "domain", "context", "error", "concurrency", "trace"],
        except: &[],
        crates: NO_PROTOCOLS,
    },
    Layer {
        name: "integrations",
        modules: &["repositories", "db", "domain", "context", "error", "files", "concurrency", "signatures", "trace"],
        except: &[],
        crates: NO_PROTOCOLS,
    },
    Layer {
        name: "auth",
        modules: &["repositories", "db", "domain", "error", "concurrency", "signatures"],
        except: &[],
        crates: NO_PROTOCOLS,
    },
    Layer {
        name: "services",
        modules: &[
            "domain", "db", "repositories", "loaders", "events", "jobs", "integrations", "auth", "context", "error",
            "concurrency", "trace",
        ],
        except: &[],
        crates: Crates::Except(&[
            "async_graphql", "async_graphql_poem", "poem", "poem_lambda", "lambda_http", "diesel", "diesel_async",
        ]),
    },
    Layer {
        name: "listeners",
        modules: &["services", "integrations", "jobs", "events", "domain", "context", "error", "concurrency"],
        except: &[],
        crates: NO_DATABASE,
    },
    Layer {
        name: "graphql",
        modules: &["services", "loaders", "events", "auth", "domain", "error", "context", "concurrency"],
        except: &[],
        crates: NO_DATABASE,
    },
    Layer {
        name: "pages",
        modules: &["services", "auth", "domain", "error", "context"],
        except: &[],
        crates: Crates::Except(&[
            "async_graphql", "async_graphql_poem", "poem", "poem_lambda", "lambda_http", "diesel", "diesel_async",
            "diesel_migrations", "tokio_postgres", "tokio_postgres_rustls", "libsqlite3_sys",
        ]),
    },
// HTTP creates the context of an operation, including its loaders and its statement counter.
    Layer {
        name: "http",
        modules: &[
            "app", "graphql", "pages", "services", "auth", "telemetry", "config", "context", "domain", "error", "loaders",
            "db", "concurrency", "trace",
        ],
        except: &["db::Conn", "db::Tx", "db::schema"],
        crates: NO_DATABASE,
    },
    Layer {
        name: "backup",
        modules: &["auth", "config", "db", "domain", "error", "files", "repositories", "services", "signatures"],
        except: &["db::Conn", "db::Tx", "db::schema"],
        crates: Crates::Except(&[
            "async_graphql", "async_graphql_poem", "poem", "poem_lambda", "lambda_http", "diesel", "diesel_async",
            "diesel_migrations", "tokio_postgres", "tokio_postgres_rustls", "libsqlite3_sys",
        ]),
    },
    Layer {
        name: "cli",
        modules: &[
            "app", "backup", "graphql", "http", "services", "auth", "telemetry", "config", "context", "domain", "error", "db",
        ],
        except: &["db::Conn", "db::Tx", "db::schema"],
        crates: NO_DATABASE,
    },
// Modules beside the layers.
    Layer {
        name: "error",
        modules: &["db", "domain"],
        except: &[],
        crates: Crates::Only(&["serde", "thiserror", "tracing"]),
    },
    Layer { name: "context", modules: &["db", "domain", "error"], except: &[], crates: NO_PROTOCOLS },
    Layer { name: "config", modules: &["auth", "concurrency", "db", "domain", "events", "integrations", "services"], except: &[], crates: NO_PROTOCOLS },
    Layer { name: "files", modules: &[], except: &[], crates: Crates::Only(&["tempfile"]) },
    Layer { name: "signatures", modules: &[], except: &[], crates: Crates::Only(&["base16ct", "ring", "subtle"]) },
    Layer { name: "telemetry", modules: &["config", "domain", "trace"], except: &[], crates: NO_PROTOCOLS },
    Layer { name: "trace", modules: &["domain"], except: &[], crates: Crates::Only(&["tracing", "tracing_subscriber"]) },
    Layer {
        name: "app",
        modules: &[
            "auth", "concurrency", "config", "context", "db", "domain", "error", "events", "files", "graphql", "integrations",
            "jobs", "listeners", "loaders", "pages", "repositories", "services", "telemetry",
        ],
        except: &[],
        crates: ANY,
    },
];

/// The maximum number of lines of a file.
const MAX_LINES: usize = 600;

/// The maximum number of lines of a function in `src/`, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 60;

/// The maximum width of a comment, in characters, except tables and samples.
const MAX_COMMENT_WIDTH: usize = 100;

/// Code that must not be committed.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[allow(", "#![allow("];

/// Dependencies that are listed only for their features: SQLite is built from source.
const ONLY_FOR_FEATURES: &[&str] = &["libsqlite3_sys"];

/// The only file that may contain unsafe code.
const UNSAFE_FILE: &str = "src/db/sqlite_deadline.rs";

/// Meaningless names of modules.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

/// Directories of a developer's machine.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Use", "rs/"), concat!("/ro", "ot/"), concat!("C:", "\\")];

#[test]
fn the_source_is_tidy() {
    let crates = dependencies();
    let mut files = Source::read_all("src", &[".rs"]);
    let cycles = cycles::cycles(&files);
    let unused = unused_dependencies(&crates, &files);
    files.extend(Source::read_all("tests", &[".rs"]));
    let mut problems: Vec<String> = files.iter().flat_map(|source| problems(source, &crates)).collect();
    problems.extend(cycles.into_iter().chain(unused));
    let others = Source::read_all("tests/clients", &[".mjs", ".js", ".json"]).into_iter();
    let others = others.chain(Source::read_all("migrations", &[".sql"]));
    problems.extend(others.flat_map(|source| machine_paths(&source)));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_rule_is_enforced() {
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    let long_function = function_of(MAX_FUNCTION_LINES + 1);
    let wide = format!("fn f() {{\n    // {}\n}}", "x".repeat(MAX_COMMENT_WIDTH));
    let offenders = [
        ("src/domain/x.rs", "use crate::db::Conn;", "domain uses crate::db::Conn"),
        ("src/domain/x.rs", "use std::{fmt, sync}; use tokio::sync::mpsc;", "domain uses tokio::sync::mpsc"),
        ("src/domain/x.rs", "fn f() { super::super::db::open() }", "domain uses crate::db::open"),
        ("src/db/x.rs", "use crate::services::Products;", "db uses crate::services::Products"),
        ("src/repositories/x.rs", "use crate::{db::{Conn, Tx}};", "repositories uses crate::db::Tx"),
        ("src/repositories/x.rs", "fn f(db: &crate::db::Db) {}", "repositories uses crate::db::Db"),
        ("src/repositories/x.rs", "use crate::events;", "repositories uses crate::events"),
        ("src/loaders/x.rs", "use crate::services::Shop;", "loaders uses crate::services::Shop"),
        ("src/auth/x.rs", "use crate::http::serve;", "auth uses crate::http::serve"),
        ("src/services/x.rs", "use async_graphql::ID;", "services uses async_graphql::ID"),
        ("src/services/x.rs", "use diesel::prelude::*;", "services uses diesel::prelude::*"),
        ("src/services/x.rs", "use crate::listeners::mail;", "services uses crate::listeners::mail"),
        ("src/listeners/x.rs", "use crate::graphql::Schema;", "listeners uses crate::graphql::Schema"),
        (
            "src/graphql/x.rs",
            "use crate::repositories::products;",
            "graphql uses crate::repositories::products",
        ),
        ("src/graphql/x.rs", "use crate::db::DbError;", "graphql uses crate::db::DbError"),
        ("src/http/x.rs", "use crate::repositories::products;", "http uses crate::repositories::products"),
        ("src/cli/x.rs", "use diesel::sql_query;", "cli uses diesel::sql_query"),
        ("src/shiny/x.rs", "use crate::db::Db;", "`shiny` has no row in the table of layers"),
        ("src/db/x.rs", long.as_str(), "601 lines"),
        ("src/db/x.rs", long_function.as_str(), "src/db/x.rs:2: `long` has 61 lines"),
        ("src/db/x.rs", wide.as_str(), "src/db/x.rs:3: a comment is 107 characters wide"),
        ("src/db/x.rs", "// Not about the module.\nfn f() {}", "does not begin with a `//!` comment"),
        ("src/db/x.rs", "fn f() { todo!() }", "todo!"),
        ("src/db/x.rs", "fn f() { unimplemented!() }", "unimplemented!"),
        ("src/db/x.rs", "fn f() { dbg!(1); }", "dbg!"),
        ("src/db/x.rs", "#[allow(dead_code)] fn f() {}", "#[allow("),
        ("src/db/x.rs", "fn f() { unsafe { g() } }", "unsafe code"),
        ("src/db/helpers.rs", "fn f() {}", "`helpers` says nothing"),
        ("src/utils/x.rs", "fn f() {}", "`utils` says nothing"),
        ("src/db/x.rs", "mod common { }", "`common` says nothing"),
        (
            "src/db/x.rs",
            concat!("const X: &str = \"/ho", "me/someone/x\";"),
            "a path of a developer's machine",
        ),
    ];
    let crates = dependencies();
    for (path, text, expected) in offenders {
        let text = if text.starts_with("//") { text.to_owned() } else { format!("//! A sample.\n{text}") };
        let found = problems(&Source::new(path, &text), &crates);
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "`{text}` in {path}: {found:?}, not {expected}"
        );
    }
}

#[test]
fn unused_dependencies_are_found() {
    let crates = ["tokio", "bytes", "uuid", "libsqlite3_sys"].map(str::to_owned);
    let sources = [Source::new("src/x.rs", "use tokio::sync; fn f(bytes: uuid::Uuid) {}")];
    assert_eq!(unused_dependencies(&crates, &sources), ["Cargo.toml: nothing uses `bytes`"]);
}

#[test]
fn allowed_code_has_no_problems() {
    let text = "//! A sample.\n\
        use crate::{db::{Conn, DbError}, domain::ids::ProductId};\n\
        use diesel::prelude::*;\n\
        /// Not a dbg! nor a use of crate::services.\n\
        fn f<'a>(_: &'a str) { let _ = ('\"', \"crate::graphql\"); }\n";
    assert_eq!(problems(&Source::new("src/repositories/x.rs", text), &dependencies()), Vec::<String>::new());
}

#[test]
fn functions_of_maximum_length_and_outside_of_src_are_allowed() {
    let found = |path: &str, lines| functions(&Source::new(path, &function_of(lines)));
    assert_eq!(found("src/db/x.rs", MAX_FUNCTION_LINES), Vec::<String>::new());
    assert_eq!(found("tests/it/x.rs", MAX_FUNCTION_LINES + 1), Vec::<String>::new());
    let generated = format!("// @generated\n{}", function_of(MAX_FUNCTION_LINES + 1));
    assert_eq!(functions(&Source::new("src/db/x.rs", &generated)), Vec::<String>::new());
}

/// A function with this number of lines.
fn function_of(lines: usize) -> String {
    format!("fn long() {{{}}}\n", "\n".repeat(lines - 1))
}

/// All problems of a file.
fn problems(source: &Source, crates: &[String]) -> Vec<String> {
    let checks = [
        layers(source, crates),
        shape(source),
        functions(source),
        comments(source),
        leftovers(source),
        unsafety(source),
        names(source),
        machine_paths(source),
    ];
    checks.into_iter().flatten().collect()
}

fn layers(source: &Source, crates: &[String]) -> Vec<String> {
    let path = &source.path;
    let module = source.module();
    let Some(name) = module.first().filter(|_| path.starts_with("src/")) else { return Vec::new() };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == *name) else {
        return vec![format!("{path}: `{name}` has no row in the table of layers, in tests/it/tidy.rs")];
    };
    let named = source.names();
    let forbidden = named.iter().filter(|named| !layer.may_use(&named.parts, crates));
    forbidden.map(|named| format!("{path}:{}: {name} uses {}", named.line, named.parts.join("::"))).collect()
}

impl Layer {
    fn may_use(&self, parts: &[String], crates: &[String]) -> bool {
        let [first, rest @ ..] = parts else { return true };
        if first != "crate" {
            let first = first.as_str();
            return match self.crates {
                Crates::Only(these) => these.contains(&first) || !crates.iter().any(|known| known == first),
                Crates::Except(these) => !these.contains(&first),
            };
        }
        let Some(module) = rest.first().filter(|module| LAYERS.iter().any(|layer| layer.name == **module))
        else {
            return true;
        };
        let is_allowed = module == self.name || self.modules.contains(&module.as_str());
        let item = rest.iter().take(2).map(String::as_str).collect::<Vec<_>>().join("::");
        is_allowed && !self.except.contains(&item.as_str())
    }
}

/// The names of all dependencies in code.
fn dependencies() -> Vec<String> {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names =
        section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    let names: Vec<String> = names.collect();
    assert!(names.iter().any(|name| name == "tokio"), "Cargo.toml can't be read: {names:?}");
    names
}

/// The dependencies that no file uses.
fn unused_dependencies(crates: &[String], sources: &[Source]) -> Vec<String> {
    let is_named = |name: &str| {
        let is_first = |named: &source::Named| named.parts.first().is_some_and(|first| first == name);
        sources.iter().any(|source| source.code.contains(name) && source.names().iter().any(is_first))
    };
    let unused = crates.iter().filter(|name| !ONLY_FOR_FEATURES.contains(&name.as_str()) && !is_named(name));
    unused.map(|name| format!("Cargo.toml: nothing uses `{name}`")).collect()
}

fn shape(source: &Source) -> Vec<String> {
    let path = &source.path;
    let lines = source.text.lines().count();
    let too_long =
        (lines > MAX_LINES).then(|| format!("{path}: {lines} lines, and the limit is {MAX_LINES}"));
    if source.is_generated() {
        return Vec::new();
    }
    let undescribed = !source.text.trim_start().starts_with("//!");
    let undescribed =
        undescribed.then(|| format!("{path}: does not begin with a `//!` comment that says what it is for"));
    too_long.into_iter().chain(undescribed).collect()
}

fn functions(source: &Source) -> Vec<String> {
    let path = &source.path;
    if source.is_generated() || !path.starts_with("src/") {
        return Vec::new();
    }
    let found = source.functions().into_iter().filter(|function| function.lines > MAX_FUNCTION_LINES);
    let problem = |function: Function| {
        let Function { line, name, lines } = function;
        format!("{path}:{line}: `{name}` has {lines} lines, and the limit is {MAX_FUNCTION_LINES}")
    };
    found.map(problem).collect()
}

fn comments(source: &Source) -> Vec<String> {
    let mut is_sample = false;
    let mut found = Vec::new();
    for (line, number) in source.text.lines().zip(1..) {
        let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
        let text = comment.trim_start_matches(['/', '!']).trim_start();
        is_sample ^= text.starts_with("```");
        let width = line.chars().count();
        if width > MAX_COMMENT_WIDTH && !is_sample && !text.starts_with('|') {
            found.push(format!("{}:{number}: a comment is {width} characters wide", source.path));
        }
    }
    found
}

fn leftovers(source: &Source) -> Vec<String> {
    let lines = source.code.lines().zip(1..);
    let found = lines.flat_map(|(line, number)| {
        let found = LEFTOVERS.iter().filter(move |leftover| line.contains(**leftover));
        found.map(move |leftover| (number, *leftover))
    });
    found.map(|(number, leftover)| format!("{}:{number}: {leftover}", source.path)).collect()
}

fn unsafety(source: &Source) -> Vec<String> {
    let mut words = source.code.split(|c: char| !c.is_alphanumeric() && c != '_');
    let is_unsafe = source.path != UNSAFE_FILE && words.any(|word| word == "unsafe");
    let problem = format!("{}: unsafe code, which only {UNSAFE_FILE} may have", source.path);
    if is_unsafe { vec![problem] } else { Vec::new() }
}

fn names(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs").split('/');
    let declared = source
        .code
        .split("mod ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
    let empty = path.chain(declared).filter(|name| EMPTY_NAMES.contains(name));
    empty.map(|name| format!("{}: `{name}` says nothing: name it for what it holds", source.path)).collect()
}

fn machine_paths(source: &Source) -> Vec<String> {
    let lines = source.text.lines().zip(1..);
    let found = lines.filter(|(line, _)| MACHINE_PATHS.iter().any(|path| line.contains(path)));
    found.map(|(_, number)| format!("{}:{number}: a path of a developer's machine", source.path)).collect()
}
