//! Names that the schema or the document does not have: types, fields, arguments, values of enums,
//! fields of inputs, variables. Each is told with its place, what it was looked for in, and what
//! may be meant.
//!
//! Each part of a document is looked at once, fragments where they are defined, and the number of
//! errors is bounded. What else can be wrong is left to the library's validator.

use std::collections::{HashMap, HashSet};

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet, Type, VariableDefinition,
};
use async_graphql::registry::{MetaInputValue, MetaType};
use async_graphql::{Name, Pos, Positioned, ServerError};
use async_graphql_value::Value;

use crate::domain::spelling::did_you_mean;
use crate::graphql::type_system::{TypeSystem, concrete_name, is_non_null, item_type};

/// How many errors are told.
const MAX_ERRORS: usize = 20;
/// How much of a name that a client made up is told, in characters.
const MAX_SHOWN: usize = 50;

/// Everything that is named and is not there.
pub(in crate::graphql) fn check(types: &TypeSystem, document: &ExecutableDocument) -> Vec<ServerError> {
    let mut walk = Walk { types, errors: Vec::new(), part: Part::default() };
    let mut fragments: Vec<_> = document.fragments.iter().collect();
    fragments.sort_by_key(|(_, fragment)| place(fragment.pos));
    let mut parts = HashMap::new();
    for (name, fragment) in fragments {
        if walk.is_composite(&fragment.node.type_condition.node.on) {
            walk.set(&fragment.node.type_condition.node.on.node, &fragment.node.selection_set.node);
        }
        parts.insert(name.as_str(), std::mem::take(&mut walk.part));
    }
    let mut operations: Vec<_> = document.operations.iter().map(|(_, operation)| operation).collect();
    operations.sort_by_key(|operation| place(operation.pos));
    for operation in operations {
        walk.operation(&operation.node);
        let own = std::mem::take(&mut walk.part);
        walk.undeclared(&operation.node, &own, &parts);
    }
    walk.errors.sort_by_key(|error| error.locations.first().copied().map(place));
    walk.errors
}

struct Walk<'a> {
    types: &'a TypeSystem,
    errors: Vec<ServerError>,
    part: Part<'a>,
}

/// What an operation or a fragment uses of the rest of its document.
#[derive(Default)]
struct Part<'a> {
    variables: Vec<Use<'a>>,
    spreads: Vec<&'a str>,
}

/// A variable where it is used.
struct Use<'a> {
    name: &'a str,
    pos: Pos,
    /// The type that is wanted there, where it is known.
    ty: Option<&'a str>,
}

impl<'a> Walk<'a> {
    fn tell(&mut self, pos: Pos, message: String) {
        if !self.is_full() {
            self.errors.push(ServerError::new(message, Some(pos)));
        }
    }

    fn is_full(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    fn operation(&mut self, operation: &'a OperationDefinition) {
        for definition in &operation.variable_definitions {
            self.variable(definition);
        }
        self.directives(&operation.directives);
        self.set(self.types.root(operation.ty), &operation.selection_set.node);
    }

    fn variable(&mut self, definition: &'a Positioned<VariableDefinition>) {
        let ty = &definition.node.var_type;
        let name = base(&ty.node);
        if self.types.find(name).is_none() {
            let known = self.types.all().filter(|known| known.is_input()).map(MetaType::name);
            let hint = did_you_mean(name, known);
            self.tell(ty.pos, format!("Unknown type \"{}\".{hint}", shown(name)));
        }
    }

    /// Whether a type has fields; tells if there is none of this name.
    fn is_composite(&mut self, on: &'a Positioned<Name>) -> bool {
        let name = on.node.as_str();
        match self.types.find(name) {
            Some(found) => found.is_composite(),
            None if name.starts_with("__") => false,
            None => {
                let known = self.types.all().filter(|known| known.is_composite()).map(MetaType::name);
                let hint = did_you_mean(name, known);
                self.tell(on.pos, format!("Unknown type \"{}\".{hint}", shown(name)));
                false
            }
        }
    }

    fn set(&mut self, parent: &'a str, set: &'a SelectionSet) {
        for selection in &set.items {
            if self.is_full() {
                return;
            }
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => self.field(parent, field),
                Selection::InlineFragment(fragment) => {
                    let on = match &fragment.node.type_condition {
                        Some(condition) if !self.is_composite(&condition.node.on) => continue,
                        Some(condition) => condition.node.on.node.as_str(),
                        None => parent,
                    };
                    self.set(on, &fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    self.part.spreads.push(spread.node.fragment_name.node.as_str());
                }
            }
        }
    }

    fn field(&mut self, parent: &'a str, field: &'a Positioned<Field>) {
        let types = self.types;
        let name = &field.node.name;
        let Some(definition) = types.field(parent, &name.node) else {
            // Types of introspection are the library's.
            if let Some(parent) = types.find(parent) {
                self.tell(name.pos, unknown_field(types, parent, &name.node));
            }
            return;
        };
        if let Some(args) = definition.args {
            self.arguments(parent, field, args);
        }
        self.set(concrete_name(definition.ty), &field.node.selection_set.node);
    }

    fn arguments(
        &mut self,
        parent: &str,
        field: &'a Positioned<Field>,
        args: &'a IndexMap<String, MetaInputValue>,
    ) {
        let field_name = &field.node.name.node;
        for (name, value) in &field.node.arguments {
            match args.get(name.node.as_str()) {
                Some(arg) => self.value(&arg.ty, &value.node, value.pos, &mut arg.name.clone()),
                None => {
                    let hint = did_you_mean(&name.node, args.keys().map(String::as_str));
                    let name_shown = shown(&name.node);
                    self.tell(
                        name.pos,
                        format!(
                            "Unknown argument \"{name_shown}\" on field \"{field_name}\" of type \"{parent}\".{hint}"
                        ),
                    );
                }
            }
        }
        let is_given = |arg: &MetaInputValue| field.node.get_argument(&arg.name).is_some();
        let missing = args.values().filter(|arg| is_non_null(&arg.ty) && arg.default_value.is_none());
        for arg in missing.filter(|arg| !is_given(arg)) {
            let message = format!(
                "The field \"{field_name}\" of type \"{parent}\" needs the argument \"{}\" of the type \"{}\"",
                arg.name, arg.ty
            );
            self.tell(field.node.name.pos, message);
        }
    }

    /// Looks at a literal where a value of a type is wanted; `inside` says where that is.
    fn value(&mut self, ty: &'a str, value: &'a Value, pos: Pos, inside: &mut String) {
        if let Value::Variable(name) = value {
            self.part.variables.push(Use { name, pos, ty: Some(ty) });
            return;
        }
        if let Value::List(items) = value {
            for item in items {
                self.value(item_type(ty).unwrap_or(ty), item, pos, inside);
            }
            return;
        }
        let name = concrete_name(ty);
        match (self.types.find(name), value) {
            (Some(MetaType::Enum { enum_values, .. }), Value::Enum(_) | Value::String(_)) => {
                let given = match value {
                    Value::Enum(given) => given.as_str(),
                    Value::String(given) => given.as_str(),
                    _ => return,
                };
                if !enum_values.contains_key(given) {
                    let hint = did_you_mean(given, enum_values.keys().map(String::as_str));
                    let given = shown(given);
                    self.tell(
                        pos,
                        format!(
                            "\"{inside}\" is \"{given}\", which is no value of the enum \"{name}\".{hint}"
                        ),
                    );
                }
            }
            (Some(MetaType::InputObject { input_fields, .. }), Value::Object(fields)) => {
                for (given, value) in fields {
                    match input_fields.get(given.as_str()) {
                        Some(field) => {
                            let length = inside.len();
                            inside.push('.');
                            inside.push_str(&field.name);
                            self.value(&field.ty, value, pos, inside);
                            inside.truncate(length);
                        }
                        None => {
                            let hint = did_you_mean(given, input_fields.keys().map(String::as_str));
                            let given = shown(given);
                            self.tell(
                                pos,
                                format!(
                                    "Unknown field \"{given}\" in \"{inside}\" of type \"{name}\".{hint}"
                                ),
                            );
                        }
                    }
                }
            }
            _ => self.variables(value, pos, None),
        }
    }

    /// Notes the variables of a value, whatever is wanted there.
    fn variables(&mut self, value: &'a Value, pos: Pos, ty: Option<&'a str>) {
        match value {
            Value::Variable(name) => self.part.variables.push(Use { name, pos, ty }),
            Value::List(items) => items.iter().for_each(|item| self.variables(item, pos, None)),
            Value::Object(fields) => fields.values().for_each(|field| self.variables(field, pos, None)),
            _ => {}
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        for (name, value) in directives.iter().flat_map(|directive| &directive.node.arguments) {
            let ty = (name.node.as_str() == "if").then_some("Boolean!");
            self.variables(&value.node, value.pos, ty);
        }
    }

    /// Tells of the variables that an operation uses, itself or in fragments, and does not declare.
    fn undeclared(
        &mut self,
        operation: &'a OperationDefinition,
        own: &Part<'a>,
        parts: &HashMap<&'a str, Part<'a>>,
    ) {
        let declared = |name: &str| {
            operation.variable_definitions.iter().any(|definition| definition.node.name.node == name)
        };
        let kind = match operation.ty {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        let (mut reached, mut next) = (HashSet::new(), vec![own]);
        while let Some(part) = next.pop() {
            for used in part.variables.iter().filter(|used| !declared(used.name)) {
                let (name, ty) = (shown(used.name), used.ty.unwrap_or("String"));
                self.tell(
                    used.pos,
                    format!(
                        "The variable \"${name}\" is not declared: declare it where the operation begins, as in \
                         `{kind}(${name}: {ty})`"
                    ),
                );
            }
            next.extend(
                part.spreads.iter().filter(|name| reached.insert(**name)).filter_map(|name| parts.get(name)),
            );
        }
    }
}

fn unknown_field(types: &TypeSystem, parent: &MetaType, name: &str) -> String {
    let known = parent.fields().into_iter().flat_map(IndexMap::keys).map(String::as_str);
    let of_others: Vec<&str> = parent
        .possible_types()
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|other| types.field(other, name).is_some())
        .collect();
    let hint = match of_others.first() {
        Some(other) => format!(" It is a field of \"{other}\": select it in `... on {other} {{ {name} }}`."),
        None => did_you_mean(name, known),
    };
    format!("Unknown field \"{}\" on type \"{}\".{hint}", shown(name), parent.name())
}

/// The name of a type without its wrappers.
fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base(item),
    }
}

/// The start of a name that a client made up.
fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}

fn place(pos: Pos) -> (usize, usize) {
    (pos.line, pos.column)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::type_system::type_system;

    fn checked(text: &str) -> Vec<String> {
        let document = parse_query(text).unwrap();
        check(type_system(), &document).into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn what_is_there_is_fine() {
        for fine in [
            "query($n: Int = 3, $on: Boolean!) { products(first: $n, sortKey: TITLE) { nodes { ...F @include(if: $on) } } } fragment F on Product { title }",
            "{ __schema { types { name } } __type(name: \"Product\") { name } shop { __typename name } }",
            "{ nodes(ids: []) { ... on Product { title } ... { id } } }",
            "mutation { cartCreate(input: { lines: [{ merchandiseId: \"a\", quantity: 2 }] }) { cart { id } } }",
        ] {
            assert_eq!(checked(fine), Vec::<String>::new(), "{fine}");
        }
    }

    #[test]
    fn what_is_misspelt_is_told_with_what_may_be_meant() {
        for (wrong, told) in [
            ("{ shp { name } }", "Unknown field \"shp\" on type \"QueryRoot\". Did you mean \"shop\"?"),
            ("{ products(first: 2) { nodes { titel } } }", "on type \"Product\". Did you mean \"title\""),
            (
                "{ products(first: 2) { nodes { titel(x: 1) } } }",
                "Unknown field \"titel\" on type \"Product\"",
            ),
            (
                "{ products(frist: 2) { nodes { title } } }",
                "Unknown argument \"frist\" on field \"products\" of type \"QueryRoot\". Did you mean \"first\"",
            ),
            ("{ products(first: 2, sortKey: TITEL) { nodes { title } } }", "Did you mean \"TITLE\""),
            ("mutation { cartCreate(input: { lins: [] }) { cart { id } } }", "Did you mean \"lines\""),
            (
                "mutation { cartCreate(input: { lines: [{ merchandiseID: \"a\" }] }) { cart { id } } }",
                "Unknown field \"merchandiseID\" in \"input.lines\"",
            ),
            (
                "{ nodes(ids: []) { ... on Prodct { id } } }",
                "Unknown type \"Prodct\". Did you mean \"Product\"",
            ),
            (
                "query($a: Cartinput) { shop { name } }",
                "Unknown type \"Cartinput\". Did you mean \"CartInput\"",
            ),
            ("{ nodes(ids: []) { title } }", "select it in `... on "),
            ("{ node { id } }", "needs the argument \"id\" of the type \"ID!\""),
            ("{ node(id: $id) { id } }", "as in `query($id: ID!)`"),
            (
                "{ ...F } fragment F on QueryRoot { shop @skip(if: $s) { name } }",
                "as in `query($s: Boolean!)`",
            ),
        ] {
            let errors = checked(wrong);
            assert!(matches!(errors.as_slice(), [one] if one.contains(told)), "{wrong}: {errors:?}");
        }
    }

    #[test]
    fn all_are_told_in_their_order_but_only_so_many() {
        let errors = checked("{ shop { nam } products(frst: 1, first: 2) { nods { id } } }");
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("\"nam\"") && errors[2].contains("\"nods\""), "{errors:?}");
        let many = format!("{{ shop {{ {} }} }}", (0..100).map(|n| format!("x{n} ")).collect::<String>());
        assert_eq!(checked(&many).len(), MAX_ERRORS);
    }
}
