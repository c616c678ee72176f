//! Where images come from and where they are stored: other servers, and buckets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use poem::endpoint::make;
use poem::http::{Method, StatusCode, header};
use poem::listener::TcpAcceptor;
use poem::{Endpoint, Request, Response, Server};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{add_urls, fetch, fetch_image, jpeg, media_of, transformed_url, upload};
use crate::support::{Database, TestApp, both};

/// An HTTP server on a free port, which stops when this is dropped.
struct HttpServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HttpServer {
    async fn start(endpoint: impl Endpoint<Output = Response> + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TcpAcceptor::from_tokio(listener).unwrap();
        let task =
            tokio::spawn(async move { Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap() });
        Self { address, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a server with an image, and with everything that can go wrong with one.
async fn start_image_server() -> HttpServer {
    let attempts = Arc::new(Mutex::new(0));
    let endpoint = make(move |request: Request| {
        let attempts = Arc::clone(&attempts);
        async move {
            let file = jpeg(400, 300);
            match request.uri().path() {
                "/mug.jpg" => Response::builder().header(header::CONTENT_TYPE, "text/html").body(file),
                "/moved" => Response::builder()
                    .status(StatusCode::FOUND)
                    .header(header::LOCATION, "/mug.jpg")
                    .finish(),
                "/file-url" => {
                    let status = Response::builder().status(StatusCode::FOUND);
                    status.header(header::LOCATION, "file:///etc/passwd").finish()
                }
                "/loop" => {
                    Response::builder().status(StatusCode::FOUND).header(header::LOCATION, "/loop").finish()
                }
                "/large" => Response::builder().body(vec![0; 40_000]),
                "/page" => Response::builder().body("<html><script>alert(1)</script></html>"),
                "/busy" => {
                    let mut attempts = attempts.lock().unwrap();
                    *attempts += 1;
                    match *attempts {
                        1 => Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).finish(),
                        _ => Response::builder().body(file),
                    }
                }
                "/broken" => Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).finish(),
                _ => Response::builder().status(StatusCode::NOT_FOUND).finish(),
            }
        }
    });
    HttpServer::start(endpoint).await
}

both!(images_are_fetched_from_urls);
async fn images_are_fetched_from_urls(database: Database) {
    let server = start_image_server().await;
    let app = TestApp::with(database, &[("MEDIA_ALLOW_PRIVATE", "true"), ("MEDIA_MAX_BYTES", "30000")]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let paths = ["/mug.jpg", "/moved", "/file-url", "/loop", "/large", "/page", "/nothing"];
    let urls = paths.map(|path| server.url(path));
    add_urls(&app.admin(), &product, &urls).await.assert_ok();
    app.work().await;
    let staff = media_of(&app.admin(), &product).await;
    let media = staff["product.media.nodes"].as_array().unwrap();
    for (at, expected) in [
        (2, "must begin with"),
        (3, "redirected too often"),
        (4, "larger than 30000"),
        (5, "must be a JPEG"),
        (6, "404"),
    ] {
        let medium = &media[at];
        assert_eq!(medium["status"], "FAILED", "{}", paths[at]);
        let message = medium["mediaErrors"][0]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{}: {message}", paths[at]);
    }
    let buyer = media_of(&app.anonymous(), &product).await;
    assert_eq!(buyer["product.images.nodes"].as_array().unwrap().len(), 2);
    let (kind, image) =
        fetch_image(&app, &transformed_url(&app, &product, json!({ "maxWidth": 320 })).await).await;
    assert_eq!((kind.as_str(), image.width()), ("image/jpeg", 320));
}

both!(temporary_failures_are_retried);
async fn temporary_failures_are_retried(database: Database) {
    let server = start_image_server().await;
    let app = TestApp::with(database, &[("MEDIA_ALLOW_PRIVATE", "true")]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    add_urls(&app.admin(), &product, &[server.url("/busy"), server.url("/broken")]).await.assert_ok();
    let mut dead = 0;
    for _ in 0..4 {
        dead += app.work_until_idle().await;
        app.clock.advance(std::time::Duration::from_mins(1));
    }
    assert_eq!(dead, 1, "the job for the permanent failure is dead");
    let staff = media_of(&app.admin(), &product).await;
    let statuses: Vec<_> =
        staff["product.media.nodes"].as_array().unwrap().iter().map(|medium| &medium["status"]).collect();
    assert_eq!(statuses, [&json!("READY"), &json!("FAILED")]);
    assert!(staff["product.media.nodes.1.mediaErrors.0.message"].as_str().unwrap().contains("500"));
}

both!(private_networks_are_not_fetched_from);
async fn private_networks_are_not_fetched_from(app: TestApp) {
    let server = start_image_server().await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    for url in [
        server.url("/mug.jpg"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]/mug.jpg".to_owned(),
        "http://2130706433/mug.jpg".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/mug.jpg".to_owned(),
        "javascript:alert(1)".to_owned(),
    ] {
        let errors = add_urls(&app.admin(), &product, std::slice::from_ref(&url))
            .await
            .user_errors("productMediaCreate");
        assert_eq!(
            (errors[0].field.as_str(), errors[0].code.as_str()),
            ("media.0.originalSource", "INVALID"),
            "{url}"
        );
    }
    // Host names are resolved when the image is fetched.
    let port = server.address.port();
    add_urls(&app.admin(), &product, &[format!("http://localhost:{port}/mug.jpg")]).await.assert_ok();
    app.work().await;
    let staff = media_of(&app.admin(), &product).await;
    let message = staff["product.media.nodes.0.mediaErrors.0.message"].as_str().unwrap();
    assert!(message.contains("not on the public internet"), "{message}");
}

/// The objects of a bucket, by path.
type Objects = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Starts a bucket with the part of the S3 API that Mercato uses.
async fn start_bucket(objects: Objects, is_unavailable: Arc<AtomicBool>) -> HttpServer {
    let endpoint = make(move |mut request: Request| {
        let (objects, is_unavailable) = (Arc::clone(&objects), Arc::clone(&is_unavailable));
        async move {
            if is_unavailable.load(Ordering::SeqCst) {
                return Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).finish();
            }
            assert!(request.headers().contains_key("authorization"), "every request is signed");
            let path = request.uri().path().to_owned();
            let range = request.header("range").map(str::to_owned);
            let body = request.take_body().into_vec().await.unwrap();
            let mut objects = objects.lock().unwrap();
            match *request.method() {
                Method::PUT => {
                    objects.insert(path, body);
                    Response::builder().header(header::ETAG, "\"1\"").finish()
                }
                Method::DELETE => {
                    objects.remove(&path);
                    Response::builder().status(StatusCode::NO_CONTENT).finish()
                }
                _ => match objects.get(&path) {
                    None => Response::builder().status(StatusCode::NOT_FOUND).finish(),
                    Some(object) => object_response(object, range.as_deref()),
                },
            }
        }
    });
    HttpServer::start(endpoint).await
}

fn object_response(object: &[u8], range: Option<&str>) -> Response {
    let response = Response::builder()
        .header(header::ETAG, "\"1\"")
        .header(header::LAST_MODIFIED, "Thu, 01 Jan 2026 12:00:00 GMT");
    let Some(range) = range else {
        return response.header(header::CONTENT_LENGTH, object.len()).body(object.to_vec());
    };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let part = object[first..=last].to_vec();
    response
        .status(StatusCode::PARTIAL_CONTENT)
        .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", object.len()))
        .header(header::CONTENT_LENGTH, part.len())
        .body(part)
}

both!(files_can_be_stored_in_a_bucket);
async fn files_can_be_stored_in_a_bucket(database: Database) {
    let objects = Objects::default();
    let is_unavailable = Arc::new(AtomicBool::new(false));
    let s3 = start_bucket(Arc::clone(&objects), Arc::clone(&is_unavailable)).await;
    let endpoint = s3.url("");
    let settings = [
        ("MEDIA_URL", "s3://images/shop"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let app = TestApp::with(database, &settings).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[("mug.jpg", &jpeg(400, 300))]).await.assert_ok();
    assert!(objects.lock().unwrap().keys().all(|path| path.starts_with("/images/shop/uploads/")));
    app.work().await;
    // The upload has been replaced by the processed files.
    assert!(objects.lock().unwrap().keys().all(|path| path.starts_with("/images/shop/files/")));
    let url =
        transformed_url(&app, &product, json!({ "maxWidth": 160, "preferredContentType": "WEBP" })).await;
    assert_eq!(fetch_image(&app, &url).await.1.width(), 160);
    let part = crate::support::request("GET", super::path_of(&app, &url)).header("range", "bytes=8-11");
    let part = app.send(part.body(String::new()).unwrap()).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, b"WEBP".as_slice()));

    // While the bucket is unavailable, images can neither be uploaded nor be served.
    is_unavailable.store(true, Ordering::SeqCst);
    assert_eq!(fetch(&app, &url).await.status, 503);
    let failed = upload(&app.admin(), &product, &[("mug.jpg", &jpeg(40, 30))]).await;
    assert_eq!(failed.code(), "SERVICE_UNAVAILABLE");
}
