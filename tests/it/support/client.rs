//! Clients, which send GraphQL to the server, and its replies.

use std::net::SocketAddr;
use std::ops::Index;

use serde_json::{Value, json};

use super::app::LazyApiKey;
use super::log;
use super::wire::{self, HttpResponse};

/// A client, which sends GraphQL to a server.
#[derive(Clone)]
pub struct Client {
    /// The address of the server.
    pub server: SocketAddr,
    /// The bearer token of its requests.
    pub token: Option<String>,
    /// The API key, which is created before the first request.
    pub service: Option<LazyApiKey>,
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

    /// Sends a document with variables, as a trusted proxy does for a client with this address.
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

/// The boundary of multipart forms.
const BOUNDARY: &str = "a-boundary-of-tests";

impl Client {
    /// Sends a document with files, by the GraphQL multipart request specification. Each file has
    /// the path of its variable, such as `variables.media.0.file`, a name and a content.
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

    /// Sends a multipart form. Each part has what follows `form-data` in its header, and a content.
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
    answer: HttpResponse,
    body: Value,
}

/// A user error of a mutation.
#[derive(Debug, PartialEq, Eq)]
pub struct UserError {
    /// The path of the field, such as `product.title`; empty if the error has none.
    pub field: String,
    /// The code, such as `BLANK`.
    pub code: String,
    /// The message.
    pub message: String,
}

impl Reply {
    /// Parses a response, which must be JSON.
    #[track_caller]
    pub fn new(answer: HttpResponse) -> Self {
        Self { body: answer.json(), answer }
    }

    /// Returns the reply, which must have neither errors nor user errors.
    #[track_caller]
    #[must_use = "index it, or call `assert_ok`"]
    pub fn ok(self) -> Self {
        self.assert_ok();
        self
    }

    /// Asserts that there are neither errors nor user errors.
    #[track_caller]
    pub fn assert_ok(&self) {
        let is_ok = self.body.get("errors").is_none() && self.status() == 200;
        assert!(is_ok, "status {}: {:#}", self.status(), self.body);
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

    /// The response without its extensions, which contain the points that the caller has left.
    pub fn without_extensions(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.remove("extensions");
        }
        body
    }

    /// The errors, if any.
    pub fn errors(&self) -> &[Value] {
        self.body["errors"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The code of the first error; there must be one.
    #[track_caller]
    pub fn code(&self) -> &str {
        self.error()["extensions"]["code"].as_str().expect("every error has a code")
    }

    /// The message of the first error; there must be one.
    #[track_caller]
    pub fn message(&self) -> &str {
        self.error()["message"].as_str().expect("every error has a message")
    }

    #[track_caller]
    fn error(&self) -> &Value {
        self.errors().first().unwrap_or_else(|| panic!("no error in {:#}", self.body))
    }

    /// The user errors of a mutation, which must have a payload.
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

    /// The body as received, with its fields in their original order.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.answer.body).expect("JSON is UTF-8")
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.answer.status.as_u16()
    }

    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.answer.header(name)
    }

    /// The number of SQL statements of the request, according to the server's log.
    pub fn statements(&self) -> u32 {
        self.logged("statements").parse().unwrap()
    }

    /// A field of the request's log line.
    pub fn logged(&self, field: &str) -> String {
        log::line(self.header("x-request-id"))[field].clone()
    }
}

impl Index<&str> for Reply {
    type Output = Value;

    /// The value at a path in the data. Fails if there is none; null is a value.
    #[track_caller]
    fn index(&self, path: &str) -> &Value {
        let found = path.split('.').try_fold(self.data(), |value, step| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(step),
        });
        found.unwrap_or_else(|| panic!("no `{path}` in {:#}", self.body))
    }
}
