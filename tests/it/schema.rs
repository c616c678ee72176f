//! The schema: it is equal to `schema.graphql`, everything is described and follows the naming
//! conventions, and introspection hides what a caller may not use.

mod names;

use mercato::domain::access::permissions::Permission;
use serde_json::Value;

use crate::support::{Client, TestApp};

const INTROSPECTION: &str = "
    query {
        __schema {
            queryType { name }
            mutationType { name }
            subscriptionType { name }
            types {
                kind name description
                fields(includeDeprecated: true) {
                    name description type { ...Type } args(includeDeprecated: true) { name description type { ...Type } }
                }
                inputFields(includeDeprecated: true) { name description type { ...Type } }
                enumValues(includeDeprecated: true) { name description }
            }
            directives { name description args(includeDeprecated: true) { name description } }
        }
    }
    fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The scalars that every GraphQL schema has.
const BUILT_IN: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// The schema as a client sees it, without GraphQL's own types.
pub struct Introspected(Value);

impl Introspected {
    /// Introspects the schema.
    pub async fn by(client: &Client) -> Self {
        Self(client.ask(INTROSPECTION).await.ok()["__schema"].clone())
    }

    /// All types.
    pub fn types(&self) -> impl Iterator<Item = &Value> {
        let types = self.0["types"].as_array().unwrap().iter();
        types.filter(|of| !name(of).starts_with("__") && !BUILT_IN.contains(&name(of)))
    }

    /// Finds a type by its name.
    pub fn find(&self, wanted: &str) -> Option<&Value> {
        self.types().find(|of| name(of) == wanted)
    }

    /// The fields of the root type with the role `queryType`, `mutationType` or `subscriptionType`;
    /// none if it is hidden.
    pub fn root_fields(&self, root: &str) -> Vec<&Value> {
        let root = self.0[root]["name"].as_str().and_then(|root| self.find(root));
        root.map_or(Vec::new(), |root| list(root, "fields"))
    }

    /// Whether a type is a root type.
    pub fn is_root(&self, of: &str) -> bool {
        ["queryType", "mutationType", "subscriptionType"].iter().any(|root| self.0[root]["name"] == of)
    }

    /// The fields of all types, such as `Product.title`.
    pub fn fields(&self) -> Vec<String> {
        let of_type =
            |of| list(of, "fields").into_iter().map(move |field| format!("{}.{}", name(of), name(field)));
        self.types().flat_map(of_type).collect()
    }

    fn has(&self, field: &str) -> bool {
        self.fields().iter().any(|known| known == field)
    }
}

/// The name of a type, field, argument or value.
pub fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap()
}

fn list<'a>(of: &'a Value, what: &str) -> Vec<&'a Value> {
    of[what].as_array().map_or(Vec::new(), |items| items.iter().collect())
}

/// A type in the syntax of the schema: `[UserError!]!`.
pub fn written(of: &Value) -> String {
    match of["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", written(&of["ofType"])),
        "LIST" => format!("[{}]", written(&of["ofType"])),
        _ => name(of).to_owned(),
    }
}

fn field_type(of: &Value, field: &str) -> Option<String> {
    list(of, "fields").into_iter().find(|known| name(known) == field).map(|known| written(&known["type"]))
}

/// Everything that has a name, with its path: `Product`, `Product.images`,
/// `Product.images(first:)`.
fn elements(schema: &Introspected) -> Vec<(String, &Value)> {
    let mut elements = Vec::new();
    let mut add = |path: String, of, inner: &str, open: &str, close: &str| {
        elements.push((path.clone(), of));
        let inner = list(of, inner).into_iter();
        elements.extend(inner.map(|item| (format!("{path}{open}{}{close}", name(item)), item)));
    };
    for of in schema.types() {
        add(name(of).to_owned(), of, "enumValues", ".", "");
        add(name(of).to_owned(), of, "inputFields", ".", "");
        for field in list(of, "fields") {
            add(format!("{}.{}", name(of), name(field)), field, "args", "(", ":)");
        }
    }
    for directive in list(&schema.0, "directives") {
        add(format!("@{}", name(directive)), directive, "args", "(", ":)");
    }
    elements
}

fn is_pascal_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_camel_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_screaming_snake_case(name: &str) -> bool {
    name.split('_')
        .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "callers make it on the spot")]
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn schema_graphql_is_up_to_date() {
    let committed = include_str!("../../schema.graphql");
    let served = mercato::graphql::sdl();
    let difference =
        committed.lines().zip(served.lines()).zip(1..).find(|((committed, served), _)| committed != served);
    if let Some(((committed, served), line)) = difference {
        panic!(
            "schema.graphql has `{committed}` in line {line}, and the schema has `{served}`.\n\
             If this is intended, run: cargo run -- schema > schema.graphql"
        );
    }
    assert_eq!(
        committed.len(),
        served.len(),
        "schema.graphql is out of date; run: cargo run -- schema > schema.graphql"
    );
}

#[tokio::test]
async fn everything_has_a_description() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let is_described = |of: &Value| of["description"].as_str().is_some_and(|text| !text.trim().is_empty());
    let elements = elements(&schema).into_iter();
    assert_none(
        "without a description",
        elements.filter(|(_, of)| !is_described(of)).map(|(path, _)| path).collect(),
    );
}

#[tokio::test]
async fn names_follow_the_case_conventions() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let off_convention = |(path, of): (String, &Value)| {
        let name = name(of);
        let follows = if of["kind"].is_string() {
            is_pascal_case(name)
        } else if is_value(&schema, &path) {
            is_screaming_snake_case(name)
        } else {
            is_camel_case(name)
        };
        (!follows).then_some(path)
    };
    assert_none(
        "names that violate the conventions",
        elements(&schema).into_iter().filter_map(off_convention).collect(),
    );
    // The check can fail.
    assert!(!is_pascal_case("money_v2") && !is_camel_case("ProductCreate") && !is_camel_case("page_info"));
    assert!(!is_screaming_snake_case("bestSelling") && !is_screaming_snake_case("BEST__SELLING"));
}

/// Whether a type is a list of user errors: of `UserError`, or a specific type such as
/// `CartUserError`.
fn is_list_of_errors(written: &str) -> bool {
    written.strip_prefix('[').and_then(|rest| rest.strip_suffix("UserError!]!")).is_some()
}

fn is_value(schema: &Introspected, path: &str) -> bool {
    let of = path.split_once('.').and_then(|(of, _)| schema.find(of));
    of.is_some_and(|of| of["kind"] == "ENUM")
}

#[tokio::test]
async fn every_mutation_returns_a_payload_with_user_errors() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let mutations = schema.root_fields("mutationType");
    assert!(!mutations.is_empty());
    let wrong = mutations.into_iter().filter_map(|field| {
        let (first, rest) = name(field).split_at(1);
        let payload = format!("{}{rest}Payload", first.to_uppercase());
        let errors = schema.find(&payload).and_then(|payload| field_type(payload, "userErrors"));
        let is_right = written(&field["type"]) == format!("{payload}!")
            && errors.as_deref().is_some_and(is_list_of_errors);
        (!is_right).then(|| {
            format!("{} returns {}, with userErrors of type {errors:?}", name(field), written(&field["type"]))
        })
    });
    assert_none("mutations without a payload that has `userErrors: [UserError!]!`", wrong.collect());
}

#[tokio::test]
async fn every_connection_has_edges_nodes_and_page_info() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let connections: Vec<&Value> = schema.types().filter(|of| name(of).ends_with("Connection")).collect();
    assert!(connections.len() > 3);
    let wrong = connections.into_iter().filter(|connection| {
        let kind = name(connection).trim_end_matches("Connection");
        let edge = schema.find(&format!("{kind}Edge"));
        let node = edge.and_then(|edge| field_type(edge, "node"));
        let has = |field: &str, wanted: String| field_type(connection, field) == Some(wanted);
        !(node.is_some_and(|node| has("nodes", format!("[{node}]!")))
            && has("edges", format!("[{kind}Edge!]!"))
            && has("pageInfo", "PageInfo!".to_owned())
            && edge.and_then(|edge| field_type(edge, "cursor")).as_deref() == Some("String!"))
    });
    assert_none("invalid connections", wrong.map(|connection| name(connection).to_owned()).collect());
}

#[tokio::test]
async fn introspection_hides_fields_and_types_without_permission() {
    let app = TestApp::sqlite().await;
    let guarded =
        ["Mutation.productCreate", "QueryRoot.locations", "Product.status", "ProductVariant.inventoryLevels"];
    let admin = Introspected::by(&app.admin()).await;
    for field in guarded {
        assert!(admin.has(field), "the admin does not see {field}");
    }
    for client in [app.anonymous(), app.customer(), app.staff(&[])] {
        let seen = Introspected::by(&client).await;
        for field in guarded {
            assert!(!seen.has(field), "{client:?} sees {field}");
        }
        assert!(seen.has("QueryRoot.products") && seen.has("Product.title"));
        for hidden in
            ["ProductCreateInput", "ProductCreatePayload", "InventoryLevel", "Location", "ProductStatus"]
        {
            assert!(seen.find(hidden).is_none(), "{client:?} sees the type {hidden}");
        }
    }
}

#[tokio::test]
async fn the_visible_schema_is_consistent_for_every_caller() {
    let app = TestApp::sqlite().await;
    let mut clients = vec![app.anonymous(), app.customer(), app.admin()];
    clients.extend(Permission::ALL.iter().map(|permission| app.staff(&[*permission])));
    for client in clients {
        let seen = Introspected::by(&client).await;
        let is_seen = |of: &Value| seen.find(innermost(of)).is_some() || BUILT_IN.contains(&innermost(of));
        let hidden =
            elements(&seen).into_iter().filter(|(_, of)| of["type"].is_object() && !is_seen(&of["type"]));
        let hidden = hidden.map(|(path, of)| format!("{path} has the hidden type {}", written(&of["type"])));
        // A type without visible fields is invalid, and breaks GraphiQL.
        let empty = seen.types().filter(|of| of["kind"] == "OBJECT" && list(of, "fields").is_empty());
        let empty = empty.map(|of| format!("{} is visible, but none of its fields", name(of)));
        assert_none(&format!("for {client:?}"), hidden.chain(empty).collect());
    }
}

/// The named type within a type: `UserError` of `[UserError!]!`.
fn innermost(of: &Value) -> &str {
    if of["ofType"].is_object() { innermost(&of["ofType"]) } else { name(of) }
}
