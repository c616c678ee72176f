//! Validates an operation's variables before it is executed, and fills in their defaults.

use std::collections::HashSet;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{BaseType, OperationDefinition, Type};
use async_graphql::registry::{MetaInputValue, MetaType};
use async_graphql::{Name, ServerError, Value, Variables};

use crate::domain::text::spelling::did_you_mean;
use crate::graphql::request::type_system::{TypeSystem, concrete_name, is_list, is_non_null, item_type};

/// What is wrong with a text that has a NUL character. Such texts are rejected here and in
/// documents, so that nothing behind has to expect them.
pub(in crate::graphql) const HAS_NUL: &str =
    "has a NUL character (U+0000) in it, which no database can store: remove it";

/// Returns the declared variables of an operation, including defaults.
///
/// # Errors
/// Names a variable that is missing, of the wrong type or has a NUL character, with its position in
/// the document.
pub(in crate::graphql) fn coerce_variables(
    types: &TypeSystem,
    operation: &OperationDefinition,
    mut values: Variables,
) -> Result<Variables, ServerError> {
    let mut variables = Variables::default();
    for definition in &operation.variable_definitions {
        let wrong = |message: String| ServerError::new(message, Some(definition.pos));
        let definition = &definition.node;
        let (name, ty) = (&definition.name.node, &definition.var_type.node);
        let value = match (values.remove(name), &definition.default_value) {
            (Some(value), _) => value,
            (None, Some(default)) => default.node.clone(),
            (None, None) if ty.nullable => continue,
            (None, None) => {
                let message =
                    format!("the variable `${name}` of the type `{ty}` is required: send it in `variables`");
                return Err(wrong(message));
            }
        };
        if is_known_type(types, ty) {
            check_value(types, &ty.to_string(), &value, &mut format!("${name}")).map_err(wrong)?;
        }
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}

/// Whether a type exists. Unknown types are rejected by the validator.
fn is_known_type(types: &TypeSystem, ty: &Type) -> bool {
    match &ty.base {
        BaseType::Named(name) => types.find(name).is_some_and(MetaType::is_input),
        BaseType::List(item) => is_known_type(types, item),
    }
}

/// Checks that a value is of a type. `path` is its location.
pub(super) fn check_value(
    types: &TypeSystem,
    ty: &str,
    value: &Value,
    path: &mut String,
) -> Result<(), String> {
    if *value == Value::Null {
        return if is_non_null(ty) {
            Err(format!("`{path}` is null, and its type is `{ty}`: send a value"))
        } else {
            Ok(())
        };
    }
    if is_list(ty) {
        let item = item_type(ty).unwrap_or_default();
        return match value {
            Value::List(items) => items.iter().enumerate().try_for_each(|(at, value)| {
                with_path_segment(path, &at.to_string(), |path| check_value(types, item, value, path))
            }),
            // A single value is coerced to a list.
            value => check_value(types, item, value, path),
        };
    }
    let wrong = |path: &str| Err(format!("`{path}` is not of the type `{}`", ty.trim_end_matches('!')));
    match types.find(concrete_name(ty)) {
        Some(MetaType::Scalar { is_valid: Some(is_valid), .. }) if !is_valid(value) => wrong(path),
        Some(MetaType::Scalar { .. }) if has_nul(value) => Err(format!("`{path}` {HAS_NUL}")),
        Some(MetaType::Enum { enum_values, .. }) => match value {
            Value::Enum(name) if enum_values.contains_key(name.as_str()) => Ok(()),
            Value::String(name) if enum_values.contains_key(name) => Ok(()),
            Value::String(name) => {
                let hint = did_you_mean(name, enum_values.keys().map(String::as_str));
                let (name, ty) = (truncate(name), concrete_name(ty));
                Err(format!("`{path}` is `{name}`, which is not a value of the enum `{ty}`.{hint}"))
            }
            _ => wrong(path),
        },
        Some(MetaType::InputObject { input_fields, oneof, .. }) => {
            let Value::Object(fields) = value else { return wrong(path) };
            if let Some(name) = fields.keys().find(|name| !input_fields.contains_key(name.as_str())) {
                let hint = did_you_mean(name, input_fields.keys().map(String::as_str));
                return Err(format!(
                    "`{path}` has the field `{}`, which its type `{}` does not have.{hint}",
                    truncate(name),
                    concrete_name(ty)
                ));
            }
            if *oneof && (fields.len() != 1 || fields.values().any(|value| *value == Value::Null)) {
                return Err(not_one_field(path, input_fields));
            }
            input_fields.values().try_for_each(|field| {
                with_path_segment(path, &field.name, |path| {
                    check_field(types, field, fields.get(field.name.as_str()), path)
                })
            })
        }
        _ => Ok(()),
    }
}

/// Whether any text in the value of a scalar has a NUL character. JSON has texts within texts.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::List(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// What is wrong with an object that has none or several of the fields of which it may have one.
pub(super) fn not_one_field(path: &str, fields: &IndexMap<String, MetaInputValue>) -> String {
    let names: Vec<_> = fields.keys().map(|name| format!("`{name}`")).collect();
    format!("`{path}` needs exactly one of the fields {}, which can't be null", names.join(", "))
}

/// Checks that no condition of `@skip` or `@include` is null, which the library takes for false.
///
/// # Errors
/// Names the variable, with its position in the document.
pub(in crate::graphql) fn check_conditions(
    operation: &OperationDefinition,
    variables: &Variables,
    conditions: &HashSet<Name>,
) -> Result<(), ServerError> {
    let is_null = |name: &Name| variables.get(name) == Some(&Value::Null) && conditions.contains(name);
    let mut definitions = operation.variable_definitions.iter();
    match definitions.find(|definition| is_null(&definition.node.name.node)) {
        Some(definition) => {
            let name = &definition.node.name.node;
            let message =
                format!("the variable `${name}` is null, but it is a condition: send true or false");
            Err(ServerError::new(message, Some(definition.pos)))
        }
        None => Ok(()),
    }
}

/// Whether an argument or input field must have a value.
pub(super) fn is_required(input: &MetaInputValue) -> bool {
    is_non_null(&input.ty) && input.default_value.is_none()
}

fn check_field(
    types: &TypeSystem,
    field: &MetaInputValue,
    value: Option<&Value>,
    path: &mut String,
) -> Result<(), String> {
    match value {
        Some(value) => check_value(types, &field.ty, value, path),
        None if is_required(field) => Err(format!("`{path}` of the type `{}` is required", field.ty)),
        None => Ok(()),
    }
}

/// Calls a function with the path extended by a segment.
pub(super) fn with_path_segment<T>(path: &mut String, name: &str, work: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push('.');
    path.push_str(name);
    let result = work(path);
    path.truncate(length);
    result
}

/// Truncates a name from the request.
fn truncate(name: &str) -> String {
    name.chars().take(50).collect()
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::request::type_system::type_system;

    fn coerce(declared: &str, values: Json) -> Result<Json, String> {
        let document = parse_query(format!("query({declared}) {{ __typename }}")).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let values = Variables::from_json(values);
        let variables =
            coerce_variables(type_system(), &operation.node, values).map_err(|error| error.message)?;
        Ok(serde_json::to_value(variables).unwrap())
    }

    #[test]
    fn defaults_are_applied_and_undeclared_variables_dropped() {
        assert_eq!(coerce("$a: Int = 3, $b: String", json!({ "c": 1 })), Ok(json!({ "a": 3 })));
        assert_eq!(coerce("$a: Int = 3", json!({ "a": null })), Ok(json!({ "a": null })));
        assert_eq!(coerce("$a: [ID!]!", json!({ "a": "x" })), Ok(json!({ "a": "x" })));
        assert_eq!(coerce("$a: CountryCode", json!({ "a": "DE" })), Ok(json!({ "a": "DE" })));
        assert_eq!(
            coerce("$a: Unheard", json!({ "a": 1 })),
            Ok(json!({ "a": 1 })),
            "unknown types are left to the validator"
        );
    }

    #[test]
    fn missing_and_mistyped_values_are_named() {
        for (declared, values, named) in [
            ("$id: ID!", json!({}), "`$id`"),
            ("$id: ID!", json!({ "id": null }), "`$id`"),
            ("$n: Int", json!({ "n": "many" }), "`$n`"),
            ("$b: Boolean!", json!({ "b": 1 }), "`$b`"),
            ("$ids: [ID!]!", json!({ "ids": ["a", null] }), "`$ids.1`"),
            ("$c: CountryCode", json!({ "c": "Germany" }), "`$c`"),
            ("$i: CartInput", json!({ "i": { "nonsense": 1 } }), "`nonsense`"),
            ("$i: CartInput", json!({ "i": { "lines": [{ "quantity": 1 }] } }), "`$i.lines.0.merchandiseId`"),
            ("$i: CartInput", json!({ "i": 7 }), "`$i`"),
            ("$t: String = \"a\\u0000\"", json!({}), "`$t` has a NUL character"),
            ("$i: CartInput", json!({ "i": { "note": "a\0b" } }), "`$i.note` has a NUL character"),
            ("$ids: [ID!]!", json!({ "ids": ["a", "\0"] }), "`$ids.1` has a NUL character"),
        ] {
            let error = coerce(declared, values).unwrap_err();
            assert!(error.contains(named), "{declared}: {error}");
        }
    }
}
