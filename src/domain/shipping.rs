//! Delivery: what a parcel weighs, how far it goes, what that costs, and what may be sent how.
//!
//! A tariff has a price for everything, a price a kilogram and one a kilometre; the latter two are
//! in millionths of the currency's main unit, and their sum is rounded half-up to the minor unit,
//! once. A table adds a price by the step that the weight or the subtotal has reached. Limits of a
//! rate are inclusive at both ends and look at the basket's subtotal **before** discounts, so that
//! a discount never makes a delivery dearer or takes it away.

use serde::{Deserialize, Serialize};

use super::money::Currency;
use super::pricing::MAX_AMOUNT;
use super::rounding::half_up;

/// The mean radius of the earth, in metres.
const EARTH: f64 = 6_371_008.8;
/// How far anything is sent at most, in metres: more than twice around the earth.
pub const MAX_DISTANCE: i64 = 100_000_000;
/// What a kilogram or a kilometre may cost at most, in millionths of the main unit.
pub const MAX_TARIFF: i64 = 1_000_000_000_000;
/// What a shop that has no other zone takes everything to be away: 50 km.
pub const DEFAULT_DISTANCE: i64 = 50_000;

/// A place on earth, in degrees.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    /// North.
    pub latitude: f64,
    /// East.
    pub longitude: f64,
}

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// All that is sent, together.
    pub weight_milligrams: i64,
    /// How far it goes.
    pub distance_metres: i64,
}

/// What sending costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tariff {
    /// Whatever is sent and wherever it goes, minor units.
    pub base: i64,
    /// Millionths of the currency's main unit.
    pub per_kilogram_micros: i64,
    /// Millionths of the currency's main unit.
    pub per_kilometre_micros: i64,
}

/// Prices by the weight of what is sent or by the subtotal of what is bought.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriceTable {
    /// What decides on the step.
    pub by: TableBy,
    /// Each dearer than the one before in what it begins at; at least one.
    pub steps: Vec<PriceStep>,
}

/// What decides on the step of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableBy {
    /// All that is sent, together.
    Weight,
    /// All that is bought, before discounts.
    Subtotal,
}

/// A step of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PriceStep {
    /// Where it begins: milligrams, or minor units.
    pub from: i64,
    /// What it costs, minor units.
    pub price: i64,
}

impl PriceTable {
    /// The price of the step that is reached; `None` below the first.
    #[must_use]
    pub fn price(&self, weight_milligrams: i64, subtotal: i64) -> Option<i64> {
        let reached = match self.by {
            TableBy::Weight => weight_milligrams,
            TableBy::Subtotal => subtotal,
        };
        self.steps.iter().rev().find(|step| step.from <= reached).map(|step| step.price)
    }
}

/// What may be sent at a rate; `None`: anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// From this weight on.
    pub min_weight_milligrams: Option<i64>,
    /// Up to this weight.
    pub max_weight_milligrams: Option<i64>,
    /// From this subtotal on, minor units.
    pub min_subtotal: Option<i64>,
    /// Up to this subtotal.
    pub max_subtotal: Option<i64>,
}

impl Coordinates {
    /// Of two numbers that may be missing.
    #[must_use]
    pub fn of(latitude: Option<f64>, longitude: Option<f64>) -> Option<Self> {
        let is_known = |degrees: &f64| degrees.is_finite();
        Some(Self { latitude: latitude.filter(is_known)?, longitude: longitude.filter(is_known)? })
    }

    /// Along the surface of a sphere (the haversine), to the metre.
    #[must_use]
    pub fn distance_metres(self, to: Self) -> i64 {
        let half_chord = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let a = half_chord(self.latitude, to.latitude)
            + self.latitude.to_radians().cos()
                * to.latitude.to_radians().cos()
                * half_chord(self.longitude, to.longitude);
        let metres = 2.0 * EARTH * a.clamp(0.0, 1.0).sqrt().asin();
        // At most half around the earth, so the number fits.
        metres.round() as i64
    }
}

impl Tariff {
    /// What a parcel costs, minor units.
    #[must_use]
    pub fn price(self, parcel: Parcel, currency: Currency) -> i64 {
        let at_least_zero = |number: i64| i128::from(number.max(0));
        // Millionths of the main unit, times a million: a kilogram has a million milligrams, a kilometre a thousand metres.
        let by_weight =
            at_least_zero(self.per_kilogram_micros.min(MAX_TARIFF)) * at_least_zero(parcel.weight_milligrams);
        let by_distance = at_least_zero(self.per_kilometre_micros.min(MAX_TARIFF))
            * at_least_zero(parcel.distance_metres.min(MAX_DISTANCE))
            * 1_000;
        let minor = half_up((by_weight + by_distance) * i128::from(currency.factor()), 1_000_000_000_000);
        let minor = i64::try_from(minor).unwrap_or(MAX_AMOUNT);
        minor.saturating_add(self.base.max(0)).min(MAX_AMOUNT)
    }
}

impl Limits {
    /// Whether a basket of this weight and subtotal may be sent.
    #[must_use]
    pub fn admit(&self, weight_milligrams: i64, subtotal: i64) -> bool {
        let within = |value: i64, min: Option<i64>, max: Option<i64>| {
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        };
        within(weight_milligrams, self.min_weight_milligrams, self.max_weight_milligrams)
            && within(subtotal, self.min_subtotal, self.max_subtotal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Tariff = Tariff { base: 0, per_kilogram_micros: 500_000, per_kilometre_micros: 100_000 };

    fn price(tariff: Tariff, weight_milligrams: i64, distance_metres: i64, currency: &str) -> i64 {
        tariff.price(Parcel { weight_milligrams, distance_metres }, Currency::parse(currency).unwrap())
    }

    #[test]
    fn a_parcel_costs_its_weight_and_its_way() {
        // 2 kg over 50 km: 2 × 0.50 + 50 × 0.10.
        assert_eq!(price(STANDARD, 2_000_000, 50_000, "GBP"), 600);
        assert_eq!(price(STANDARD, 2_000_000, 50_000, "JPY"), 6);
        assert_eq!(price(STANDARD, 2_000_000, 50_000, "KWD"), 6_000);
        // 15 g and 20 m: 0.0075 + 0.002 is 0.0095, rounded once; each by itself would be 0.01.
        assert_eq!(price(STANDARD, 15_000, 20, "GBP"), 1);
        // 0.005 is a half.
        assert_eq!(price(STANDARD, 10_000, 0, "GBP"), 1);
        assert_eq!(price(STANDARD, 9_999, 0, "GBP"), 0);
        assert_eq!(price(Tariff { base: 490, ..STANDARD }, 2_000_000, 50_000, "GBP"), 1_090);
        let dear = Tariff { base: i64::MAX, per_kilogram_micros: i64::MAX, per_kilometre_micros: i64::MAX };
        assert_eq!(price(dear, i64::MAX, i64::MAX, "KWD"), MAX_AMOUNT);
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let london = Coordinates { latitude: 51.5074, longitude: -0.1278 };
        let paris = Coordinates { latitude: 48.8566, longitude: 2.3522 };
        let metres = london.distance_metres(paris);
        assert!((343_000..345_000).contains(&metres), "{metres}");
        assert_eq!(metres, paris.distance_metres(london));
        assert_eq!(london.distance_metres(london), 0);
        let (here, there) =
            (Coordinates { latitude: 0.0, longitude: 0.0 }, Coordinates { latitude: 0.0, longitude: 180.0 });
        assert_eq!(here.distance_metres(there), 20_015_114);
        assert_eq!(Coordinates::of(Some(f64::NAN), Some(1.0)), None);
        assert_eq!(Coordinates::of(Some(1.0), None), None);
    }

    #[test]
    fn a_table_has_a_price_from_each_step_on() {
        let steps = [(100, 490), (500, 0)].map(|(from, price)| PriceStep { from, price }).to_vec();
        let table = PriceTable { by: TableBy::Subtotal, steps };
        let prices = [99, 100, 499, 500, i64::MAX].map(|subtotal| table.price(0, subtotal));
        assert_eq!(prices, [None, Some(490), Some(490), Some(0), Some(0)]);
        let by_weight = PriceTable { by: TableBy::Weight, ..table };
        assert_eq!(by_weight.price(100, 0), Some(490));
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = Limits {
            min_weight_milligrams: Some(10),
            max_weight_milligrams: Some(20),
            max_subtotal: Some(500),
            ..Limits::default()
        };
        assert!(limits.admit(10, 500) && limits.admit(20, 0));
        assert!(!limits.admit(9, 0) && !limits.admit(21, 0) && !limits.admit(15, 501));
    }
}
