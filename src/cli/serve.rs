//! `mercato serve`.

use std::sync::Arc;

use clap::Args;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use super::{CommandError, say};
use crate::app::App;
use crate::auth::AdminToken;
use crate::config::{Config, Environment, Overrides};
use crate::error::with_causes;
use crate::http;
use crate::services::demo;
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
}

pub(super) async fn run(args: ServeArgs, overrides: Overrides) -> Result<(), CommandError> {
    let shop_name = args.demo.then(|| demo::NAME.to_owned());
    let overrides = Overrides { host: args.host, port: args.port, shop_name, ..overrides };
    let mut config = Config::from_env(&overrides)?;
    telemetry::start(&config);
    let token_file = match config.admin_token {
        Some(_) => None,
        None => {
            let file = config.admin_token_file();
            let AdminToken(token) = AdminToken::read_or_make(&file).map_err(crate::app::StartError::from)?;
            config.admin_token = Some(token);
            Some(file)
        }
    };
    let app = App::start(config).await?;
    if args.demo {
        fill_demo(&app).await?;
    }

    let address = (app.config.host, app.config.port);
    let failed =
        |error| CommandError::Failed(format!("can't listen on {}:{}: {error}", address.0, address.1));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, database = app.config.database.backend.name(), "serving");
    if app.config.environment == Environment::Development {
        say(&format!("\n  GraphQL    http://{address}/graphql\n  GraphiQL   http://{address}/graphiql"));
        if let (Some(token), Some(file)) = (&app.config.admin_token, token_file) {
            say(&format!("  Admin      Authorization: Bearer {}", token.expose_secret()));
            say(&format!("             (kept in {})\n", file.display()));
        }
    }
    http::serve(Arc::new(app), listener, stop_signal())
        .await
        .map_err(|error| CommandError::Failed(format!("the server stopped: {error}")))?;
    tracing::info!("stopped");
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
    demo::fill(&app.db, &op, &app.import, &app.services.collections).await.map_err(|error| failed(&error))?;
    tracing::info!("made the demo shop");
    Ok(())
}

/// Ready when the process is told to stop: Ctrl-C, or SIGTERM where there is one.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return wait_for_ctrl_c().await;
        };
        tokio::select! {
            () = wait_for_ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    wait_for_ctrl_c().await;
}

async fn wait_for_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals the server runs until it is killed.
        std::future::pending::<()>().await;
    }
}
