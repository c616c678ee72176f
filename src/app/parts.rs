//! The parts that services share, and those that the app keeps besides them: created first, from
//! the settings and the database.

use std::sync::Arc;

use super::{StartError, gauges};
use crate::auth::{Authenticator, Jwks, Keys, Passwords};
use crate::concurrency::LowPriorityPool;
use crate::concurrency::breaker::{BreakerSettings, Breakers};
use crate::config::Config;
use crate::db::Db;
use crate::domain::time::{Clock, Timestamp};
use crate::integrations::payments::{
    Manual, PayPal, PayPalSettings, ProviderError, Providers, Stripe, StripeSettings, TestProvider,
};
use crate::loaders::CatalogReads;
use crate::services::{Attempts, Payments, Pricing, RateLimits, Sessions, Shop};
use crate::telemetry::Metrics;

/// What services are created from.
pub(super) struct SharedParts {
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) db: Db,
    pub(super) shop: Arc<Shop>,
    pub(super) catalog_reads: Arc<CatalogReads>,
    pub(super) breakers: Arc<Breakers>,
    /// The settings of breakers, whose timeouts differ.
    pub(super) breaker_settings: BreakerSettings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) payments: Arc<Payments>,
    pub(super) test_payments: Option<Arc<TestProvider>>,
    pub(super) pricing: Arc<Pricing>,
    pub(super) access: Access,
}

/// How callers are recognized, and how much they may try.
pub(super) struct Access {
    pub(super) keys: Arc<Keys>,
    pub(super) auth: Arc<Authenticator>,
    pub(super) low_priority_pool: Arc<LowPriorityPool>,
    pub(super) passwords: Arc<Passwords>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) sessions: Arc<Sessions>,
}

impl SharedParts {
    pub(super) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        db: Db,
        shop: Arc<Shop>,
    ) -> Result<Self, StartError> {
        let (breakers, metrics) = (Arc::new(breakers(&clock)), Arc::new(Metrics::default()));
        let cache_bytes = config.query_limits.entity_cache_bytes;
        let catalog_reads = Arc::new(CatalogReads::new(&db, cache_bytes, &metrics.cache("entities")));
        metrics.collect(Arc::clone(&breakers));
        gauges::register(&metrics, &db, &clock);
        gauges::register_replica(&metrics, &db);
        let breaker_settings =
            BreakerSettings { open_duration: config.breaker_open, ..BreakerSettings::default() };
        let access = Access::new(&config, &clock, &db)?;
        let (providers, test_payments) = payment_providers(&config, &clock)?;
        let payments = Arc::new(Payments::new(
            db.clone(),
            Arc::clone(&shop),
            Arc::clone(&access.keys),
            providers,
            &breakers,
            BreakerSettings { timeout: config.payments.timeout, ..breaker_settings },
            Arc::clone(&access.attempts),
        ));
        let pricing = Arc::new(Pricing::new(Arc::clone(&shop)));
        Ok(Self {
            config,
            clock,
            db,
            shop,
            catalog_reads,
            breakers,
            breaker_settings,
            metrics,
            payments,
            test_payments,
            pricing,
            access,
        })
    }
}

impl Access {
    fn new(config: &Config, clock: &Arc<dyn Clock>, db: &Db) -> Result<Self, StartError> {
        let keys = match &config.jwt.secret {
            Some(secret) => Keys::new(secret, &config.jwt.previous)?,
            // For commands, which don't sign in anybody.
            None => Keys::random()?,
        };
        let keys = Arc::new(keys);
        let id_provider = config.jwt.jwks.as_ref().map(Jwks::read).transpose()?;
        let auth =
            Arc::new(Authenticator::new(db.clone(), Arc::clone(clock), Arc::clone(&keys), id_provider));
        let low_priority_pool = Arc::<LowPriorityPool>::default();
        let passwords =
            Arc::new(Passwords::new(config.limits.password_queue, Arc::clone(&low_priority_pool)));
        let attempts = Arc::new(Attempts::new(db.clone(), config.limits.attempts));
        let rate_limits =
            Arc::new(RateLimits::new(config.limits.rates.clone()).map_err(StartError::RateLimits)?);
        let sessions = Arc::new(Sessions::new(db.clone(), Arc::clone(&auth)));
        Ok(Self { keys, auth, low_priority_pool, passwords, attempts, rate_limits, sessions })
    }
}

/// Creates the registry of circuit breakers.
fn breakers(clock: &Arc<dyn Clock>) -> Breakers {
    let clock = Arc::clone(clock);
    Breakers::new(move || Timestamp::EPOCH.until(clock.now()))
}

/// Creates the payment providers that are enabled.
pub(super) fn payment_providers(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Providers, Option<Arc<TestProvider>>), ProviderError> {
    let (mut providers, mut test) = (Providers::new(), None);
    let holds = &config.guests.payment_holds;
    for name in &config.payments.providers {
        match *name {
            Manual::NAME => providers = providers.with(Arc::new(Manual::new(holds.of(name)))),
            Stripe::NAME => {
                if let Some(settings) = stripe_settings(config, clock) {
                    providers = providers.with(Arc::new(Stripe::new(settings)?));
                }
            }
            PayPal::NAME => {
                if let Some(settings) = paypal_settings(config, clock) {
                    providers = providers.with(Arc::new(PayPal::new(settings)?));
                }
            }
            TestProvider::NAME => {
                let provider =
                    Arc::new(TestProvider::new(holds.of(name))?.with_capture(config.payments.test_capture));
                test = Some(Arc::clone(&provider));
                providers = providers.with(provider);
            }
            // The settings accept no other names.
            _ => {}
        }
    }
    Ok((providers, test))
}

/// The settings of Stripe; `None` if it is not enabled.
fn stripe_settings(config: &Config, clock: &Arc<dyn Clock>) -> Option<StripeSettings> {
    let account = config.payments.stripe.clone()?;
    Some(StripeSettings {
        secret_key: account.secret_key,
        publishable_key: account.publishable_key,
        webhook_secrets: account.webhook_secrets,
        api_url: account.api_url,
        capture: account.capture,
        payment_timeout: config.guests.payment_holds.of(Stripe::NAME),
        timeout: config.payments.timeout,
        clock: Arc::clone(clock),
    })
}

/// The settings of PayPal; `None` if it is not enabled.
fn paypal_settings(config: &Config, clock: &Arc<dyn Clock>) -> Option<PayPalSettings> {
    let account = config.payments.paypal.clone()?;
    Some(PayPalSettings {
        client_id: account.client_id,
        client_secret: account.client_secret,
        webhook_id: account.webhook_id,
        api_url: account.api_url,
        capture: account.capture,
        payment_timeout: config.guests.payment_holds.of(PayPal::NAME),
        timeout: config.payments.timeout,
        clock: Arc::clone(clock),
    })
}
