//! The composition root, the one place that knows all concrete types: builds the [`App`] from the
//! settings.

mod checks;
pub mod doctor;
mod gauges;
#[cfg(feature = "lambda")]
mod invocation;
mod parts;
mod private_files;
mod services;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::checks::{Check, CheckFailure, DiskSpace, Role};
#[cfg(feature = "lambda")]
pub use self::invocation::WorkSummary;
use self::parts::SharedParts;
use crate::auth::{AuthError, Authenticator};
use crate::concurrency::LowPriorityPool;
use crate::concurrency::breaker::Breakers;
use crate::config::Config;
use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::domain::time::{Clock, SystemClock};
use crate::error::{Error, with_causes};
#[cfg(all(feature = "sqlite", unix))]
use crate::events::bus::SqliteBus;
use crate::events::bus::{BusAddress, EventBus, LocalBus, RedisBus};
use crate::events::{LogFollower, Relay, Retention};
use crate::graphql::live::SubscriptionExecutor;
use crate::graphql::request::limits::budget::ResponseMemory;
use crate::graphql::request::response_cache::ResponseCache;
use crate::graphql::{self, PayloadRenderer, Schema};
use crate::integrations::mail::{FileMailer, Mailer, Sender, SmtpMailer};
use crate::integrations::payments::{ProviderError, TestProvider};
use crate::integrations::storage::StorageError;
use crate::jobs::{self, Handler, Schedule, Worker};
use crate::listeners;
use crate::loaders::{CatalogReads, Loaders};
use crate::pages::{BuyerPages, PageRenderError, PageStyle};
use crate::services::catalog::search_index;
use crate::services::mails::MailRenderError;
use crate::services::webhooks::RenderPayload;
use crate::services::{
    CustomerExport, OrderExport, OrderImport, ProductExport, ProductImport, RateLimits, Services, Shop,
};
use crate::telemetry::Metrics;
#[cfg(feature = "postgres")]
use crate::{db::Backend, events::bus::PostgresBus};

/// A shop that is ready to serve requests.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The catalog's reads, coalesced across requests.
    pub catalog_reads: Arc<CatalogReads>,
    /// The shop's profile, which staff can change.
    pub shop: Arc<Shop>,
    /// The use cases.
    pub services: Arc<Services>,
    /// Imports products from CSV files.
    pub import: ProductImport,
    /// Exports products as CSV.
    pub export: ProductExport,
    /// Exports orders as CSV.
    pub order_export: OrderExport,
    /// Exports customers as CSV.
    pub customer_export: CustomerExport,
    /// Imports orders from CSV files.
    pub order_import: OrderImport,
    /// The pages for buyers.
    pub pages: BuyerPages,
    /// The GraphQL schema.
    pub schema: Schema,
    /// Limits the number of fields of all responses that are being built.
    pub response_memory: ResponseMemory,
    /// Responses to buyers' queries of the catalog and of content.
    pub responses: ResponseCache,
    /// Executes subscriptions.
    pub subscriptions: Arc<SubscriptionExecutor>,
    /// The test payment provider, if it is enabled, so that tests can control it.
    pub test_payments: Option<Arc<TestProvider>>,
    /// Renders webhook payloads.
    pub payload_renderer: Arc<dyn RenderPayload>,
    /// The circuit breakers in front of external services.
    pub breakers: Arc<Breakers>,
    /// The threads for expensive work.
    pub low_priority_pool: Arc<LowPriorityPool>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Authenticates callers.
    pub auth: Arc<Authenticator>,
    /// The rate limits of callers.
    pub rate_limits: Arc<RateLimits>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Signals to other processes that the event log has grown.
    pub bus: Arc<dyn EventBus>,
    /// Moves committed events into the log.
    pub relay: Relay,
    /// Delivers new events to live clients.
    pub log_follower: LogFollower,
    /// Runs jobs.
    pub worker: Arc<Worker>,
    /// Enqueues scheduled tasks.
    pub schedule: Arc<Schedule>,
    /// The free space on the disks that the process writes to.
    pub disk: DiskSpace,
    /// Whether the process is about to stop.
    draining: watch::Sender<bool>,
}

/// Why the shop can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be migrated or queried.
    #[error("the database can't be used: {}", with_causes(.0))]
    Database(#[from] DbError),
    /// The database can't be opened or reached.
    #[error("{location} (DATABASE_URL) can't be used: {}; check that the database is reachable and that the setting is right", with_causes(.source.as_ref()))]
    Unreachable {
        /// Where the database is.
        location: String,
        /// The cause.
        source: Box<DbError>,
    },
    /// A payment provider can't be created.
    #[error("the payment providers can't be set up: {0}")]
    Payments(#[from] ProviderError),
    /// Authentication can't be set up.
    #[error("authentication can't be set up: {}", with_causes(.0))]
    Auth(#[from] AuthError),
    /// The address of the event bus or event stream is invalid.
    #[error("the event bus or the event export can't be set up (EVENT_BUS_URL, EVENT_EXPORT_URL): {0}")]
    Bus(#[from] redis::RedisError),
    /// The address of the shared rate limits is invalid.
    #[error("the shared rate limits can't be set up (RATE_LIMIT_URL): {0}")]
    RateLimits(redis::RedisError),
    /// Webhook secrets can't be encrypted.
    #[error("the secrets of webhooks can't be encrypted: {}", with_causes(.0))]
    Webhooks(#[source] Error),
    /// A mail template is invalid.
    #[error("the mail templates can't be used: {}", with_causes(.0))]
    Mails(#[from] MailRenderError),
    /// A text of the pages for buyers is invalid.
    #[error("the pages for buyers can't be used: {}", with_causes(.0))]
    Pages(#[from] PageRenderError),
    /// The storage of files can't be used.
    #[error("the media storage can't be used (MEDIA_URL): {0}")]
    Storage(#[from] StorageError),
    /// The cron expression of a scheduled task is invalid.
    #[error("the schedule of tasks is invalid: {0}")]
    Schedule(#[from] croner::errors::CronError),
}

/// Dependencies that tests replace.
pub struct Dependencies {
    /// The source of time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Dependencies {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }
}

impl App {
    /// Opens the database, migrates it if it may, and builds everything on top of it.
    ///
    /// # Errors
    /// [`StartError`] when a part can't be set up.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::with(config, Dependencies::default()).await
    }

    /// Like [`Self::start`], with other dependencies than the default ones.
    ///
    /// # Errors
    /// [`StartError`] when a part can't be set up.
    pub async fn with(config: Config, dependencies: Dependencies) -> Result<Self, StartError> {
        // One TLS implementation for all clients. Fails if another app in this process has
        // installed it.
        rustls::crypto::ring::default_provider().install_default().ok();
        private_files::protect(&config);
        let Dependencies { clock } = dependencies;
        let op = OpContext::system(Arc::clone(&clock));
        let (db, shop) = open_shop(&config, &op).await?;
        let parts = SharedParts::new(config, clock, db, Arc::new(shop))?;
        let schedule = Arc::new(Schedule::new(parts.db.clone(), Arc::clone(&parts.clock), listeners::TASKS)?);
        let services = Arc::new(parts.services(&schedule)?);
        let bus = event_bus(&parts.config, &parts.db)?;
        services.staff.seed_admin_role(&op).await?;
        if parts.config.jwt.secret.is_some() {
            services.webhooks.encrypt_secrets(&op).await.map_err(StartError::Webhooks)?;
        }
        let keys = Arc::clone(&parts.access.keys);
        let style = PageStyle { logo: parts.config.pages.logo.clone(), accent: parts.config.pages.accent };
        let pages =
            BuyerPages::new(Arc::clone(&services), Arc::clone(&parts.shop), Arc::clone(&keys), &style)?;
        let is_subgraph = parts.config.exposure.has_federation;
        let schema = graphql::schema(Arc::clone(&services), Arc::clone(&parts.shop), keys, is_subgraph);
        let log_follower = LogFollower::start(parts.db.clone()).await?;
        let response_memory = ResponseMemory::new(parts.config.query_limits.max_fields_in_flight);
        let subscriptions = Arc::new(subscriptions(&parts, &schema, &response_memory));
        let payload_renderer = payload_renderer(&parts.config, &subscriptions);
        let (relay, worker) = background_work(&parts, &bus, &handlers(&parts, &services, &payload_renderer));
        Ok(Self {
            response_memory,
            responses: response_cache(&parts, &log_follower),
            subscriptions,
            pages,
            schema,
            payload_renderer,
            disk: DiskSpace::new(&parts.config),
            draining: watch::Sender::new(false),
            import: ProductImport::new(parts.db.clone(), Arc::clone(&parts.shop)),
            export: ProductExport::new(parts.db.clone(), Arc::clone(&parts.shop)),
            order_export: OrderExport::new(parts.db.clone()),
            customer_export: CustomerExport::new(parts.db.clone()),
            order_import: OrderImport::new(parts.db.clone(), Arc::clone(&parts.shop)),
            shop: parts.shop,
            test_payments: parts.test_payments,
            breakers: parts.breakers,
            low_priority_pool: parts.access.low_priority_pool,
            metrics: parts.metrics,
            relay,
            worker,
            schedule,
            log_follower,
            bus,
            services,
            auth: parts.access.auth,
            rate_limits: parts.access.rate_limits,
            clock: parts.clock,
            catalog_reads: parts.catalog_reads,
            db: parts.db,
            config: parts.config,
        })
    }

    /// Runs background work until `shutdown` completes: relays events and, with `runs_jobs`, runs
    /// jobs and the schedule. Running jobs are then given time to finish.
    pub async fn run_workers(&self, runs_jobs: bool, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let until_stopped = || {
            let mut stopped = stopped.clone();
            // Completes on a signal or when the sender is dropped.
            async move { drop(stopped.changed().await) }
        };
        let shutdown = async {
            shutdown.await;
            drop(stop);
        };
        let worker = async {
            if runs_jobs {
                tokio::join!(
                    self.worker.run(until_stopped(), jobs::SHUTDOWN_TIMEOUT),
                    self.schedule.run(until_stopped())
                );
            }
        };
        let shop = self.shop.refresh_periodically(&self.db, until_stopped());
        let bus = async {
            tokio::select! {
                () = self.bus.run() => {}
                () = until_stopped() => {}
            }
        };
        let log_follower = self.log_follower.run(self.bus.subscribe(), until_stopped());
        tokio::join!(shutdown, worker, bus, shop, self.relay.run(until_stopped()), log_follower);
    }

    /// Prepares for the end of the process: from now on it is not ready, so that balancers send
    /// requests elsewhere, and clients are asked not to reuse their connections. It still serves.
    pub fn start_draining(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the process is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Completes when the process is about to stop.
    pub fn until_draining(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        // Completes as well when the app is dropped.
        async move { drop(draining.wait_for(|draining| *draining).await) }
    }

    /// Creates the context of work by the shop itself.
    #[must_use]
    pub fn system(&self) -> OpContext {
        OpContext::system(Arc::clone(&self.clock))
    }
}

/// Opens the database. The error says where it is.
///
/// # Errors
/// [`StartError::Unreachable`], or [`StartError::Database`] while it is being restored.
pub async fn open_database(config: &Config) -> Result<Db, StartError> {
    Db::open(&config.database).await.map_err(|source| match source {
        // Nothing is wrong with the setting.
        DbError::Restoring => StartError::Database(source),
        _ => {
            let location = config.database.backend.location();
            StartError::Unreachable { location, source: Box::new(source) }
        }
    })
}

/// Opens the database, migrates it or checks that it is migrated, and loads the shop from it.
async fn open_shop(config: &Config, op: &OpContext) -> Result<(Db, Shop), StartError> {
    let db = open_database(config).await?;
    if config.database.auto_migrate {
        for version in db.migrate().await? {
            tracing::info!(version, "migrated the database");
        }
    } else {
        db.check_migrations().await?;
    }
    search_index::backfill(&db, op).await?;
    let shop = Shop::load_or_create(&db, op, &config.shop).await?.with_low_stock(config.low_stock);
    Ok((db, shop))
}

/// Creates the handlers of all jobs.
fn handlers(
    parts: &SharedParts,
    services: &Arc<Services>,
    payload_renderer: &Arc<dyn RenderPayload>,
) -> Vec<Handler> {
    let dependencies = Arc::new(listeners::Dependencies {
        services: Arc::clone(services),
        mailer: mailer(&parts.config),
        mail_breaker: parts.breakers.breaker("mail", parts.breaker_settings),
        payload_renderer: Arc::clone(payload_renderer),
    });
    let mut handlers = listeners::all(&dependencies);
    let retention = Retention::new(parts.db.clone(), parts.config.events.retention, &handlers);
    handlers.push(listeners::clean_up(&dependencies, retention));
    handlers
}

/// Creates what relays events and runs jobs, and registers its metrics.
fn background_work(
    parts: &SharedParts,
    bus: &Arc<dyn EventBus>,
    handlers: &[Handler],
) -> (Relay, Arc<Worker>) {
    let relay = Relay::new(parts.db.clone(), Arc::clone(&parts.clock), Arc::clone(bus), handlers);
    let worker = Worker::new(parts.db.clone(), Arc::clone(&parts.clock), handlers);
    gauges::register_work(&parts.metrics, &relay.metrics, &worker.metrics);
    (relay, worker)
}

/// Creates the cache of responses.
fn response_cache(parts: &SharedParts, log_follower: &LogFollower) -> ResponseCache {
    let max_bytes = parts.config.query_limits.response_cache_bytes;
    ResponseCache::new(max_bytes, log_follower, &parts.shop, parts.metrics.cache("responses"))
}

/// Creates the executor of subscriptions.
fn subscriptions(parts: &SharedParts, schema: &Schema, memory: &ResponseMemory) -> SubscriptionExecutor {
    let (db, catalog) = (parts.db.clone(), Arc::clone(&parts.catalog_reads));
    let keys = Arc::clone(&parts.access.keys);
    SubscriptionExecutor::new(
        schema.clone(),
        memory.clone(),
        parts.config.dialect.id_namespace,
        move |op, scheduler| Loaders::new(&db, &catalog, &keys, op, scheduler),
    )
}

/// Creates the renderer of webhook payloads.
fn payload_renderer(config: &Config, subscriptions: &Arc<SubscriptionExecutor>) -> Arc<dyn RenderPayload> {
    let limits = config.query_limits.clone();
    Arc::new(PayloadRenderer::new(Arc::clone(subscriptions), limits, config.base_url()))
}

/// Creates the mailer: over SMTP, or to files if no server is configured.
fn mailer(config: &Config) -> Arc<dyn Mailer> {
    let from = config.mail.from.clone().unwrap_or_else(Sender::named_by_shop);
    match &config.mail.server {
        Some(server) => Arc::new(SmtpMailer::new(server.clone(), from)),
        None => Arc::new(FileMailer::new(config.mail_folder(), from)),
    }
}

/// Creates the event bus. Over PostgreSQL it needs a session of its own, which a pooler in
/// transaction mode does not provide.
fn event_bus(config: &Config, db: &Db) -> Result<Arc<dyn EventBus>, StartError> {
    Ok(match (&config.events.bus, db.direct_backend()) {
        (BusAddress::Redis(url), _) => Arc::new(RedisBus::new(url)?),
        #[cfg(feature = "postgres")]
        (BusAddress::Postgres, Some(Backend::Postgres(server))) => Arc::new(PostgresBus::new(server)),
        (BusAddress::Postgres, None) => {
            tracing::warn!(
                "behind a pooler in transaction mode, processes notice each other's events after up to a second: set \
                 DATABASE_DIRECT_URL to the URL of the database without the pooler, or EVENT_BUS_URL to that of Redis"
            );
            Arc::new(LocalBus::default())
        }
        #[cfg(all(feature = "sqlite", unix))]
        (BusAddress::Sqlite, _) => Arc::new(SqliteBus::new(config.event_bus_folder())),
        _ => Arc::new(LocalBus::default()),
    })
}
