//! Estimates the memory taken by variables, which counts against the limits of live connections,
//! together with the weight of the document.

use async_graphql::{Name, Value, Variables};

/// The overhead of a string in bytes.
const TEXT_OVERHEAD: usize = 16;

/// The approximate size of variables in memory, in bytes.
#[must_use]
pub fn variables_bytes(variables: &Variables) -> usize {
    variables.iter().map(|(name, value)| text_bytes(name) + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.capacity(),
        Value::Enum(name) => text_bytes(name),
        Value::Binary(bytes) => bytes.len(),
        Value::List(items) => {
            let unused = items.capacity().saturating_sub(items.len());
            items.iter().map(value_bytes).sum::<usize>() + unused * size_of::<Value>()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| 2 * size_of::<Name>() + text_bytes(name) + value_bytes(value))
            .sum(),
        Value::Null | Value::Number(_) | Value::Boolean(_) => 0,
    };
    size_of::<Value>() + inside
}

fn text_bytes(text: &str) -> usize {
    text.len() + TEXT_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_variables_includes_their_contents() {
        let bytes = |json: serde_json::Value| variables_bytes(&Variables::from_json(json));
        assert!(bytes(serde_json::json!({ "a": "x".repeat(5_000) })) > 5_000);
        assert!(bytes(serde_json::json!({ "a": vec![1; 1_000] })) > 1_000 * size_of::<Value>());
        assert_eq!(bytes(serde_json::json!({})), 0);
    }
}
