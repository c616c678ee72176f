//! `mercato serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use super::notify::{READY, STOPPING, notify};
use super::stop::stop_signal;
use super::{CommandError, StartArgs, print_status};
use crate::app::{App, Role, StartError};
use crate::auth::SecretFile;
use crate::config::{Config, CorsOrigins, Environment, MetricsEndpoint, Overrides};
use crate::error::with_causes;
use crate::http;
use crate::services::shop::demo::{self, DemoShop};
use crate::telemetry;

/// Serve the shop over HTTP.
#[derive(Args)]
pub(super) struct ServeArgs {
    /// Fill an empty database with a small demo shop first
    #[arg(long)]
    demo: bool,
    /// Address to listen on, instead of HOST [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Port to listen on, instead of PORT; 0 picks a free one [default: 8000]
    #[arg(long)]
    port: Option<String>,
    /// Serve only the API, and leave jobs and scheduled tasks to `mercato worker`
    #[arg(long)]
    no_jobs: bool,
    #[command(flatten)]
    start: StartArgs,
}

pub(super) async fn run(args: ServeArgs, overrides: Overrides) -> Result<(), CommandError> {
    let shop_name = args.demo.then(|| demo::SHOP_NAME.to_owned());
    let no_migrate = args.start.no_migrate;
    let overrides = Overrides { host: args.host, port: args.port, shop_name, no_migrate, ..overrides };
    let mut config = Config::from_env(&overrides)?;
    telemetry::start(&config);
    // Before the secret is read, which a restore replaces, too.
    let _in_use = config.database.backend.lock(true).map_err(StartError::from)?;
    ensure_jwt_secret(&mut config)?;
    let open_files = http::raise_open_file_limit();
    tracing::debug!(open_files, "raised the limit of open files");
    let stop_requested = stop_signal(config.health.shutdown_delay + config.network.shutdown_timeout);
    let app = App::start(config).await?;
    if args.demo {
        fill_demo(&app).await?;
    }

    let token = admin_token(&app).await?;
    let address = (app.config.host, app.config.port);
    let failed = |error| {
        CommandError::Failed(format!(
            "can't listen on {}:{}: {error}; set HOST or PORT to a free address",
            address.0, address.1
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, database = app.config.database.backend.name(), "serving");
    let metrics = metrics_listener(&app.config).await?;
    warn_about_exposure(&app.config);
    if app.config.environment == Environment::Development {
        print_addresses(&app.config, address, token);
    }
    notify(&app.config, READY);
    serve(app, listener, metrics, !args.no_jobs, stop_requested).await
}

/// Serves until a stop is requested, and runs the background work meanwhile.
async fn serve(
    app: App,
    listener: TcpListener,
    metrics: Option<TcpListener>,
    runs_jobs: bool,
    stop_requested: impl Future<Output = ()> + Send,
) -> Result<(), CommandError> {
    let app = Arc::new(app);
    let monitoring = metrics
        .map(|listener| tokio::spawn(http::serve_monitoring(Arc::clone(&app), listener, Role::Server)));
    // Jobs caused by the last requests are run before the process ends, as far as possible.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker_app = Arc::clone(&app);
    let mut worker = tokio::spawn(async move {
        Box::pin(worker_app.run_workers(runs_jobs, async { drop(stopped.await) })).await;
    });
    let served = tokio::select! {
        served = http::serve(Arc::clone(&app), listener, drain(&app, stop_requested)) => served,
        // A shop that takes orders without processing them is of no use: exit, so that the
        // supervisor restarts the process.
        ended = &mut worker => {
            let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
            return Err(CommandError::Failed(format!("the background work stopped: {why}")));
        }
    };
    drop(stop);
    if let Some(monitoring) = monitoring {
        monitoring.abort();
    }
    let worked = worker.await;
    served.map_err(|error| CommandError::Failed(format!("the server stopped: {error}")))?;
    worked.map_err(|error| CommandError::Failed(format!("the worker stopped: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// Drains for `SHUTDOWN_DELAY` after a stop is requested: meanwhile, balancers notice that the
/// process is not ready, and the requests that they still send are served.
async fn drain(app: &App, stop_requested: impl Future<Output = ()> + Send) {
    stop_requested.await;
    notify(&app.config, STOPPING);
    app.start_draining();
    let delay = app.config.health.shutdown_delay;
    tracing::info!(seconds = delay.as_secs(), "draining (SHUTDOWN_DELAY)");
    tokio::time::sleep(delay).await;
}

/// Prints where a development shop can be reached, and how its staff sign in.
fn print_addresses(config: &Config, address: SocketAddr, token: Option<(SecretString, PathBuf)>) {
    let url = config.exposure.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    print_status(&format!("\n  GraphQL    {url}/graphql"));
    if config.exposure.has_graphiql {
        print_status(&format!("  GraphiQL   {url}/graphiql"));
    }
    match token {
        Some((token, file)) => print_status(&format!(
            "  Admin      Authorization: Bearer {}\n             (kept in {})\n",
            token.expose_secret(),
            file.display()
        )),
        None => {
            print_status("  Admin      sign in with `staffLogin`, or create a key: mercato apikey create\n");
        }
    }
}

/// Binds the listener for metrics if they have a separate address.
async fn metrics_listener(config: &Config) -> Result<Option<TcpListener>, CommandError> {
    let MetricsEndpoint::Separate(address) = config.exposure.metrics else { return Ok(None) };
    let failed = |error| {
        let remedy = "set METRICS_PORT to another port or to off";
        CommandError::Failed(format!("can't listen on {address} for metrics: {error}; {remedy}"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "serving metrics");
    Ok(Some(listener))
}

/// Warns about production settings that most storefronts don't work with, or that expose more than
/// most shops want.
pub(super) fn warn_about_exposure(config: &Config) {
    if config.environment == Environment::Development {
        return;
    }
    let own = config.exposure.public_url.as_ref();
    match &config.exposure.cors {
        CorsOrigins::Any => tracing::warn!("pages of any origin may call this server: see CORS_ORIGINS"),
        CorsOrigins::List(list) if list.iter().all(|origin| Some(origin) == own) => {
            tracing::warn!(
                "no page of another origin may call this server: name your storefront in CORS_ORIGINS"
            );
        }
        CorsOrigins::List(_) => {}
    }
    if !config.exposure.is_secure() {
        tracing::warn!("clients reach this server without TLS: PUBLIC_URL should begin with https://");
    }
}

/// The API key of a development shop: the one stored in a file while it is valid, or the first key
/// of a shop that nobody could sign in to otherwise. Production creates none.
async fn admin_token(app: &App) -> Result<Option<(SecretString, PathBuf)>, CommandError> {
    let op = app.system();
    let failed = |error: &dyn std::error::Error| {
        CommandError::Failed(format!("no API key can be created for development: {}", with_causes(error)))
    };
    if app.config.environment == Environment::Production {
        if app.services.staff.is_empty(&op).await.map_err(|error| failed(&error))? {
            tracing::warn!("nobody can manage this shop yet: mercato user create --email E --role admin");
        }
        return Ok(None);
    }
    let path = app.config.admin_token_file();
    let file = SecretFile(path.clone());
    if let Some(token) = file.read().map_err(|error| failed(&error))?
        && app.auth.identify(token.expose_secret()).await.map_err(|error| failed(&error))?.is_some()
    {
        return Ok(Some((token, path)));
    }
    let created = app.services.api_keys.create_first(&op, "admin").await.map_err(|error| failed(&error))?;
    let Some(token) = created.map(SecretString::from) else { return Ok(None) };
    file.replace(&token).map_err(|error| failed(&error))?;
    Ok(Some((token, path)))
}

/// Sets the JWT secret of a development shop from the file next to its database, unless one is
/// configured.
pub(super) fn ensure_jwt_secret(config: &mut Config) -> Result<(), CommandError> {
    if config.jwt.secret.is_none() && config.environment == Environment::Development {
        let file = SecretFile(config.jwt_secret_file());
        config.jwt.secret = Some(file.read_or_create().map_err(StartError::from)?);
    }
    Ok(())
}

async fn fill_demo(app: &App) -> Result<(), CommandError> {
    let op = app.system();
    let failed = |error: &dyn std::error::Error| {
        CommandError::Failed(format!("the demo shop can't be created: {}", with_causes(error)))
    };
    if !app.services.catalog.is_empty(&op).await.map_err(|error| failed(&error))? {
        tracing::info!("the database already has products: no demo shop is created");
        return Ok(());
    }
    let shop = DemoShop {
        shop: &app.shop,
        services: &app.services,
        import: &app.import,
        order_import: &app.order_import,
    };
    demo::fill(&app.db, &op, shop).await.map_err(|error| failed(&error))?;
    tracing::info!("created the demo shop");
    Ok(())
}
