//! Files that come with an operation, as the GraphQL multipart request specification has it: a field `operations` with the operation, a
//! field `map` that says which variables the files are, and then the files. `http::graphql` calls it.
//!
//! Files go to temporary ones as they come, which have no name and end with the process; their number and size are limited. A page
//! of another origin can send such a body without asking first, so whoever sends one must be known by an Authorization header, which
//! no browser sends by itself, and may write products: that is checked before anything of the body is read.

use std::collections::HashMap;
use std::time::Duration;

use poem::web::{Field, Multipart};

use poem::{Body, FromRequest, Request, RequestBody};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::graphql::{Operation, Refused};
use super::server::BodyAllowance;
use crate::app::App;
use crate::context::OpContext;
use crate::domain::permission::Permission;
use crate::error::ErrorCode;

/// How many files a request may have.
const MAX_FILES: usize = 10;
/// How long a body may take to come.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A file and the variables that it is: `variables.media.0.file`.
pub(super) type Upload = (std::fs::File, Vec<String>);

/// Reads an operation and its files.
pub(super) async fn from_multipart(
    app: &App,
    op: &OpContext,
    request: &Request,
    body: Body,
) -> Result<(Operation, Vec<Upload>), Refused> {
    op.authorize(Permission::WriteProducts).map_err(|error| (error.code(), error.to_string()))?;
    if let Some(allowance) = request.data::<BodyAllowance>() {
        allowance.allow_upload(TIMEOUT);
    }
    let read = tokio::time::timeout(TIMEOUT, read(app, request, body)).await;
    read.unwrap_or_else(|_| Err(bad("the files took too long to come")))
}

async fn read(app: &App, request: &Request, body: Body) -> Result<(Operation, Vec<Upload>), Refused> {
    let mut body = RequestBody::new(body);
    let multipart = Multipart::from_request(request, &mut body).await;
    let mut parts = multipart.map_err(|error| bad(&format!("the body is no multipart form: {error}")))?;
    let (mut operation, mut map) = (None, None);
    let mut uploads = Vec::new();
    let mut count = 0;
    while let Some(field) =
        parts.next_field().await.map_err(|error| bad(&format!("the body can't be read: {error}")))?
    {
        match field.name().unwrap_or_default() {
            "operations" => {
                let text = read_text(field, "operations", app.config.body_limit).await?;
                if text.trim_ascii_start().first() == Some(&b'[') {
                    return Err(bad("batches are not served: send one operation a request"));
                }
                let read: Result<Operation, _> = serde_json::from_slice(&text);
                operation =
                    Some(read.map_err(|error| bad(&format!("`operations` is no JSON request: {error}")))?);
            }
            "map" => {
                let text = read_text(field, "map", app.config.body_limit).await?;
                let read: Result<HashMap<String, Vec<String>>, _> = serde_json::from_slice(&text);
                map =
                    Some(read.map_err(|error| {
                        bad(&format!("`map` is no JSON object of lists of paths: {error}"))
                    })?);
            }
            name => {
                let Some(map) = map.as_mut().filter(|_| operation.is_some()) else {
                    return Err(bad("`operations` and `map` must come before the files, in this order"));
                };
                let name = name.to_owned();
                let Some(paths) = map.remove(&name) else {
                    return Err(bad(&format!("`map` does not say which variable the file `{name}` is")));
                };
                count += 1;
                if count > MAX_FILES {
                    return Err(bad(&format!(
                        "a request may have up to {MAX_FILES} files: send them in several"
                    )));
                }
                uploads.push((read_file(field, &name, app.config.media.max_bytes).await?, paths));
            }
        }
    }
    let operation = operation.ok_or_else(|| bad("the form has no field `operations`"))?;
    match map.as_ref().map(|left| left.keys().next()) {
        None => Err(bad("the form has no field `map`")),
        Some(Some(name)) => Err(bad(&format!("the file `{name}` of `map` is missing"))),
        Some(None) => Ok((operation, uploads)),
    }
}

async fn read_text(field: Field, name: &str, limit: usize) -> Result<Vec<u8>, Refused> {
    let mut text = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = field.into_async_read().take(most).read_to_end(&mut text).await;
    read.map_err(|error| bad(&format!("the field `{name}` can't be read: {error}")))?;
    if text.len() > limit {
        Err(bad(&format!("the field `{name}` is larger than {limit} bytes")))
    } else {
        Ok(text)
    }
}

async fn read_file(field: Field, name: &str, limit: u64) -> Result<std::fs::File, Refused> {
    let made = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = made.map_err(std::io::Error::other).and_then(|made| made);
    let mut file = File::from_std(file.map_err(|error| broken(&error))?);
    let mut source = field.into_async_read().take(limit.saturating_add(1));
    let mut size = 0;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = source.read(&mut chunk).await;
        let read = read.map_err(|error| bad(&format!("the file `{name}` can't be read: {error}")))?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        size += bytes.len() as u64;
        if size > limit {
            return Err(bad(&format!("the file `{name}` is larger than {limit} bytes: make it smaller")));
        }
        file.write_all(bytes).await.map_err(|error| broken(&error))?;
    }
    file.flush().await.map_err(|error| broken(&error))?;
    file.rewind().await.map_err(|error| broken(&error))?;
    Ok(file.into_std().await)
}

fn bad(message: &str) -> Refused {
    (ErrorCode::BadUserInput, message.to_owned())
}

/// No room for a file, or no disk.
fn broken(error: &std::io::Error) -> Refused {
    tracing::error!("an upload can't be written: {error}");
    (ErrorCode::Internal, "internal error".to_owned())
}
