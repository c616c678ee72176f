//! Pictures and videos: `/media/:hash/:name`. A name means the same for ever, so that whoever has a
//! file need not ask again. A query asks for a picture in another size, as Shopify's CDN
//! understands it: `?width=400&height=400&crop=center`.
//!
//! What it is served as follows from the name's ending, out of a list of formats that run no script, and browsers are told to believe
//! that alone; the file behind it was kept under that very ending. Nothing of a request becomes part of a path but 64 digits.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Body, Endpoint, IntoResponse, Request, Response, ResponseBuilder, get};

use super::client_address::client_address;
use super::respond;
use crate::app::App;
use crate::auth::Identity;
use crate::context::OpContext;
use crate::domain::ids;
use crate::domain::media::{ContentHash, MediaFormat, StoredFile, Wanted, parse_name};
use crate::error::with_causes;
use crate::services::media::{CutPicture, Found, Opened, Part, Shown};

const FOREVER: &str = "public, max-age=31536000, immutable";
/// What is given in place of what was asked for, for lack of time.
const BRIEFLY: &str = "public, max-age=10";

/// The endpoint.
pub fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |request: Request| {
        let app = Arc::clone(&app);
        async move { answer(&app, &request).await }
    }))
}

async fn answer(app: &App, request: &Request) -> Response {
    let part = |name| request.raw_path_param(name).unwrap_or_default();
    let Some(file) = parse_name(part("hash"), part("name")) else { return missing() };
    let headers = request.headers();
    let wanted = Wanted::parse(request.uri().query().unwrap_or_default());
    if wanted == Wanted::default() {
        return stored(app, headers, &file, FOREVER).await;
    }
    // Pictures are for everybody, whoever asks: their address alone counts.
    let op = OpContext::asked_by(Identity::NOBODY, ids::request_id().into(), Arc::clone(&app.clock))
        .from_address(client_address(request, &app.config.trusted_proxies));
    match app.services.media.sized(&op, &file, wanted).await {
        Shown::Kept { file, is_final } => {
            stored(app, headers, &file, if is_final { FOREVER } else { BRIEFLY }).await
        }
        Shown::Cut(picture) => cut(headers, &picture),
    }
}

/// A file that is kept.
async fn stored(app: &App, headers: &HeaderMap, file: &StoredFile, cached: &str) -> Response {
    let tag = tag_of(&file.hash);
    if is_known(headers, &tag) {
        return described(file.format, &tag, cached).status(StatusCode::NOT_MODIFIED).finish();
    }
    match app.services.media.open(&file.hash, file.format, wanted_part(headers, &tag)).await {
        Ok(Found::File(opened)) => content(file.format, &tag, cached, opened),
        Ok(Found::NoSuchPart(size)) => guarded()
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{size}"))
            .finish(),
        Ok(Found::Nothing) => missing(),
        Err(error) => {
            tracing::warn!("a file can't be served: {}", with_causes(&error));
            respond::json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "error": "try again later" }))
        }
    }
}

/// A part of a picture, which is small enough to be sent whole.
fn cut(headers: &HeaderMap, picture: &CutPicture) -> Response {
    let tag = tag_of(&picture.hash);
    let response = described(picture.format, &tag, FOREVER);
    if is_known(headers, &tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.header(header::CONTENT_LENGTH, picture.bytes.len()).body(picture.bytes.clone())
}

fn tag_of(hash: &ContentHash) -> String {
    format!("\"{}\"", hash.as_str())
}

/// Whether the client has what bears this tag.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let tags = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    // A proxy that compresses makes the tag weak.
    tags.is_some_and(|tags| tags.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}

fn content(format: MediaFormat, tag: &str, cached: &str, opened: Opened) -> Response {
    let Opened { size, range, content } = opened;
    let length = range.end.saturating_sub(range.start);
    let response = described(format, tag, cached)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, length);
    let response = if length == size {
        response
    } else {
        let last = range.end.saturating_sub(1);
        let range = format!("bytes {}-{last}/{size}", range.start);
        response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range)
    };
    response.body(Body::from_bytes_stream(content))
}

/// What is told of a file whether or not it follows.
fn described(format: MediaFormat, tag: &str, cached: &str) -> ResponseBuilder {
    guarded()
        .content_type(format.mime_type())
        .header(header::CACHE_CONTROL, cached)
        .header(header::ETAG, tag)
        // Storefronts are of other origins; there is nothing here that is not for everybody.
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header("cross-origin-resource-policy", "cross-origin")
}

/// What every answer carries: whatever is in a file, it is no page of this origin.
fn guarded() -> ResponseBuilder {
    Response::builder()
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
}

fn missing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// Which part of a file a request asks for. Several at once are answered with the whole, and so is what can't be read.
fn wanted_part(headers: &HeaderMap, tag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known.trim() != tag) {
        return Part::Whole;
    }
    let range = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
    range.and_then(parse_range).unwrap_or(Part::Whole)
}

fn parse_range(range: &str) -> Option<Part> {
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let text = text.trim();
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None }
    };
    match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, true) => None,
        (true, false) => Some(Part::Last(number(last)?)),
        (false, true) => Some(Part::From(number(first)?)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Part::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_http_writes_them() {
        assert_eq!(parse_range("0-99"), Some(Part::Between(0, 99)));
        assert_eq!(parse_range("100-"), Some(Part::From(100)));
        assert_eq!(parse_range("-5"), Some(Part::Last(5)));
        for bad in ["", "-", "5", "9-3", "0-1,4-5", "a-b", "+1-2", "-18446744073709551616"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
