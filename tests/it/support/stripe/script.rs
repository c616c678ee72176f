//! The files of `https://js.stripe.com`: Stripe's script, and the page in its frame.

use poem::Response;
use poem::http::{StatusCode, header};

/// The file at a path; `None` if it is not one of the script's.
pub(super) fn file(path: &str) -> Option<Response> {
    let (content_type, content) = match path {
        "/v3/" => ("text/javascript; charset=utf-8", include_str!("script/script.js")),
        "/v3/elements.html" => ("text/html; charset=utf-8", include_str!("script/elements.html")),
        _ => return None,
    };
    let builder = Response::builder().status(StatusCode::OK).header(header::CONTENT_TYPE, content_type);
    Some(builder.body(content))
}
