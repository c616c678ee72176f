//! Images and videos at `/media/:hash/:name`. The URL identifies the content, so clients may cache
//! files forever. A query string resizes an image, with the parameters of Shopify's CDN:
//! `?width=400&height=400&crop=center`.
//!
//! The content type follows from the file name's extension, is one of a list of formats that can't
//! contain scripts, and sniffing is disabled. Of the request, only the 64 hexadecimal digits of the
//! hash become part of a file path.

use std::sync::Arc;

use poem::endpoint::make;
use poem::http::{HeaderMap, StatusCode, header};
use poem::{Body, Endpoint, IntoResponse, Request, Response, ResponseBuilder, get};

use super::client_address::client_address;
use super::headers::matches_etag;
use super::respond;
use crate::app::App;
use crate::context::OpContext;
use crate::domain::access::actors::Identity;
use crate::domain::ids;
use crate::domain::media::{ContentHash, ImageTransform, MediaFormat, StoredFile, parse_name};
use crate::error::with_causes;
use crate::services::media::{CroppedImage, GetRange, OpenResult, SizedImage, StoredContent};

const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
/// For an image served in place of a size that is not ready yet.
const CACHE_BRIEFLY: &str = "public, max-age=10";

/// The endpoint.
pub(super) fn endpoint(app: Arc<App>) -> impl Endpoint<Output = Response> {
    get(make(move |request: Request| {
        let app = Arc::clone(&app);
        async move { handle(&app, &request).await }
    }))
}

async fn handle(app: &App, request: &Request) -> Response {
    let param = |name| request.raw_path_param(name).unwrap_or_default();
    let Some(file) = parse_name(param("hash"), param("name")) else { return not_found() };
    let headers = request.headers();
    let wanted = ImageTransform::parse(request.uri().query().unwrap_or_default());
    if wanted == ImageTransform::default() {
        return serve_file(app, headers, &file, CACHE_FOREVER).await;
    }
    // Images are public, so callers are not authenticated; limits apply per client address.
    let op = OpContext::for_identity(Identity::ANONYMOUS, ids::request_id().into(), Arc::clone(&app.clock))
        .with_client_address(client_address(request, &app.config.trusted_proxies));
    match app.services.media.resolve_size(&op, &file, wanted).await {
        SizedImage::Stored { file, is_final } => {
            serve_file(app, headers, &file, if is_final { CACHE_FOREVER } else { CACHE_BRIEFLY }).await
        }
        SizedImage::Cropped(image) => serve_cropped(headers, &image),
    }
}

/// Serves a stored file.
async fn serve_file(app: &App, headers: &HeaderMap, file: &StoredFile, cache_control: &str) -> Response {
    let tag = etag(&file.hash);
    if matches_etag(headers.get(header::IF_NONE_MATCH), &tag) {
        return describe(file.format, &tag, cache_control).status(StatusCode::NOT_MODIFIED).finish();
    }
    match app.services.media.open(&file.hash, file.format, requested_range(headers, &tag)).await {
        Ok(OpenResult::File(opened)) => file_response(file.format, &tag, cache_control, opened),
        Ok(OpenResult::RangeNotSatisfiable(size)) => secure_response()
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{size}"))
            .finish(),
        Ok(OpenResult::NotFound) => not_found(),
        Err(error) => {
            tracing::warn!("a file can't be served: {}", with_causes(&error));
            respond::json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({ "error": "try again later" }))
        }
    }
}

/// Serves a cropped image, which is small enough to be sent without range requests.
fn serve_cropped(headers: &HeaderMap, image: &CroppedImage) -> Response {
    let tag = etag(&image.hash);
    let response = describe(image.format, &tag, CACHE_FOREVER);
    if matches_etag(headers.get(header::IF_NONE_MATCH), &tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.header(header::CONTENT_LENGTH, image.bytes.len()).body(image.bytes.clone())
}

fn etag(hash: &ContentHash) -> String {
    format!("\"{}\"", hash.as_str())
}

fn file_response(format: MediaFormat, tag: &str, cache_control: &str, opened: StoredContent) -> Response {
    let StoredContent { size, range, content } = opened;
    let length = range.end.saturating_sub(range.start);
    let response = describe(format, tag, cache_control)
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

/// The headers of a file, with or without its content.
fn describe(format: MediaFormat, tag: &str, cache_control: &str) -> ResponseBuilder {
    secure_response()
        .content_type(format.mime_type())
        .header(header::CACHE_CONTROL, cache_control)
        .header(header::ETAG, tag)
        // Storefronts have other origins, and everything here is public.
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        .header("cross-origin-resource-policy", "cross-origin")
}

/// The headers of every response. They keep browsers from treating any file as a page of this
/// origin.
fn secure_response() -> ResponseBuilder {
    Response::builder()
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
}

fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// The requested range of a file; `None` for the whole file, which is also sent if the client asks
/// for multiple ranges or an invalid one.
fn requested_range(headers: &HeaderMap, tag: &str) -> Option<GetRange> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known.trim() != tag) {
        return None;
    }
    let range = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
    range.and_then(parse_range)
}

/// Parses a range of bytes. `headers::Range` has no ranges without the file's size, which only the
/// storage knows.
fn parse_range(range: &str) -> Option<GetRange> {
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let text = text.trim();
        if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u64>().ok() } else { None }
    };
    match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, true) => None,
        (true, false) => Some(GetRange::Suffix(number(last)?)),
        (false, true) => Some(GetRange::Offset(number(first)?)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            // The header includes the last byte. `GetRange::from(first..=last)` may overflow.
            (first <= last).then_some(GetRange::Bounded(first..last.saturating_add(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges_are_parsed() {
        assert_eq!(parse_range("0-99"), Some(GetRange::Bounded(0..100)));
        assert_eq!(parse_range("0-18446744073709551615"), Some(GetRange::Bounded(0..u64::MAX)));
        assert_eq!(parse_range("100-"), Some(GetRange::Offset(100)));
        assert_eq!(parse_range("-5"), Some(GetRange::Suffix(5)));
        for bad in ["", "-", "5", "9-3", "0-1,4-5", "a-b", "+1-2", "-18446744073709551616"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
