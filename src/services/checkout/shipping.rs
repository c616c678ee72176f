//! Administration of shipping zones and rates. For the calculation of delivery prices see
//! `services::checkout::pricing`.

use std::sync::Arc;

use crate::context::OpContext;
use crate::db::types::Json;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::checkout::shipping::{
    DEFAULT_DISTANCE_METRES, MAX_DISTANCE_METRES, MAX_TARIFF_MICROS, PriceStep, PriceTable, ShippingStrategy,
    TableBy,
};
use crate::domain::codes::COUNTRIES;
use crate::domain::events::{Event, ShippingRateEvent, ShippingZoneEvent};
use crate::domain::ids::{LocationId, ShippingRateId, ShippingZoneId};
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::catalog::locations;
use crate::repositories::checkout::shipping::{self, ShippingRate, ShippingZone};
use crate::services::input::Problems;
use crate::services::{Shop, set};

/// Maximum number of rates per zone.
const MAX_RATES: usize = 100;
/// Maximum number of steps per price table.
const MAX_STEPS: usize = 100;
/// Maximum weight limit, in milligrams: a thousand tonnes.
const MAX_WEIGHT: i64 = 1_000_000_000_000;

/// Creates, updates and deletes shipping zones and rates.
pub struct Shipping {
    db: Db,
    shop: Arc<Shop>,
}

/// The fields of a zone. `None` keeps a field, or uses its default on creation.
#[derive(Clone, Debug, Default)]
pub struct ZonePatch {
    /// Name, unique in the shop.
    pub name: Option<String>,
    /// ISO 3166-1 alpha-2 codes, each in at most one zone; empty for all countries that are in no
    /// other zone.
    pub countries: Option<Vec<String>>,
    /// Assumed distance of addresses without coordinates, in meters.
    pub default_distance_metres: Option<i64>,
}

/// The fields of a rate. `None` keeps a field (or uses its default, on creation), `Some(None)`
/// clears it.
#[derive(Clone, Debug, Default)]
pub struct RatePatch {
    /// Name shown to buyers; defaults to the strategy's title.
    pub name: Option<String>,
    /// Base price, as a decimal amount; defaults to zero.
    pub price: Option<String>,
    /// Additional price by weight or subtotal.
    pub table: Option<Option<TablePatch>>,
    /// Location where buyers pick up their order.
    pub location_id: Option<LocationId>,
    /// Price per kilogram, as a decimal amount; defaults to the strategy's.
    pub per_kilogram: Option<String>,
    /// Price per kilometer, as a decimal amount; defaults to the strategy's.
    pub per_kilometre: Option<String>,
    /// Minimum weight in kilograms, as a decimal number.
    pub min_weight: Option<Option<String>>,
    /// Maximum weight in kilograms, as a decimal number.
    pub max_weight: Option<Option<String>>,
    /// Minimum subtotal, as a decimal amount.
    pub min_subtotal: Option<Option<String>>,
    /// Maximum subtotal, as a decimal amount.
    pub max_subtotal: Option<Option<String>>,
    /// Subtotal from which delivery is free, as a decimal amount.
    pub free_from_subtotal: Option<Option<String>>,
    /// Whether buyers can select it; defaults to true.
    pub is_active: Option<bool>,
    /// Position among the zone's rates; defaults to the last.
    pub position: Option<i64>,
}

/// A price table, with its numbers as sent.
#[derive(Clone, Debug)]
pub struct TablePatch {
    /// Which quantity selects the step.
    pub by: TableBy,
    /// Lower bound (kilograms or an amount) and price of each step, as decimal numbers.
    pub steps: Vec<(String, String)>,
}

impl Shipping {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// A page of zones.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to manage settings.
    pub async fn zones(
        &self,
        op: &OpContext,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<ShippingZone>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(shipping::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// The countries that can be shipped to.
    ///
    /// # Errors
    /// Database errors.
    pub async fn countries(&self, op: &OpContext) -> Result<Vec<&'static str>, Error> {
        let zones = shipping::all(&mut self.db.read(&op.statements).await?).await?;
        let is_served = |country: &&str| {
            find_zone(&zones, country).is_some_and(|(_, rates)| rates.iter().any(|rate| rate.is_active))
        };
        Ok(COUNTRIES.iter().map(|(code, _)| *code).filter(is_served).collect())
    }

    /// Creates a zone without rates.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create_zone(&self, op: &OpContext, new: &ZonePatch) -> Result<ShippingZone, Error> {
        op.authorize(Permission::ManageSettings)?;
        let zone = ShippingZone {
            id: ShippingZoneId::generate(),
            name: String::new(),
            countries: Json(Vec::new()),
            default_distance_metres: DEFAULT_DISTANCE_METRES,
            created_at: op.now(),
            updated_at: op.now(),
        };
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let mut zone = zone.clone();
                new.apply(tx, &mut zone).await?;
                shipping::insert_zone(tx.conn(), &zone).await.on_constraint(
                    "shipping_zones",
                    "name",
                    || zone_taken(&zone),
                )?;
                events::append(tx, op, [Event::ShippingZoneCreated(zone_event(&zone))]).await?;
                Ok(zone)
            })
            .await
    }

    /// Updates a zone.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
    pub async fn update_zone(
        &self,
        op: &OpContext,
        id: ShippingZoneId,
        patch: &ZonePatch,
    ) -> Result<ShippingZone, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(mut zone) = shipping::lock_zone(tx.conn(), id).await? else {
                    return Err(zone_not_found(&["id"]));
                };
                patch.apply(tx, &mut zone).await?;
                zone.updated_at = op.now();
                shipping::update_zone(tx.conn(), &zone).await.on_constraint(
                    "shipping_zones",
                    "name",
                    || zone_taken(&zone),
                )?;
                events::append(tx, op, [Event::ShippingZoneUpdated(zone_event(&zone))]).await?;
                Ok(zone)
            })
            .await
    }

    /// Deletes a zone and its rates.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete_zone(&self, op: &OpContext, id: ShippingZoneId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(zone) = shipping::lock_zone(tx.conn(), id).await? else {
                    return Err(zone_not_found(&["id"]));
                };
                shipping::delete_zone(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::ShippingZoneDeleted(zone_event(&zone))]).await?)
            })
            .await
    }

    /// Creates a rate in a zone, for the strategy with this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create_rate(
        &self,
        op: &OpContext,
        zone: ShippingZoneId,
        strategy: &str,
        new: &RatePatch,
    ) -> Result<ShippingRate, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.create_rate_in(tx, op, zone, strategy, new).await
            })
            .await
    }

    async fn create_rate_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        zone_id: ShippingZoneId,
        strategy: &str,
        new: &RatePatch,
    ) -> Result<ShippingRate, Error> {
        let mut problems = Problems::default();
        let known = ShippingStrategy::parse(strategy);
        if known.is_none() {
            let all: Vec<&str> = ShippingStrategy::ALL.iter().map(|strategy| strategy.as_str()).collect();
            let message = format!("Strategy must be one of {}", all.join(", "));
            problems.add(&["shippingRate", "strategy"], UserErrorCode::Invalid, message);
        }
        // Locking the zone keeps two rates from getting the same position.
        let zone = shipping::lock_zone(tx.conn(), zone_id).await?;
        if zone.is_none() {
            let message = "Shipping zone does not exist";
            problems.add(&["shippingRate", "shippingZoneId"], UserErrorCode::NotFound, message);
        }
        let others = shipping::rates_of_zones(tx.conn(), &[zone_id]).await?;
        if others.len() >= MAX_RATES {
            let message = format!("A zone can have up to {MAX_RATES} rates");
            problems.add(&["shippingRate", "shippingZoneId"], UserErrorCode::TooMany, message);
        }
        let position = others.last().map_or(1, |last| last.position.saturating_add(1));
        // An unknown strategy is already a problem: check the rest as if it were this one.
        let strategy = known.unwrap_or(ShippingStrategy::Standard);
        let mut rate = ShippingRate::new(zone_id, strategy, position, op.now());
        new.apply(&mut problems, &mut rate, &self.shop, known.is_some());
        if known == Some(ShippingStrategy::Flat) && new.price.is_none() && rate.price_table.is_none() {
            let message = "Price can't be blank: set a price or a price table";
            problems.add(&["shippingRate", "price"], UserErrorCode::Blank, message);
        }
        check_location(tx, &mut problems, &rate).await?;
        problems.check()?;
        shipping::insert_rates(tx.conn(), vec![rate.clone()]).await.on_constraint(
            "shipping_rates",
            "name",
            || rate_taken(&rate),
        )?;
        events::append(tx, op, [Event::ShippingRateCreated(rate_event(&rate))]).await?;
        Ok(rate)
    }

    /// Updates a rate.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
    pub async fn update_rate(
        &self,
        op: &OpContext,
        id: ShippingRateId,
        patch: &RatePatch,
    ) -> Result<ShippingRate, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(mut rate) = shipping::lock_rate(tx.conn(), id).await? else {
                    return Err(rate_not_found(&["id"]));
                };
                let mut problems = Problems::default();
                patch.apply(&mut problems, &mut rate, &self.shop, true);
                check_location(tx, &mut problems, &rate).await?;
                problems.check()?;
                rate.updated_at = op.now();
                shipping::update_rate(tx.conn(), &rate).await.on_constraint(
                    "shipping_rates",
                    "name",
                    || rate_taken(&rate),
                )?;
                events::append(tx, op, [Event::ShippingRateUpdated(rate_event(&rate))]).await?;
                Ok(rate)
            })
            .await
    }

    /// Deletes a rate.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete_rate(&self, op: &OpContext, id: ShippingRateId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(rate) = shipping::lock_rate(tx.conn(), id).await? else {
                    return Err(rate_not_found(&["id"]));
                };
                shipping::delete_rate(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::ShippingRateDeleted(rate_event(&rate))]).await?)
            })
            .await
    }
}

impl ZonePatch {
    /// Applies the patch to a zone and validates the result.
    async fn apply(&self, tx: &mut Tx, zone: &mut ShippingZone) -> Result<(), Error> {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut zone.name);
        }
        if let Some(countries) = &self.countries {
            let mut countries = countries.clone();
            countries.sort_unstable();
            countries.dedup();
            zone.countries = Json(countries);
        }
        set(&mut zone.default_distance_metres, self.default_distance_metres.as_ref());
        let mut problems = Problems::default();
        problems.required(&["shippingZone", "name"], &zone.name);
        if !(0..=MAX_DISTANCE_METRES).contains(&zone.default_distance_metres) {
            let message = format!("Default distance must be from 0 to {MAX_DISTANCE_METRES} meters");
            problems.add(&["shippingZone", "defaultDistanceMeters"], UserErrorCode::Invalid, message);
        }
        let zones = shipping::zones(tx.conn()).await?;
        for other in zones.iter().filter(|other| other.id != zone.id) {
            let (own, others) = (&zone.countries.0, &other.countries.0);
            if own.is_empty() && others.is_empty() {
                let message =
                    format!("Zone '{}' already covers all other countries: specify countries", other.name);
                problems.add(&["shippingZone", "countries"], UserErrorCode::Taken, message);
            }
            for country in own.iter().filter(|country| others.contains(country)) {
                let message = format!("{country} is in zone '{}' already", other.name);
                problems.add(&["shippingZone", "countries"], UserErrorCode::Taken, message);
            }
        }
        problems.check()
    }
}

impl RatePatch {
    /// Applies the patch to a rate and validates the result.
    fn apply(&self, problems: &mut Problems, rate: &mut ShippingRate, shop: &Shop, is_named: bool) {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut rate.name);
        }
        // Without a strategy there is no default name, and the missing strategy is a problem of its
        // own.
        if is_named || self.name.is_some() {
            problems.required(&["shippingRate", "name"], &rate.name);
        }
        if let Some(text) = &self.price {
            rate.base_price = problems.amount(&["shippingRate", "price"], text, shop.currency);
        }
        if let Some(table) = &self.table {
            rate.price_table = table.as_ref().map(|table| Json(table.check(problems, shop)));
        }
        if let Some(location) = self.location_id {
            rate.location_id = Some(location);
        }
        if let Some(text) = &self.per_kilogram {
            rate.per_kilogram_micros =
                problems.micros(&["shippingRate", "pricePerKilogram"], text, MAX_TARIFF_MICROS);
        }
        if let Some(text) = &self.per_kilometre {
            rate.per_kilometre_micros =
                problems.micros(&["shippingRate", "pricePerKilometer"], text, MAX_TARIFF_MICROS);
        }
        // `micros` parses millionths, and a kilogram has a million milligrams.
        for (field, given, weight) in [
            ("minimumWeightKilograms", &self.min_weight, &mut rate.min_weight_milligrams),
            ("maximumWeightKilograms", &self.max_weight, &mut rate.max_weight_milligrams),
        ] {
            if let Some(given) = given {
                *weight =
                    given.as_deref().map(|text| problems.micros(&["shippingRate", field], text, MAX_WEIGHT));
            }
        }
        for (field, given, amount) in [
            ("minimumSubtotal", &self.min_subtotal, &mut rate.min_subtotal),
            ("maximumSubtotal", &self.max_subtotal, &mut rate.max_subtotal),
            ("freeFromSubtotal", &self.free_from_subtotal, &mut rate.free_from_subtotal),
        ] {
            if let Some(given) = given {
                *amount = problems.optional_amount(&["shippingRate", field], given.as_deref(), shop.currency);
            }
        }
        set(&mut rate.is_active, self.is_active.as_ref());
        set(&mut rate.position, self.position.as_ref());
        for (field, min, max) in [
            ("maximumWeightKilograms", rate.min_weight_milligrams, rate.max_weight_milligrams),
            ("maximumSubtotal", rate.min_subtotal, rate.max_subtotal),
        ] {
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                let message = "The maximum can't be below the minimum";
                problems.add(&["shippingRate", field], UserErrorCode::Invalid, message);
            }
        }
    }
}

impl TablePatch {
    /// Validates and converts the table.
    fn check(&self, problems: &mut Problems, shop: &Shop) -> PriceTable {
        const FIELD: [&str; 2] = ["shippingRate", "priceTable"];
        if self.steps.is_empty() || self.steps.len() > MAX_STEPS {
            let message = format!("A price table has 1 to {MAX_STEPS} steps");
            problems.add(&FIELD, UserErrorCode::Invalid, message);
        }
        let mut steps: Vec<PriceStep> = Vec::with_capacity(self.steps.len());
        for (at, (from, price)) in self.steps.iter().take(MAX_STEPS).enumerate() {
            let at = at.to_string();
            let field = ["shippingRate", "priceTable", "steps", &at, "from"];
            let from = match self.by {
                TableBy::Weight => problems.micros(&field, from, MAX_WEIGHT),
                TableBy::Subtotal => problems.amount(&field, from, shop.currency),
            };
            if steps.last().is_some_and(|last| last.from >= from) {
                let message = "Each step must begin above the one before";
                problems.add(&field, UserErrorCode::Invalid, message);
            }
            let field = ["shippingRate", "priceTable", "steps", &at, "price"];
            steps.push(PriceStep { from, price: problems.amount(&field, price, shop.currency) });
        }
        PriceTable { by: self.by, steps }
    }
}

/// Checks that a pickup rate has a location, and that other rates have none.
async fn check_location(tx: &mut Tx, problems: &mut Problems, rate: &ShippingRate) -> Result<(), Error> {
    const FIELD: [&str; 2] = ["shippingRate", "locationId"];
    let is_pickup = ShippingStrategy::parse(&rate.strategy) == Some(ShippingStrategy::Pickup);
    match rate.location_id {
        None if is_pickup => {
            let message = "Location can't be blank: specify where buyers pick up their order";
            problems.add(&FIELD, UserErrorCode::Blank, message);
        }
        Some(_) if !is_pickup => {
            let message =
                format!("Only a rate of strategy {} has a location", ShippingStrategy::Pickup.as_str());
            problems.add(&FIELD, UserErrorCode::NotAllowed, message);
        }
        Some(id) if locations::by_ids(tx.conn(), &[id]).await?.is_empty() => {
            problems.add(&FIELD, UserErrorCode::NotFound, "Location does not exist");
        }
        _ => {}
    }
    Ok(())
}

fn zone_not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Shipping zone does not exist")
}

fn rate_not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Shipping rate does not exist")
}

fn zone_taken(zone: &ShippingZone) -> Error {
    let message = format!("There is a shipping zone called '{}' already", zone.name);
    Error::invalid(&["shippingZone", "name"], UserErrorCode::Taken, message)
}

fn rate_taken(rate: &ShippingRate) -> Error {
    let message = format!("The zone has a {} rate called '{}' already", rate.strategy, rate.name);
    Error::invalid(&["shippingRate", "name"], UserErrorCode::Taken, message)
}

fn zone_event(zone: &ShippingZone) -> ShippingZoneEvent {
    ShippingZoneEvent { shipping_zone_id: zone.id, name: zone.name.clone() }
}

fn rate_event(rate: &ShippingRate) -> ShippingRateEvent {
    ShippingRateEvent { shipping_rate_id: rate.id, shipping_zone_id: rate.zone_id, name: rate.name.clone() }
}

/// The zone of a country and its rates: the zone that lists the country, or else the zone for all
/// other countries.
pub(super) fn find_zone<'a>(
    zones: &'a [(ShippingZone, Option<ShippingRate>)],
    country: &str,
) -> Option<(&'a ShippingZone, Vec<&'a ShippingRate>)> {
    let names = |zone: &ShippingZone| zone.countries.0.iter().any(|known| known == country);
    let (zone, _) = zones
        .iter()
        .find(|(zone, _)| names(zone))
        .or_else(|| zones.iter().find(|(zone, _)| zone.countries.0.is_empty()))?;
    let rates = zones.iter().filter(|(other, _)| other.id == zone.id).filter_map(|(_, rate)| rate.as_ref());
    Some((zone, rates.collect()))
}
