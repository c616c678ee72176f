//! Validation of names (types, fields, arguments, enum values, input fields and variables) and of
//! literals. Errors include the position, where the name was looked up, and suggestions for
//! misspelled names.
//!
//! Documents are validated before variables have values, so the library's validator skips arguments
//! that contain variables; they are checked here. Each part of a document is checked once,
//! fragments at their definition, and the number of errors is limited. Everything else is left to
//! the validator.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, Type,
    VariableDefinition,
};
use async_graphql::registry::{MetaInputValue, MetaType};
use async_graphql::{Name, Pos, Positioned, ServerError};
use async_graphql_value::{ConstValue, Value};

use super::variables::{check_value, is_required, not_one_field, with_path_segment};
use crate::domain::text::spelling::did_you_mean;
use crate::graphql::request::type_system::{TypeSystem, concrete_name, item_type};
use crate::graphql::request::validation::{MAX_ERRORS, sort_errors};

/// The maximum number of uses of variables, counted for each operation that reaches them. The
/// validator checks each, and reports each that is wrong.
const MAX_VARIABLE_USES: usize = 10_000;
/// The maximum length of a name from the document in a message, in characters.
const MAX_SHOWN_CHARS: usize = 50;

/// Checks all names and literals. Returns the variables that are conditions of `@skip` or
/// `@include`.
///
/// # Errors
/// An error for each unknown name and wrong literal, in the order of the document.
pub(in crate::graphql) fn check_names(
    types: &TypeSystem,
    document: &ExecutableDocument,
) -> Result<HashSet<Name>, Vec<ServerError>> {
    let mut checker = NameChecker {
        types,
        errors: Vec::new(),
        references: References::default(),
        conditions: HashSet::new(),
        variable_uses: 0,
    };
    let mut fragments: Vec<_> = document.fragments.iter().collect();
    fragments.sort_by_key(|(_, fragment)| sort_key(fragment.pos));
    let mut fragment_references = HashMap::new();
    for (name, fragment) in fragments {
        if checker.check_composite(&fragment.node.type_condition.node.on) {
            let on = &fragment.node.type_condition.node.on.node;
            checker.selection_set(on, &fragment.node.selection_set.node);
        }
        fragment_references.insert(name.as_str(), std::mem::take(&mut checker.references));
    }
    let mut operations: Vec<_> = document.operations.iter().map(|(_, operation)| operation).collect();
    operations.sort_by_key(|operation| sort_key(operation.pos));
    for operation in operations {
        checker.operation(&operation.node);
        let own = std::mem::take(&mut checker.references);
        checker.report_undeclared(&operation.node, &own, &fragment_references);
    }
    if checker.variable_uses > MAX_VARIABLE_USES {
        let message = format!(
            "The document uses variables more than {MAX_VARIABLE_USES} times, counted for each of its operations: send \
             fewer operations"
        );
        checker.errors.push(ServerError::new(message, None));
    }
    if checker.errors.is_empty() {
        return Ok(checker.conditions);
    }
    sort_errors(&mut checker.errors);
    Err(checker.errors)
}

struct NameChecker<'a> {
    types: &'a TypeSystem,
    errors: Vec<ServerError>,
    references: References<'a>,
    /// The variables that are conditions.
    conditions: HashSet<Name>,
    /// The number of uses of variables so far, counted for each operation.
    variable_uses: usize,
}

/// The variables and fragments that an operation or a fragment refers to.
#[derive(Default)]
struct References<'a> {
    variables: Vec<VariableUse<'a>>,
    spreads: Vec<&'a str>,
}

/// A use of a variable.
struct VariableUse<'a> {
    name: &'a str,
    pos: Pos,
    /// The expected type, if known.
    ty: Option<&'a str>,
}

impl<'a> NameChecker<'a> {
    fn report(&mut self, pos: Pos, message: String) {
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
        self.selection_set(self.types.root(operation.ty), &operation.selection_set.node);
    }

    fn variable(&mut self, definition: &'a Positioned<VariableDefinition>) {
        let ty = &definition.node.var_type;
        let name = base_name(&ty.node);
        if self.types.find(name).is_none() {
            let known = self.types.all().filter(|known| known.is_input()).map(MetaType::name);
            let hint = did_you_mean(name, known);
            self.report(ty.pos, format!("Unknown type \"{}\".{hint}", truncate(name)));
        }
    }

    /// Whether a type has fields. Reports an error if there is no such type.
    fn check_composite(&mut self, on: &'a Positioned<Name>) -> bool {
        let name = on.node.as_str();
        match self.types.find(name) {
            Some(found) => found.is_composite(),
            None => {
                let known = self.types.all().filter(|known| known.is_composite()).map(MetaType::name);
                let hint = did_you_mean(name, known);
                self.report(on.pos, format!("Unknown type \"{}\".{hint}", truncate(name)));
                false
            }
        }
    }

    fn selection_set(&mut self, parent: &'a str, set: &'a SelectionSet) {
        for selection in &set.items {
            if self.is_full() {
                return;
            }
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => self.field(parent, field),
                Selection::InlineFragment(fragment) => {
                    let on = match &fragment.node.type_condition {
                        Some(condition) if !self.check_composite(&condition.node.on) => continue,
                        Some(condition) => condition.node.on.node.as_str(),
                        None => parent,
                    };
                    self.selection_set(on, &fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    self.references.spreads.push(spread.node.fragment_name.node.as_str());
                }
            }
        }
    }

    fn field(&mut self, parent: &'a str, field: &'a Positioned<Field>) {
        let types = self.types;
        let name = &field.node.name;
        let Some(definition) = types.field(parent, &name.node) else {
            if let Some(parent) = types.find(parent) {
                self.report(name.pos, unknown_field_message(types, parent, &name.node));
            }
            return;
        };
        if let Some(args) = definition.args {
            self.arguments(parent, field, args);
        }
        self.selection_set(concrete_name(definition.ty), &field.node.selection_set.node);
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
                    let shown_name = truncate(&name.node);
                    self.report(
                        name.pos,
                        format!(
                            "Unknown argument \"{shown_name}\" on field \"{field_name}\" of type \"{parent}\".{hint}"
                        ),
                    );
                }
            }
        }
        let is_present = |arg: &MetaInputValue| field.node.get_argument(&arg.name).is_some();
        for arg in args.values().filter(|arg| is_required(arg) && !is_present(arg)) {
            let message = format!(
                "The field \"{field_name}\" of type \"{parent}\" needs the argument \"{}\" of the type \"{}\"",
                arg.name, arg.ty
            );
            self.report(field.node.name.pos, message);
        }
    }

    /// Checks a literal where a value of a type is expected; `path` is its location in the
    /// arguments.
    fn value(&mut self, ty: &'a str, value: &'a Value, pos: Pos, path: &mut String) {
        if let Value::Variable(name) = value {
            self.references.variables.push(VariableUse { name, pos, ty: Some(ty) });
            return;
        }
        if let (Value::List(items), Some(item_type)) = (value, item_type(ty)) {
            for (at, item) in items.iter().enumerate() {
                with_path_segment(path, &at.to_string(), |path| self.value(item_type, item, pos, path));
            }
            return;
        }
        let name = concrete_name(ty);
        match (self.types.find(name), value) {
            (Some(MetaType::Enum { enum_values, .. }), Value::Enum(_) | Value::String(_)) => {
                let value_name = match value {
                    Value::Enum(value_name) => value_name.as_str(),
                    Value::String(value_name) => value_name.as_str(),
                    _ => return,
                };
                if !enum_values.contains_key(value_name) {
                    let hint = did_you_mean(value_name, enum_values.keys().map(String::as_str));
                    let value_name = truncate(value_name);
                    self.report(
                        pos,
                        format!(
                            "\"{path}\" is \"{value_name}\", which is not a value of the enum \"{name}\".{hint}"
                        ),
                    );
                }
            }
            (Some(input @ MetaType::InputObject { .. }), Value::Object(fields)) => {
                self.input_object(input, fields, pos, path);
            }
            _ => {
                self.variables(value, pos, None);
                // Variables in it can have any value.
                let constant = value.clone().into_const_with(|_| Ok::<_, Infallible>(ConstValue::Null));
                let Ok(constant) = constant;
                if let Err(message) = check_value(self.types, ty, &constant, path) {
                    self.report(pos, message);
                }
            }
        }
    }

    fn input_object(
        &mut self,
        input: &'a MetaType,
        fields: &'a IndexMap<Name, Value>,
        pos: Pos,
        path: &mut String,
    ) {
        let MetaType::InputObject { name, input_fields, oneof, .. } = input else { return };
        let mut has_unknown = false;
        for (field_name, value) in fields {
            if let Some(field) = input_fields.get(field_name.as_str()) {
                with_path_segment(path, &field.name, |path| self.value(&field.ty, value, pos, path));
                continue;
            }
            has_unknown = true;
            let hint = did_you_mean(field_name, input_fields.keys().map(String::as_str));
            let field_name = truncate(field_name);
            let message = format!("Unknown field \"{field_name}\" in \"{path}\" of type \"{name}\".{hint}");
            self.report(pos, message);
        }
        // A required field may be missing because its name is misspelled.
        if has_unknown {
            return;
        }
        for field in input_fields.values().filter(|field| is_required(field)) {
            if !fields.contains_key(field.name.as_str()) {
                let message = format!("`{path}.{}` of the type `{}` is required", field.name, field.ty);
                self.report(pos, message);
            }
        }
        if *oneof && (fields.len() != 1 || fields.values().any(|value| *value == Value::Null)) {
            self.report(pos, not_one_field(path, input_fields));
        }
    }

    /// Records the variables in a value. `ty` is the expected type, if known.
    fn variables(&mut self, value: &'a Value, pos: Pos, ty: Option<&'a str>) {
        match value {
            Value::Variable(name) => self.references.variables.push(VariableUse { name, pos, ty }),
            Value::List(items) => items.iter().for_each(|item| self.variables(item, pos, None)),
            Value::Object(fields) => fields.values().for_each(|field| self.variables(field, pos, None)),
            _ => {}
        }
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        for Positioned { node: directive, .. } in directives {
            let is_condition = matches!(directive.name.node.as_str(), "skip" | "include");
            let definition = self.types.directive(&directive.name.node);
            for (name, value) in &directive.arguments {
                match definition.and_then(|definition| definition.args.get(name.node.as_str())) {
                    Some(arg) => self.value(&arg.ty, &value.node, value.pos, &mut arg.name.clone()),
                    None => self.variables(&value.node, value.pos, None),
                }
                if let (true, Value::Variable(variable)) = (is_condition, &value.node) {
                    self.conditions.insert(variable.clone());
                }
            }
        }
    }

    /// Reports variables that an operation uses, directly or in fragments, but does not declare.
    fn report_undeclared(
        &mut self,
        operation: &'a OperationDefinition,
        own: &References<'a>,
        fragment_references: &HashMap<&'a str, References<'a>>,
    ) {
        let is_declared = |name: &str| {
            operation.variable_definitions.iter().any(|definition| definition.node.name.node == name)
        };
        let kind = operation.ty;
        let (mut reached, mut next) = (HashSet::new(), vec![own]);
        while let Some(references) = next.pop() {
            self.variable_uses += references.variables.len();
            for used in references.variables.iter().filter(|used| !is_declared(used.name)) {
                let (name, ty) = (truncate(used.name), used.ty.unwrap_or("String"));
                self.report(
                    used.pos,
                    format!(
                        "The variable \"${name}\" is not declared: declare it where the operation begins, as in \
                         `{kind}(${name}: {ty})`"
                    ),
                );
            }
            let new_spreads = references.spreads.iter().filter(|name| reached.insert(**name));
            next.extend(new_spreads.filter_map(|name| fragment_references.get(name)));
        }
    }
}

fn unknown_field_message(types: &TypeSystem, parent: &MetaType, name: &str) -> String {
    let known = parent.fields().into_iter().flat_map(IndexMap::keys).map(String::as_str);
    let types_with_field: Vec<&str> = parent
        .possible_types()
        .into_iter()
        .flatten()
        .map(String::as_str)
        .filter(|other| types.field(other, name).is_some())
        .collect();
    let hint = match types_with_field.first() {
        Some(other) => format!(" It is a field of \"{other}\": select it in `... on {other} {{ {name} }}`."),
        None => did_you_mean(name, known),
    };
    format!("Unknown field \"{}\" on type \"{}\".{hint}", truncate(name), parent.name())
}

/// The name of a type without its wrappers.
fn base_name(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base_name(item),
    }
}

/// Truncates a name from the document.
fn truncate(name: &str) -> String {
    name.chars().take(MAX_SHOWN_CHARS).collect()
}

fn sort_key(pos: Pos) -> (usize, usize) {
    (pos.line, pos.column)
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn error_messages(text: &str) -> Vec<String> {
        let document = parse_query(text).unwrap();
        let errors = check_names(type_system(), &document).err().unwrap_or_default();
        errors.into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn existing_names_are_accepted() {
        for valid in [
            "query($n: Int = 3, $on: Boolean!) { products(first: $n, sortKey: TITLE) { nodes { ...F @include(if: $on) } } } fragment F on Product { title }",
            "{ __schema { types { name } } __type(name: \"Product\") { name } shop { __typename name } }",
            "{ nodes(ids: []) { ... on Product { title } ... { id } } }",
            "mutation { cartCreate(input: { lines: [{ merchandiseId: \"a\", quantity: 2 }] }) { cart { id } } }",
        ] {
            assert_eq!(error_messages(valid), Vec::<String>::new(), "{valid}");
        }
    }

    #[test]
    fn misspelled_names_are_reported_with_suggestions() {
        for (wrong, expected) in [
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
                "Unknown field \"merchandiseID\" in \"input.lines.0\"",
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
            let errors = error_messages(wrong);
            assert!(matches!(errors.as_slice(), [one] if one.contains(expected)), "{wrong}: {errors:?}");
        }
    }

    #[test]
    fn literals_are_checked_even_beside_variables() {
        let add = |line: &str| {
            format!(
                "mutation($id: ID!, $n: Int) {{ cartLinesAdd(cartId: $id, lines: [{line}]) {{ cart {{ id }} }} }}"
            )
        };
        for (wrong, expected) in [
            (add("{ merchandiseId: $id, quantity: \"two\" }"), "`lines.0.quantity` is not of the type `Int`"),
            (add("{ merchandiseId: $id, quantity: [$n] }"), "`lines.0.quantity` is not of the type `Int`"),
            (add("{ merchandiseId: null, quantity: $n }"), "`lines.0.merchandiseId` is null"),
            (add("{ quantity: $n }"), "`lines.0.merchandiseId` of the type `ID!` is required"),
            (add("3"), "`lines.0` is not of the type `CartLineInput`"),
            ("{ products(first: \"2\") { nodes { id } } }".to_owned(), "`first` is not of the type `Int`"),
            (
                "query($x: Boolean!) { shop { name @include(if: [$x]) } }".to_owned(),
                "`if` is not of the type `Boolean`",
            ),
            (
                "query($t: String) @inContext(buyer: { customerAccessToken: $t, nonsense: 1 }) { shop { name } }"
                    .to_owned(),
                "Unknown field \"nonsense\" in \"buyer\"",
            ),
            (
                "mutation($t: String!) { discountCreate(discount: { title: $t, value: { freeShipping: true, \
                 percentage: null } }) { discount { id } } }"
                    .to_owned(),
                "`discount.value` needs exactly one of the fields",
            ),
        ] {
            let errors = error_messages(&wrong);
            assert!(matches!(errors.as_slice(), [one] if one.contains(expected)), "{wrong}: {errors:?}");
        }
        let valid = add("{ merchandiseId: $id, quantity: $n, attributes: [{ key: \"a\", value: \"b\" }] }");
        assert_eq!(error_messages(&valid), Vec::<String>::new());
        // One item of a list needs no brackets.
        let valid = valid.replace("lines: [{", "lines: {").replace("}])", "})");
        assert_eq!(error_messages(&valid), Vec::<String>::new());
    }

    #[test]
    fn uses_of_variables_are_limited_over_all_operations() {
        let operations: String = (0..150).map(|n| format!("query A{n}($a: ID!) {{ ...F }} ")).collect();
        let text = format!(
            "{operations} fragment F on QueryRoot {{ nodes(ids: [{}]) {{ id }} }}",
            "$a ".repeat(100)
        );
        let errors = error_messages(&text);
        assert!(matches!(errors.as_slice(), [one] if one.contains("10000 times")), "{errors:?}");
    }

    #[test]
    fn errors_are_reported_in_order_up_to_a_maximum() {
        let errors = error_messages("{ shop { nam } products(frst: 1, first: 2) { nods { id } } }");
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("\"nam\"") && errors[2].contains("\"nods\""), "{errors:?}");
        let many = format!("{{ shop {{ {} }} }}", (0..100).map(|n| format!("x{n} ")).collect::<String>());
        assert_eq!(error_messages(&many).len(), MAX_ERRORS);
    }
}
