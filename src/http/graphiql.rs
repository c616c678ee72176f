//! `GraphiQL`, for developers who explore the schema in the browser.
//!
//! The HTTP server mounts [`routes`] at `/graphiql`. The page and everything it loads
//! are embedded by `build.rs`; a build without npm serves the same page over a public
//! copy of `GraphiQL`, and the policy then names that copy.
//!
//! Nothing here may read the shop or know a token: the page talks to `/graphql` as any
//! other client does. The policy must never allow inline scripts, `eval` or another
//! origin than the public copy.

use std::sync::LazyLock;

use poem::{
    Request, Response, Result, Route,
    error::NotFoundError,
    get, handler,
    http::{HeaderValue, StatusCode, header},
    web::Path,
};

use super::headers::matches_etag;

/// A file of the bundle. Names are unique, and all files of a build share a revision.
struct Asset {
    name: &'static str,
    gzipped: bool,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/graphiql_assets.rs"));

const FOREVER: &str = "public, max-age=31536000, immutable";

static POLICY: LazyLock<String> = LazyLock::new(|| policy(PUBLIC_COPY));

/// The page, and its assets under a path that changes with their content.
#[must_use]
pub(super) fn routes() -> Route {
    Route::new().at("/", get(serve_page)).at("/assets/:revision/:name", get(serve_asset))
}

#[handler]
fn serve_page(request: &Request) -> Response {
    let tag = format!("\"{PAGE_REVISION}\"");
    let is_known = matches_etag(request.headers().get(header::IF_NONE_MATCH), &tag);
    let response = secure_response("text/html; charset=utf-8")
        .header(header::ETAG, tag)
        .header(header::CACHE_CONTROL, "no-cache");
    if is_known { response.status(StatusCode::NOT_MODIFIED).finish() } else { response.body(PAGE) }
}

#[handler]
fn serve_asset(Path((revision, name)): Path<(String, String)>) -> Result<Response> {
    let asset =
        ASSETS.iter().find(|asset| revision == REVISION && name == asset.name).ok_or(NotFoundError)?;

    let mut response = secure_response(content_type(asset.name)).header(header::CACHE_CONTROL, FOREVER);
    // Every browser accepts gzip, also over plain HTTP, so there is no uncompressed copy.
    if asset.gzipped {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    Ok(response.body(asset.bytes))
}

/// A response with the security headers. Worker scripts need the policy too: workers take
/// it from their own response, not from the page.
fn secure_response(content_type: &str) -> poem::ResponseBuilder {
    let mut response = Response::builder()
        .content_type(content_type)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "no-referrer");
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        response = response.header(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// `'self'` includes WebSockets of the same origin. Monaco sets inline styles. The public
/// copy's workers are verified by hash and then started from a blob, since browsers don't
/// start workers of another origin.
fn policy(public_copy: Option<&str>) -> String {
    let (copy, workers) = match public_copy {
        None => (String::new(), "'self'"),
        Some(folder) => (format!(" {folder}/"), "blob:"),
    };
    format!(
        "default-src 'none'; \
         script-src 'self'{copy}; \
         style-src 'self' 'unsafe-inline'{copy}; \
         worker-src {workers}; \
         connect-src 'self'{copy}; \
         img-src 'self' data: https:; \
         font-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use poem::Endpoint;

    use super::*;

    async fn fetch(path: &str, etag: Option<&str>) -> Response {
        let app = Route::new().nest("/graphiql", routes());
        let mut request = Request::builder().uri_str(path);
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        app.get_response(request.finish()).await
    }

    fn header_of(response: &Response, name: header::HeaderName) -> &str {
        response.header(name).unwrap_or_default()
    }

    #[tokio::test]
    async fn serves_the_page_with_and_without_a_slash() {
        for path in ["/graphiql", "/graphiql/", "/graphiql?from=readme"] {
            let response = fetch(path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header_of(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
            let policy = header_of(&response, header::CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
            assert!(!policy.contains("unsafe-eval"));
            let html = response.into_body().into_string().await.unwrap();
            assert!(html.contains("<title>Mercato GraphiQL</title>"));
            assert!(!html.contains("{{"), "a placeholder is left in the page");
        }
    }

    #[tokio::test]
    async fn confirms_that_a_cached_page_is_current() {
        let first = fetch("/graphiql", None).await;
        let etag = header_of(&first, header::ETAG).to_owned();
        for if_none_match in [etag.clone(), format!("\"other\", W/{etag}")] {
            let second = fetch("/graphiql", Some(&if_none_match)).await;
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[tokio::test]
    async fn serves_assets_as_immutable_and_nothing_else() {
        for asset in ASSETS {
            let path = format!("/graphiql/assets/{REVISION}/{}", asset.name);
            let response = fetch(&path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header_of(&response, header::CACHE_CONTROL), FOREVER);
            assert_ne!(content_type(asset.name), "application/octet-stream");
        }
        for path in ["/graphiql/assets/old/main.js", "/graphiql/none"] {
            assert_eq!(fetch(path, None).await.status(), StatusCode::NOT_FOUND);
        }
    }

    #[test]
    fn the_policy_permits_only_the_public_copy() {
        let policy = policy(Some("https://cdn.example/copy@1"));
        assert!(policy.contains("script-src 'self' https://cdn.example/copy@1/;"));
        assert!(policy.contains("worker-src blob:;"));
        assert!(super::policy(None).contains("connect-src 'self';"));
    }
}
