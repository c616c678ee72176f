//! The shop's own facts: its name, its currency, where it is. Made at first start, read once at every start.
//!
//! What staff change while the shop runs is kept in memory, since nearly every page of a storefront shows some of it. The
//! process that changes it knows at once; the others look every few seconds ([`Shop::keep_fresh`]).

mod settings;

pub use settings::{BrandPatch, NewPolicy, ShopPatch, ShopSettings};

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError, Statements};
use crate::domain::ids::{ShippingRateId, ShippingZoneId, ShopId};
use crate::domain::inventory::LowStock;
use crate::domain::money::{Currency, Money};
use crate::domain::shipping::DEFAULT_DISTANCE;
use crate::domain::shop_profile::ShopProfile;
use crate::domain::time::Timestamp;
use crate::error::with_causes;
use crate::integrations::shipping::{Express, Overnight, ShippingStrategy, Standard};
use crate::repositories::shipping::{self, ShippingRate, ShippingZone};
use crate::repositories::shops;

/// How often a process looks whether another one changed the shop.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);

/// The shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its id.
    pub id: ShopId,
    /// What all prices are in.
    pub currency: Currency,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// From how few pieces of a variant on staff are told; a setting of the process, and no fact of the database.
    pub low_stock: LowStock,
    /// When it was made.
    pub created_at: Timestamp,
    details: Arc<RwLock<Arc<ShopDetails>>>,
}

/// What staff may change of a shop.
#[derive(Clone, Debug)]
pub struct ShopDetails {
    /// The name buyers know.
    pub name: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// Its language and its brand.
    pub profile: ShopProfile,
    /// When any of it last changed.
    pub updated_at: Timestamp,
}

/// What a shop is made with at first start; later changes are staff's.
#[derive(Clone, Debug)]
pub struct NewShop {
    /// The name buyers know.
    pub name: String,
    /// What all prices are in.
    pub currency: Currency,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Whether prices contain the taxes.
    pub taxes_included: bool,
    /// Which of these the settings name, by the settings' names: the rest is what shops usually
    /// begin with.
    pub named: Vec<&'static str>,
}

impl NewShop {
    /// Settings that a shop which is there already does not follow, each in a sentence.
    fn ignored(&self, shop: &Shop) -> Vec<String> {
        let taxes = |included: bool| included.to_string();
        let settings = [
            ("SHOP_NAME", self.name.clone(), shop.name()),
            ("SHOP_CURRENCY", self.currency.code().to_owned(), shop.currency.code().to_owned()),
            ("SHOP_COUNTRY", self.country.clone(), shop.country.clone()),
            ("SHOP_TAXES_INCLUDED", taxes(self.taxes_included), taxes(shop.taxes_included)),
        ];
        let differs =
            |(name, wanted, has): &(&'static str, String, String)| self.named.contains(name) && wanted != has;
        let sentence = |(name, wanted, has): (&str, String, String)| {
            format!(
                "{name}={wanted} is ignored: it is what a new shop is made with, and this one is there already, with {has}"
            )
        };
        settings.into_iter().filter(differs).map(sentence).collect()
    }
}

impl Shop {
    /// The shop in the database, made first if there is none.
    ///
    /// # Errors
    /// [`DbError`] when the database can't be read or written.
    pub async fn load_or_make(db: &Db, op: &OpContext, new: &NewShop) -> Result<Self, DbError> {
        if let Some(row) = shops::find(&mut db.read(&op.statements).await?).await? {
            let shop = Self::of_row(row)?;
            for problem in new.ignored(&shop) {
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
        let mut tx = db.begin(&op.statements).await?;
        if shops::insert(tx.conn(), &row).await? {
            let (zone, rates) = first_zone(op);
            shipping::insert_zone(tx.conn(), &zone).await?;
            shipping::insert_rates(tx.conn(), rates).await?;
        }
        tx.commit().await?;
        // Another process may have been first: what is in the database is the shop.
        Self::of_row(shops::find(&mut db.write(&op.statements).await?).await?.unwrap_or(row))
    }

    fn of_row(row: shops::Shop) -> Result<Self, DbError> {
        let currency = Currency::parse(&row.currency).map_err(DbError::corrupt)?;
        Ok(Self {
            id: row.id,
            currency,
            country: row.country.clone(),
            taxes_included: row.taxes_included,
            low_stock: LowStock::default(),
            created_at: row.created_at,
            details: Arc::new(RwLock::new(Arc::new(ShopDetails::of(row)))),
        })
    }

    /// What staff may change of it, as it is now.
    #[must_use]
    pub fn details(&self) -> Arc<ShopDetails> {
        Arc::clone(&self.details.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name buyers know.
    #[must_use]
    pub fn name(&self) -> String {
        self.details().name.clone()
    }

    /// Shows the shop as it is stored, unless something newer is shown.
    fn show(&self, row: shops::Shop) {
        let mut details = self.details.write().unwrap_or_else(PoisonError::into_inner);
        if row.updated_at >= details.updated_at {
            *details = Arc::new(ShopDetails::of(row));
        }
    }

    /// Shows what other processes change, until `shutdown` is ready.
    pub async fn keep_fresh(&self, db: &Db, shutdown: impl Future<Output = ()>) {
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

    /// Shows the shop as it is stored.
    ///
    /// # Errors
    /// [`DbError`] of the read.
    pub async fn refresh(&self, db: &Db) -> Result<(), DbError> {
        if let Some(row) = shops::find(&mut db.read(&Statements::default()).await?).await? {
            self.show(row);
        }
        Ok(())
    }

    /// The same, with staff being told from so few pieces on.
    #[must_use]
    pub fn with_low_stock(self, low_stock: LowStock) -> Self {
        Self { low_stock, ..self }
    }

    /// An amount in the shop's currency.
    #[must_use]
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }
}

impl ShopDetails {
    fn of(row: shops::Shop) -> Self {
        Self {
            name: row.name,
            description: row.description,
            profile: row.profile.0,
            updated_at: row.updated_at,
        }
    }
}

/// What a new shop sends with until staff say otherwise: everywhere, in each of the usual ways, as if over 50 km.
fn first_zone(op: &OpContext) -> (ShippingZone, Vec<ShippingRate>) {
    let zone = ShippingZone {
        id: ShippingZoneId::generate(),
        name: "Everywhere".to_owned(),
        countries: Json(Vec::new()),
        default_distance_metres: DEFAULT_DISTANCE,
        created_at: op.now(),
        updated_at: op.now(),
    };
    let strategies: [&dyn ShippingStrategy; 3] = [&Standard, &Express, &Overnight];
    let rate = |(position, strategy): (i64, &dyn ShippingStrategy)| ShippingRate {
        id: ShippingRateId::generate(),
        zone_id: zone.id,
        strategy: strategy.name().to_owned(),
        name: strategy.title().to_owned(),
        per_kilogram_micros: strategy.usual_tariff().per_kilogram_micros,
        per_kilometre_micros: strategy.usual_tariff().per_kilometre_micros,
        min_weight_milligrams: None,
        max_weight_milligrams: None,
        min_subtotal: None,
        max_subtotal: None,
        free_from_subtotal: None,
        is_active: true,
        position,
        created_at: op.now(),
        updated_at: op.now(),
        base_price: 0,
        price_table: None,
        location_id: None,
    };
    let rates = (1..).zip(strategies).map(rate).collect();
    (zone, rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_shop_does_not_follow_are_named() {
        let shop = Shop {
            id: ShopId::generate(),
            currency: Currency::parse("EUR").unwrap(),
            country: "DE".to_owned(),
            taxes_included: true,
            low_stock: LowStock::default(),
            created_at: Timestamp::EPOCH,
            details: Arc::new(RwLock::new(Arc::new(ShopDetails {
                name: "Kiln".to_owned(),
                description: None,
                profile: ShopProfile::default(),
                updated_at: Timestamp::EPOCH,
            }))),
        };
        let new = |named: &[&'static str]| NewShop {
            name: "Mercato".to_owned(),
            currency: Currency::parse("USD").unwrap(),
            country: "DE".to_owned(),
            taxes_included: false,
            named: named.to_vec(),
        };
        assert_eq!(new(&[]).ignored(&shop), Vec::<String>::new());
        let told = new(&["SHOP_NAME", "SHOP_COUNTRY", "SHOP_TAXES_INCLUDED"]).ignored(&shop);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("SHOP_NAME=Mercato") && told[0].contains("Kiln"), "{told:?}");
        assert!(told[1].contains("SHOP_TAXES_INCLUDED=false"), "{told:?}");
    }
}
