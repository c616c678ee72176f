//! The parameters of a request, form-encoded as Stripe expects them: nested names are written as
//! `metadata[order_id]`, lists as `expand[]`.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::objects::ApiError;

/// The parameters, sorted, so that forms with the same parameters are equal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let mut pairs: Vec<(String, String)> = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(value))
            })
            .collect();
        pairs.sort();
        Self(pairs)
    }

    /// A parameter; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether there is a parameter with this name, nested or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| root(known) == name)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// A parameter that must be an integer above zero.
    pub(super) fn amount(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(amount) if amount > 0 => Ok(Some(amount)),
            Ok(_) => {
                Err(ApiError::of_parameter("parameter_invalid_integer", name, "Invalid positive integer"))
            }
            Err(_) => {
                let message = format!("Invalid integer: {text}");
                Err(ApiError::of_parameter("parameter_invalid_integer", name, &message))
            }
        }
    }

    /// Refuses parameters that the endpoint does not have.
    pub(super) fn allow(&self, allowed: &[&str]) -> Result<(), ApiError> {
        let is_known = |name: &str| allowed.contains(&name) || name == "expand";
        match self.0.iter().find(|(name, _)| !is_known(root(name))) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("Received unknown parameter: {}", root(name));
                Err(ApiError::of_parameter("parameter_unknown", root(name), &message))
            }
        }
    }

    /// The values of `metadata[…]`.
    pub(super) fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        for (name, value) in &self.0 {
            let key = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']'));
            metadata.extend(key.map(|key| (key.to_owned(), json!(value))));
        }
        Value::Object(metadata)
    }

    /// The paths of `expand[]`.
    pub(super) fn expansions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(name, _)| root(name) == "expand").map(|(_, path)| path.as_str())
    }
}

/// The name up to its first bracket.
fn root(name: &str) -> &str {
    name.split('[').next().unwrap_or_default()
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned()
}
