//! File uploads: the scalar for a file, and the files of a request, which the HTTP layer provides.
//! async-graphql's own scalar panics if a client sends an invalid value.

use std::fs::File;

use async_graphql::{
    Context, InputValueError, InputValueResult, Result, Scalar, ScalarType, Value, Variables,
};
use parking_lot::Mutex;

use super::RequestData;
use crate::error::Error;

/// The prefix of a variable's placeholder for a file, followed by the file's index.
const PLACEHOLDER_PREFIX: &str = "#upload:";

/// A file of a multipart request, by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upload(usize);

/// A file uploaded with the request, according to the GraphQL multipart request specification: the
/// variable is null, and `map` assigns a part of the form to it.
#[Scalar(specified_by_url = "https://github.com/jaydenseric/graphql-multipart-request-spec")]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => {
                text.strip_prefix(PLACEHOLDER_PREFIX).and_then(|number| number.parse().ok())
            }
            _ => None,
        };
        number.map(Self).ok_or_else(|| {
            InputValueError::custom(
                "a file must be sent as a part of a multipart/form-data request, in a variable",
            )
        })
    }

    fn to_value(&self) -> Value {
        Value::Null
    }
}

/// The files of a request, each of which can be taken once.
#[derive(Default)]
pub struct Uploads(Mutex<Vec<Option<File>>>);

impl Uploads {
    /// Adds a file, and refers to it in the variables at these paths, such as
    /// `variables.media.0.file`.
    ///
    /// # Errors
    /// The first path that does not exist.
    pub fn attach<'a>(
        &self,
        variables: &mut Variables,
        file: File,
        paths: &'a [String],
    ) -> Result<(), &'a str> {
        let mut files = self.0.lock();
        let placeholder = Value::String(format!("{PLACEHOLDER_PREFIX}{}", files.len()));
        for path in paths {
            *variable(variables, path).ok_or(path.as_str())? = placeholder.clone();
        }
        files.push(Some(file));
        Ok(())
    }

    /// Takes the file that an argument refers to.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the request has no such file, or it was already taken.
    pub fn take(ctx: &Context<'_>, upload: Upload) -> Result<File, Error> {
        let request = RequestData::of(ctx);
        let file =
            request.and_then(|request| request.uploads.0.lock().get_mut(upload.0).and_then(Option::take));
        file.ok_or_else(|| {
            Error::BadInput("a file is missing in the request, or is used twice in it".to_owned())
        })
    }
}

fn variable<'a>(variables: &'a mut Variables, path: &str) -> Option<&'a mut Value> {
    let mut steps = path.strip_prefix("variables.")?.split('.');
    let first = variables.get_mut(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(step),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_attached_at_the_mapped_paths() {
        let mut variables = Variables::from_json(json!({ "media": [{ "file": null }], "one": null }));
        let uploads = Uploads::default();
        let attach = |variables: &mut Variables, path: &str| {
            uploads.attach(variables, tempfile::tempfile().unwrap(), &[path.to_owned()]).is_ok()
        };
        assert!(attach(&mut variables, "variables.media.0.file"));
        assert!(attach(&mut variables, "variables.one"));
        for invalid in
            ["media.0.file", "variables.media.1.file", "variables.media.x", "variables.", "variables.one.a"]
        {
            assert!(!attach(&mut variables, invalid), "{invalid}");
        }
        let value = serde_json::to_value(&variables).unwrap();
        assert_eq!(value, json!({ "media": [{ "file": "#upload:0" }], "one": "#upload:1" }));
    }

    #[test]
    fn other_values_are_not_files() {
        for value in [Value::Null, Value::String("#upload:x".to_owned()), Value::String("0".to_owned())] {
            assert!(Upload::parse(value).is_err());
        }
    }
}
