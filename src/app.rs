//! The composition root: the one place that knows every concrete type and puts them together.

mod gauges;
mod private_files;

use std::sync::Arc;

use crate::auth::{AuthError, Authenticator, Jwks, Keys, Passwords};
use crate::config::{Config, Environment};
use crate::context::{Clock, OpContext, SystemClock};
use crate::db::{Db, DbError};
use crate::error::{Error, with_causes};
use crate::events::bus::{BusAddress, EventBus, LocalBus, RedisBus};
use crate::events::{Relay, Retention, Tail};
use crate::graphql::limits::budget::ResponseMemory;
use crate::graphql::live::Subscriptions;
use crate::graphql::{self, Schema, Shaper};
use crate::integrations::breaker::{self, Breakers};
use crate::integrations::downloads;
use crate::integrations::event_stream::EventStream;
use crate::integrations::mail::{Files, Mailer, Sender, Smtp};
use crate::integrations::payments::{Manual, ProviderError, Providers, TestProvider};
use crate::integrations::public_http::{PublicHttp, Reach};
use crate::integrations::storage::{Storage, StorageError};
use crate::integrations::videos::Converter;
use crate::integrations::webhooks::WebhookSender;
use crate::jobs::{self, Schedule, Worker};
use crate::listeners;
use crate::loaders::{CatalogReads, Loaders};
use crate::services::mails::{Overrides, PressError};
use crate::services::media::MediaParts;
use crate::services::webhooks::PayloadShaper;
use crate::services::{
    ApiKeys, Attempts, Carts, Catalog, Checkout, CleanUp, Collections, CustomerExport, Customers, Discounts,
    EventExport, Inventory, Jobs, Mails, Media, Menus, Options, OrderExport, OrderImport, Orders, Pages,
    Payments, Pricing, Privacy, ProductExport, ProductImport, Products, RateLimits, Redirects, Reports,
    Services, Sessions, Shipping, Shop, ShopSettings, Sitemaps, Staff, Taxes, Variants, Webhooks,
    search_index,
};
use crate::telemetry::Metrics;
#[cfg(feature = "postgres")]
use crate::{db::Backend, events::bus::PostgresBus};

/// A shop that is ready to serve.
pub struct App {
    /// Its settings.
    pub config: Config,
    /// Its database.
    pub db: Db,
    /// Its catalogue's reads, which requests share.
    pub catalog_reads: Arc<CatalogReads>,
    /// What it is, as staff change it.
    pub shop: Arc<Shop>,
    /// Its use cases.
    pub services: Arc<Services>,
    /// Reads product files.
    pub import: ProductImport,
    /// Writes product files.
    pub export: ProductExport,
    /// The orders as a CSV.
    pub order_export: OrderExport,
    /// The customers as a CSV.
    pub customer_export: CustomerExport,
    /// Reads order files.
    pub order_import: OrderImport,
    /// Its schema.
    pub schema: Schema,
    /// Fields of all responses that are being put together.
    pub response_memory: ResponseMemory,
    /// Executes subscriptions.
    pub subscriptions: Arc<Subscriptions>,
    /// The provider of payments that moves no money, where it is switched on: for tests to be told by.
    pub test_payments: Option<Arc<TestProvider>>,
    /// What shapes messages to other services.
    pub shaper: Arc<dyn PayloadShaper>,
    /// What stands before everything outside.
    pub breakers: Arc<Breakers>,
    /// What it counts and measures.
    pub metrics: Arc<Metrics>,
    /// Who asks.
    pub auth: Arc<Authenticator>,
    /// How much callers may ask for.
    pub rate_limits: Arc<RateLimits>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What tells processes that something happened.
    pub bus: Arc<dyn EventBus>,
    /// Puts the event log in order.
    pub relay: Relay,
    /// The end of the event log.
    pub tail: Tail,
    /// Runs jobs.
    pub worker: Arc<Worker>,
    /// What is done by the clock.
    pub schedule: Arc<Schedule>,
}

/// Why a shop can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be opened, reached or migrated.
    #[error("the database can't be used: {}", with_causes(.0))]
    Database(#[from] DbError),
    /// The database can't be opened or reached.
    #[error("{place} (DATABASE_URL) can't be used: {}; see that it is there and answers, or correct the setting", with_causes(.source.as_ref()))]
    Unreachable {
        /// Where it is.
        place: String,
        /// Why it can't.
        source: Box<DbError>,
    },
    /// A payment provider can't be made.
    #[error("payments can't be taken: {0}")]
    Payments(#[from] ProviderError),
    /// Nobody could be signed in.
    #[error("nobody can sign in: {}", with_causes(.0))]
    Auth(#[from] AuthError),
    /// There is no bus at this address.
    #[error("events can't be told at EVENT_BUS_URL or EVENT_EXPORT_URL: {0}")]
    Bus(#[from] redis::RedisError),
    /// There are no rate limits at this address.
    #[error("rate limits can't be shared at RATE_LIMIT_URL: {0}")]
    RateLimits(redis::RedisError),
    /// The secrets of webhooks can't be encrypted.
    #[error("the secrets of webhooks can't be encrypted: {}", with_causes(.0))]
    Webhooks(#[source] Error),
    /// Mails can't be put into words.
    #[error("mails can't be written: {}", with_causes(.0))]
    Mails(#[from] PressError),
    /// There is nowhere to keep files.
    #[error("files can't be kept at MEDIA_URL: {0}")]
    Storage(#[from] StorageError),
    /// A task of the schedule has no time.
    #[error("the schedule can't be read: {0}")]
    Schedule(#[from] croner::errors::CronError),
}

/// What tests put in place of the real thing.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }
}

impl App {
    /// Opens the database, migrates it, and builds everything over it.
    ///
    /// # Errors
    /// [`StartError`] says what is missing.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::with(config, Parts::default()).await
    }

    /// The same, with parts of one's own.
    ///
    /// # Errors
    /// [`StartError`] says what is missing.
    pub async fn with(config: Config, parts: Parts) -> Result<Self, StartError> {
        // TLS to the outside: one implementation for all. A second app in this process finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        private_files::protect(&config);
        let db = open_database(&config).await?;
        for version in db.migrate().await? {
            tracing::info!(version, "migrated the database");
        }
        let op = OpContext::system(Arc::clone(&parts.clock));
        search_index::fill(&db, &op).await?;
        let shop = Shop::load_or_make(&db, &op, &config.shop).await?.with_low_stock(config.low_stock);
        let shop = Arc::new(shop);
        let catalog_reads = Arc::new(CatalogReads::new(&db));
        let (breakers, metrics) = (Arc::new(Breakers::default()), Arc::new(Metrics::default()));
        metrics.collect(Arc::clone(&breakers));
        gauges::register(&metrics, &db, &parts.clock);
        let outside = breaker::Settings { open_for: config.breaker_open, ..breaker::Settings::default() };
        let (providers, test_payments) = payment_providers(&config)?;
        let payments = Arc::new(Payments::new(
            db.clone(),
            Arc::clone(&shop),
            providers,
            &breakers,
            breaker::Settings { timeout: config.payment_timeout, ..outside },
        ));
        let pricing = Arc::new(Pricing::new(Arc::clone(&shop)));
        let keys = match &config.jwt_secret {
            Some(secret) => Keys::new(secret, &config.jwt_previous)?,
            // A command, which signs nobody in.
            None => Keys::random()?,
        };
        let keys = Arc::new(keys);
        let id_provider = config.jwks.as_ref().map(Jwks::read).transpose()?;
        let auth = Arc::new(Authenticator::new(
            db.clone(),
            Arc::clone(&parts.clock),
            Arc::clone(&keys),
            id_provider,
        ));
        let passwords = Arc::new(Passwords::new(config.limits.password_queue));
        let attempts = Arc::new(Attempts::new(db.clone(), config.limits.attempts));
        let rate_limits =
            Arc::new(RateLimits::new(config.limits.rates.clone()).map_err(StartError::RateLimits)?);
        let sessions = Arc::new(Sessions::new(db.clone(), Arc::clone(&auth)));
        let (auth_of, passwords_of, sessions_of) =
            (|| Arc::clone(&auth), || Arc::clone(&passwords), || Arc::clone(&sessions));
        let (attempts_of, keys_of) = (|| Arc::clone(&attempts), || Arc::clone(&keys));
        let schedule = Arc::new(Schedule::new(db.clone(), Arc::clone(&parts.clock), listeners::TASKS)?);
        let storefront = config.mail.storefront.clone();
        let overrides =
            config.mail.templates.as_deref().map(Overrides::read).transpose()?.unwrap_or_default();
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
                webhook_sender(&config, &breakers, outside),
                config.base_url(),
            ),
            reports: Reports::new(db.clone()),
            event_export: EventExport::new(
                db.clone(),
                config.event_export.as_ref().map(EventStream::new).transpose()?,
                breakers.one("events", outside),
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
                media_parts(&config, &breakers, outside)?,
            ),
            clean_up: CleanUp::new(db.clone(), config.guests.cart_ttl.clone()),
            mails,
        });
        let listens = listeners::Parts {
            services: Arc::clone(&services),
            mailer: mailer(&config),
            mail_breaker: breakers.one("mail", outside),
        };
        let mut handlers = listeners::all(&listens);
        let retention = Retention::new(db.clone(), config.event_retention, &handlers);
        handlers.push(listeners::clean_up(&listens, retention));
        let clock = || Arc::clone(&parts.clock);
        let bus = event_bus(&config)?;
        services.staff.seed_admin_role(&op).await?;
        if config.jwt_secret.is_some() {
            services.webhooks.encrypt_secrets(&op).await.map_err(StartError::Webhooks)?;
        }
        let schema = graphql::schema(Arc::clone(&services), Arc::clone(&shop), keys_of());
        let tail = Tail::new(db.clone());
        tail.start().await?;
        let response_memory = ResponseMemory::new(config.query_limits.max_fields_in_flight);
        let subscriptions =
            Arc::new(subscriptions(&db, &catalog_reads, keys_of(), &schema, &response_memory, &config));
        let shaper = Shaper::new(Arc::clone(&subscriptions), config.query_limits.clone(), config.base_url());
        let shaper: Arc<dyn PayloadShaper> = Arc::new(shaper);
        services.webhooks.shape_by(&shaper);
        Ok(Self {
            response_memory,
            subscriptions,
            schema,
            shaper,
            import: ProductImport::new(db.clone(), Arc::clone(&shop)),
            export: ProductExport::new(db.clone(), Arc::clone(&shop)),
            order_export: OrderExport::new(db.clone()),
            customer_export: CustomerExport::new(db.clone()),
            order_import: OrderImport::new(db.clone(), Arc::clone(&shop)),
            shop,
            test_payments,
            breakers,
            metrics,
            relay: Relay::new(db.clone(), clock(), Arc::clone(&bus), &handlers),
            worker: Worker::new(db.clone(), clock(), &handlers),
            schedule,
            tail,
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

    /// Does what follows from events and the clock until `shutdown` is ready: puts the log in order and, with `runs_jobs`, runs jobs. What
    /// runs then may end first.
    pub async fn work(&self, runs_jobs: bool, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = tokio::sync::watch::channel(());
        let until = || {
            let mut stopped = stopped.clone();
            // Told, or dropped: either way it is over.
            async move { drop(stopped.changed().await) }
        };
        let told = async {
            shutdown.await;
            drop(stop);
        };
        let worker = async {
            if runs_jobs {
                tokio::join!(self.worker.run(until(), jobs::GRACE), self.schedule.run(until()));
            }
        };
        let shop = self.shop.keep_fresh(&self.db, until());
        let bus = async {
            tokio::select! {
                () = self.bus.run() => {}
                () = until() => {}
            }
        };
        let tail = self.tail.run(self.bus.listen(), until());
        tokio::join!(told, worker, bus, shop, self.relay.run(until()), tail);
    }

    /// The context of work that the shop itself does.
    #[must_use]
    pub fn system(&self) -> OpContext {
        OpContext::system(Arc::clone(&self.clock))
    }
}

/// Opens the database, or says where it is and why it can't be.
///
/// # Errors
/// [`StartError::Unreachable`].
pub async fn open_database(config: &Config) -> Result<Db, StartError> {
    Db::open(&config.database).await.map_err(|source| {
        let place = config.database.backend.place();
        StartError::Unreachable { place, source: Box::new(source) }
    })
}

/// The payment providers that a shop has switched on.
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
            // The settings name none but these.
            _ => {}
        }
    }
    Ok((providers, test))
}

/// What executes subscriptions.
fn subscriptions(
    db: &Db,
    catalog: &Arc<CatalogReads>,
    keys: Arc<Keys>,
    schema: &Schema,
    memory: &ResponseMemory,
    config: &Config,
) -> Subscriptions {
    let (db, catalog) = (db.clone(), Arc::clone(catalog));
    Subscriptions::new(schema.clone(), memory.clone(), config.dialect.id_namespace, move |op, turns| {
        Loaders::new(&db, &catalog, &keys, op, turns)
    })
}

/// What sends webhooks: to the public internet, unless the shop's services are elsewhere.
fn webhook_sender(config: &Config, breakers: &Breakers, outside: breaker::Settings) -> WebhookSender {
    let is_private_allowed = config.webhook_allow_private;
    let is_https_required = config.environment == Environment::Production && !is_private_allowed;
    let settings = breaker::Settings { timeout: config.webhook_timeout, ..outside };
    // The breaker's patience ends first.
    let http =
        PublicHttp::new(Reach { is_private_allowed, is_https_required }, settings.timeout.saturating_mul(2));
    WebhookSender::new(http, breakers.family("webhooks", settings))
}

/// What takes a shop's mails to their readers.
fn mailer(config: &Config) -> Arc<dyn Mailer> {
    let from = config.mail.from.clone().unwrap_or_else(Sender::of_shop);
    match &config.mail.server {
        Some(server) => Arc::new(Smtp::new(server.clone(), from)),
        None => Arc::new(Files::new(config.mail_folder(), from)),
    }
}

/// What pictures and videos are worked on and kept with.
fn media_parts(
    config: &Config,
    breakers: &Breakers,
    outside: breaker::Settings,
) -> Result<MediaParts, StartError> {
    let media = &config.media;
    let reach = Reach { is_private_allowed: media.allow_private, is_https_required: false };
    Ok(MediaParts {
        storage: Storage::new(&media.storage, breakers.one("storage", outside))?,
        http: PublicHttp::new(reach, downloads::TIMEOUT),
        converter: Converter::new(media.ffmpeg.clone()),
        max_bytes: media.max_bytes,
        cache_bytes: media.cache_bytes,
    })
}

/// Where this process meets the others.
fn event_bus(config: &Config) -> Result<Arc<dyn EventBus>, StartError> {
    Ok(match (&config.event_bus, &config.database.backend) {
        (BusAddress::Redis(url), _) => Arc::new(RedisBus::new(url)?),
        #[cfg(feature = "postgres")]
        (BusAddress::Postgres, Backend::Postgres(url)) => Arc::new(PostgresBus::new(url)),
        _ => Arc::new(LocalBus::default()),
    })
}
