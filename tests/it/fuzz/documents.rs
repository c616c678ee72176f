//! Generates documents for the schema: random fields with mostly valid arguments, with aliases,
//! fragments, directives and variables.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::schema::{name, written};
use crate::support::Client;

const INTROSPECTION: &str = "
    query {
        __schema {
            queryType { name } mutationType { name } subscriptionType { name }
            types {
                kind name
                fields(includeDeprecated: true) {
                    name type { ...Type }
                    args(includeDeprecated: true) { name defaultValue type { ...Type } }
                }
                inputFields(includeDeprecated: true) { name defaultValue type { ...Type } }
                enumValues(includeDeprecated: true) { name }
                possibleTypes { name }
            }
        }
    }
    fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The maximum nesting of fields.
const MAX_DEPTH: usize = 7;
/// The approximate maximum number of fields in a document.
const MAX_FIELDS: usize = 60;
/// The maximum nesting of input objects.
const MAX_INPUT_DEPTH: usize = 4;

/// Texts that may be mishandled.
const TEXTS: &[&str] = &[
    "",
    "mug",
    "Mug",
    "title:mu* OR tag:'a b' -vendor:x",
    "price:>=1,2 ((",
    "ada@example.com",
    "Tasse ☕ ÄÖ \u{202e}",
    "a\u{0}b",
    "\"\\\n\t'; DROP TABLE products; --",
    "%_%",
    "<script>x</script>",
    "70726f64756374730a",
    "USD",
    "DE",
    "en",
    "00000000-0000-7000-8000-000000000000",
];

/// Valid and invalid values of scalars.
const DECIMALS: &[&str] = &["0", "10.00", "0.001", "-1", "99999999999999999999", "1e9", "NaN", ""];
const DATE_TIMES: &[&str] = &[
    "2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "0000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "now",
];
const DATES: &[&str] = &["2026-01-01", "9999-12-31", "0000-01-01", "2026-02-30", ""];
const URLS: &[&str] = &["https://shop.invalid/x", "http://127.0.0.1:1/", "javascript:alert(1)", "/a.jpg", ""];
const PAGE_SIZES: &[i64] = &[1, 2, 5, 20, 250, 0, -1, 251, 2_147_483_647];
const NUMBERS: &[i64] = &[0, 1, 2, 100, -1, 2_147_483_647, -2_147_483_648, 2_147_483_648];

/// A fixed sequence of random choices. When it is exhausted, the first option is always chosen.
pub struct Choices(std::vec::IntoIter<u16>);

impl Choices {
    /// Creates the choices from random numbers.
    pub fn new(numbers: Vec<u16>) -> Self {
        Self(numbers.into_iter())
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().unwrap_or_default()) % limit.max(1)
    }

    /// True about once in `times` calls, and never when the choices are exhausted.
    fn is_one_in(&mut self, times: usize) -> bool {
        self.below(times) == 1
    }

    fn pick<'t, T: ?Sized>(&mut self, items: &[&'t T]) -> Option<&'t T> {
        items.get(self.below(items.len())).copied()
    }
}

/// A document and its variables.
#[derive(Clone, Debug)]
pub struct Request {
    pub document: String,
    pub variables: Value,
}

/// The schema, by introspection.
pub struct Schema {
    types: HashMap<String, Value>,
    /// The root types for queries, mutations and subscriptions.
    roots: [String; 3],
}

impl Schema {
    /// The schema that a client sees.
    pub async fn of(client: &Client) -> Self {
        let reply = client.ask(INTROSPECTION).await.ok();
        let schema = &reply["__schema"];
        let types = schema["types"].as_array().unwrap().iter();
        let types = types.map(|of| (name(of).to_owned(), of.clone())).collect();
        let roots =
            ["queryType", "mutationType", "subscriptionType"].map(|root| name(&schema[root]).to_owned());
        Self { types, roots }
    }

    fn list(&self, of: &str, what: &str) -> Vec<&Value> {
        let items = self.types.get(of).and_then(|of| of[what].as_array());
        items.map_or(Vec::new(), |items| items.iter().collect())
    }

    fn kind(&self, of: &str) -> &str {
        self.types.get(of).and_then(|of| of["kind"].as_str()).unwrap_or_default()
    }

    fn has_fields(&self, of: &str) -> bool {
        matches!(self.kind(of), "OBJECT" | "INTERFACE" | "UNION")
    }
}

/// The name of a type without its list and non-null wrappers.
fn named_type(mut of: &Value) -> &str {
    while of["ofType"].is_object() {
        of = &of["ofType"];
    }
    of["name"].as_str().unwrap_or_default()
}

fn is_required(input: &Value) -> bool {
    input["type"]["kind"] == "NON_NULL" && input["defaultValue"].is_null()
}

/// The state of generating a document.
struct Generator<'a> {
    schema: &'a Schema,
    ids: &'a [String],
    choices: Choices,
    fields: usize,
    fragments: Vec<String>,
    /// The variable definitions of the operation.
    declarations: Vec<String>,
    variables: Map<String, Value>,
}

impl Request {
    /// Generates a document for a schema, with these global ids.
    pub fn generate(schema: &Schema, ids: &[String], choices: Choices) -> Self {
        let mut generator = Generator {
            schema,
            ids,
            choices,
            fields: 0,
            fragments: Vec::new(),
            declarations: Vec::new(),
            variables: Map::new(),
        };
        let document = generator.document();
        Self { document, variables: generator.variables.into() }
    }
}

impl Generator<'_> {
    fn document(&mut self) -> String {
        let (kind, root) = match self.choices.below(12) {
            8..=10 => ("mutation", 1),
            11 => ("subscription", 2),
            _ => ("query", 0),
        };
        let schema = self.schema;
        let selection = self.selection(&schema.roots[root], 0);
        let declared = match self.declarations.join(", ") {
            none if none.is_empty() => none,
            some => format!("({some})"),
        };
        format!("{kind} Made{declared} {{ {selection}}} {}", self.fragments.concat())
    }

    /// The fields of a selection set, without braces.
    fn selection(&mut self, of: &str, depth: usize) -> String {
        let count = 1 + self.choices.below(if depth == 0 { 2 } else { 4 });
        (0..count).map(|_| self.item(of, depth) + " ").collect()
    }

    fn item(&mut self, of: &str, depth: usize) -> String {
        if depth > MAX_DEPTH || self.fields > MAX_FIELDS {
            return "__typename".to_owned();
        }
        match self.choices.below(20) {
            17 => {
                let on = self.type_condition(of);
                let inner = self.selection(&on, depth + 1);
                format!("... on {on}{} {{ {inner}}}", self.directive())
            }
            18 => {
                let on = self.type_condition(of);
                let inner = self.selection(&on, depth + 1);
                let name = format!("Part{}", self.fragments.len());
                self.fragments.push(format!("fragment {name} on {on} {{ {inner}}} "));
                format!("...{name}{}", self.directive())
            }
            19 => "__typename".to_owned(),
            _ => self.field(of, depth),
        }
    }

    /// A type for a fragment on `of`: usually a possible type or `of` itself, sometimes a wrong
    /// one.
    fn type_condition(&mut self, of: &str) -> String {
        if self.choices.is_one_in(30) {
            return "Product".to_owned();
        }
        let possible = self.schema.list(of, "possibleTypes");
        let chosen = self.choices.pick(&possible);
        chosen.map_or_else(|| of.to_owned(), |of| name(of).to_owned())
    }

    fn directive(&mut self) -> &'static str {
        match self.choices.below(16) {
            13 => " @include(if: true)",
            14 => " @skip(if: false)",
            15 => " @include(if: false)",
            _ => "",
        }
    }

    fn field(&mut self, of: &str, depth: usize) -> String {
        let fields = self.schema.list(of, "fields");
        let Some(field) = self.choices.pick(&fields) else { return "__typename".to_owned() };
        self.fields += 1;
        // Most fields have a unique alias, so that they don't conflict.
        let alias = if self.choices.is_one_in(8) { String::new() } else { format!("f{}: ", self.fields) };
        let (arguments, directive) = (self.arguments(field), self.directive());
        let ty = named_type(&field["type"]);
        let nested = if self.schema.has_fields(ty) {
            format!(" {{ {}}}", self.selection(ty, depth + 1))
        } else {
            String::new()
        };
        format!("{alias}{}{arguments}{directive}{nested}", name(field))
    }

    fn arguments(&mut self, field: &Value) -> String {
        let mut given = Vec::new();
        for argument in field["args"].as_array().into_iter().flatten() {
            let is_given = match name(argument) {
                "first" => !self.choices.is_one_in(20),
                "last" | "before" => self.choices.is_one_in(20),
                _ => is_required(argument) || self.choices.is_one_in(4),
            };
            // Sometimes a required argument is omitted.
            if is_given && !self.choices.is_one_in(60) {
                given.push(format!("{}: {}", name(argument), self.argument(argument)));
            }
        }
        if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) }
    }

    /// A literal or a variable.
    fn argument(&mut self, argument: &Value) -> String {
        let ty = &argument["type"];
        let value = match name(argument) {
            "first" | "last" => json!(PAGE_SIZES[self.choices.below(PAGE_SIZES.len())]),
            _ => self.value(ty, 0),
        };
        if !self.choices.is_one_in(4) {
            return self.literal(&value, named_type(ty));
        }
        let name = format!("v{}", self.declarations.len());
        self.declarations.push(format!("${name}: {}", written(ty)));
        self.variables.insert(name.clone(), value);
        format!("${name}")
    }

    /// A value of a type, as JSON.
    fn value(&mut self, ty: &Value, depth: usize) -> Value {
        if self.choices.is_one_in(50) {
            return self.wrong_value();
        }
        match ty["kind"].as_str() {
            Some("NON_NULL") => self.some_value(&ty["ofType"], depth),
            _ if self.choices.is_one_in(12) => Value::Null,
            _ => self.some_value(ty, depth),
        }
    }

    fn some_value(&mut self, ty: &Value, depth: usize) -> Value {
        let of = name_or_empty(ty);
        match ty["kind"].as_str().unwrap_or_default() {
            "LIST" => {
                let count = self.choices.below(4);
                (0..count).map(|_| self.value(&ty["ofType"], depth)).collect()
            }
            "ENUM" => {
                let values = self.schema.list(of, "enumValues");
                self.choices.pick(&values).map_or(Value::Null, |value| json!(name(value)))
            }
            "INPUT_OBJECT" => self.object(of, depth),
            _ => self.scalar(of),
        }
    }

    fn object(&mut self, of: &str, depth: usize) -> Value {
        let mut object = Map::new();
        for field in self.schema.list(of, "inputFields") {
            let may_be_given = depth < MAX_INPUT_DEPTH && self.choices.is_one_in(3);
            if is_required(field) || may_be_given {
                object.insert(name(field).to_owned(), self.value(&field["type"], depth + 1));
            }
        }
        object.into()
    }

    fn scalar(&mut self, of: &str) -> Value {
        let mut text = |texts: &[&str]| json!(self.choices.pick(texts));
        match of {
            "String" | "HTML" | "JSON" => match self.choices.below(20) {
                19 => json!("long ".repeat(1 + self.choices.below(500))),
                _ => json!(self.choices.pick(TEXTS)),
            },
            "ID" => match self.choices.below(8) {
                7 => json!(self.choices.pick(TEXTS)),
                _ => json!(self.ids.get(self.choices.below(self.ids.len()))),
            },
            "Boolean" => json!(self.choices.below(2) == 0),
            "Int" => json!(NUMBERS[self.choices.below(NUMBERS.len())]),
            "Float" => json!(NUMBERS[self.choices.below(NUMBERS.len())] as f64 / 3.0),
            "Decimal" => text(DECIMALS),
            "DateTime" => text(DATE_TIMES),
            "Date" => text(DATES),
            "URL" => text(URLS),
            _ => text(TEXTS),
        }
    }

    /// A value that is probably of the wrong type.
    fn wrong_value(&mut self) -> Value {
        match self.choices.below(6) {
            0 => json!("text"),
            1 => json!(1.5),
            2 => json!(true),
            3 => json!([[1, "a"], null]),
            4 => json!({ "key": { "key": 1 } }),
            _ => Value::Null,
        }
    }

    /// A value as a GraphQL literal. `of` is the name of its type, to recognize enum values.
    fn literal(&self, value: &Value, of: &str) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.literal(item, of)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(fields) => {
                let known = self.schema.list(of, "inputFields");
                let fields = fields.iter().map(|(key, value)| {
                    let field = known.iter().find(|field| name(field) == key);
                    let of = field.map_or("", |field| named_type(&field["type"]));
                    format!("{key}: {}", self.literal(value, of))
                });
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            Value::String(text) if self.schema.kind(of) == "ENUM" => text.clone(),
            // All other values are the same in JSON and GraphQL.
            other => other.to_string(),
        }
    }
}

fn name_or_empty(of: &Value) -> &str {
    of["name"].as_str().unwrap_or_default()
}
