//! The composition root, the one place that knows all concrete types: builds the [`App`] from the
//! settings.

mod gauges;
mod private_files;

use std::sync::Arc;

use crate::auth::{AuthError, Authenticator, Jwks, Keys, Passwords};
use crate::concurrency::LowPriorityPool;
use crate::concurrency::breaker::{self, Breakers};
use crate::config::{Config, Environment};
use crate::context::OpContext;
use crate::db::{Db, DbError};
use crate::domain::time::{Clock, SystemClock};
use crate::error::{Error, with_causes};
use crate::events::bus::{BusAddress, EventBus, LocalBus, RedisBus};
use crate::events::{LogFollower, Relay, Retention};
use crate::graphql::limits::budget::ResponseMemory;
use crate::graphql::live::SubscriptionExecutor;
use crate::graphql::{self, PayloadRenderer, Schema};
use crate::integrations::downloads;
use crate::integrations::event_stream::EventStream;
use crate::integrations::mail::{FileMailer, Mailer, Sender, SmtpMailer};
use crate::integrations::payments::{Manual, ProviderError, Providers, TestProvider};
use crate::integrations::public_http::{NetworkPolicy, PublicHttp};
use crate::integrations::storage::{Storage, StorageError};
use crate::integrations::videos::VideoConverter;
use crate::integrations::webhooks::WebhookSender;
use crate::jobs::{self, Schedule, Worker};
use crate::listeners;
use crate::loaders::{CatalogReads, Loaders};
use crate::services::catalog::search_index;
use crate::services::mails::{MailOverrides, MailRenderError};
use crate::services::media::MediaParts;
use crate::services::webhooks::RenderPayload;
use crate::services::{
    ApiKeys, Attempts, Carts, Catalog, Checkout, CleanUp, Collections, CustomerExport, Customers, Discounts,
    EventExport, Inventory, Jobs, Mails, Media, Menus, Options, OrderExport, OrderImport, Orders, Pages,
    Payments, Pricing, Privacy, ProductExport, ProductImport, Products, RateLimits, Redirects, Reports,
    Services, Sessions, Shipping, Shop, ShopSettings, Sitemaps, Staff, Taxes, Variants, Webhooks,
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
    /// The catalogue's reads, coalesced across requests.
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
    /// The GraphQL schema.
    pub schema: Schema,
    /// Limits the number of fields of all responses that are being built.
    pub response_memory: ResponseMemory,
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
}

/// Why the shop can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be migrated or queried.
    #[error("the database can't be used: {}", with_causes(.0))]
    Database(#[from] DbError),
    /// The database can't be opened or reached.
    #[error("{location} (DATABASE_URL) can't be used: {}; see that it is there and answers, or correct the setting", with_causes(.source.as_ref()))]
    Unreachable {
        /// Where the database is.
        location: String,
        /// The cause.
        source: Box<DbError>,
    },
    /// A payment provider can't be created.
    #[error("payments can't be taken: {0}")]
    Payments(#[from] ProviderError),
    /// Authentication can't be set up.
    #[error("nobody can sign in: {}", with_causes(.0))]
    Auth(#[from] AuthError),
    /// The address of the event bus or event stream is invalid.
    #[error("events can't be told at EVENT_BUS_URL or EVENT_EXPORT_URL: {0}")]
    Bus(#[from] redis::RedisError),
    /// The address of the shared rate limits is invalid.
    #[error("rate limits can't be shared at RATE_LIMIT_URL: {0}")]
    RateLimits(redis::RedisError),
    /// Webhook secrets can't be encrypted.
    #[error("the secrets of webhooks can't be encrypted: {}", with_causes(.0))]
    Webhooks(#[source] Error),
    /// A mail template is invalid.
    #[error("mails can't be written: {}", with_causes(.0))]
    Mails(#[from] MailRenderError),
    /// The storage of files can't be used.
    #[error("files can't be kept at MEDIA_URL: {0}")]
    Storage(#[from] StorageError),
    /// The cron expression of a scheduled task is invalid.
    #[error("the schedule can't be read: {0}")]
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
    /// Opens and migrates the database, and builds everything on top of it.
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
        let _ = rustls::crypto::ring::default_provider().install_default();
        private_files::protect(&config);
        let db = open_database(&config).await?;
        for version in db.migrate().await? {
            tracing::info!(version, "migrated the database");
        }
        let op = OpContext::system(Arc::clone(&dependencies.clock));
        search_index::backfill(&db, &op).await?;
        let shop = Shop::load_or_create(&db, &op, &config.shop).await?.with_low_stock(config.low_stock);
        let shop = Arc::new(shop);
        let catalog_reads = Arc::new(CatalogReads::new(&db));
        let (breakers, metrics) = (Arc::new(Breakers::default()), Arc::new(Metrics::default()));
        metrics.collect(Arc::clone(&breakers));
        gauges::register(&metrics, &db, &dependencies.clock);
        let breaker_settings = breaker::BreakerSettings {
            open_duration: config.breaker_open,
            ..breaker::BreakerSettings::default()
        };
        let (providers, test_payments) = payment_providers(&config)?;
        let payments = Arc::new(Payments::new(
            db.clone(),
            Arc::clone(&shop),
            providers,
            &breakers,
            breaker::BreakerSettings { timeout: config.payment_timeout, ..breaker_settings },
        ));
        let pricing = Arc::new(Pricing::new(Arc::clone(&shop)));
        let keys = match &config.jwt_secret {
            Some(secret) => Keys::new(secret, &config.jwt_previous)?,
            // For commands, which don't sign in anybody.
            None => Keys::random()?,
        };
        let keys = Arc::new(keys);
        let id_provider = config.jwks.as_ref().map(Jwks::read).transpose()?;
        let auth = Arc::new(Authenticator::new(
            db.clone(),
            Arc::clone(&dependencies.clock),
            Arc::clone(&keys),
            id_provider,
        ));
        let low_priority_pool = Arc::<LowPriorityPool>::default();
        let passwords =
            Arc::new(Passwords::new(config.limits.password_queue, Arc::clone(&low_priority_pool)));
        let attempts = Arc::new(Attempts::new(db.clone(), config.limits.attempts));
        let rate_limits =
            Arc::new(RateLimits::new(config.limits.rates.clone()).map_err(StartError::RateLimits)?);
        let sessions = Arc::new(Sessions::new(db.clone(), Arc::clone(&auth)));
        let (auth_of, passwords_of, sessions_of) =
            (|| Arc::clone(&auth), || Arc::clone(&passwords), || Arc::clone(&sessions));
        let (attempts_of, keys_of) = (|| Arc::clone(&attempts), || Arc::clone(&keys));
        let schedule =
            Arc::new(Schedule::new(db.clone(), Arc::clone(&dependencies.clock), listeners::TASKS)?);
        let storefront = config.mail.storefront.clone();
        let overrides =
            config.mail.templates.as_deref().map(MailOverrides::read).transpose()?.unwrap_or_default();
        let (shop_of_mails, payments_of_mails) = (Arc::clone(&shop), Arc::clone(&payments));
        let mails =
            Mails::new(db.clone(), shop_of_mails, payments_of_mails, auth_of(), storefront, &overrides)?;
        let services = Arc::new(Services {
            catalog: Catalog::new(db.clone(), Arc::clone(&catalog_reads), Arc::clone(&shop)),
            products: Products::new(db.clone(), Arc::clone(&shop)),
            variants: Variants::new(db.clone(), Arc::clone(&shop)),
            options: Options::new(db.clone(), Arc::clone(&shop)),
            collections: Collections::new(db.clone(), Arc::clone(&shop)),
            inventory: Inventory::new(db.clone(), Arc::clone(&shop)),
            checkout: Checkout::new(
                db.clone(),
                Arc::clone(&shop),
                Arc::clone(&pricing),
                Arc::clone(&payments),
                config.guests.holds.clone(),
                keys_of(),
            ),
            orders: Orders::new(
                db.clone(),
                Arc::clone(&shop),
                Arc::clone(&pricing),
                Arc::clone(&payments),
                keys_of(),
            ),
            payments,
            carts: Carts::new(
                db.clone(),
                Arc::clone(&pricing),
                keys_of(),
                attempts_of(),
                config.guests.carts.clone(),
                Arc::clone(&rate_limits),
            ),
            pricing,
            discounts: Discounts::new(db.clone(), Arc::clone(&shop)),
            taxes: Taxes::new(db.clone()),
            shipping: Shipping::new(db.clone(), Arc::clone(&shop)),
            customers: Customers::new(db.clone(), auth_of(), passwords_of(), sessions_of(), attempts_of()),
            privacy: Privacy::new(db.clone(), auth_of()),
            staff: Staff::new(db.clone(), auth_of(), passwords_of(), sessions_of(), attempts_of()),
            api_keys: ApiKeys::new(db.clone(), auth_of()),
            webhooks: Webhooks::new(
                db.clone(),
                keys_of(),
                webhook_sender(&config, &breakers, breaker_settings),
                config.base_url(),
            ),
            reports: Reports::new(db.clone()),
            event_export: EventExport::new(
                db.clone(),
                config.event_export.as_ref().map(EventStream::new).transpose()?,
                breakers.breaker("events", breaker_settings),
                config.base_url(),
            ),
            jobs: Jobs::new(db.clone(), Arc::clone(&schedule)),
            shop_settings: ShopSettings::new(db.clone(), Arc::clone(&shop)),
            pages: Pages::new(db.clone()),
            menus: Menus::new(db.clone()),
            redirects: Redirects::new(db.clone()),
            sitemaps: Sitemaps::new(db.clone()),
            media: Media::new(
                db.clone(),
                Arc::clone(&shop),
                Arc::clone(&rate_limits),
                media_parts(&config, &breakers, breaker_settings)?,
            ),
            clean_up: CleanUp::new(db.clone(), config.guests.cart_ttl.clone()),
            mails,
        });
        let listener_dependencies = listeners::Dependencies {
            services: Arc::clone(&services),
            mailer: mailer(&config),
            mail_breaker: breakers.breaker("mail", breaker_settings),
        };
        let mut handlers = listeners::all(&listener_dependencies);
        let retention = Retention::new(db.clone(), config.event_retention, &handlers);
        handlers.push(listeners::clean_up(&listener_dependencies, retention));
        let clock = || Arc::clone(&dependencies.clock);
        let bus = event_bus(&config)?;
        services.staff.seed_admin_role(&op).await?;
        if config.jwt_secret.is_some() {
            services.webhooks.encrypt_secrets(&op).await.map_err(StartError::Webhooks)?;
        }
        let schema = graphql::schema(Arc::clone(&services), Arc::clone(&shop), keys_of());
        let log_follower = LogFollower::new(db.clone());
        log_follower.start().await?;
        let response_memory = ResponseMemory::new(config.query_limits.max_fields_in_flight);
        let subscriptions =
            Arc::new(subscriptions(&db, &catalog_reads, keys_of(), &schema, &response_memory, &config));
        let payload_renderer =
            PayloadRenderer::new(Arc::clone(&subscriptions), config.query_limits.clone(), config.base_url());
        let payload_renderer: Arc<dyn RenderPayload> = Arc::new(payload_renderer);
        services.webhooks.set_renderer(&payload_renderer);
        Ok(Self {
            response_memory,
            subscriptions,
            schema,
            payload_renderer,
            import: ProductImport::new(db.clone(), Arc::clone(&shop)),
            export: ProductExport::new(db.clone(), Arc::clone(&shop)),
            order_export: OrderExport::new(db.clone()),
            customer_export: CustomerExport::new(db.clone()),
            order_import: OrderImport::new(db.clone(), Arc::clone(&shop)),
            shop,
            test_payments,
            breakers,
            low_priority_pool,
            metrics,
            relay: Relay::new(db.clone(), clock(), Arc::clone(&bus), &handlers),
            worker: Worker::new(db.clone(), clock(), &handlers),
            schedule,
            log_follower,
            bus,
            services,
            auth,
            rate_limits,
            clock: clock(),
            catalog_reads,
            db,
            config,
        })
    }

    /// Runs background work until `shutdown` completes: relays events and, with `runs_jobs`, runs
    /// jobs and the schedule. Running jobs are then given time to finish.
    pub async fn run_workers(&self, runs_jobs: bool, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = tokio::sync::watch::channel(());
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

    /// Creates the context of work by the shop itself.
    #[must_use]
    pub fn system(&self) -> OpContext {
        OpContext::system(Arc::clone(&self.clock))
    }
}

/// Opens the database. The error says where it is.
///
/// # Errors
/// [`StartError::Unreachable`].
pub async fn open_database(config: &Config) -> Result<Db, StartError> {
    Db::open(&config.database).await.map_err(|source| {
        let location = config.database.backend.location();
        StartError::Unreachable { location, source: Box::new(source) }
    })
}

/// Creates the payment providers that are enabled.
fn payment_providers(config: &Config) -> Result<(Providers, Option<Arc<TestProvider>>), ProviderError> {
    let (mut providers, mut test) = (Providers::new(), None);
    let holds = &config.guests.payment_holds;
    for name in &config.payment_providers {
        match *name {
            Manual::NAME => providers = providers.with(Arc::new(Manual::new(holds.manual))),
            TestProvider::NAME => {
                let provider = Arc::new(TestProvider::new(holds.test)?);
                test = Some(Arc::clone(&provider));
                providers = providers.with(provider);
            }
            // The settings accept no other names.
            _ => {}
        }
    }
    Ok((providers, test))
}

/// Creates the executor of subscriptions.
fn subscriptions(
    db: &Db,
    catalog: &Arc<CatalogReads>,
    keys: Arc<Keys>,
    schema: &Schema,
    memory: &ResponseMemory,
    config: &Config,
) -> SubscriptionExecutor {
    let (db, catalog) = (db.clone(), Arc::clone(catalog));
    SubscriptionExecutor::new(
        schema.clone(),
        memory.clone(),
        config.dialect.id_namespace,
        move |op, scheduler| Loaders::new(&db, &catalog, &keys, op, scheduler),
    )
}

/// Creates the sender of webhooks. Only public addresses are allowed, unless the settings say
/// otherwise.
fn webhook_sender(
    config: &Config,
    breakers: &Breakers,
    breaker_settings: breaker::BreakerSettings,
) -> WebhookSender {
    let is_private_allowed = config.webhook_allow_private;
    let is_https_required = config.environment == Environment::Production && !is_private_allowed;
    let settings = breaker::BreakerSettings { timeout: config.webhook_timeout, ..breaker_settings };
    // Longer than the breaker's timeout, so that the latter applies.
    let http = PublicHttp::new(
        NetworkPolicy { is_private_allowed, is_https_required },
        settings.timeout.saturating_mul(2),
    );
    WebhookSender::new(http, breakers.group("webhooks", settings))
}

/// Creates the mailer: over SMTP, or to files if no server is configured.
fn mailer(config: &Config) -> Arc<dyn Mailer> {
    let from = config.mail.from.clone().unwrap_or_else(Sender::named_by_shop);
    match &config.mail.server {
        Some(server) => Arc::new(SmtpMailer::new(server.clone(), from)),
        None => Arc::new(FileMailer::new(config.mail_folder(), from)),
    }
}

/// Creates what pictures and videos are processed and stored with.
fn media_parts(
    config: &Config,
    breakers: &Breakers,
    breaker_settings: breaker::BreakerSettings,
) -> Result<MediaParts, StartError> {
    let media = &config.media;
    let policy = NetworkPolicy { is_private_allowed: media.allow_private, is_https_required: false };
    Ok(MediaParts {
        storage: Storage::new(&media.storage, breakers.breaker("storage", breaker_settings))?,
        http: PublicHttp::new(policy, downloads::TIMEOUT),
        converter: VideoConverter::new(media.ffmpeg.clone()),
        max_bytes: media.max_bytes,
        cache_bytes: media.cache_bytes,
    })
}

/// Creates the event bus.
fn event_bus(config: &Config) -> Result<Arc<dyn EventBus>, StartError> {
    Ok(match (&config.event_bus, &config.database.backend) {
        (BusAddress::Redis(url), _) => Arc::new(RedisBus::new(url)?),
        #[cfg(feature = "postgres")]
        (BusAddress::Postgres, Backend::Postgres(url)) => Arc::new(PostgresBus::new(url)),
        _ => Arc::new(LocalBus::default()),
    })
}
