//! `mercato serve`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use super::stop::stop_signal;
use super::{CommandError, say};
use crate::app::App;
use crate::auth::SecretFile;
use crate::config::{Config, CorsOrigins, Environment, MetricsPlace, Overrides};
use crate::error::with_causes;
use crate::http;
use crate::services::demo::{self, DemoShop};
use crate::telemetry;

/// Serve the shop over HTTP.
#[derive(Args)]
pub struct ServeArgs {
    /// Fill an empty database with a small demo shop first
    #[arg(long)]
    demo: bool,
    /// Address to listen on, instead of HOST [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Port to listen on, instead of PORT; 0 takes a free one [default: 8000]
    #[arg(long)]
    port: Option<String>,
    /// Serve the API alone, and leave jobs and the schedule to `mercato worker`
    #[arg(long)]
    no_jobs: bool,
}

pub(super) async fn run(args: ServeArgs, overrides: Overrides) -> Result<(), CommandError> {
    let shop_name = args.demo.then(|| demo::NAME.to_owned());
    let overrides = Overrides { host: args.host, port: args.port, shop_name, ..overrides };
    let mut config = Config::from_env(&overrides)?;
    telemetry::start(&config);
    keep_secret(&mut config)?;
    let open_files = http::raise_limit();
    tracing::debug!(open_files, "raised the limit of open files");
    let told_to_stop = stop_signal(config.network.shutdown_timeout);
    let app = App::start(config).await?;
    if args.demo {
        fill_demo(&app).await?;
    }

    let token = admin_token(&app).await?;
    let address = (app.config.host, app.config.port);
    let failed = |error| {
        CommandError::Failed(format!(
            "can't listen on {}:{}: {error}; set HOST or PORT to what is free",
            address.0, address.1
        ))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, database = app.config.database.backend.name(), "serving");
    let metrics = metrics_listener(&app.config).await?;
    warn_of_exposure(&app.config);
    if app.config.environment == Environment::Development {
        let url = app.config.exposure.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        say(&format!("\n  GraphQL    {url}/graphql"));
        if app.config.exposure.has_graphiql {
            say(&format!("  GraphiQL   {url}/graphiql"));
        }
        match token {
            Some((token, file)) => say(&format!(
                "  Admin      Authorization: Bearer {}\n             (kept in {})\n",
                token.expose_secret(),
                file.display()
            )),
            None => say("  Admin      sign in with `staffLogin`, or make a key: mercato apikey create\n"),
        }
    }
    let app = Arc::new(app);
    let metrics = metrics.map(|listener| tokio::spawn(http::serve_metrics(Arc::clone(&app), listener)));
    // What follows from the last requests is done before the end, as far as it can be.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = Arc::clone(&app);
    let mut working =
        tokio::spawn(async move { working.work(!args.no_jobs, async { drop(stopped.await) }).await });
    let served = tokio::select! {
        served = http::serve(app, listener, told_to_stop) => served,
        // A shop that takes orders and does nothing about them is no shop: whoever watches the process starts it anew.
        ended = &mut working => {
            let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
            return Err(CommandError::Failed(format!("the background work stopped: {why}")));
        }
    };
    drop(stop);
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    let worked = working.await;
    served.map_err(|error| CommandError::Failed(format!("the server stopped: {error}")))?;
    worked.map_err(|error| CommandError::Failed(format!("the worker stopped: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// Where metrics are served, if at an address of their own.
async fn metrics_listener(config: &Config) -> Result<Option<TcpListener>, CommandError> {
    let MetricsPlace::Own(address) = config.exposure.metrics else { return Ok(None) };
    let failed = |error| {
        let remedy = "set METRICS_PORT to another port or to off";
        CommandError::Failed(format!("can't listen on {address} for metrics: {error}; {remedy}"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    tracing::info!(address = %listener.local_addr().map_err(failed)?, "serving metrics");
    Ok(Some(listener))
}

/// Tells the owner of a shop in production what its settings leave out that most storefronts need, or show that most shops don't.
fn warn_of_exposure(config: &Config) {
    if config.environment == Environment::Development {
        return;
    }
    let own = config.exposure.public_url.as_ref();
    match &config.cors {
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

/// The API key that a developer's shop keeps in a file: the one that is there while it is good, or the first of a shop that
/// nobody could enter otherwise. A shop in production makes none.
async fn admin_token(app: &App) -> Result<Option<(SecretString, PathBuf)>, CommandError> {
    let op = app.system();
    let failed = |error: &dyn std::error::Error| {
        CommandError::Failed(format!("the shop has no key for its developer: {}", with_causes(error)))
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
    let made = app.services.api_keys.create_first(&op, "admin").await.map_err(|error| failed(&error))?;
    let Some(token) = made.map(SecretString::from) else { return Ok(None) };
    file.replace(&token).map_err(|error| failed(&error))?;
    Ok(Some((token, path)))
}

/// Gives a developer's shop the secret of its tokens that is kept beside its database, unless it has another.
pub(super) fn keep_secret(config: &mut Config) -> Result<(), CommandError> {
    if config.jwt_secret.is_none() && config.environment == Environment::Development {
        let file = SecretFile(config.jwt_secret_file());
        config.jwt_secret = Some(file.read_or_make().map_err(crate::app::StartError::from)?);
    }
    Ok(())
}

async fn fill_demo(app: &App) -> Result<(), CommandError> {
    let op = app.system();
    let failed = |error: &dyn std::error::Error| {
        CommandError::Failed(format!("the demo shop can't be made: {}", with_causes(error)))
    };
    if !app.services.catalog.is_empty(&op).await.map_err(|error| failed(&error))? {
        tracing::info!("the database has products already: no demo shop is made");
        return Ok(());
    }
    let shop = DemoShop {
        shop: &app.shop,
        services: &app.services,
        import: &app.import,
        order_import: &app.order_import,
    };
    demo::fill(&app.db, &op, shop).await.map_err(|error| failed(&error))?;
    tracing::info!("made the demo shop");
    Ok(())
}
