//! File uploads, by the GraphQL multipart request specification: a field `operations` with the
//! operation, a field `map` that maps files to variables, and then the files. Called by
//! `http::graphql`.
//!
//! Files are streamed to anonymous temporary files; their number and size are limited. Browsers
//! send multipart bodies across origins without a preflight. So the sender must be authenticated by
//! an `Authorization` header, which browsers don't send on their own, and must be allowed to write
//! products. Both are checked before the body is read.
//!
//! The form is read here and not by `async-graphql-poem`, which neither limits the size of a file
//! nor names the one that is too large, and writes files on the threads of the runtime.

use std::collections::HashMap;
use std::time::Duration;

use poem::web::{Field, Multipart};
use poem::{Body, FromRequest, Request, RequestBody};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::Rejection;
use super::operation::{OperationRequest, Upload};
use super::server::BodyAllowance;
use crate::app::App;
use crate::context::OpContext;
use crate::domain::access::permissions::Permission;
use crate::error::ErrorCode;

/// The maximum number of files in a request.
const MAX_FILES: usize = 10;
/// How long a body may take to arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(10);

/// Parses a multipart body into an operation and its files.
pub(super) async fn parse_multipart(
    app: &App,
    op: &OpContext,
    request: &Request,
    body: Body,
) -> Result<(OperationRequest, Vec<Upload>), Rejection> {
    op.authorize(Permission::WriteProducts).map_err(|error| (error.code(), error.to_string()))?;
    if let Some(allowance) = request.data::<BodyAllowance>() {
        allowance.allow_upload(UPLOAD_TIMEOUT);
    }
    let read = tokio::time::timeout(UPLOAD_TIMEOUT, read_form(app, request, body)).await;
    read.unwrap_or_else(|_| Err(bad("the files took too long to arrive")))
}

async fn read_form(
    app: &App,
    request: &Request,
    body: Body,
) -> Result<(OperationRequest, Vec<Upload>), Rejection> {
    let mut body = RequestBody::new(body);
    let multipart = Multipart::from_request(request, &mut body).await;
    let mut parts = multipart.map_err(|error| bad(&format!("the body is not a multipart form: {error}")))?;
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
                    return Err(bad("batches are not supported: send one operation per request"));
                }
                let read: Result<OperationRequest, _> = serde_json::from_slice(&text);
                operation =
                    Some(read.map_err(|error| bad(&format!("`operations` is not a JSON request: {error}")))?);
            }
            "map" => {
                let text = read_text(field, "map", app.config.body_limit).await?;
                let read: Result<HashMap<String, Vec<String>>, _> = serde_json::from_slice(&text);
                map = Some(read.map_err(|error| {
                    bad(&format!("`map` is not a JSON object of lists of paths: {error}"))
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

async fn read_text(field: Field, name: &str, limit: usize) -> Result<Vec<u8>, Rejection> {
    let mut text = Vec::new();
    let max = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = field.into_async_read().take(max).read_to_end(&mut text).await;
    read.map_err(|error| bad(&format!("the field `{name}` can't be read: {error}")))?;
    if text.len() > limit {
        Err(bad(&format!("the field `{name}` is larger than {limit} bytes")))
    } else {
        Ok(text)
    }
}

async fn read_file(field: Field, name: &str, limit: u64) -> Result<std::fs::File, Rejection> {
    let created = tokio::task::spawn_blocking(tempfile::tempfile).await;
    let file = created.map_err(std::io::Error::other).and_then(|file| file);
    let mut file = File::from_std(file.map_err(|error| internal_error(&error))?);
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
        file.write_all(bytes).await.map_err(|error| internal_error(&error))?;
    }
    file.flush().await.map_err(|error| internal_error(&error))?;
    file.rewind().await.map_err(|error| internal_error(&error))?;
    Ok(file.into_std().await)
}

fn bad(message: &str) -> Rejection {
    (ErrorCode::BadUserInput, message.to_owned())
}

/// Logs that a temporary file can't be written, such as for lack of disk space.
fn internal_error(error: &std::io::Error) -> Rejection {
    tracing::error!("an upload can't be written: {error}");
    (ErrorCode::Internal, "internal error".to_owned())
}
