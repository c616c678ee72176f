//! The demo shop's images, which are compiled into the binary.

use poem::http::{StatusCode, header};
use poem::{IntoResponse, Response, Route, get, handler, web::Path};

include!(concat!(env!("OUT_DIR"), "/demo_images.rs"));

/// Serves `/demo/<name>.svg`.
pub(super) fn routes() -> Route {
    Route::new().at("/:name", get(image))
}

#[handler]
fn image(Path(name): Path<String>) -> Response {
    match IMAGES.iter().find(|(known, _)| *known == name) {
        Some((_, svg)) => Response::builder()
            .header(header::CONTENT_TYPE, "image/svg+xml")
            .header(header::CACHE_CONTROL, "public, max-age=86400")
            .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .body(*svg),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
