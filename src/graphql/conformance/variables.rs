//! Checks an operation's variables before anything is executed, and fills in their defaults.

use async_graphql::parser::types::{BaseType, OperationDefinition, Type};
use async_graphql::registry::{MetaInputValue, MetaType};
use async_graphql::{ServerError, Value, Variables};

use crate::domain::spelling::did_you_mean;
use crate::graphql::type_system::{TypeSystem, concrete_name, is_list, is_non_null, item_type};

/// The variables that an operation is executed with: those that it declares, with defaults.
///
/// # Errors
/// Names the variable that is missing or of the wrong type, with its place in the document.
pub(in crate::graphql) fn coerce(
    types: &TypeSystem,
    operation: &OperationDefinition,
    mut given: Variables,
) -> Result<Variables, ServerError> {
    let mut variables = Variables::default();
    for definition in &operation.variable_definitions {
        let wrong = |message: String| ServerError::new(message, Some(definition.pos));
        let definition = &definition.node;
        let (name, ty) = (&definition.name.node, &definition.var_type.node);
        let value = match (given.remove(name), &definition.default_value) {
            (Some(value), _) => value,
            (None, Some(default)) => default.node.clone(),
            (None, None) if ty.nullable => continue,
            (None, None) => {
                let message =
                    format!("the variable `${name}` of the type `{ty}` is required: send it in `variables`");
                return Err(wrong(message));
            }
        };
        if known(types, ty) {
            check(types, &ty.to_string(), &value, &mut format!("${name}")).map_err(wrong)?;
        }
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}

/// Whether a type exists: the validator refuses others.
fn known(types: &TypeSystem, ty: &Type) -> bool {
    match &ty.base {
        BaseType::Named(name) => types.find(name).is_some_and(MetaType::is_input),
        BaseType::List(item) => known(types, item),
    }
}

/// Refuses a value that is not of a type. `place` tells where it stands.
fn check(types: &TypeSystem, ty: &str, value: &Value, place: &mut String) -> Result<(), String> {
    if *value == Value::Null {
        return match is_non_null(ty) {
            true => Err(format!("`{place}` is null, and its type is `{ty}`: send a value")),
            false => Ok(()),
        };
    }
    if is_list(ty) {
        let item = item_type(ty).unwrap_or_default();
        return match value {
            Value::List(items) => items.iter().enumerate().try_for_each(|(at, value)| {
                within(place, &at.to_string(), |place| check(types, item, value, place))
            }),
            // A single value stands for a list of one.
            value => check(types, item, value, place),
        };
    }
    let wrong = |place: &str| Err(format!("`{place}` is not of the type `{}`", ty.trim_end_matches('!')));
    match types.find(concrete_name(ty)) {
        Some(MetaType::Scalar { is_valid: Some(is_valid), .. }) if !is_valid(value) => wrong(place),
        Some(MetaType::Enum { enum_values, .. }) => match value {
            Value::Enum(name) if enum_values.contains_key(name.as_str()) => Ok(()),
            Value::String(name) if enum_values.contains_key(name) => Ok(()),
            Value::String(name) => {
                let hint = did_you_mean(name, enum_values.keys().map(String::as_str));
                let (name, ty) = (shown(name), concrete_name(ty));
                Err(format!("`{place}` is `{name}`, which is no value of the enum `{ty}`.{hint}"))
            }
            _ => wrong(place),
        },
        Some(MetaType::InputObject { input_fields, .. }) => {
            let Value::Object(fields) = value else { return wrong(place) };
            if let Some(name) = fields.keys().find(|name| !input_fields.contains_key(name.as_str())) {
                let hint = did_you_mean(name, input_fields.keys().map(String::as_str));
                return Err(format!(
                    "`{place}` has the field `{}`, which its type `{}` does not have.{hint}",
                    shown(name),
                    concrete_name(ty)
                ));
            }
            input_fields.values().try_for_each(|field| {
                within(place, &field.name, |place| {
                    check_field(types, field, fields.get(field.name.as_str()), place)
                })
            })
        }
        _ => Ok(()),
    }
}

fn check_field(
    types: &TypeSystem,
    field: &MetaInputValue,
    value: Option<&Value>,
    place: &mut String,
) -> Result<(), String> {
    match value {
        Some(value) => check(types, &field.ty, value, place),
        None if is_non_null(&field.ty) && field.default_value.is_none() => {
            Err(format!("`{place}` of the type `{}` is required", field.ty))
        }
        None => Ok(()),
    }
}

/// Does something at a place below this one.
fn within<T>(place: &mut String, name: &str, work: impl FnOnce(&mut String) -> T) -> T {
    let length = place.len();
    place.push('.');
    place.push_str(name);
    let done = work(place);
    place.truncate(length);
    done
}

/// The start of a name that a client made up.
fn shown(name: &str) -> String {
    name.chars().take(50).collect()
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::graphql::type_system::type_system;

    fn coerced(declared: &str, given: Json) -> Result<Json, String> {
        let document = parse_query(format!("query({declared}) {{ __typename }}")).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let given = Variables::from_json(given);
        let variables = coerce(type_system(), &operation.node, given).map_err(|error| error.message)?;
        Ok(serde_json::to_value(variables).unwrap())
    }

    #[test]
    fn defaults_are_filled_in_and_what_is_not_declared_is_dropped() {
        assert_eq!(coerced("$a: Int = 3, $b: String", json!({ "c": 1 })), Ok(json!({ "a": 3 })));
        assert_eq!(coerced("$a: Int = 3", json!({ "a": null })), Ok(json!({ "a": null })));
        assert_eq!(coerced("$a: [ID!]!", json!({ "a": "x" })), Ok(json!({ "a": "x" })));
        assert_eq!(coerced("$a: CountryCode", json!({ "a": "DE" })), Ok(json!({ "a": "DE" })));
        assert_eq!(
            coerced("$a: Unheard", json!({ "a": 1 })),
            Ok(json!({ "a": 1 })),
            "the validator's to refuse"
        );
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_type_is_named() {
        for (declared, given, named) in [
            ("$id: ID!", json!({}), "`$id`"),
            ("$id: ID!", json!({ "id": null }), "`$id`"),
            ("$n: Int", json!({ "n": "many" }), "`$n`"),
            ("$b: Boolean!", json!({ "b": 1 }), "`$b`"),
            ("$ids: [ID!]!", json!({ "ids": ["a", null] }), "`$ids.1`"),
            ("$c: CountryCode", json!({ "c": "Germany" }), "`$c`"),
            ("$i: CartInput", json!({ "i": { "nonsense": 1 } }), "`nonsense`"),
            ("$i: CartInput", json!({ "i": { "lines": [{ "quantity": 1 }] } }), "`$i.lines.0.merchandiseId`"),
            ("$i: CartInput", json!({ "i": 7 }), "`$i`"),
        ] {
            let error = coerced(declared, given).unwrap_err();
            assert!(error.contains(named), "{declared}: {error}");
        }
    }
}
