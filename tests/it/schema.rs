//! The schema as its readers see it: printed in `schema.graphql`, described throughout, named by one convention, and showing
//! nobody what is not for them.

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
    /// Asks for it.
    pub async fn by(client: &Client) -> Self {
        Self(client.ask(INTROSPECTION).await.ok()["__schema"].clone())
    }

    /// The types.
    pub fn types(&self) -> impl Iterator<Item = &Value> {
        let types = self.0["types"].as_array().unwrap().iter();
        types.filter(|of| !name(of).starts_with("__") && !BUILT_IN.contains(&name(of)))
    }

    /// A type by its name.
    pub fn find(&self, wanted: &str) -> Option<&Value> {
        self.types().find(|of| name(of) == wanted)
    }

    /// The fields of the root that `queryType`, `mutationType` or `subscriptionType` names; none where it is hidden.
    pub fn root_fields(&self, root: &str) -> Vec<&Value> {
        let root = self.0[root]["name"].as_str().and_then(|root| self.find(root));
        root.map_or(Vec::new(), |root| list(root, "fields"))
    }

    /// Whether a type is a root.
    pub fn is_root(&self, of: &str) -> bool {
        ["queryType", "mutationType", "subscriptionType"].iter().any(|root| self.0[root]["name"] == of)
    }

    /// The fields of all types: `Product.title`.
    pub fn fields(&self) -> Vec<String> {
        let of_type =
            |of| list(of, "fields").into_iter().map(move |field| format!("{}.{}", name(of), name(field)));
        self.types().flat_map(of_type).collect()
    }

    fn has(&self, field: &str) -> bool {
        self.fields().iter().any(|known| known == field)
    }
}

/// The name of a type, a field, an argument or a value.
pub fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap()
}

fn list<'a>(of: &'a Value, what: &str) -> Vec<&'a Value> {
    of[what].as_array().map_or(Vec::new(), |items| items.iter().collect())
}

/// A type as the schema's language writes it: `[UserError!]!`.
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

/// Everything that has a name, by its place: `Product`, `Product.images`, `Product.images(first:)`.
fn places(schema: &Introspected) -> Vec<(String, &Value)> {
    let mut places = Vec::new();
    let mut put = |place: String, of, inner: &str, open: &str, close: &str| {
        places.push((place.clone(), of));
        let inner = list(of, inner).into_iter();
        places.extend(inner.map(|item| (format!("{place}{open}{}{close}", name(item)), item)));
    };
    for of in schema.types() {
        put(name(of).to_owned(), of, "enumValues", ".", "");
        put(name(of).to_owned(), of, "inputFields", ".", "");
        for field in list(of, "fields") {
            put(format!("{}.{}", name(of), name(field)), field, "args", "(", ":)");
        }
    }
    for directive in list(&schema.0, "directives") {
        put(format!("@{}", name(directive)), directive, "args", "(", ":)");
    }
    places
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
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    let committed = include_str!("../../schema.graphql");
    let served = mercato::graphql::sdl();
    let difference =
        committed.lines().zip(served.lines()).zip(1..).find(|((committed, served), _)| committed != served);
    if let Some(((committed, served), line)) = difference {
        panic!(
            "schema.graphql has `{committed}` in line {line}, and the schema has `{served}`.\n\
             If that is meant: cargo run -- schema > schema.graphql"
        );
    }
    assert_eq!(
        committed.len(),
        served.len(),
        "one is longer than the other: cargo run -- schema > schema.graphql"
    );
}

#[tokio::test]
async fn everything_is_described() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let is_described = |of: &Value| of["description"].as_str().is_some_and(|text| !text.trim().is_empty());
    let places = places(&schema).into_iter();
    assert_none(
        "not described",
        places.filter(|(_, of)| !is_described(of)).map(|(place, _)| place).collect(),
    );
}

#[tokio::test]
async fn names_follow_one_convention() {
    let schema = Introspected::by(&TestApp::sqlite().await.admin()).await;
    let off_convention = |(place, of): (String, &Value)| {
        let name = name(of);
        let follows = if of["kind"].is_string() {
            is_pascal_case(name)
        } else if is_value(&schema, &place) {
            is_screaming_snake_case(name)
        } else {
            is_camel_case(name)
        };
        (!follows).then_some(place)
    };
    assert_none("off convention", places(&schema).into_iter().filter_map(off_convention).collect());
    // The check is one that can fail.
    assert!(!is_pascal_case("money_v2") && !is_camel_case("ProductCreate") && !is_camel_case("page_info"));
    assert!(!is_screaming_snake_case("bestSelling") && !is_screaming_snake_case("BEST__SELLING"));
}

/// `UserError`, or one of the kinds that storefronts name in fragments, such as `CartUserError`.
fn is_list_of_errors(written: &str) -> bool {
    written.strip_prefix('[').and_then(|rest| rest.strip_suffix("UserError!]!")).is_some()
}

fn is_value(schema: &Introspected, place: &str) -> bool {
    let of = place.split_once('.').and_then(|(of, _)| schema.find(of));
    of.is_some_and(|of| of["kind"] == "ENUM")
}

#[tokio::test]
async fn every_mutation_gives_its_user_errors() {
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
            format!("{} gives {}, its userErrors are {errors:?}", name(field), written(&field["type"]))
        })
    });
    assert_none("no `…Payload!` with `userErrors: [UserError!]!` or a kind of it", wrong.collect());
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
    assert_none("no connection", wrong.map(|connection| name(connection).to_owned()).collect());
}

#[tokio::test]
async fn what_is_guarded_is_invisible_to_those_who_may_not_use_it() {
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
async fn what_anybody_sees_fits_together() {
    let app = TestApp::sqlite().await;
    let mut clients = vec![app.anonymous(), app.customer(), app.admin()];
    clients.extend(Permission::ALL.iter().map(|permission| app.staff(&[*permission])));
    for client in clients {
        let seen = Introspected::by(&client).await;
        let is_seen = |of: &Value| seen.find(innermost(of)).is_some() || BUILT_IN.contains(&innermost(of));
        let lost =
            places(&seen).into_iter().filter(|(_, of)| of["type"].is_object() && !is_seen(&of["type"]));
        let lost = lost.map(|(place, of)| format!("{place} is {}, which is hidden", written(&of["type"])));
        // A type that has all its fields hidden is no valid type: GraphiQL, for one, stumbles over it.
        let bare = seen.types().filter(|of| of["kind"] == "OBJECT" && list(of, "fields").is_empty());
        let bare = bare.map(|of| format!("{} is shown, and none of its fields", name(of)));
        assert_none(&format!("for {client:?}"), lost.chain(bare).collect());
    }
}

/// The name in a type: `UserError` of `[UserError!]!`.
fn innermost(of: &Value) -> &str {
    if of["ofType"].is_object() { innermost(&of["ofType"]) } else { name(of) }
}
