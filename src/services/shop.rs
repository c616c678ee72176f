//! The shop's own facts: its name, its currency, where it is. Made at first start, read once at every start.

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, DbError};
use crate::domain::ids::{ShippingRateId, ShippingZoneId, ShopId};
use crate::domain::inventory::LowStock;
use crate::domain::money::{Currency, Money};
use crate::domain::shipping::DEFAULT_DISTANCE;
use crate::domain::time::Timestamp;
use crate::integrations::shipping::{Express, Overnight, ShippingStrategy, Standard};
use crate::repositories::shipping::{self, ShippingRate, ShippingZone};
use crate::repositories::shops;

/// The shop.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its id.
    pub id: ShopId,
    /// The name buyers know.
    pub name: String,
    /// A sentence about it.
    pub description: Option<String>,
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
            ("SHOP_NAME", self.name.clone(), shop.name.clone()),
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
        Ok(Self {
            id: row.id,
            name: row.name,
            description: row.description,
            currency: Currency::parse(&row.currency).map_err(DbError::corrupt)?,
            country: row.country,
            taxes_included: row.taxes_included,
            low_stock: LowStock::default(),
            created_at: row.created_at,
        })
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
            name: "Kiln".to_owned(),
            description: None,
            currency: Currency::parse("EUR").unwrap(),
            country: "DE".to_owned(),
            taxes_included: true,
            low_stock: LowStock::default(),
            created_at: Timestamp::EPOCH,
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
