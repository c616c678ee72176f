//! A client: somebody who sends GraphQL to the server, and what it answers.

use std::net::SocketAddr;
use std::ops::Index;

use serde_json::{Value, json};

use super::app::Service;
use super::log;
use super::wire::{self, Answer};

/// Somebody who sends GraphQL to a server.
#[derive(Clone)]
pub struct Client {
    /// Where the server listens.
    pub server: SocketAddr,
    /// What it signs its requests with.
    pub token: Option<String>,
    /// A service, whose key is made before it first asks.
    pub service: Option<Service>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.service, &self.token) {
            (Some(service), _) => f.write_str(&service.name),
            (None, token) => f.write_str(token.as_deref().unwrap_or("anonymous")),
        }
    }
}

impl Client {
    /// Sends a document.
    pub async fn ask(&self, document: &str) -> Reply {
        self.ask_with(document, json!({})).await
    }

    /// Sends a document with variables.
    pub async fn ask_with(&self, document: &str, variables: Value) -> Reply {
        self.post("/graphql", &json!({ "query": document, "variables": variables })).await
    }

    /// Sends a document with variables through a trusted proxy, for a client at an address.
    pub async fn ask_from(&self, address: &str, document: &str, variables: Value) -> Reply {
        let body = json!({ "query": document, "variables": variables });
        let mut request = wire::request("POST", "/graphql").header("content-type", "application/json");
        request = request.header("x-forwarded-for", address);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Reply::new(wire::send(self.server, request.body(body.to_string()).unwrap()).await)
    }

    /// Posts a GraphQL request to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let mut request = wire::request("POST", path).header("content-type", "application/json");
        if let Some(service) = &self.service {
            service.ensure_key().await;
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Reply::new(wire::send(self.server, request.body(body.to_string()).unwrap()).await)
    }
}

/// The boundary of the forms that tests send.
const BOUNDARY: &str = "a-boundary-of-tests";

impl Client {
    /// Sends a document with files, by the GraphQL multipart request specification: each with the variable that it is, such as
    /// `variables.media.0.file`, and with what it calls itself.
    pub async fn upload(&self, document: &str, variables: Value, files: &[(&str, &str, &[u8])]) -> Reply {
        let map: serde_json::Map<String, Value> =
            files.iter().enumerate().map(|(at, (path, ..))| (at.to_string(), json!([path]))).collect();
        let operations = json!({ "query": document, "variables": variables }).to_string();
        let mut parts: Vec<(String, &[u8])> = vec![("name=\"operations\"".to_owned(), operations.as_bytes())];
        let map = Value::from(map).to_string();
        parts.push(("name=\"map\"".to_owned(), map.as_bytes()));
        for (at, (_, name, content)) in files.iter().enumerate() {
            parts.push((format!("name=\"{at}\"; filename=\"{name}\""), content));
        }
        self.send_form(&parts).await
    }

    /// Sends a form as it is given: each part with what stands behind `form-data` in its header.
    pub async fn send_form(&self, parts: &[(String, &[u8])]) -> Reply {
        let mut body = Vec::new();
        for (disposition, content) in parts {
            let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {disposition}\r\n\r\n");
            body.extend(head.as_bytes());
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let mut request = wire::request("POST", "/graphql").header("content-type", kind);
        if let Some(service) = &self.service {
            service.ensure_key().await;
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        Reply::new(wire::send(self.server, request.body(body).unwrap()).await)
    }
}

/// A GraphQL response. Indexed by the path in its data: `reply["products.nodes.0.title"]`.
#[derive(Debug)]
pub struct Reply {
    answer: Answer,
    body: Value,
}

/// One of a mutation's user errors: its field's path joined by dots, its code, its message.
#[derive(Debug, PartialEq, Eq)]
pub struct UserError {
    /// The path, such as `product.title`; empty where no field is to blame.
    pub field: String,
    /// The code, such as `BLANK`.
    pub code: String,
    /// The sentence for the user.
    pub message: String,
}

impl Reply {
    /// Reads an answer, which must be JSON.
    #[track_caller]
    pub fn new(answer: Answer) -> Self {
        Self { body: answer.json(), answer }
    }

    /// The reply, which must have neither errors nor user errors.
    #[track_caller]
    #[must_use = "index it, or call `assert_ok`"]
    pub fn ok(self) -> Self {
        self.assert_ok();
        self
    }

    /// Insists that there are neither errors nor user errors.
    #[track_caller]
    pub fn assert_ok(&self) {
        let is_good = self.body.get("errors").is_none() && self.status() == 200;
        assert!(is_good, "status {}: {:#}", self.status(), self.body);
        let fields = self.data().as_object().into_iter().flatten();
        for (field, value) in fields {
            let user_errors = value.get("userErrors").and_then(Value::as_array);
            assert!(user_errors.is_none_or(Vec::is_empty), "{field} has user errors: {:#}", self.body);
        }
    }

    /// The data, which may be null.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// The whole response.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The response but for its extensions, which tell how much the caller may still ask for.
    pub fn without_extensions(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.remove("extensions");
        }
        body
    }

    /// The errors; none is no error.
    pub fn errors(&self) -> &[Value] {
        self.body["errors"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The code of the first error, which must be there.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.error()["extensions"]["code"].as_str().expect("every error has a code")
    }

    /// The message of the first error, which must be there.
    #[track_caller]
    pub fn message(&self) -> &str {
        self.error()["message"].as_str().expect("every error has a message")
    }

    #[track_caller]
    fn error(&self) -> &Value {
        self.errors().first().unwrap_or_else(|| panic!("no error in {:#}", self.body))
    }

    /// The user errors of a mutation, which must have run.
    #[track_caller]
    pub fn user_errors(&self, mutation: &str) -> Vec<UserError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = self[&format!("{mutation}.userErrors")].as_array().expect("userErrors is a list").iter();
        errors
            .map(|error| {
                let path: Vec<String> = error["field"].as_array().into_iter().flatten().map(text).collect();
                UserError {
                    field: path.join("."),
                    code: text(&error["code"]),
                    message: text(&error["message"]),
                }
            })
            .collect()
    }

    /// The answer as it came: JSON whose objects keep their order.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.answer.body).expect("JSON is UTF-8")
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.answer.status.as_u16()
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.answer.header(name)
    }

    /// How many SQL statements the server needed for this answer, as it says in its log.
    pub fn statements(&self) -> u32 {
        self.logged("statements").parse().unwrap()
    }

    /// A field of the line that the request left in the log.
    pub fn logged(&self, field: &str) -> String {
        log::line(self.header("x-request-id"))[field].clone()
    }
}

impl Index<&str> for Reply {
    type Output = Value;

    /// The value at a path in the data. A path that leads nowhere is a mistake of the test's, and null is not nowhere.
    #[track_caller]
    fn index(&self, path: &str) -> &Value {
        let found = path.split('.').try_fold(self.data(), |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        });
        found.unwrap_or_else(|| panic!("no `{path}` in {:#}", self.body))
    }
}
