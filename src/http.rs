//! The HTTP server: routes and middleware.
//!
//! `/graphql` and the Storefront path `/api/:version/graphql.json` (with or without `.json`) are
//! the same endpoint, over HTTP and WebSocket. `/graphiql` is the schema explorer, `/livez`,
//! `/readyz` and `/health` are the health checks, `/metrics` the Prometheus metrics (optionally on
//! a separate address), and `/payments/:provider/webhook` receives payment webhooks.
//! `/checkout/:cart` and `/orders/:order` are pages for buyers. Started by `cli` and by tests;
//! contains no business logic.

mod admission;
mod client_address;
mod demo;
mod document_cache;
mod graphiql;
mod graphql;
mod headers;
mod health;
mod introspection;
#[cfg(feature = "lambda")]
mod lambda;
mod live;
mod media;
mod monitoring;
mod observe;
mod operation;
mod pages;
mod payments;
mod public_cache;
mod public_url;
mod respond;
mod retry_hint;
mod server;
mod storefront_key;
mod trace_context;
mod upload;

use std::sync::Arc;

use poem::endpoint::EndpointExt;
use poem::middleware::{CatchPanic, Compression, Cors};
use poem::{Endpoint, Response, Route};
use tokio::net::TcpListener;

use self::admission::Admission;
use self::document_cache::DocumentCache;
use self::health::Health;
use self::live::LiveConnections;
pub use self::monitoring::serve as serve_monitoring;
use self::observe::labeled;
pub use self::server::raise_open_file_limit;
use crate::app::{App, Role};
use crate::config::{CorsOrigins, MetricsEndpoint};
use crate::error::ErrorCode;

/// Why a request is not executed: an error code and a message.
type Rejection = (ErrorCode, String);

/// Serves an app until `shutdown` resolves, then lets requests in flight finish.
///
/// # Errors
/// Returns the I/O error if connections can't be accepted.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let (routes, live, health) = endpoint(&app);
    let shutdown = async move {
        shutdown.await;
        live.stop();
    };
    let health = health::add_routes(Route::new(), &health);
    let health = health.catch_all_error(respond::plain_error).map_to_response();
    let health = headers::with_security_headers(Arc::clone(&app), health);
    server::serve(app, health, routes, listener, shutdown).await
}

/// Answers the invocations of an AWS Lambda function, until Lambda ends the process.
///
/// # Errors
/// The error of Lambda's runtime API.
#[cfg(feature = "lambda")]
pub async fn serve_invocations(app: Arc<App>) -> Result<(), poem_lambda::Error> {
    let (routes, ..) = endpoint(&app);
    lambda::serve(app, routes).await
}

/// The routes of an app, with their live connections and health checks.
fn endpoint(app: &Arc<App>) -> (impl Endpoint<Output = Response> + use<>, Arc<LiveConnections>, Arc<Health>) {
    let documents = DocumentCache::new(app.config.query_limits.document_cache_bytes);
    let documents = Arc::new(documents.with_lookups(app.metrics.cache("documents")));
    let admission = Arc::new(Admission::new(
        &app.config.network.admission,
        Arc::clone(&app.metrics),
        Arc::clone(&app.low_priority_pool),
    ));
    let live = LiveConnections::new(Arc::clone(app), Arc::clone(&documents), Arc::clone(&admission));
    let health = Health::new(Arc::clone(app), Role::Server);
    (routes(Arc::clone(app), documents, admission, Arc::clone(&live), &health), live, health)
}

fn routes(
    app: Arc<App>,
    documents: Arc<DocumentCache>,
    admission: Arc<Admission>,
    live: Arc<LiveConnections>,
    health: &Arc<Health>,
) -> impl Endpoint<Output = Response> + use<> {
    let checkout = pages::checkout(&app, &admission).with(Compression::new());
    let order = pages::order(&app, &admission).with(Compression::new());
    let graphql = graphql::endpoint(Arc::clone(&app), documents, admission).with(Compression::new());
    let graphql = live::endpoint(live, graphql.with(cors(&app.config.exposure.cors)).map_to_response());
    // The paths of the same endpoint are one route.
    let graphql = Arc::new(labeled("/graphql", graphql));
    let webhook = poem::post(payments::endpoint(Arc::clone(&app)));
    let assets = pages::assets(Arc::clone(&app)).with(Compression::new());
    let mut routes = Route::new()
        .at("/graphql", Arc::clone(&graphql))
        .at("/api/:version/graphql.json", Arc::clone(&graphql))
        .at("/api/:version/graphql", graphql)
        .at("/payments/:provider/webhook", labeled("/payments/:provider/webhook", webhook))
        .at("/checkout/:cart", labeled("/checkout/:cart", checkout))
        .at("/orders/:order", labeled("/orders/:order", order))
        .at("/pages/:name", labeled("/pages/:name", assets))
        .at("/media/:hash/:name", labeled("/media/:hash/:name", media::endpoint(Arc::clone(&app))))
        .nest("/demo", labeled("/demo", demo::routes()));
    routes = health::add_routes(routes, health);
    let exposure = &app.config.exposure;
    if exposure.metrics == MetricsEndpoint::Shared {
        routes = routes.at("/metrics", labeled("/metrics", monitoring::metrics(Arc::clone(&app))));
    }
    if exposure.has_graphiql {
        let to_graphiql = poem::endpoint::make_sync(|_| poem::web::Redirect::see_other("/graphiql"));
        routes = routes
            .nest("/graphiql", labeled("/graphiql", graphiql::routes()))
            .at("/", labeled("/", poem::get(to_graphiql)));
    }
    let routes = routes
        .with(CatchPanic::new().with_handler(on_panic))
        .catch_all_error(respond::plain_error)
        .map_to_response();
    observe::requests(Arc::clone(&app), headers::with_security_headers(app, routes))
}

/// Responds with an internal error after a handler has panicked. The panic hook has logged the
/// details.
fn on_panic(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let request_id = crate::domain::ids::request_id();
    tracing::error!(request_id, "a request panicked");
    respond::graphql_error(
        &crate::graphql::request_error(ErrorCode::Internal, "internal error", &request_id),
        ErrorCode::Internal,
    )
}

fn cors(origins: &CorsOrigins) -> Cors {
    let cors = Cors::new()
        .allow_methods(["GET", "POST", "OPTIONS"])
        .expose_headers(["x-request-id", "retry-after"])
        .allow_credentials(false)
        .max_age(86_400);
    match origins {
        CorsOrigins::Any => cors,
        // A function rather than a list, because poem treats an empty list as "any".
        CorsOrigins::List(list) => {
            let list = list.clone();
            cors.allow_origins_fn(move |origin| list.iter().any(|known| known == origin))
        }
    }
}
