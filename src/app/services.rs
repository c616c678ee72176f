//! Creates the services from the parts that they share. Those that need more than a line to create
//! have a function of their own.

use std::sync::Arc;

use super::StartError;
use super::parts::SharedParts;
use crate::concurrency::breaker::BreakerSettings;
use crate::config::Environment;
use crate::integrations::downloads;
use crate::integrations::event_stream::EventStream;
use crate::integrations::public_http::{NetworkPolicy, PublicHttp};
use crate::integrations::storage::Storage;
use crate::integrations::videos::VideoConverter;
use crate::integrations::webhooks::WebhookSender;
use crate::jobs::Schedule;
use crate::services::mails::MailOverrides;
use crate::services::media::MediaParts;
use crate::services::{
    ApiKeys, Carts, Catalog, Checkout, CleanUp, Collections, Customers, Discounts, EventExport, GiftCards,
    Inventory, Jobs, Mails, Media, Menus, Options, Orders, Pages, Privacy, Products, Redirects, Reports,
    Services, Shipping, ShopSettings, Sitemaps, Staff, Taxes, Variants, Webhooks,
};

impl SharedParts {
    /// Creates all services.
    pub(super) fn services(&self, schedule: &Arc<Schedule>) -> Result<Services, StartError> {
        let (db, shop) = (|| self.db.clone(), || Arc::clone(&self.shop));
        let (auth, passwords) = (|| Arc::clone(&self.access.auth), || Arc::clone(&self.access.passwords));
        let (sessions, attempts) =
            (|| Arc::clone(&self.access.sessions), || Arc::clone(&self.access.attempts));
        let mails = self.mails()?;
        Ok(Services {
            catalog: Catalog::new(db(), Arc::clone(&self.catalog_reads), shop()),
            products: Products::new(db(), shop()),
            variants: Variants::new(db(), shop()),
            options: Options::new(db(), shop()),
            collections: Collections::new(db(), shop()),
            inventory: Inventory::new(db(), shop()),
            checkout: self.checkout(),
            orders: self.orders(),
            payments: Arc::clone(&self.payments),
            gift_cards: GiftCards::new(db(), shop(), Arc::clone(&self.access.keys)),
            carts: self.carts(),
            pricing: Arc::clone(&self.pricing),
            discounts: Discounts::new(db(), shop()),
            taxes: Taxes::new(db()),
            shipping: Shipping::new(db(), shop()),
            customers: Customers::new(db(), auth(), passwords(), sessions(), attempts()),
            privacy: Privacy::new(db(), auth()),
            staff: Staff::new(db(), auth(), passwords(), sessions(), attempts()),
            api_keys: ApiKeys::new(db(), auth()),
            webhooks: self.webhooks(),
            reports: Reports::new(db()),
            event_export: self.event_export()?,
            jobs: Jobs::new(db(), Arc::clone(schedule)),
            shop_settings: ShopSettings::new(db(), shop()),
            pages: Pages::new(db()),
            menus: Menus::new(db()),
            redirects: Redirects::new(db()),
            sitemaps: Sitemaps::new(db()),
            media: self.media()?,
            clean_up: CleanUp::new(db(), self.config.guests.cart_ttl.clone()),
            mails,
        })
    }

    fn mails(&self) -> Result<Mails, StartError> {
        let settings = &self.config.mail;
        let overrides =
            settings.templates.as_deref().map(MailOverrides::read).transpose()?.unwrap_or_default();
        Ok(Mails::new(
            self.db.clone(),
            Arc::clone(&self.shop),
            Arc::clone(&self.access.auth),
            settings.storefront.clone(),
            self.config.order_pages_url(),
            &overrides,
        )?)
    }

    fn checkout(&self) -> Checkout {
        Checkout::new(
            self.db.clone(),
            Arc::clone(&self.shop),
            Arc::clone(&self.pricing),
            Arc::clone(&self.payments),
            self.config.guests.holds.clone(),
            Arc::clone(&self.access.keys),
            self.config.pages.checkout_url.clone(),
        )
    }

    fn orders(&self) -> Orders {
        Orders::new(
            self.db.clone(),
            Arc::clone(&self.shop),
            Arc::clone(&self.pricing),
            Arc::clone(&self.payments),
            Arc::clone(&self.access.keys),
        )
    }

    fn carts(&self) -> Carts {
        Carts::new(
            self.db.clone(),
            Arc::clone(&self.pricing),
            Arc::clone(&self.access.keys),
            Arc::clone(&self.access.attempts),
            self.config.guests.carts.clone(),
            Arc::clone(&self.access.rate_limits),
            self.config.pages.checkout_url.clone(),
        )
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::new(
            self.db.clone(),
            Arc::clone(&self.access.keys),
            self.webhook_sender(),
            self.config.base_url(),
        )
    }

    /// Creates the sender of webhooks. Only public addresses are allowed, unless the settings say
    /// otherwise.
    fn webhook_sender(&self) -> WebhookSender {
        let is_private_allowed = self.config.webhooks.allow_private;
        let is_https_required = self.config.environment == Environment::Production && !is_private_allowed;
        let settings = BreakerSettings { timeout: self.config.webhooks.timeout, ..self.breaker_settings };
        // Longer than the breaker's timeout, so that the latter applies.
        let http = PublicHttp::new(
            NetworkPolicy { is_private_allowed, is_https_required },
            settings.timeout.saturating_mul(2),
        );
        WebhookSender::new(http, self.breakers.group("webhooks", settings))
    }

    fn event_export(&self) -> Result<EventExport, StartError> {
        Ok(EventExport::new(
            self.db.clone(),
            self.config.events.export.as_ref().map(EventStream::new).transpose()?,
            self.breakers.breaker("events", self.breaker_settings),
            self.config.base_url(),
        ))
    }

    fn media(&self) -> Result<Media, StartError> {
        let (shop, rate_limits) = (Arc::clone(&self.shop), Arc::clone(&self.access.rate_limits));
        Ok(Media::new(self.db.clone(), shop, rate_limits, self.media_parts()?))
    }

    /// Creates what images and videos are processed and stored with.
    fn media_parts(&self) -> Result<MediaParts, StartError> {
        let settings = &self.config.media;
        let policy = NetworkPolicy { is_private_allowed: settings.allow_private, is_https_required: false };
        let breaker = self.breakers.breaker("storage", self.breaker_settings);
        Ok(MediaParts {
            storage: Storage::new(&settings.storage, breaker)?,
            http: PublicHttp::new(policy, downloads::TIMEOUT),
            converter: VideoConverter::new(settings.ffmpeg.clone()),
            max_bytes: settings.max_bytes,
            cache_bytes: settings.cache_bytes,
            cache_lookups: self.metrics.cache("crops"),
        })
    }
}
