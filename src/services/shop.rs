//! The shop itself: its name, currency and country; and the demo shop. It is created at the first
//! start and loaded at every start.
//!
//! Details that staff change at run time are cached in memory, since nearly every page of a
//! storefront shows some of them. The process that changes them sees it at once; others poll every
//! few seconds ([`Shop::refresh_periodically`]).

pub mod demo;
mod settings;

pub use settings::{BrandPatch, NewPolicy, ShopPatch, ShopSettings};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, StatementCounter, Tx};
use crate::domain::catalog::inventory::LowStockThreshold;
use crate::domain::checkout::shipping::{DEFAULT_DISTANCE_METRES, ShippingStrategy};
use crate::domain::ids::{ShippingZoneId, ShopId};
use crate::domain::money::{Currency, Money};
use crate::domain::shop::ShopProfile;
use crate::domain::time::Timestamp;
use crate::error::with_causes;
use crate::repositories::checkout::shipping::{self, ShippingRate, ShippingZone};
use crate::repositories::shop::shops;

/// How often a process reloads changes made by others.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);

/// The shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its id.
    pub id: ShopId,
    /// The currency of all prices.
    pub currency: Currency,
    /// ISO 3166-1 alpha-2 code of its country.
    pub country: String,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// The low-stock threshold: a setting of the process, not stored in the database.
    pub low_stock: LowStockThreshold,
    /// When it was created.
    pub created_at: Timestamp,
    details: Arc<RwLock<Arc<ShopDetails>>>,
    /// Number of changes of the details.
    revision: Arc<AtomicU64>,
}

/// The part of a shop that staff can change.
#[derive(Clone, PartialEq, Debug)]
pub struct ShopDetails {
    /// The name shown to buyers.
    pub name: String,
    /// A short description.
    pub description: Option<String>,
    /// Its language and brand.
    pub profile: ShopProfile,
    /// When any of it last changed.
    pub updated_at: Timestamp,
}

/// Initial values of a new shop, used at the first start; staff may change some later.
#[derive(Clone, Debug)]
pub struct NewShop {
    /// The name shown to buyers.
    pub name: String,
    /// The currency of all prices.
    pub currency: Currency,
    /// ISO 3166-1 alpha-2 code of its country.
    pub country: String,
    /// Whether prices include taxes.
    pub taxes_included: bool,
    /// The names of the settings that are set explicitly; the others are defaults.
    pub explicit: Vec<&'static str>,
}

impl NewShop {
    /// Warnings about explicit settings that an existing shop ignores.
    fn ignored_settings(&self, shop: &Shop) -> Vec<String> {
        let taxes = |included: bool| included.to_string();
        let settings = [
            ("SHOP_NAME", self.name.clone(), shop.name()),
            ("SHOP_CURRENCY", self.currency.code().to_owned(), shop.currency.code().to_owned()),
            ("SHOP_COUNTRY", self.country.clone(), shop.country.clone()),
            ("SHOP_TAXES_INCLUDED", taxes(self.taxes_included), taxes(shop.taxes_included)),
        ];
        let differs = |(name, wanted, has): &(&'static str, String, String)| {
            self.explicit.contains(name) && wanted != has
        };
        let format_warning = |(name, wanted, has): (&str, String, String)| {
            format!(
                "{name}={wanted} is ignored: it only applies to a new shop, and this one already has {has}"
            )
        };
        settings.into_iter().filter(differs).map(format_warning).collect()
    }
}

impl Shop {
    /// Loads the shop from the database, or creates it if there is none.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be read or written.
    pub async fn load_or_create(db: &Db, op: &OpContext, new: &NewShop) -> Result<Self, DbError> {
        if let Some(row) = shops::find(&mut db.read(&op.statements).await?).await? {
            let shop = Self::from_row(row)?;
            for problem in new.ignored_settings(&shop) {
                tracing::warn!("{problem}");
            }
            return Ok(shop);
        }
        let row = shops::Shop {
            id: ShopId::generate(),
            singleton: true,
            name: new.name.clone(),
            description: None,
            currency: new.currency.code().to_owned(),
            country: new.country.clone(),
            created_at: op.now(),
            updated_at: op.now(),
            taxes_included: new.taxes_included,
            profile: Json(ShopProfile::default()),
        };
        db.transaction(&op.statements, async |tx: &mut Tx| {
            if shops::insert(tx.conn(), &row).await? {
                let (zone, rates) = default_shipping_zone(op);
                shipping::insert_zone(tx.conn(), &zone).await?;
                shipping::insert_rates(tx.conn(), rates).await?;
            }
            Ok::<_, DbError>(())
        })
        .await?;
        // Another process may have been first: load what is in the database.
        Self::from_row(shops::find(&mut db.write(&op.statements).await?).await?.unwrap_or(row))
    }

    fn from_row(row: shops::Shop) -> Result<Self, DbError> {
        let currency = Currency::parse(&row.currency).map_err(DbError::corrupt)?;
        Ok(Self {
            id: row.id,
            currency,
            country: row.country.clone(),
            taxes_included: row.taxes_included,
            low_stock: LowStockThreshold::default(),
            created_at: row.created_at,
            details: Arc::new(RwLock::new(Arc::new(ShopDetails::from_row(row)))),
            revision: Arc::default(),
        })
    }

    /// The current details.
    #[must_use]
    pub fn details(&self) -> Arc<ShopDetails> {
        Arc::clone(&self.details.read())
    }

    /// The name shown to buyers.
    #[must_use]
    pub fn name(&self) -> String {
        self.details().name.clone()
    }

    /// A number that changes whenever the details do.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Updates the details from a row, unless they are newer.
    fn update_details(&self, row: shops::Shop) {
        let new = ShopDetails::from_row(row);
        let mut details = self.details.write();
        if new.updated_at >= details.updated_at && new != **details {
            *details = Arc::new(new);
            self.revision.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reloads the details periodically until `shutdown` completes.
    pub async fn refresh_periodically(&self, db: &Db, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            if let Err(error) = self.refresh(db).await {
                tracing::error!("the shop's settings can't be read: {}", with_causes(&error));
            }
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(REFRESH_INTERVAL) => {}
            }
        }
    }

    /// Reloads the details.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn refresh(&self, db: &Db) -> Result<(), DbError> {
        if let Some(row) = shops::find(&mut db.read(&StatementCounter::default()).await?).await? {
            self.update_details(row);
        }
        Ok(())
    }

    /// Sets the low-stock threshold.
    #[must_use]
    pub fn with_low_stock(self, low_stock: LowStockThreshold) -> Self {
        Self { low_stock, ..self }
    }

    /// An amount in the shop's currency.
    #[must_use]
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }
}

impl ShopDetails {
    fn from_row(row: shops::Shop) -> Self {
        Self {
            name: row.name,
            description: row.description,
            profile: row.profile.0,
            updated_at: row.updated_at,
        }
    }
}

/// The shipping zone of a new shop until staff change it: everywhere, with all shipping methods at
/// their default prices, for a distance of 50 km.
fn default_shipping_zone(op: &OpContext) -> (ShippingZone, Vec<ShippingRate>) {
    let zone = ShippingZone {
        id: ShippingZoneId::generate(),
        name: "Everywhere".to_owned(),
        countries: Json(Vec::new()),
        default_distance_metres: DEFAULT_DISTANCE_METRES,
        created_at: op.now(),
        updated_at: op.now(),
    };
    let strategies = [ShippingStrategy::Standard, ShippingStrategy::Express, ShippingStrategy::Overnight];
    let rate = |(position, strategy)| ShippingRate::new(zone.id, strategy, position, op.now());
    let rates = (1..).zip(strategies).map(rate).collect();
    (zone, rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_settings_are_named() {
        let shop = Shop {
            id: ShopId::generate(),
            currency: Currency::parse("EUR").unwrap(),
            country: "DE".to_owned(),
            taxes_included: true,
            low_stock: LowStockThreshold::default(),
            created_at: Timestamp::EPOCH,
            details: Arc::new(RwLock::new(Arc::new(ShopDetails {
                name: "Kiln".to_owned(),
                description: None,
                profile: ShopProfile::default(),
                updated_at: Timestamp::EPOCH,
            }))),
            revision: Arc::default(),
        };
        let new = |explicit: &[&'static str]| NewShop {
            name: "Mercato".to_owned(),
            currency: Currency::parse("USD").unwrap(),
            country: "DE".to_owned(),
            taxes_included: false,
            explicit: explicit.to_vec(),
        };
        assert_eq!(new(&[]).ignored_settings(&shop), Vec::<String>::new());
        let messages = new(&["SHOP_NAME", "SHOP_COUNTRY", "SHOP_TAXES_INCLUDED"]).ignored_settings(&shop);
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("SHOP_NAME=Mercato") && messages[0].contains("Kiln"), "{messages:?}");
        assert!(messages[1].contains("SHOP_TAXES_INCLUDED=false"), "{messages:?}");
    }
}
